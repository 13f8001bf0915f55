"""Totals by side, bucket and currency: exact, and proved against the inputs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import reconcile, rule_set_of
from matching.amounts import check_sums
from matching.errors import ConservationBroken
from matching.identity import REASON, ROW
from tests.matching.helpers import a_pass, legacy, side

AMOUNT = {"sourceField": "amount", "targetField": "amount", "sourceCurrencyField": "cur", "targetCurrencyField": "cur"}
RULES = rule_set_of({"passes": [a_pass(["id"])], "amount": AMOUNT})

cells = st.tuples(
    st.sampled_from(["1", "2", "3", "", None]),
    st.sampled_from(["1", "0.10", "-2.5", "1e3", "99999999999999999999.5", "EUR 7", "x", "", None]),
    st.sampled_from(["EUR", "usd", "€", "", None]),
)
rows = st.lists(cells, max_size=12)
KNOWN = {"EUR": "EUR", "usd": "USD", "€": "EUR"}


def frame(written: list[tuple[Any, ...]], file_id: int) -> pl.LazyFrame:
    return side(
        {name: [row[at] for row in written] for at, name in enumerate(("id", "amount", "cur"))}, file_id=file_id
    )


@settings(max_examples=80, deadline=None)
@given(rows, rows)
def test_amounts_are_those_of_plain_arithmetic(source: list[Any], target: list[Any]) -> None:
    outcome = reconcile(RULES, frame(source, 1), frame(target, 2))
    expected: dict[tuple[str, str, str | None], list[Any]] = {}
    for name, written, left in (
        ("source", source, outcome.unmatched_source),
        ("target", target, outcome.unmatched_target),
    ):
        reasons = dict(left.select(ROW, REASON).iter_rows())
        for number, (_, amount, currency) in enumerate(written, start=1):
            code = KNOWN.get(currency) or ("EUR" if amount == "EUR 7" else None)
            total = expected.setdefault((name, reasons.get(number, "MATCHED"), code), [0, Fraction(0), 0])
            readable = amount not in ("x", "", None)
            total[0] += 1
            total[1] += Fraction(amount.removeprefix("EUR ")) if readable else 0
            total[2] += not readable
    found = {row[:3]: [row[3], Fraction(row[4]), row[5]] for row in outcome.amounts.iter_rows()}
    assert found == expected


def test_without_an_amount_there_are_none() -> None:
    outcome = reconcile(legacy(["id"]), frame([("1", "1", "EUR")], 1), frame([], 2))
    assert outcome.amounts.is_empty()
    assert outcome.amounts.columns == ["side", "bucket", "currency", "rows", "amount", "unread"]


def test_cents_add_up_exactly() -> None:
    written = [(str(number), "0.10", None) for number in range(1000)]
    rules = rule_set_of({"passes": [a_pass(["id"])], "amount": {"sourceField": "amount", "targetField": "amount"}})
    outcome = reconcile(rules, frame(written, 1), frame(written[:500], 2))
    assert outcome.amounts.rows() == [
        ("source", "MATCHED", None, 500, "50", 0),
        ("source", "MISSING", None, 500, "50", 0),
        ("target", "MATCHED", None, 500, "50", 0),
    ]


@pytest.mark.parametrize(("field", "value"), [("amount", "10.01"), ("rows", 3), ("unread", 1)])
def test_lost_amounts_are_a_defect(field: str, value: Any) -> None:
    whole = pl.DataFrame({"currency": ["EUR"], "rows": [2], "amount": ["10"], "unread": [0]})
    parts = pl.DataFrame({"currency": ["EUR"] * 2, "rows": [1, 1], "amount": ["9.5", "0.5"], "unread": [0, 0]})
    check_sums("source", parts, whole)
    with pytest.raises(ConservationBroken, match="source's amounts in EUR are"):
        check_sums("source", parts, whole.with_columns(pl.lit(value).alias(field)))
