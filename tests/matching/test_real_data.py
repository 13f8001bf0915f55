"""Public data with known truth, beside the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from matching import Outcome, Totals, reconcile, rule_set_of
from matching.identity import ROW
from tests.matching.helpers import legacy, matched_people, one_pass, read


def test_febrl_by_social_security_number(shared_data: Path) -> None:
    folder = shared_data / "febrl"
    source, target = read(folder / "source.csv", 1), read(folder / "target.csv", 2)
    truth = pl.read_csv(folder / "truth.csv", infer_schema=False)
    pairs: list[set[tuple[str, str]]] = []
    for rule_set in (one_pass(["soc_sec_id"]), legacy(["soc_sec_id"])):
        outcome: Outcome = reconcile(rule_set, source, target)
        assert outcome.matches.height == 4561
        assert outcome.unmatched_source.height == outcome.unmatched_target.height == 439
        found = matched_people(outcome, source, target)
        pairs.append(set(found))
    assert pairs[0] == pairs[1]
    assert pairs[0] <= set(truth.rows())


def test_olist_lines_settle_with_payments_by_order(shared_data: Path) -> None:
    folder = shared_data / "olist_sample"
    amount = {"sourceField": "amount", "matchType": "RANGE", "tolerance": "0.05"}
    rule_set = one_pass(["order_id"], [amount], cardinality="MANY_TO_MANY")
    source, target = read(folder / "source_items.csv", 1), read(folder / "target_payments.csv", 2)
    outcome = reconcile(rule_set, source, target)
    assert outcome.totals == Totals({"MATCHED": 11_513}, {"MATCHED": 10_415})
    assert dict(outcome.breaks.group_by("type").len().iter_rows()) == {"TOLERANCE_EXCEEDED": 23}
    orders = (
        outcome.matches.lazy()
        .join(source, left_on="source_row", right_on=ROW)
        .select("order_id", "match_id", "agrees_1_amount", pl.col("delta_1_amount").cast(pl.Decimal(12, 2)))
        .unique()
        .collect()
    )
    assert orders.height == orders["order_id"].n_unique() == orders["match_id"].n_unique() == 10_000
    truth = pl.read_csv(folder / "truth.csv", infer_schema=False).with_columns(pl.col("diff").cast(pl.Decimal(12, 2)))
    judged = truth.join(orders, on="order_id", how="left").with_columns(
        pl.when(pl.col("delta_1_amount").is_null())
        .then(pl.lit("EQUAL"))
        .otherwise(pl.when("agrees_1_amount").then(pl.lit("CENTS")).otherwise(pl.lit("BREAK")))
        .alias("found")
    )
    assert judged.filter(pl.col("found") != pl.col("verdict")).is_empty()
    assert judged.filter((pl.col("delta_1_amount") != pl.col("diff")) & (pl.col("diff") != 0)).is_empty()
    assert dict(judged.group_by("found").len().iter_rows()) == {"EQUAL": 9_934, "CENTS": 43, "BREAK": 23}


def test_chinook_lines_add_up_to_their_invoices(shared_data: Path) -> None:
    folder = shared_data / "chinook"
    total = {"sourceField": "Total", "targetField": "Amount", "matchType": "RANGE"}
    rule_set = one_pass(["InvoiceId"], [total], cardinality="ONE_TO_MANY")
    outcome = reconcile(rule_set, read(folder / "invoices.csv", 1), read(folder / "lines.csv", 2))
    assert outcome.totals == Totals({"MATCHED": 412}, {"MATCHED": 2_240})
    assert outcome.breaks.is_empty()
    assert outcome.matches.height == 2_240
    assert outcome.matches["match_id"].n_unique() == 412


def test_febrl_by_passes_of_rules(shared_data: Path) -> None:
    """The strictest first: the number, then exact parts of name, birth and address, then parts with typing errors."""
    folder = shared_data / "febrl"
    source, target = read(folder / "source.csv", 1), read(folder / "target.csv", 2)
    truth = set(pl.read_csv(folder / "truth.csv", infer_schema=False).rows())

    def alike(field: str, threshold: float) -> dict[str, Any]:
        return {"sourceField": field, "matchType": "FUZZY", "fuzzyThreshold": threshold}

    born = alike("date_of_birth", 0.7)
    strategies: list[tuple[list[Any], list[Any]]] = [
        (["soc_sec_id"], []),
        (["date_of_birth", "surname"], []),
        (["date_of_birth", "given_name"], []),
        (["date_of_birth", {"sourceField": "given_name", "targetField": "surname"}], []),
        (["given_name", "surname", "postcode"], []),
        (["date_of_birth"], [alike("surname", 0.6)]),
        (["address_1", "street_number"], []),
        (["surname"], [alike("given_name", 0.6), born]),
        (["given_name"], [alike("surname", 0.6), born]),
        (["postcode"], [alike("soc_sec_id", 0.7), born]),
    ]
    passes = [
        {"keys": [{"sourceField": key} if isinstance(key, str) else key for key in keys], "conditions": conditions}
        for keys, conditions in strategies
    ]
    outcome = reconcile(rule_set_of({"passes": passes}), source, target)
    found = matched_people(outcome, source, target)
    assert set(found) <= truth
    assert len(found) >= 0.998 * len(truth)
