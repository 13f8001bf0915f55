"""A bank statement against the ledger, with no identifier in common: amount, date and free text."""

from __future__ import annotations

import polars as pl

from recon.generate import money, texts
from recon.generate.days import dates
from recon.generate.draws import Draws
from recon.generate.flows import flow
from recon.generate.knobs import Knobs
from recon.generate.records import Made

_BOOKED = ("Invoice {r} {n}", "{n}, invoice {r}", "{n} / {r}", "Customer {n} doc. {r}")
_TRANSFERRED = ("SEPA CREDIT {n} {r}", "{r} {n} THANK YOU", "TRF FROM {n} REF {r}", "{n} {r}", "PAYMENT {r} // {n}")


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Source (the ledger): `entry_no`, `booked_on`, `currency`, `amount`, `description`. Target (the statement): `statement_line`,
    `value_date`, `currency`, `amount`, `remittance`.

    Amounts are no more than one minor unit and dates no more than three days apart, but for LATE. The texts hold the
    customer's name and an invoice number in their own words; where amount and date alone allow another partner, the
    number is whole on both sides.
    """
    entry = flow(rows, knobs, draws)
    number = texts.references(draws, rows, "INV-00")
    customer = texts.companies(draws, "customer", rows)
    written = texts.filled(draws, "booked", _BOOKED, customer, number)
    sent = texts.filled(draws, "sent", _TRANSFERRED, entry.name(draws, customer), entry.reference(draws, number))
    source = pl.DataFrame(
        {
            "entry_no": texts.serials(draws, "GL", rows),
            "booked_on": dates(entry.day),
            "currency": money.codes(entry.currency),
            "amount": money.money(entry.amount, entry.currency),
            "description": written,
        }
    )
    target = pl.DataFrame(
        {
            "statement_line": texts.serials(draws, "STM", rows),
            "value_date": dates(entry.posted_day, entry.dotted),
            "currency": money.codes(entry.currency),
            "amount": money.money(entry.posted, entry.currency),
            "remittance": texts.noisy(draws, "text noise", sent, entry.noise),
        }
    )
    return entry.made(source, target)
