"""Sampled records of both sides, brought together by a key: what their other columns say about one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.columns import exactly
from matching.numbers import read_numbers
from matching.suggest.profiles import Kind, Profile, Table
from matching.texts import rendered

MONEY = pl.Decimal(38, 6)

_HASH = "hash"

_SIMILAR = 0.75
"""Texts at least this similar count as agreeing when columns are sought for one another."""

_SHORTEST_PART = 4
"""Characters of a text that is sought in another."""

_NEAR_DAYS = 5
_NEAR_SHARE = 0.005
_SEEN = 1_000
"""So many groups are enough to tell whether two columns belong together."""


@dataclass(frozen=True)
class Joined:
    """One row for each key that both sides have, in the order of its hash; the same rows in both frames.

    `source` and `target` have the columns as they came, null where the records of a group differ; `source_sums` and
    `target_sums` (Decimal with 6 places) the sums of the amounts. With `is_grouped` a side may have several records a key;
    otherwise keys with several records are left out.
    """

    source: pl.DataFrame
    target: pl.DataFrame
    source_sums: pl.DataFrame
    target_sums: pl.DataFrame
    is_grouped: bool
    is_all: bool
    """Whether all records were looked at."""

    @property
    def height(self) -> int:
        return self.source.height

    def texts(self, source: Profile, target: Profile) -> pl.DataFrame:
        """`source` and `target` String: both columns as they are compared without transforms; rows where both have a value."""
        both = [
            rendered(side.get_column(one.field)).alias(name)
            for name, side, one in (("source", self.source, source), ("target", self.target, target))
        ]
        filled = [pl.col(name).str.strip_chars() != "" for name in ("source", "target")]
        return pl.DataFrame(both).filter(*filled)

    def bare(self, source: Profile, target: Profile) -> pl.DataFrame:
        """`source` and `target` String: the columns' `Profile.text()`; rows where both have a value."""
        return pl.DataFrame(
            [
                self.source.select(source.text().alias("source")).to_series(),
                self.target.select(target.text().alias("target")).to_series(),
            ]
        ).drop_nulls()

    def amounts(self, source: Profile, target: Profile) -> pl.DataFrame:
        """`source` and `target` Decimal (sums of groups); rows where both have a number."""
        both = [
            self.source_sums.get_column(source.field).alias("source"),
            self.target_sums.get_column(target.field).alias("target"),
        ]
        return pl.DataFrame(both).drop_nulls()

    def days(self, source: Profile, target: Profile) -> pl.Series:
        """Int64: target minus source in days, of the rows where both have a date."""
        read = self.bare(source, target).select(pl.all().str.to_date(strict=False)).drop_nulls()
        return read.select((pl.col("target") - pl.col("source")).dt.total_days()).to_series()


def join(source: Table, target: Table, key: Sequence[tuple[Profile, Profile]], *, is_grouped: bool) -> Joined:
    """Brings the records together whose key columns have the same `Profile.text()`."""
    one = _groups(source, [pair[0] for pair in key], is_grouped)
    other = _groups(target, [pair[1] for pair in key], is_grouped)
    met = one.select(_HASH).join(other.select(_HASH), on=_HASH).sort(_HASH)
    one, other = (met.join(side, on=_HASH, how="left", maintain_order="left") for side in (one, other))
    return Joined(
        source=one["record"].struct.unnest(),
        target=other["record"].struct.unnest(),
        source_sums=one["sums"].struct.unnest(),
        target_sums=other["sums"].struct.unnest(),
        is_grouped=is_grouped,
        is_all=source.share == 1,
    )


def combined(hashes: Sequence[pl.Expr]) -> pl.Expr:
    """One hash of a key's parts, null where one of them is. A single part stays what it is."""
    if len(hashes) == 1:
        return hashes[0]
    parts = [one.alias(str(number)) for number, one in enumerate(hashes)]
    return pl.when(pl.all_horizontal(one.is_not_null() for one in parts)).then(pl.struct(parts).hash())


def _groups(table: Table, key: Sequence[Profile], is_grouped: bool) -> pl.DataFrame:
    """`hash`, `record` and `sums` (structs of the table's columns), one row a key."""
    hashed = combined([one.hashed() for one in key])
    if table.share == 1:
        records = table.sample.select(pl.struct(pl.all()).alias("record"), hashed.alias(_HASH))
    else:
        kept = table.scan.filter(hashed < table.bound)
        records = kept.select(pl.struct(pl.all()).alias("record"), hashed.alias(_HASH)).collect(engine="streaming")
    records = records.filter(pl.col(_HASH).is_not_null())
    columns = records["record"].struct.unnest()
    amounts = [one.field for one in table.profiles if one.kind in (Kind.INTEGER, Kind.DECIMAL)]
    numbers = [_money(columns, table.of(field)) for field in amounts]
    # A struct without fields has no rows: there is always the size.
    sums = pl.DataFrame(
        [pl.repeat(1, records.height, dtype=MONEY, eager=True).alias(unused("size", amounts)), *numbers]
    )
    records = records.with_columns(sums.to_struct("sums"))
    many = records.select(pl.len().over(_HASH) > 1).to_series()
    singles = records.filter(~many)
    if not is_grouped or not many.any():
        return singles
    return pl.concat([singles, _settled(columns.filter(many), sums.filter(many), records[_HASH].filter(many))])


