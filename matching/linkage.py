"""The probabilistic pass's kernel: candidates of two frames, with weights that were learned without labels.

A pair's weight is log2 of its odds of being of one thing: the prior's weight and, field by field, log2(m / u) of the level on
which its values agree (see `linkage_model`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.errors import ColumnNotFound, MatchingError
from matching.fields import SideName
from matching.linkage_blocking import choose_blocking, pair_count, training_rules
from matching.linkage_model import (
    WEIGHT_DECIMALS,
    LinkField,
    LinkMethod,
    LinkModel,
    LinkSettings,
    model_of,
    significant,
)
from matching.linkage_splink import (
    LinkageUnavailable,
    Session,
    column,
    day_column,
    level_column,
    quiet,
    weight_column,
)

__all__ = ["LinkField", "LinkMethod", "LinkSettings", "LinkageUnavailable", "Linked", "default_blocking", "link"]

_ID = "unique_id"
_POSITION = "position"
_NUMBER = pl.Decimal(27, 6)

_FEWEST_TRAINING_PAIRS = 10
_DENSE_PAIRS_PER_RECORD = 3
_PROBABILITY_DECIMALS = 9
_PRIOR_ROUNDS = 500

_PRIOR_CHANGE = 1e-9


@dataclass(frozen=True)
class Linked:
    """`pairs`: one row per candidate that weighs `min_weight` or more, by source, then target.

    source, target: UInt32, rows of the two frames. weight: Float64, the prior's and the fields' weights added up; probability:
    Float64, what that weight means. Per compared field, `weight_<name>`: Float64; `level_<name>`: Int8, 0 for "else" and up
    to the closest, -1 for a missing value, whose weight is 0.

    `model`: JSON-ready; `link` takes it back. None where there was no candidate to learn from. `blocking`: the rules that made the
    candidates. `candidates`: how many there were; one that several rules found is counted for each.
    """

    pairs: pl.DataFrame
    model: dict[str, Any] | None
    blocking: tuple[tuple[str, ...], ...]
    candidates: int


@dataclass(frozen=True)
class _Prepared:
    """A side in an order that its contents give: `frame` for the session, `positions[i]` the row that its row i was."""

    frame: pl.DataFrame
    positions: npt.NDArray[np.uint32]


def link(
    source: pl.DataFrame, target: pl.DataFrame, settings: LinkSettings, *, model: Mapping[str, Any] | None = None
) -> Linked:
    """Scores the candidate pairs of two frames. With `model`, of an earlier `Linked`, nothing is learned.

    Texts are compared as they are; null and an empty text are missing values. The result depends on neither the order of rows nor
    the number of threads, and swapped frames give the swapped pairs. A learned prior is the share of all pairs of rows that the
    candidates' probabilities add up to, at most one partner for each row of the larger frame.

    Raises ColumnNotFound for a field's column that a frame lacks, MatchingError for more candidates than `max_candidates`,
    RuleInvalid for a model of other fields or another form, LinkageUnavailable without Splink.
    """
    known = None if model is None else model_of(model, settings.compared)
    sides = _prepare(source, settings.fields, "source"), _prepare(target, settings.fields, "target")
    mirrored = _comes_after(sides[0].frame, sides[1].frame)
    first, second = (sides[1], sides[0]) if mirrored else sides
    frames = first.frame, second.frame
    blocking = settings.blocking or _choose(frames, settings.fields, settings.max_candidates)
    counts = _counts(frames, settings.fields, blocking)
    candidates = sum(counts.values())
    if candidates > settings.max_candidates:
        raise _too_many(counts, settings.max_candidates)
    if not candidates:
        return Linked(
            _pairs(_nothing(settings), 0.0, settings), None if known is None else known.as_dict(), blocking, 0
        )
    with quiet(), closing(Session(*frames, settings)) as session:
        if known is None:
            known, found = _learn(session, frames, settings, blocking, counts)
        else:
            found = session.score(known, blocking, settings.min_weight)
    rows = first.positions[found["source"].to_numpy()], second.positions[found["target"].to_numpy()]
    found = found.with_columns(
        pl.Series("source", rows[1 if mirrored else 0]), pl.Series("target", rows[0 if mirrored else 1])
    )
    return Linked(_pairs(found, known.prior_weight, settings), known.as_dict(), blocking, candidates)


def default_blocking(
    fields: Sequence[LinkField], source: pl.DataFrame, target: pl.DataFrame, *, max_candidates: int = 20_000_000
) -> tuple[tuple[str, ...], ...]:
    """The blocking that `link` takes where its settings name none: field names, as `choose_blocking` chooses them."""
    sides = _prepare(source, fields, "source"), _prepare(target, fields, "target")
    return _choose((sides[0].frame, sides[1].frame), fields, max_candidates)


def _prepare(frame: pl.DataFrame, fields: Sequence[LinkField], side: SideName) -> _Prepared:
    names = [one.source if side == "source" else one.target for one in fields]
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        raise ColumnNotFound(side, missing, frame.columns)
    columns: list[pl.Series] = []
    for number, (field, name) in enumerate(zip(fields, names, strict=True)):
        columns += _compared(frame.get_column(name), field.method, number)
    prepared = pl.DataFrame(columns).with_row_index(_POSITION)
    # Rows that tie are equal in all that counts: which of them comes first changes nothing.
    prepared = prepared.sort(column(number) for number in range(len(fields)))
    positions = prepared.get_column(_POSITION).cast(pl.UInt32).to_numpy()
    return _Prepared(prepared.drop(_POSITION).with_row_index(_ID).cast({_ID: pl.Int64}), positions)


def _compared(values: pl.Series, method: LinkMethod, number: int) -> list[pl.Series]:
    own = column(number)
    if method is LinkMethod.NUMERIC:
        return [values.cast(_NUMBER, strict=False).alias(own)]
    if method is LinkMethod.DATE and values.dtype == pl.Datetime:
        values = values.dt.date()
    texts = values.cast(pl.String)
    texts = texts.set(texts == "", None).alias(own)
    if method is LinkMethod.DATE:
        return [texts, texts.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).alias(day_column(number))]
    return [texts]


def _comes_after(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """An order of prepared frames that does not know which is the source: shorter first, then by the first row that differs."""
    if one.height != other.height:
        return one.height > other.height
    for name in one.columns:
        differs = one.get_column(name).ne_missing(other.get_column(name)).arg_max() if one.height else None
        if differs is not None:
            values = one.get_column(name)[differs], other.get_column(name)[differs]
            if values[0] != values[1]:
                return str(values[0]) > str(values[1])
    return False


def _choose(
    frames: tuple[pl.DataFrame, pl.DataFrame], fields: Sequence[LinkField], max_candidates: int
) -> tuple[tuple[str, ...], ...]:
    named = {column(number): one.name for number, one in enumerate(fields)}
    chosen = choose_blocking(*frames, list(named), max_candidates)
    return tuple(tuple(named[name] for name in rule) for rule in chosen)


def _counts(
    frames: tuple[pl.DataFrame, pl.DataFrame], fields: Sequence[LinkField], rules: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    columns = {one.name: column(number) for number, one in enumerate(fields)}
    return {rule: pair_count(*frames, [columns[name] for name in dict.fromkeys(rule)]) for rule in rules}


def _too_many(counts: dict[tuple[str, ...], int], limit: int) -> MatchingError:
    widest = max(counts, key=lambda rule: counts[rule])
    return MatchingError(
        f"The linkage has {sum(counts.values()):,} candidates, more than {limit:,}; its widest block, on {', '.join(widest)}, "
        f"has {counts[widest]:,}: add a field to it or leave it out",
        candidates=sum(counts.values()),
        limit=limit,
        widest=list(widest),
    )


def _learn(
    session: Session,
    frames: tuple[pl.DataFrame, pl.DataFrame],
    settings: LinkSettings,
    blocking: tuple[tuple[str, ...], ...],
    counts: dict[tuple[str, ...], int],
) -> tuple[LinkModel, pl.DataFrame]:
    """The model, and the candidates that may weigh enough under it."""
    by_name = {one.name: one for one in settings.compared}
    alone = [(name,) for name in by_name if (name,) not in counts]
    usable = counts | _counts(frames, settings.fields, alone)
    # A field of its own making, as a year of birth is, would tell a block about the field it was made of.
    usable = {rule: count for rule, count in usable.items() if all(name in by_name for name in rule)}
    covers = {
        rule: frozenset(one.name for one in settings.compared if not {one.name, one.swapped_with} & set(rule))
        for rule in usable
    }
    rows = frames[0].height, frames[1].height
    rules = training_rules(
        usable,
        covers,
        fewest=_FEWEST_TRAINING_PAIRS,
        dense=_DENSE_PAIRS_PER_RECORD * max(rows),
        most=settings.max_candidates,
    )
    most = 1 / (min(rows) + 1)
    assumed = settings.prior or 1 / (max(rows) + 1)
    model = session.train(rules, [usable[rule] for rule in rules], assumed)
    if settings.prior is not None:
        return model, session.score(model, blocking, settings.min_weight)
    # No prior that can be learned is higher than `most`: nothing that counts is left out here.
    found = session.score(replace(model, prior=most), blocking, min(settings.min_weight, 0.0))
    weights = np.sort(_sum(found, settings).to_numpy())
    return replace(model, prior=significant(_prior(weights, rows[0] * rows[1], most))), found


def _prior(weights: npt.NDArray[np.float64], pairs: int, most: float) -> float:
    """The prior under which the candidates' probabilities add up to its share of all `pairs`: EM with nothing else free."""
    odds = np.exp2(weights)
    prior = most
    for _ in range(_PRIOR_ROUNDS):
        ratio = prior / (1 - prior)
        estimate = min(max(float(np.sum(ratio * odds / (1 + ratio * odds))) / pairs, 0.5 / pairs), most)
        if abs(estimate - prior) <= _PRIOR_CHANGE * prior:
            break
        prior = estimate
    return prior


