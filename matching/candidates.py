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
    hashes = [_picked(key_hash(one, hash_bits), rows) for one, rows in zip((source, target), sides, strict=True)]
    paired = _pair_unique(source, target, sides, hashes)
    if paired is not None:
        paired_source, paired_target = paired
    else:
        crowded_hashes = _repeated(hashes)
        crowded = [one.is_in(crowded_hashes.implode()) for one in hashes]
        single = [~one for one in crowded]
        few = [rows[one.to_numpy()] for rows, one in zip(sides, crowded, strict=True)]
        single_source, single_target = _pair_single(
            source,
            target,
            [rows[one.to_numpy()] for rows, one in zip(sides, single, strict=True)],
            [hash_.filter(one) for hash_, one in zip(hashes, single, strict=True)],
        )
        ordered = pair_in_order(
            [one.gather(few[0]) for one in source],
            [one.gather(few[1]) for one in target],
            *(hash_.filter(one) for hash_, one in zip(hashes, crowded, strict=True)),
        )
        codes[0][few[0][ordered.source_surplus]] = REASON_CODES[Reason.DUPLICATE]
        codes[1][few[1][ordered.target_surplus]] = REASON_CODES[Reason.DUPLICATE]
        paired_source = np.concatenate([single_source, few[0][ordered.source]])
        paired_target = np.concatenate([single_target, few[1][ordered.target]])
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


def _repeated(hashes: Sequence[pl.Series]) -> pl.Series:
    """The hashes that a side has more than once."""
    ordered = [one.sort() for one in hashes]
    return pl.concat([one.filter(one == one.shift()) for one in ordered]).unique()


def _pair_unique(
    source: Sequence[pl.Series],
    target: Sequence[pl.Series],
    rows: Sequence[Positions],
    hashes: Sequence[pl.Series],
) -> tuple[Positions, Positions] | None:
    """Pairs rows by their hashes; None where a hash that both sides have is on several rows of a side.

    Counting the distinct hashes of one side is enough to know that the join stays small; it shows the other side's repetitions.
    """
    if hashes[1].n_unique() < len(hashes[1]):
        return None
    found = _joined(rows, hashes)
    seen = np.zeros(len(target[0]), dtype=np.bool_)
    seen[found[1].to_numpy()] = True
    return _proved(source, target, *found) if np.count_nonzero(seen) == len(found[1]) else None


def _pair_single(
    source: Sequence[pl.Series],
    target: Sequence[pl.Series],
    rows: Sequence[Positions],
    hashes: Sequence[pl.Series],
) -> tuple[Positions, Positions]:
    """Pairs rows whose hash no other row of their side has: the keys of such a pair are equal, or neither has a partner."""
    return _proved(source, target, *_joined(rows, hashes))


def _joined(rows: Sequence[Positions], hashes: Sequence[pl.Series]) -> tuple[pl.Series, pl.Series]:
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
