"""Which columns of two tables hold the same values: containment of sampled distinct values, and what chance alone would give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.suggest.column_names import likeness
from matching.suggest.profiles import Kind, Profile, Table, bound_of

_SKETCH = 8_192
"""At most so many different values of a column are compared with those of every column of the other side."""

_PLACES = 512
"""At so many numbers of a column the other's density is taken."""

_WORDS = (Kind.INTEGER, Kind.CODE, Kind.TEXT, Kind.CURRENCY)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True, eq=False)
class Spread:
    """Where the numbers of a column lie: different ones of a sample, ascending, and how many places their decimals have.

    `whole` is how many different numbers the column has for each of them.
    """

    numbers: npt.NDArray[np.float64]
    places: int
    whole: float = 1.0

    def density_at(self, places: npt.NDArray[np.float64]) -> float:
        """The mean share of possible numbers near `places` that the column has, 0 to 1."""
        unit = 10.0**-self.places
        reach = max(8 * unit, float(self.numbers[-1] - self.numbers[0]) / 40)
        near = np.searchsorted(self.numbers, places + reach, "right") - np.searchsorted(
            self.numbers, places - reach, "left"
        )
        return float(np.minimum(1.0, near * self.whole / (2 * reach / unit + 1)).mean())


@dataclass(frozen=True, eq=False)
class Values:
    """Different values of a column as ascending hashes, with how often each occurs. Those hashed below a share of all hashes."""

    profile: Profile
    hashes: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    share: float
    spread: Spread | None
    is_all: bool
    """Whether all records were looked at."""

    @property
    def distinct(self) -> float:
        """How many different values there are, estimated from the share."""
        return len(self.hashes) / self.share

    @cached_property
    def sketch(self) -> Values:
        """The values with the lowest hashes."""
        if len(self.hashes) <= _SKETCH:
            return self
        share = float(self.hashes[_SKETCH]) / 2.0**64
        kept = int(np.searchsorted(self.hashes, np.uint64(bound_of(share))))
        return Values(self.profile, self.hashes[:kept], self.counts[:kept], share, self.spread, self.is_all)

    def below(self, share: float) -> int:
        """How many values are hashed below a share of all hashes."""
        if share >= self.share:
            return len(self.hashes)
        return int(np.searchsorted(self.hashes, np.uint64(bound_of(share))))