def _nothing(settings: LinkSettings) -> pl.DataFrame:
    schema: dict[str, type[pl.DataType]] = {"source": pl.UInt32, "target": pl.UInt32}
    for number in range(len(settings.compared)):
        schema |= {weight_column(number): pl.Float64, level_column(number): pl.Int8}
    return pl.DataFrame(schema=schema)


def _sum(found: pl.DataFrame, settings: LinkSettings) -> pl.Series:
    """What the fields of each pair weigh together, without the prior."""
    total = pl.Series(np.zeros(found.height))
    for number in range(len(settings.compared)):
        total += found.get_column(weight_column(number))
    return total


def _pairs(found: pl.DataFrame, prior_weight: float, settings: LinkSettings) -> pl.DataFrame:
    weight = (_sum(found, settings) + prior_weight).round(WEIGHT_DECIMALS)
    columns = [found.get_column("source"), found.get_column("target"), weight.alias("weight")]
    columns.append(pl.Series("probability", 1 / (1 + np.exp2(-weight.to_numpy()))).round(_PROBABILITY_DECIMALS))
    for number, field in enumerate(settings.compared):
        columns.append(found.get_column(weight_column(number)).alias(f"weight_{field.name}"))
        columns.append(found.get_column(level_column(number)).alias(f"level_{field.name}"))
    pairs = pl.DataFrame(columns)
    return pairs.filter(pl.col("weight") >= settings.min_weight).sort("source", "target")
