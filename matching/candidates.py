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
    crowded_hashes = _repeated(hashes)
    if crowded_hashes is None:
        paired_source, paired_target = _pair_single(source, target, sides, hashes)
    else:
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


def _repeated(hashes: Sequence[pl.Series]) -> pl.Series | None:
    """The hashes that a side has more than once; None where there are none."""
    ordered = [one.sort() for one in hashes]
    found = pl.concat([one.filter(one == one.shift()) for one in ordered])
    return found.unique() if len(found) else None


def _pair_single(
    source: Sequence[pl.Series],
    target: Sequence[pl.Series],
    rows: Sequence[Positions],
    hashes: Sequence[pl.Series],
) -> tuple[Positions, Positions]:
    """Pairs rows whose hash no other row of their side has: the keys of such a pair are equal, or neither has a partner."""
    at_source = pl.DataFrame({"hash": hashes[0], "source": rows[0]})
    at_target = pl.DataFrame({"hash": hashes[1], "target": rows[1]})
    pairs = at_source.lazy().join(at_target.lazy(), on="hash").select("source", "target").collect()
    equal = pl.repeat(value=True, n=pairs.height, dtype=pl.Boolean, eager=True)
    for source_key, target_key in zip(source, target, strict=True):
        equal &= source_key.gather(pairs["source"]).eq_missing(target_key.gather(pairs["target"]))
    if not equal.all():
        pairs = pairs.filter(equal)
    return pairs["source"].to_numpy(), pairs["target"].to_numpy()
