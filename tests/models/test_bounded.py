from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from matching import Outcome
from matching.errors import ColumnNotFound
from matching.outcome import LargeOutcome
from models.bounded import MOST, default_limit, reconcile_within, working_set
from models.sizes import parse_size
from tests.matching.helpers import one_pass, side


@pytest.mark.parametrize(
    ("text", "size"),
    [("6GB", 6 * 10**9), ("512MiB", 512 * 2**20), ("1.5g", 1_500_000_000), (" 1000000 ", 1_000_000), ("2 kb", 2_000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "1PB", "0.1", "1e9", "i"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_the_default_is_a_part_of_the_machine() -> None:
    assert 2**28 < default_limit() <= MOST


def test_the_working_set_grows_with_rows_and_values() -> None:
    short, long = side({"id": ["a"] * 100}), side({"id": ["a" * 500] * 100})
    assert 9_000 < working_set(side({"id": ["a"] * 100}), ["id"]) < working_set(long, ["id"]) - 90_000
    assert working_set(pl.concat([short, short]), ["id"]) == 2 * working_set(short, ["id"])
    assert working_set(side({"id": []}), ["id"]) == 0


def test_what_does_not_fit_goes_to_disk(tmp_path: Path) -> None:
    inputs = side({"id": [str(one) for one in range(500)]}), side({"id": ["1", "x"]}, file_id=2)
    held = reconcile_within(10**9, tmp_path, one_pass(["id"]), *inputs)
    assert isinstance(held, Outcome)
    assert not list(tmp_path.iterdir())
    spilled = reconcile_within(20_000, tmp_path, one_pass(["id"]), *inputs)
    assert isinstance(spilled, LargeOutcome)
    assert list(tmp_path.iterdir())
    assert spilled.unmatched_source.collect().equals(held.unmatched_source)
    with pytest.raises(ColumnNotFound):
        reconcile_within(1, tmp_path, one_pass(["nope"]), *inputs)
