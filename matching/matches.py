"""Matches as rows: which records belong together, by which pass, how well they agree and by how much they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from matching.breaks import Findings
from matching.comparators import FULL_SCORE
from matching.frames import Positions, Side
from matching.identity import FILE_ID, ROW
from matching.keys import Numbers
from matching.links import Judged, Links, PassResult


def match_ids(linked: Sequence[Links]) -> list[Numbers]:
    """Per pass, the id of the match that each link belongs to: from 1 over all passes, by the match's first source record."""
    if len(linked) == 1 and len(linked[0]) and _is_one_each(linked[0]):
        return [np.arange(1, len(linked[0]) + 1, dtype=np.int64)]
    firsts: list[Numbers] = []
    for one in linked:
        count = int(one.match.max()) + 1 if len(one) else 0
        first = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
        np.minimum.at(first, one.match, one.source)
        firsts.append(first)
    every = np.concatenate(firsts) if firsts else np.empty(0, dtype=np.int64)
    ids = np.empty(len(every), dtype=np.int64)
    ids[np.argsort(every, kind="stable")] = np.arange(1, len(every) + 1)
    starts = np.cumsum([0, *(len(one) for one in firsts)])
    return [ids[start + one.match] for start, one in zip(starts, linked, strict=False)]


def _is_one_each(links: Links) -> bool:
    """Whether matches are single pairs in order of their source records."""
    return int(links.match[-1]) + 1 == len(links) and bool((links.source[1:] > links.source[:-1]).all())


def matches_frame(found: Findings) -> pl.DataFrame:
    """One row per link, as `outcome.Outcome` describes them."""
    return located_matches(found)[2]


def located_matches(found: Findings) -> tuple[Positions, Positions, pl.DataFrame]:
    """The matches and the positions of their records, by source position, then target position."""
    results = found.results
    source = np.concatenate([one.links.source for one in results])
    target = np.concatenate([one.links.target for one in results])
    order: np.ndarray[tuple[int], np.dtype[np.intp]] | None = None
    if len(results) > 1 or not (source[1:] >= source[:-1]).all():
        order = np.lexsort((target, source))
        source, target = source[order], target[order]
    columns = [
        pl.Series("match_id", np.concatenate(found.match_ids)),
        pl.concat([pl.repeat(one.plan.name, len(one.links), dtype=pl.String, eager=True) for one in results]).alias(
            "pass"
        ),
        pl.Series("score", np.concatenate([_scores(one) for one in results])),
        *_verdicts(results),
    ]
    if order is not None:
        rows = pl.Series(order, dtype=pl.UInt32)
        columns = [one.gather(rows) for one in columns]
    identities = [
        *_identity(found.source, source),
        *_identity(found.target, target),
    ]
    return source, target, pl.DataFrame([*columns[:2], *identities, *columns[2:]])


def _identity(side: Side, positions: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> list[pl.Series]:
    return [
        side.values(FILE_ID, positions).alias(f"{side.name}_file_id"),
        side.values(ROW, positions).alias(f"{side.name}_row"),
    ]


def _scores(result: PassResult) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Without passes the share of the comparisons that agree, otherwise the mean of their scores and those of the conditions."""
    if not result.plan.legacy:
        return result.links.score / FULL_SCORE
    judged = result.links.judged
    if not judged:
        return np.ones(len(result.links))
    frame = pl.DataFrame([one.verdict.agrees.alias(f"agrees{number}") for number, one in enumerate(judged)])
    return frame.select(pl.sum_horizontal(pl.all().cast(pl.UInt32)) / len(judged)).to_series().to_numpy()


def _verdicts(results: Sequence[PassResult]) -> list[pl.Series]:
    """`agrees_` and `delta_` columns, by number; null for the matches of passes that don't judge it."""
    pieces: dict[str, list[tuple[int, pl.Series]]] = {}
    places: dict[str, tuple[int, int]] = {}
    for at, result in enumerate(results):
        for name, place, values in verdict_columns(result):
            places.setdefault(name, place)
            pieces.setdefault(name, []).append((at, values))
    return [_whole(name, pieces[name], results) for name in sorted(places, key=places.__getitem__)]


def verdict_columns(result: PassResult) -> Iterator[tuple[str, tuple[int, int], pl.Series]]:
    """The columns that explain the matches of a pass: name, place (they go by place, then first appearance), values."""
    compared = {one.number for one in result.plan.comparisons}
    for detail in result.links.details:
        yield detail.name, (0, 0), detail
    for one in result.links.judged:
        number = one.comparison.number
        for rank, (kind, values) in enumerate(_columns(one, number in compared)):
            yield f"{kind}_{number}_{one.comparison.source_field}", (number, rank), values


def _columns(judged: Judged, is_comparison: bool) -> list[tuple[str, pl.Series]]:
    found: list[tuple[str, pl.Series]] = [("agrees", judged.verdict.agrees)] if is_comparison else []
    if judged.verdict.delta is not None:
        found.append(("delta", judged.verdict.delta))
    return found


def _whole(name: str, pieces: Sequence[tuple[int, pl.Series]], results: Sequence[PassResult]) -> pl.Series:
    given = dict(pieces)
    dtypes = {one.dtype for one in given.values()}
    dtype = dtypes.pop() if len(dtypes) == 1 else pl.String()
    parts = [
        given[place].cast(dtype) if place in given else pl.repeat(None, len(result.links), dtype=dtype, eager=True)
        for place, result in enumerate(results)
    ]
    return pl.concat(parts).alias(name) if len(parts) > 1 else parts[0].alias(name)
