"""Which records of two sides have equal keys: joined on one hash of the keys, then proved on the keys themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.frames import Positions
from matching.keys import blank, key_hash
from matching.links import MATCHED_CODE, REASON_CODES, Codes
from matching.settle import pair_in_order
from matching.terms import Reason


@dataclass(frozen=True)
class Pairing:
    """`source[i]` is the partner of `target[i]`; `source` ascends and no row is in it twice. Codes cover every row of a side."""

    source: Positions
    target: Positions
    source_codes: Codes
    target_codes: Codes


def pair_by_key(
    source: Sequence[pl.Series], target: Sequence[pl.Series], *, set_aside_blanks: bool, hash_bits: int = 64
) -> Pairing:
    """Pairs rows with equal keys one to one; of a key that several rows share, the n-th with the n-th in row order.

    The columns of `source` and `target` go together one by one, in equal types. Null equals null, unless `set_aside_blanks`:
    then a row with a null or blank key is NULL_KEY. A row without a partner is DUPLICATE where the other side has its key,
    MISSING otherwise. `hash_bits` changes how much work it is, never the result: what has one hash is told apart by its keys.
    """
    sides = [_eligible(columns, set_aside_blanks) for columns in (source, target)]
    codes: list[Codes] = []
    for columns, rows in zip((source, target), sides, strict=True):
        code = np.full(len(columns[0]), REASON_CODES[Reason.NULL_KEY], dtype=np.uint8)
        code[rows] = REASON_CODES[Reason.MISSING]
        codes.append(code)
    hashes = [key_hash(one, hash_bits) for one in (source, target)]
    single, crowded = _split([_picked(one, rows) for one, rows in zip(hashes, sides, strict=True)], sides)
    paired_source, paired_target = _proved(source, target, *single)
    if len(crowded[0]):
        ordered = pair_in_order(
            [one.gather(crowded[0]) for one in source],
            [one.gather(crowded[1]) for one in target],
            *(one.gather(rows) for one, rows in zip(hashes, crowded, strict=True)),
        )
        codes[0][crowded[0][ordered.source_surplus]] = REASON_CODES[Reason.DUPLICATE]
        codes[1][crowded[1][ordered.target_surplus]] = REASON_CODES[Reason.DUPLICATE]
        paired_source = np.concatenate([paired_source, crowded[0][ordered.source]])
        paired_target = np.concatenate([paired_target, crowded[1][ordered.target]])
    codes[0][paired_source] = MATCHED_CODE
    codes[1][paired_target] = MATCHED_CODE
    partner = np.zeros(len(codes[0]), dtype=np.uint32)
    partner[paired_source] = paired_target
    # Spread over the source's rows and picked up again, the pairs are in order without a sort.
    in_order = np.flatnonzero(codes[0] == MATCHED_CODE).astype(np.uint32)
    return Pairing(in_order, partner[in_order], codes[0], codes[1])


def _picked(column: pl.Series, rows: Positions) -> pl.Series:
    return column if len(rows) == len(column) else column.gather(rows)


def _eligible(columns: Sequence[pl.Series], set_aside_blanks: bool) -> Positions:
    rows = np.arange(len(columns[0]), dtype=np.uint32)
    if not set_aside_blanks:
        return rows
    without = blank(columns)
    return rows[~without.to_numpy()] if without.any() else rows


def _split(
    hashes: Sequence[pl.Series], rows: Sequence[Positions]
) -> tuple[tuple[pl.Series, pl.Series], tuple[Positions, Positions]]:
    """Pairs of rows whose hash no other row of their side has, in no order; and the rows of all other hashes of both sides.

    The keys of such a pair are equal, or neither of its rows has a partner.
    """
    if _join_is_small(hashes):
        pairs = _joined(hashes, rows)
        source, target = (one.to_numpy() for one in pairs)
        if _all_differ(source) and _all_differ(target):
            return pairs, (source[:0], target[:0])
        several = (np.bincount(source)[source] > 1) | (np.bincount(target)[target] > 1)
        single = pl.Series(~several)
        return (pairs[0].filter(single), pairs[1].filter(single)), (
            np.unique(source[several]),
            np.unique(target[several]),
        )
    ordered = [one.sort() for one in hashes]
    repeated = pl.concat([one.filter(one == one.shift()) for one in ordered]).unique()
    several_of = [one.is_in(repeated.implode()) for one in hashes]
    left = [
        (hash_.filter(~one), own[~one.to_numpy()]) for hash_, own, one in zip(hashes, rows, several_of, strict=True)
    ]
    crowded = [own[one.to_numpy()] for own, one in zip(rows, several_of, strict=True)]
    return _joined([one for one, _ in left], [own for _, own in left]), (crowded[0], crowded[1])


_BUCKET_BITS = 20


def _join_is_small(hashes: Sequence[pl.Series]) -> bool:
    """Whether a join on the hashes can't give many times as many pairs as there are rows. In doubt it can."""
    source, target = (
        np.bincount((one.to_numpy() >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64), minlength=1 << _BUCKET_BITS)
        for one in hashes
    )
    rows = len(hashes[0]) + len(hashes[1])
    # What hashes that all differ would give, four times over.
    by_chance = len(hashes[0]) * len(hashes[1]) >> _BUCKET_BITS
    return int(source @ target) <= 4 * (rows + by_chance)


def _all_differ(rows: Positions) -> bool:
    if not len(rows):
        return True
    seen = np.zeros(int(rows.max()) + 1, dtype=np.bool_)
    seen[rows] = True
    return np.count_nonzero(seen) == len(rows)


def _joined(hashes: Sequence[pl.Series], rows: Sequence[Positions]) -> tuple[pl.Series, pl.Series]:
    """The rows with equal hashes, in no order."""
    at_source = pl.LazyFrame({"hash": hashes[0], "source": rows[0]})
    at_target = pl.LazyFrame({"hash": hashes[1], "target": rows[1]})
    pairs = at_source.join(at_target, on="hash").select("source", "target").collect()
    return pairs["source"], pairs["target"]


def _proved(
    source: Sequence[pl.Series], target: Sequence[pl.Series], at_source: pl.Series, at_target: pl.Series
) -> tuple[Positions, Positions]:
    """The pairs of rows whose keys are equal, null and null too."""
    columns = zip(source, target, strict=True)
    equal = [pl.lit(one).gather(at_source).eq_missing(pl.lit(other).gather(at_target)) for one, other in columns]
    # One query: the columns are looked at side by side.
    proved = pl.select(pl.all_horizontal(equal)).to_series()
    if not proved.all():
        at_source, at_target = at_source.filter(proved), at_target.filter(proved)
    return at_source.to_numpy(), at_target.to_numpy()