def _settled(columns: pl.DataFrame, sums: pl.DataFrame, hashes: pl.Series) -> pl.DataFrame:
    """Groups of several records as one each."""
    group = unused(_HASH, (*columns.columns, *sums.columns))
    values, amounts = exactly(*columns.columns), exactly(*sums.columns)
    keyed = hashes.alias(group)
    alike = columns.with_columns(keyed).group_by(group).agg(pl.when(values.min() == values.max()).then(values.min()))
    total = sums.with_columns(keyed).group_by(group).agg(amounts.sum()).sort(group)
    alike = alike.sort(group)
    parts = [alike.select(values).to_struct("record"), total.get_column(group).alias(_HASH)]
    return pl.DataFrame([*parts, total.select(amounts).to_struct("sums")])


def unused(wish: str, names: Sequence[str]) -> str:
    """A column name that none of `names` is."""
    while wish in names:
        wish += "_"
    return wish


def _money(columns: pl.DataFrame, profile: Profile) -> pl.Series:
    texts = columns.select(profile.text().alias("text")).to_series()
    # What is left of a 0 without its leading zeros is nothing.
    numbers = read_numbers(texts.replace("", "0"), any_comma=False)["number"]
    return numbers.cast(MONEY, strict=False).alias(profile.field)


@dataclass(frozen=True)
class Agreement:
    """Of two columns: the share of `pairs` that agree roughly, and the share that would if the pairs were shuffled."""

    pairs: int
    agreeing: float
    shuffled: float

    @property
    def lift(self) -> float:
        """How much more they agree than shuffled ones, 0 to 1."""
        return max(0.0, self.agreeing - self.shuffled) / (1 - self.shuffled) if self.shuffled < 1 else 0.0

    @property
    def weight(self) -> float:
        """How much that has to say, 0 to 1: nothing where any two values would agree."""
        return (1 - self.shuffled) * self.pairs / (self.pairs + 10)


def agreement(joined: Joined, source: Profile, target: Profile) -> Agreement:
    """How well two columns agree roughly: dates within days, amounts within half a percent, texts that are similar."""
    if source.kind is Kind.DATE:
        both = joined.bare(source, target).select(pl.all().str.to_date(strict=False)).drop_nulls()
        near = (pl.col("target") - pl.col("source")).dt.total_days().abs() <= _NEAR_DAYS
        return _against_shuffled(both, near)
    if measured(source, target):
        both = joined.amounts(source, target).select(pl.all().cast(pl.Float64))
        apart = (pl.col("target").abs() - pl.col("source").abs()).abs()
        return _against_shuffled(both, apart <= pl.col("source").abs() * _NEAR_SHARE)
    both = joined.bare(source, target)
    found = _against_shuffled(both, pl.col("source") == pl.col("target"))
    if found.agreeing < 0.5 and source.is_few and target.is_few:
        return _dependent(both)
    if found.agreeing < 0.9 and Kind.TEXT in (source.kind, target.kind) and not (source.is_few or target.is_few):
        return _similar(both)
    return found


def measured(source: Profile, target: Profile) -> bool:
    """Whether two columns are compared as amounts."""
    numbers = (Kind.INTEGER, Kind.DECIMAL)
    return source.kind in numbers and target.kind in numbers and (source.is_amount or target.is_amount)


def _against_shuffled(both: pl.DataFrame, holds: pl.Expr) -> Agreement:
    both = both.head(_SEEN)
    if not both.height:
        return Agreement(0, 0.0, 0.0)
    # Rows are in the order of hashes, so moving one side is as good as shuffling it.
    moved = both.with_columns(pl.col("target").gather((pl.int_range(pl.len()) + pl.len() // 2) % pl.len()))
    return Agreement(both.height, _share(both, holds), _share(moved, holds) if both.height > 1 else 0.0)


def _share(both: pl.DataFrame, holds: pl.Expr) -> float:
    return float(both.select(holds.fill_null(value=False).sum()).item()) / both.height


def similarities(source: pl.Series, target: pl.Series) -> pl.Series:
    """Float64: similarity of each pair of texts as FUZZY takes it, 0 to 1."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    one, other = source.str.to_lowercase().to_list(), target.str.to_lowercase().to_list()
    distance = pl.Series(cpdist(one, other, scorer=Levenshtein.distance, dtype=np.int64)).cast(pl.Float64)
    length = pl.DataFrame([source.alias("source"), target.alias("target")]).select(
        pl.max_horizontal(pl.all().str.len_chars()).clip(1)
    )
    return 1 - distance / length.to_series()


def _dependent(both: pl.DataFrame) -> Agreement:
    """Of codes that are called differently on each side: the share of pairs with the usual word for the other's word."""
    both = both.head(_SEEN)
    if not both.height:
        return Agreement(0, 0.0, 0.0)
    usual = both.group_by("source", "target").len().group_by("source").agg(pl.col("len").max())["len"].sum()
    # Without the source's word the most frequent one would be the best guess.
    guessed = int(both["target"].value_counts()["count"].max() or 0)  # pyright: ignore[reportArgumentType]
    return Agreement(both.height, float(usual) / both.height, guessed / both.height)


def _similar(both: pl.DataFrame) -> Agreement:
    """Texts that are similar, or one part of the other."""
    both = both.head(_SEEN)
    if not both.height:
        return Agreement(0, 0.0, 0.0)
    moved = both["target"].gather((np.arange(both.height) + both.height // 2) % both.height)
    one, other = pl.col("source"), pl.col("target")
    part = one.str.contains(other, literal=True) | other.str.contains(one, literal=True)
    told = pl.min_horizontal(one.str.len_chars(), other.str.len_chars()) >= _SHORTEST_PART
    shares: list[float] = []
    for target in (both["target"], moved):
        near = similarities(both["source"], target) >= _SIMILAR
        holds = both.with_columns(target.alias("target")).select(part & told).to_series() | near
        shares.append(float(holds.sum()) / both.height)
    return Agreement(both.height, *shares)
