"""The rule set that reconciles a generated case, as `recon match --rules` takes it: what `rules.json` holds.

Strictest first: whole references, then what amount and date tell. Written as JSON is, so that it reads like the file.
"""

from __future__ import annotations

from typing import Any

import polars as pl

Json = dict[str, Any]

_DATES = ["%d.%m.%Y"]
"""How target dates may be written beside ISO's way."""
_NUMBER: Json = {"type": "REGEX_EXTRACT", "pattern": "([1-9][0-9]{8,})"}
"""A whole reference, whatever is left of its prefix: the serial number and its check digits."""
_MINOR_UNITS = {"JPY": "1", "KWD": "0.001"}
_LARGEST_FEE = {
    "JPY": "164",
    "KWD": "0.335",
    "INR": "95.24",
    "SEK": "11.37",
    "USD": "1.09",
    "GBP": "0.87",
    "CHF": "0.96",
}
"""Beside one euro: what a bank may withhold from a payout."""
_PLAIN = ["TRIM", "COLLAPSE_SPACES", "UPPER"]


def rules_of(scenario: str, tables: dict[str, pl.DataFrame]) -> Json:
    """The rule set of a scenario; `tables` are the further files of the case."""
    match scenario:
        case "payments":
            amount = _amount("amount", tolerance="0.01", perCurrency=_MINOR_UNITS)
            passes = _by_reference(("order_id", "order_ref"), ("ordered_on", "paid_on"), amount, currency=True)
        case "ledger":
            amount = _amount("amount", tolerance="0.01", perCurrency=_MINOR_UNITS)
            passes = _by_reference(("description", "remittance"), ("booked_on", "value_date"), amount, currency=True)
        case "fx":
            passes = _by_reference(
                ("payment_ref", "reference"), ("value_date", "posted_on"), _converted(tables["rates"]), currency=False
            )
        case "invoices":
            passes = _invoices()
        case "payouts":
            passes = _payouts()
        case _:
            passes = _people()
    totals = {} if scenario == "people" else {"amount": _totals("net" if scenario == "payouts" else "amount")}
    return {"name": f"Generated {scenario}", "passes": passes, **totals}


def _by_reference(reference: tuple[str, str], day: tuple[str, str], amount: Json, *, currency: bool) -> list[Json]:
    source, target = reference
    within = _days(*day, after=3)
    # A misspelt number keeps seven of nine digits; two numbers that have nothing to do with each other share few.
    alike = _pair(
        source, target, matchType="FUZZY", fuzzyThreshold=0.7, transforms=["DIGITS_ONLY", "STRIP_LEADING_ZEROS"]
    )
    return [
        {"name": "reference", "keys": [_pair(source, target, transforms=[_NUMBER])], "comparisons": [amount, within]},
        {
            "name": "amount and date",
            "keys": [_pair("currency", "currency")] if currency else [],
            "conditions": [amount, within, alike],
            "ambiguity": "BEST",
        },
    ]


def _invoices() -> list[Json]:
    amount = _amount("amount", tolerance="0.01", perCurrency=_MINOR_UNITS)
    currency = _pair("currency", "currency")
    first, second = _by_reference(("order_id", "order_ref"), ("issued_on", "paid_on"), amount, currency=True)
    by_order = {
        "name": "order",
        "keys": [*first["keys"], currency],
        "comparisons": [amount],
        "cardinality": "MANY_TO_MANY",
    }
    return [by_order, second]


def _payouts() -> list[Json]:
    account = _pair("account", "account", transforms=_PLAIN)
    keys = [account, _pair("currency", "currency"), _pair("gateway", "counterparty", transforms=_PLAIN)]
    same_day = _pair("available_on", "value_date", targetTransforms=[{"type": "PARSE_DATE", "formats": _DATES}])
    amount = _amount("net", tolerance="0")
    charged = _amount("net", tolerance="1.00", perCurrency=_LARGEST_FEE)
    many: Json = {"cardinality": "MANY_TO_ONE"}
    search: Json = {"cardinality": "MANY_TO_ONE", "grouping": "SUBSET"}
    late = _days("available_on", "value_date", after=3, businessDays=True, calendar="XECB")
    week = _days("available_on", "value_date", after=11)
    return [
        {"name": "whole day", "keys": [*keys, same_day], "conditions": [amount], **many},
        {"name": "whole day less a fee", "keys": [*keys, same_day], "conditions": [charged], **many},
        {"name": "part of a day", "keys": [*keys, same_day], "conditions": [amount], **search},
        {"name": "credited late", "keys": keys, "conditions": [amount, late], **search},
        {"name": "with what was held back", "keys": keys, "conditions": [amount, week], **search},
    ]


def _people() -> list[Json]:
    born = _pair("birth_date", "birth_date", transforms=[{"type": "PARSE_DATE", "formats": _DATES}])
    compared = [
        _pair(name, name, matchType="FUZZY", algorithm="JARO_WINKLER", fuzzyThreshold=0.85, transforms=_PLAIN)
        for name in ("given_name", "surname")
    ]
    return [
        {"name": "tax identifier", "keys": [_pair("tax_id", "tax_id")], "comparisons": compared},
        {"name": "birth date and postcode", "keys": [born, _pair("postcode", "postcode")], "comparisons": compared},
    ]


def _pair(source: str, target: str, **options: Any) -> Json:
    return {"sourceField": source, "targetField": target, **options}


def _days(source: str, target: str, *, after: int, **options: Any) -> Json:
    return _pair(
        source, target, matchType="DATE_WINDOW", daysBefore=0, daysAfter=after, targetFormats=_DATES, **options
    )


def _amount(source: str, **options: Any) -> Json:
    currency = {"sourceCurrencyField": "currency", "targetCurrencyField": "currency"}
    return _pair(source, "amount", matchType="NUMERIC", **currency, **options)


def _converted(rates: pl.DataFrame) -> Json:
    if rates.is_empty():
        return _amount("amount", tolerance="0.01")
    columns = {"from_currency": "from", "to_currency": "to"}
    options = {"tolerance": "0.01", "dateField": "value_date", "rounding": "HALF_UP"}
    return {**_amount("amount", **options), "matchType": "FX", "rates": rates.rename(columns).to_dicts()}


def _totals(source: str) -> Json:
    currency = {"sourceCurrencyField": "currency", "targetCurrencyField": "currency"}
    return {"sourceField": source, "targetField": "amount", **currency}
