"""Two rule sets on the same two inputs: which matches the one makes and the other doesn't, and which breaks come and go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl

from matching.outcome import Outcome, Statistics
from matching.passes import reconcile
from matching.spec import RuleSet


class Change(StrEnum):
    """What became of matches. A match is the set of its records."""

    LOST = "LOST"
    """The old rule set has it, and by the new one all its records are without a partner."""
    RE_PAIRED = "RE_PAIRED"
    """Matches of both rule sets have a record in common, and are not the same."""
    WON = "WON"
    """The new rule set has it, and by the old one all its records were without a partner."""
    SAME = "SAME"
    """Both have it, be it by another pass."""


_ORDER = {one.value: place for place, one in enumerate(Change)}

_BREAK = [
    "type",
    "field",
    "source_file_id",
    "source_row",
    "target_file_id",
    "target_row",
]

_ENDS = ("source", "target")


@dataclass(frozen=True)
class Changes:
    """Numbers of matches: same + lost + re_paired_old are the old ones, same + won + re_paired_new the new ones."""

    old: int
    new: int
    same: int
    won: int
    lost: int
    re_paired_old: int
    re_paired_new: int
    re_paired: int
    """Rows of the difference: matches that have records in common are one, however many there are on either side."""


@dataclass(frozen=True)
class Difference:
    """What changes from an old rule set to a new one. All frames are in a fixed order that no input order changes.

    `matches`: one row per match, or per set of old and new matches that have records in common. String: `status` (`Change`);
    `old_matches`, `new_matches` (match ids of the two outcomes); `source_old`, `source_new`, `target_old`, `target_new` (records,
    such as `1:5, 1:6`: file id and row); `pass_old`, `pass_new`; several are parted by commas, null where there are none. LOST
    first, then RE_PAIRED, WON and SAME; in each by first record.

    `breaks`: one row per type and field of breaks: String `type`, `field` (null for whole records); Int64 `same`, `gone`, `new`:
    breaks of one type, field and records are the same.

    `totals`: one row per side and bucket: String `side`, `bucket`; Int64 `old`, `new`: records.
    """

    matches: pl.DataFrame
    breaks: pl.DataFrame
    totals: pl.DataFrame
    changes: Changes
    old: Statistics
    new: Statistics


def backtest(
    old: RuleSet,
    new: RuleSet,
    source: pl.LazyFrame,
    target: pl.LazyFrame,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Difference:
    """Matches the same inputs by two rule sets and says what changes. Raises what `reconcile` raises."""
    report = on_progress or _nobody
    before = reconcile(old, source, target, on_progress=lambda part: report(0.45 * part))
    after = reconcile(new, source, target, on_progress=lambda part: report(0.45 + 0.45 * part))
    found = difference(before, after)
    report(1.0)
    return found


def _nobody(_: float) -> None:
    """Nobody wants to know."""


def difference(old: Outcome, new: Outcome) -> Difference:
    """What changes from one outcome to another of the same inputs."""
    matches = _matches(old.matches, new.matches)
    return Difference(
        matches=matches.drop("old_count", "new_count"),
        breaks=_breaks(old.breaks, new.breaks),
        totals=_totals(old, new),
        changes=_changes(matches),
        old=old.statistics,
        new=new.statistics,
    )


def _changes(matches: pl.DataFrame) -> Changes:
    counted = matches.group_by("status").agg(pl.col("old_count").sum(), pl.col("new_count").sum(), pl.len())
    by_status = {status: (old, new, rows) for status, old, new, rows in counted.iter_rows()}
    of = {one: by_status.get(one.value, (0, 0, 0)) for one in Change}
    return Changes(
        old=sum(one[0] for one in of.values()),
        new=sum(one[1] for one in of.values()),
        same=of[Change.SAME][2],
        won=of[Change.WON][1],
        lost=of[Change.LOST][0],
        re_paired_old=of[Change.RE_PAIRED][0],
        re_paired_new=of[Change.RE_PAIRED][1],
        re_paired=of[Change.RE_PAIRED][2],
    )


def _matches(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    members = [_members(one) for one in (old, new)]
    counts = [int(one["match_id"].max() or 0) for one in (old, new)]  # pyright: ignore[reportArgumentType]
    record = ["side", "file_id", "row"]
    shared = members[0].join(members[1], on=record, suffix="_new").group_by("match_id", "match_id_new").len("shared")
    places = _components(shared, *counts)
    grouped = [
        _described(one, members[which], places[which], name)
        for which, (one, name) in enumerate(((old, "old"), (new, "new")))
    ]
    found = grouped[0].join(grouped[1], on="place", how="full", coalesce=True)
    sizes = [one.group_by("match_id").len("size") for one in members]
    equal = (
        shared.join(sizes[0], on="match_id")
        .join(sizes[1], left_on="match_id_new", right_on="match_id", suffix="_new")
        .filter((pl.col("shared") == pl.col("size")) & (pl.col("shared") == pl.col("size_new")))
    )
    same = pl.Series(places[0][equal["match_id"].to_numpy()])
    status = (
        pl.when(pl.col("place").is_in(same.implode()))
        .then(pl.lit(Change.SAME.value))
        .when(pl.col("new_count").is_null())
        .then(pl.lit(Change.LOST.value))
        .when(pl.col("old_count").is_null())
        .then(pl.lit(Change.WON.value))
        .otherwise(pl.lit(Change.RE_PAIRED.value))
    )
    first = [pl.coalesce(f"{name}_{which}" for which in ("old", "new")) for name in ("file_id", "row")]
    return (
        found.with_columns(status.alias("status"), pl.col("old_count", "new_count").fill_null(0))
        .sort(pl.col("status").replace_strict(_ORDER, return_dtype=pl.Int8), *first)
        .select(
            "status",
            "old_matches",
            "new_matches",
            *(f"{side}_{which}" for side in _ENDS for which in ("old", "new")),
            "pass_old",
            "pass_new",
            "old_count",
            "new_count",
        )
    )


def _members(matches: pl.DataFrame) -> pl.DataFrame:
    """One row per record of a match: `match_id`, `side`, `file_id`, `row`; by match, source first."""
    return pl.concat(
        matches.select(
            "match_id",
            pl.lit(side).alias("side"),
            pl.col(f"{side}_file_id").alias("file_id"),
            pl.col(f"{side}_row").alias("row"),
        ).unique()
        for side in _ENDS
    ).sort(pl.all())


def _components(shared: pl.DataFrame, old: int, new: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The set that each match belongs to, by match id, old and new: they are in one set if a record links them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = shared["match_id"].to_numpy(), shared["match_id_new"].to_numpy() + old + 1
    height = old + new + 2
    graph = coo_array((np.ones(len(rows[0]), dtype=np.int8), rows), shape=(height, height))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return [labels[: old + 1], labels[old + 1 :]]


def _described(
    matches: pl.DataFrame, members: pl.DataFrame, places: np.ndarray[tuple[int], np.dtype[np.int64]], name: str
) -> pl.DataFrame:
    """One row per set of matches of one outcome: its records, matches and passes as texts, and its first record."""

    def place(frame: pl.DataFrame) -> pl.Series:
        return pl.Series("place", places[frame["match_id"].to_numpy()], dtype=pl.Int64)

    ids = matches.select("match_id", "pass").unique().sort("match_id")
    ids = (
        ids.with_columns(place(ids))
        .group_by("place")
        .agg(
            pl.col("match_id").cast(pl.String).str.join(", ").alias(f"{name}_matches"),
            pl.col("pass").unique(maintain_order=True).str.join(", ").alias(f"pass_{name}"),
            pl.len().cast(pl.Int64).alias(f"{name}_count"),
        )
    )
    members = members.with_columns(place(members)).sort("file_id", "row")
    text = pl.format("{}:{}", "file_id", "row")
    at_source = pl.col("side") == "source"
    records = members.group_by("place", maintain_order=True).agg(
        text.filter(at_source).str.join(", ").alias(f"source_{name}"),
        text.filter(~at_source).str.join(", ").alias(f"target_{name}"),
        pl.col("file_id").filter(at_source).first().alias(f"file_id_{name}"),
        pl.col("row").filter(at_source).first().alias(f"row_{name}"),
    )
    return ids.join(records, on="place")


def _breaks(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    counted = [
        one.group_by(_BREAK).len(name).with_columns(pl.col(name).cast(pl.Int64))
        for one, name in ((old, "old"), (new, "new"))
    ]
    both = counted[0].join(counted[1], on=_BREAK, how="full", nulls_equal=True, coalesce=True)
    both = both.with_columns(pl.col("old", "new").fill_null(0))
    same = pl.min_horizontal("old", "new")
    return (
        both.group_by("type", "field")
        .agg(
            same.sum().alias("same"),
            (pl.col("old") - same).sum().alias("gone"),
            (pl.col("new") - same).sum().alias("new"),
        )
        .sort("type", "field")
    )


def _totals(old: Outcome, new: Outcome) -> pl.DataFrame:
    rows = [
        (side, bucket, before.get(bucket, 0), after.get(bucket, 0))
        for side, before, after in (
            ("source", old.totals.source, new.totals.source),
            ("target", old.totals.target, new.totals.target),
        )
        for bucket in sorted({*before, *after})
    ]
    schema = {"side": pl.String, "bucket": pl.String, "old": pl.Int64, "new": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
