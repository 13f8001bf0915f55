from __future__ import annotations

from decimal import Context, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.differences import FULL_SCORE, differences

digits = st.text("0123456789", min_size=1, max_size=45)
numbers = st.builds(
    lambda sign, whole, part: sign + whole + part,
    st.sampled_from(["", "-"]),
    digits,
    digits.map(".{}".format) | st.just(""),
)
numbers |= st.sampled_from(["1e3", "1e-3", "1E+20", "-1e999", "0", "-0", "5.", ".5"])


@given(
    st.lists(st.tuples(numbers, numbers) | numbers.map(lambda one: (one, one)), max_size=8),
    st.decimals(min_value=0, max_value=10**30, allow_nan=False)
    | st.sampled_from([Decimal("1E+3"), Decimal("1E-45"), Decimal(0)]),
)
def test_differences_are_exact_whatever_the_size(pairs: list[tuple[str, str]], tolerance: Decimal) -> None:
    found = differences(
        pl.Series([one for one, _ in pairs], dtype=pl.String),
        pl.Series([other for _, other in pairs], dtype=pl.String),
        tolerance,
    )
    exact = Context(prec=5000)
    for (one, other), (within, delta, score) in zip(pairs, found.rows(), strict=True):
        expected = exact.subtract(Decimal(other), Decimal(one))
        assert within is (exact.abs(expected) <= tolerance)
        assert exact.compare(Decimal(delta), expected) == 0
        assert not ("." in delta and delta.endswith(("0", "."))), delta
        assert "E" not in delta.upper()
        assert (score > 0) is within
        assert (score == FULL_SCORE) is (expected == 0)


@pytest.mark.parametrize("tolerance", ["0.01", "1E-45"])
def test_what_is_no_number_has_no_difference(tolerance: str) -> None:
    texts = pl.Series([None, "1", None], dtype=pl.String)
    found = differences(texts, pl.Series(["1", None, None], dtype=pl.String), Decimal(tolerance))
    assert found.rows() == [(None, None, None)] * 3
