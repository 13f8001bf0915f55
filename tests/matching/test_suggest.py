"""Suggestions: on real data, on columns whose names say nothing, and where nothing should be proposed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import reconcile, rule_set_of
from matching.errors import ColumnNotFound
from matching.suggest.column_names import likeness, read_names
from matching.suggest.domains import detect_domain
from matching.suggest.profiles import MOST_ROWS, Kind, read_tables
from matching.suggest.proposal import GivenMapping, RuleSuggestion, Suggestion, suggest
from matching.terms import Cardinality, MatchType
from recon.ecommerce import generate
from recon.generate import generate as generated
from tests.matching.helpers import side

DAY = date(2026, 1, 1)


def read(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False)


def mapped(found: Suggestion) -> set[tuple[str, str]]:
    return {(one.source_field, one.target_field) for one in found.mappings}


def rule(found: Suggestion, source_field: str) -> RuleSuggestion:
    return next(one for one in found.rules if one.source_field == source_field)


def ledger(rows: int = 600, seed: int = 5) -> pl.DataFrame:
    """Texts: a reference, a customer, an amount, a currency, a day and a status."""
    random = Random(seed)
    return pl.DataFrame(
        {
            "order_ref": [f"ORD-{number:06d}" for number in random.sample(range(900_000), rows)],
            "cust": [f"C{random.randrange(200):04d}" for _ in range(rows)],
            "gross": [f"{random.randrange(100, 900_000) / 100:.2f}" for _ in range(rows)],
            "ccy": [random.choice(["EUR", "USD", "GBP"]) for _ in range(rows)],
            "day": [(DAY + timedelta(days=random.randrange(200))).isoformat() for _ in range(rows)],
            "state": [random.choice(["paid", "open", "late"]) for _ in range(rows)],
        }
    )


def renamed(frame: pl.DataFrame, names: str = "abcdefgh") -> pl.DataFrame:
    return frame.rename({one: f"col_{other}" for one, other in zip(frame.columns, names, strict=False)})


def test_febrl(shared_data: Path) -> None:
    found = suggest(read(shared_data / "febrl/source.csv"), read(shared_data / "febrl/target.csv"))
    (key, *_) = found.keys
    assert (key.fields, key.cardinality) == ((("soc_sec_id", "soc_sec_id"),), Cardinality.ONE_TO_ONE)
    assert 0.9 <= key.confidence < 1
    assert "91.2 % of source values are found in target" in key.reason
    assert mapped(found) >= {(one, one) for one in ("given_name", "surname", "address_1", "address_2", "date_of_birth")}
    assert ("rec_id", "rec_id") not in mapped(found), "no value of it is on the other side"
    assert rule(found, "surname").rule.match_type is MatchType.FUZZY
    assert rule(found, "postcode").rule.match_type is MatchType.EXACT


def test_olist_lines_against_payments(shared_data: Path) -> None:
    folder = shared_data / "olist_sample"
    found = suggest(read(folder / "source_items.csv"), read(folder / "target_payments.csv"))
    assert [(one.fields, one.cardinality) for one in found.keys[:1]] == [
        ((("order_id", "order_id"),), Cardinality.MANY_TO_MANY)
    ]
    assert "many-to-many" in found.keys[0].reason
    assert mapped(found) == {("order_id", "order_id"), ("amount", "amount")}
    # 9,934 sums are equal, 43 within 3 cents.
    assert rule(found, "amount").tolerance is not None
    assert "99.3 %" in rule(found, "amount").reason


def test_chinook_invoices_against_lines(shared_data: Path) -> None:
    folder = shared_data / "chinook"
    found = suggest(read(folder / "invoices.csv"), read(folder / "lines.csv"))
    key = found.keys[0]
    # InvoiceLineId has all of the invoices' numbers too: numbers of one range prove nothing.
    assert (key.fields, key.cardinality, key.confidence) == (
        (("InvoiceId", "InvoiceId"),),
        Cardinality.ONE_TO_MANY,
        1.0,
    )
    assert mapped(found) == {("InvoiceId", "InvoiceId"), ("Total", "Amount")}
    total = rule(found, "Total")
    assert (total.rule.match_type, total.tolerance, total.confidence) == (MatchType.RANGE, 0, 1.0)
    backwards = suggest(read(folder / "lines.csv"), read(folder / "invoices.csv"))
    assert backwards.keys[0].cardinality is Cardinality.MANY_TO_ONE
    assert mapped(backwards) == {(other, one) for one, other in mapped(found)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("chinook/invoices.csv", "febrl/source.csv"),
        ("olist_sample/olist_orders_dataset.csv", "febrl/source.csv"),
        ("febrl/target.csv", "chinook/lines.csv"),
    ],
)
def test_unrelated_files_have_no_key(shared_data: Path, one: str, other: str) -> None:
    found = suggest(read(shared_data / one), read(shared_data / other))
    assert (found.keys, found.rules, found.rule_set()) == ((), (), None)
    assert found.explanation.startswith("No key: ")


def test_the_settlement_template(tmp_path: Path) -> None:
    generate(tmp_path, orders=2_000)
    orders = read(tmp_path / "oms_orders.csv")
    found = suggest(orders, read(tmp_path / "marketplace_orders.csv"))
    assert found.keys[0].fields == (("order_line_id", "order_line_id"),)
    amount, status, day = (rule(found, one).rule for one in ("gross_amount", "order_status", "order_date"))
    assert (amount.match_type, amount.options) == (MatchType.RANGE, {"tolerance": "0.01"})
    assert (status.match_type, status.transforms) == (MatchType.EXACT, ("UPPER",))
    assert (day.match_type, day.options) == (MatchType.DATE_WINDOW, {"daysTolerance": 1})
    found = suggest(orders, read(tmp_path / "gateway_settlements.csv"))
    assert found.keys[0].fields == (("payment_reference", "payment_reference"),)
    found = suggest(orders, read(tmp_path / "bank_credits.csv"))
    assert found.keys[0].fields == (("bank_reference", "bank_reference"),)


def test_values_decide_where_names_say_nothing() -> None:
    source = ledger()
    late = pl.col("day").str.to_date() + pl.duration(days=pl.int_range(pl.len()) % 3)
    target = source.with_columns(late.dt.strftime("%d.%m.%Y").alias("day")).sample(fraction=0.9, seed=1, shuffle=True)
    target = renamed(target.select("state", "day", "ccy", "gross", "cust", "order_ref"))
    found = suggest(renamed(source, "uvwxyz"), target)
    assert found.keys[0].fields == (("col_u", "col_f"),)
    pairs = [("col_u", "col_f"), ("col_v", "col_e"), ("col_w", "col_d"), ("col_x", "col_c")]
    assert mapped(found) == {*pairs, ("col_y", "col_b"), ("col_z", "col_a")}
    day = rule(found, "col_y").rule
    assert day.wire() == {
        "matchType": "DATE_WINDOW",
        "daysTolerance": 2,
        "targetTransforms": [{"type": "PARSE_DATE", "formats": ["%d.%m.%Y"]}],
    }
    assert rule(found, "col_w").confidence == 1.0


def test_keys_that_are_written_differently() -> None:
    source = ledger()
    target = source.with_columns(
        ("  " + pl.col("order_ref").str.to_lowercase()).alias("order_ref"),
        pl.col("state").replace({"paid": "SETTLED", "open": "PENDING", "late": "OVERDUE"}),
        ("-" + pl.col("gross")).alias("gross"),
    )
    found = suggest(source, target.rename({"order_ref": "merchant_reference"}))
    assert found.keys[0].fields == (("order_ref", "merchant_reference"),)
    assert rule(found, "order_ref").rule.transforms == ("TRIM", "UPPER")
    amount, state = rule(found, "gross").rule, rule(found, "state").rule
    assert (amount.match_type, amount.target_transforms) == (MatchType.RANGE, ("NEGATE",))
    table = {"late": "OVERDUE", "open": "PENDING", "paid": "SETTLED"}
    assert state.source_transforms == ("TRIM", {"type": "MAP", "table": table})

    numbers = pl.DataFrame(
        {"account": [str(7 * one) for one in range(1, 400)], "name": [f"n{7 * one}" for one in range(1, 400)]}
    )
    padded = numbers.with_columns(pl.col("account").str.zfill(8))
    assert rule(suggest(numbers, padded), "account").rule.transforms == ("STRIP_LEADING_ZEROS",)


def test_several_columns_where_one_is_not_unique() -> None:
    random = Random(2)
    rows = [
        (shop, (DAY + timedelta(days=day)).isoformat(), till)
        for shop in range(12)
        for day in range(30)
        for till in range(3)
    ]
    takings = pl.DataFrame(
        {
            "shop": [f"S{shop:02d}" for shop, _, _ in rows],
            "day": [day for _, day, _ in rows],
            "till": [f"T{till}" for _, _, till in rows],
            "takings": [f"{random.randrange(10_000, 99_999) / 100:.2f}" for _ in rows],
        }
    )
    found = suggest(takings, takings.sample(fraction=0.9, seed=3, shuffle=True))
    assert sorted(found.keys[0].fields) == [("day", "day"), ("shop", "shop"), ("till", "till")]
    assert found.keys[0].cardinality is Cardinality.ONE_TO_ONE
    assert rule(found, "takings").confidence == 1.0


def test_an_amount_is_no_key_where_an_id_is() -> None:
    source = pl.DataFrame(
        {"amount": [f"{one}.17" for one in range(1_000, 1_500)], "id": [f"K{one % 480}" for one in range(500)]}
    )
    found = suggest(source, source)
    assert found.keys[0].fields == (("id", "id"),)


def test_records_of_one_amount_are_matched_one_by_one_by_their_dates() -> None:
    made = generated("ledger", rows=1_000, seed=3, difficulty=2)
    suggestion = suggest(made.source, made.target)
    assert suggestion.keys[0].fields == (("currency", "currency"), ("amount", "amount"))
    assert suggestion.keys[0].cardinality is Cardinality.ONE_TO_ONE
    proposed = suggestion.rule_set()
    assert proposed is not None
    (only,) = proposed["passes"]
    assert "cardinality" not in only
    assert [one["matchType"] for one in only["conditions"]] == ["DATE_WINDOW"]
    sides = [side(one.to_dict(as_series=False), file_id=at) for at, one in enumerate((made.source, made.target), 1)]
    outcome = reconcile(rule_set_of(proposed), *sides)
    truth = made.truth.filter(pl.col("source_row").is_not_null() & pl.col("target_row").is_not_null())
    found = outcome.matches.join(truth, on=["source_row", "target_row"], how="semi").height
    assert found >= 0.97 * outcome.matches.height
    assert found >= 0.95 * truth.height


def test_typed_columns_and_names_that_look_like_patterns() -> None:
    texts = ledger(300)
    typed = texts.select(
        pl.col("order_ref").str.slice(4).cast(pl.Int64).alias("*"),
        pl.col("gross").cast(pl.Decimal(12, 2)).alias("^gross$"),
        pl.col("day").str.to_date().alias("hash"),
        pl.col("gross").cast(pl.Float64).alias("size"),
    )
    found = suggest(typed, typed.with_columns(pl.col("*").cast(pl.String)))
    assert found.keys[0].fields == (("*", "*"),)
    assert mapped(found) == {(one, one) for one in typed.columns}
    assert {one.confidence for one in found.rules} == {1.0}


def test_given_mappings_get_rules() -> None:
    source = ledger()
    target = source.rename({"order_ref": "reference", "cust": "client"})
    given_ones = [GivenMapping("cust", "client"), GivenMapping("order_ref", "reference", is_key=True)]
    found = suggest(source, target, given_ones)
    assert [(one.source_field, one.target_field, one.is_key) for one in found.rules] == [
        ("order_ref", "reference", True),
        ("cust", "client", False),
    ]
    with pytest.raises(ColumnNotFound, match="'payer' not found in source; available: order_ref, cust"):
        suggest(source, target, [GivenMapping("payer", "client")])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_next_to_nothing(rows: int) -> None:
    source = ledger(5).head(rows)
    found = suggest(source, source)
    assert all(one.confidence < 1 for one in (*found.keys, *found.mappings, *found.rules))
    assert suggest(pl.DataFrame(), pl.DataFrame()).keys == ()


def test_large_tables_are_sampled_alike_on_both_sides() -> None:
    rows = MOST_ROWS * 3
    source = pl.DataFrame({"n": pl.int_range(rows, eager=True)}).select(
        ("ORD-" + (pl.col("n") * 7919 % 1_000_003).cast(pl.String)).alias("ref"),
        ((pl.col("n") * 104_729 % 999_983).cast(pl.Decimal(12, 2)) / 100)
        .cast(pl.Decimal(12, 2))
        .cast(pl.String)
        .alias("amount"),
        pl.Series("ccy", ["EUR", "USD", "GBP"]).gather(pl.int_range(rows, eager=True) % 3).alias("ccy"),
    )
    target = source.sample(fraction=0.5, seed=1, shuffle=True).rename({"ref": "x1", "amount": "x2", "ccy": "x3"})
    found = suggest(source, target)
    assert mapped(found) == {("ref", "x1"), ("amount", "x2"), ("ccy", "x3")}
    assert found.keys[0].cardinality is Cardinality.ONE_TO_ONE
    # What was only sampled is not proved.
    assert all(0.85 < one.confidence < 1 for one in (*found.keys, *found.rules))
    assert "of them sampled" in found.explanation
    assert suggest(source.reverse(), target.sample(fraction=1, shuffle=True, seed=9)) == found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), order=st.integers(0, 1_000), rows=st.integers(1, 300), kept=st.floats(0.2, 1))
def test_the_order_of_rows_decides_nothing(seed: int, order: int, rows: int, kept: float) -> None:
    source = ledger(rows, seed)
    target = source.head(max(1, int(rows * kept))).with_columns(pl.col("gross").str.replace("7$", "8"))
    found = suggest(source, target)
    shuffled = [one.sample(fraction=1, shuffle=True, seed=order) for one in (source, target)]
    assert suggest(shuffled[0], shuffled[1]) == found
    every: list[Any] = [*found.keys, *found.mappings, *found.rules]
    assert all(0 <= one.confidence <= 1 for one in every)
    assert len({one.source_field for one in found.mappings}) == len({one.target_field for one in found.mappings})
    assert len(mapped(found)) == len(found.mappings)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "20", "-3"], Kind.INTEGER),
        (["1.50", "20", "-3.1"], Kind.DECIMAL),
        (["1.234,50", "20,00", "-3,10"], Kind.DECIMAL),
        (["$1,234.50", "EUR 20", "(3.10)"], Kind.DECIMAL),
        (["007", "123"], Kind.CODE),
        (["ORD-1", "ORD-2"], Kind.CODE),
        (["2026-01-31", "2026-02-01T10:00:00Z"], Kind.DATE),
        (["20260131", "20260201"], Kind.DATE),
        (["31/12/2025", "01/02/2026"], Kind.DATE),
        (["12345678", "87654321"], Kind.INTEGER),
        (["EUR", "usd"], Kind.CURRENCY),
        (["some words", "others"], Kind.TEXT),
        (["", " "], Kind.EMPTY),
    ],
)
def test_kinds(values: list[str], kind: Kind) -> None:
    table, _ = read_tables(pl.LazyFrame({"x": values}), pl.LazyFrame())
    assert table.profiles[0].kind is kind


def test_names() -> None:
    source = {one.name: one for one in read_names(["order_ref", "CustomerId", "txn_amt", "date_of_birth", "col_a"])}
    target = {
        one.name: one for one in read_names(["orderReference", "client_no", "transaction value", "dob", "field1"])
    }
    for one, other in zip(list(source.values())[:4], list(target.values())[:4], strict=True):
        assert likeness(one, other) >= 0.75, (one, other)
        assert likeness(one, other) == likeness(other, one)
    assert likeness(source["order_ref"], target["client_no"]) < 0.5
    assert source["col_a"].is_empty
    assert target["field1"].is_empty
    assert [one.words for one in read_names(["oms_id", "oms_day", "oms_fee"])] == [("id",), ("date",), ("fee",)]


@pytest.mark.parametrize(
    ("texts", "domain"),
    [
        (["bank_statement", "account_iban", "value_date", "debit", "credit", "balance"], "BANKING"),
        (["trades", "isin", "tradeDate", "broker", "settle_amount"], "TRADING"),
        (["invoices", "vendor_name", "po_number", "due_date"], "ACCOUNTS_PAYABLE"),
        (["sku", "warehouse", "qty_on_hand", "bin"], "INVENTORY"),
        (["oms_orders", "order_id", "order_line_id", "shipping", "customer"], "ECOMMERCE"),
        (["a", "b"], "GENERAL"),
    ],
)
def test_domains(texts: list[str], domain: str) -> None:
    found, confidence = detect_domain(texts)
    assert found == domain
    assert confidence == 0.5 if domain == "GENERAL" else 0.5 < confidence < 1
    assert detect_domain(reversed(texts)) == (found, confidence)