@dataclass(frozen=True)
class Overlap:
    """A source and a target column: how alike their names are, and what share of the values each has of the other.

    `contained` is the share of the source's different values that are found in target, `covered` that of the target's found in
    source; `chance` is what to expect of numbers that merely lie in one range. All 0 to 1.
    """

    source: Values
    target: Values
    name: float
    contained: float
    covered: float
    shared: float
    """Records with one value, of the smaller side's records."""
    chance: float
    seen: int
    """How many different values of the side that has fewer were looked at."""

    @property
    def fields(self) -> tuple[str, str]:
        return self.source.profile.field, self.target.profile.field

    @property
    def containment(self) -> float:
        return 0.75 * max(self.contained, self.covered) + 0.25 * min(self.contained, self.covered)

    @property
    def evidence(self) -> float:
        """How much more the values agree than by chance, 0 to 1."""
        found = self.shared if self.source.profile.is_amount else self.containment
        return max(0.0, found - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0

    @property
    def weight(self) -> float:
        """How much the values have to say, 0 to 1: little where any numbers of one range would agree, or where there are few."""
        return (1 - self.chance) * self.seen / (self.seen + 3)

    @property
    def score(self) -> float:
        """Names and values together, 0 to 1, before records were joined."""
        nameless = self.source.profile.name.is_empty or self.target.profile.name.is_empty
        names, values, kinds = (0.25 if nameless else 1.0), 1.5 * self.weight, 0.2
        same_kind = 1.0 if self.source.profile.kind is self.target.profile.kind else 0.5
        return (names * self.name + values * self.evidence + kinds * same_kind) / (names + values + kinds)


def values_of(table: Table) -> list[Values]:
    """The values of every column that has some. Hashes are taken over all rows, so that both sides keep the same values."""
    profiles = [one for one in table.profiles if one.kind is not Kind.EMPTY]
    many = [one for one in profiles if table.share < 1 and not one.is_few and one.kind is not Kind.DATE]
    found: dict[str, tuple[pl.Series, float]] = {}
    if many:
        names = [str(number) for number in range(len(many))]
        hashed = table.scan.select(one.hashed().alias(name) for one, name in zip(many, names, strict=True))
        kept = hashed.select(pl.col(name).filter(pl.col(name) < table.bound).implode() for name in names).collect(
            engine="streaming"
        )
        found = {one.field: (kept[name].explode(), table.share) for one, name in zip(many, names, strict=True)}
    return [_values(table, one, *found.get(one.field, (None, 1.0))) for one in profiles]


def _values(table: Table, profile: Profile, hashes: pl.Series | None, share: float) -> Values:
    if hashes is None:
        hashes = table.sample.select(profile.hashed().alias("hash")).to_series()
    spread = _spread(table, profile)
    counted = hashes.alias("hash").drop_nulls().value_counts(name="count").sort("hash")
    return Values(
        profile,
        counted["hash"].to_numpy(),
        counted["count"].cast(pl.Int64).to_numpy(),
        share,
        None if spread is None else replace(spread, whole=counted.height / share / len(spread.numbers)),
        table.share == 1,
    )


def _spread(table: Table, profile: Profile) -> Spread | None:
    if profile.kind not in (Kind.INTEGER, Kind.DECIMAL, Kind.CODE, Kind.DATE):
        return None
    texts = table.sample.select(profile.text().alias("text")).to_series().drop_nulls()
    if profile.kind is Kind.DATE:
        numbers, places = texts.str.to_date(strict=False).cast(pl.Int32).cast(pl.Float64), 0
    else:
        # What is left of a 0 without its leading zeros is nothing.
        numbers = texts.replace("", "0").cast(pl.Float64, strict=False)
        places = int(texts.str.extract(r"\.([0-9]+)$").str.len_bytes().fill_null(0).quantile(0.95) or 0)
    known = numbers.drop_nulls()
    if not len(known) or len(known) < 0.95 * len(numbers):
        return None
    return Spread(np.unique(known.to_numpy()), min(places, 6))


def overlaps(source: list[Values], target: list[Values]) -> list[Overlap]:
    """Every pair of columns whose kinds go together, by source column, then target column."""
    found = _common(source, target)
    pairs: list[Overlap] = []
    for i, one in enumerate(source):
        for j, other in enumerate(target):
            if go_together(one.profile, other.profile):
                pairs.append(_overlap(one, other, found.get((i, j), (0, 0))))
    return pairs


def overlap(source: Values, target: Values) -> Overlap:
    """One pair of columns, whatever their kinds are."""
    return _overlap(source, target, _common([source], [target]).get((0, 0), (0, 0)))


def go_together(source: Profile, target: Profile) -> bool:
    """Whether values of two kinds can say the same."""
    kinds = {source.kind, target.kind}
    return len(kinds) == 1 or kinds <= set(_WORDS) or kinds <= set(_NUMBERS)


def _common(source: list[Values], target: list[Values]) -> dict[tuple[int, int], tuple[int, int]]:
    """For pairs of columns that share values: how many, and how many records with one value there are (the fewer of both sides)."""
    one, other = _sketches(source, "source"), _sketches(target, "target")
    met = one.join(other, on="hash").filter(pl.col("hash") < pl.min_horizontal("source_bound", "target_bound"))
    counted = met.group_by("source", "target").agg(pl.len(), pl.min_horizontal("source_count", "target_count").sum())
    return {(i, j): (values, records) for i, j, values, records in counted.iter_rows()}


def _sketches(columns: list[Values], side: str) -> pl.DataFrame:
    schema = {side: pl.Int64, "hash": pl.UInt64, f"{side}_count": pl.Int64, f"{side}_bound": pl.UInt64}
    parts = [pl.DataFrame(schema=schema)]
    for number, column in enumerate(columns):
        sketch = column.sketch
        parts.append(
            pl.DataFrame({"hash": sketch.hashes, f"{side}_count": sketch.counts}).select(
                pl.lit(number, pl.Int64).alias(side),
                "hash",
                f"{side}_count",
                pl.lit(bound_of(sketch.share), pl.UInt64).alias(f"{side}_bound"),
            )
        )
    return pl.concat(parts)


def _overlap(source: Values, target: Values, found: tuple[int, int]) -> Overlap:
    values, records = found
    share = min(source.sketch.share, target.sketch.share)
    heights = source.sketch.below(share), target.sketch.below(share)
    totals = int(source.sketch.counts[: heights[0]].sum()), int(target.sketch.counts[: heights[1]].sum())
    return Overlap(
        source,
        target,
        name=likeness(source.profile.name, target.profile.name),
        contained=values / max(heights[0], 1),
        covered=values / max(heights[1], 1),
        shared=min(1.0, records / max(min(totals), 1)),
        chance=_chance(source, target),
        seen=min(heights),
    )


def _chance(source: Values, target: Values) -> float:
    """The containment to expect of two columns that have nothing to do with each other."""
    one, other = source.spread, target.spread
    if one is None or other is None:
        return 0.5 if min(source.distinct, target.distinct) <= 2 else 0.0
    contained = other.density_at(_some(one.numbers))
    covered = one.density_at(_some(other.numbers))
    return 0.75 * max(contained, covered) + 0.25 * min(contained, covered)


def _some(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return numbers[:: max(1, len(numbers) // _PLACES)]
