"""From candidates to matches where a key is on several rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.frames import Positions
from matching.keys import key_ids, stacked


@dataclass(frozen=True)
class InOrder:
    """Positions in the given rows: the pairs, and what is left over of keys that the other side has too."""

    source: Positions
    target: Positions
    source_surplus: npt.NDArray[np.bool_]
    target_surplus: npt.NDArray[np.bool_]


def pair_in_order(
    source: Sequence[pl.Series], target: Sequence[pl.Series], source_hash: pl.Series, target_hash: pl.Series
) -> InOrder:
    """Pairs the n-th row of a key with the n-th of the other side, in row order. Null keys equal each other.

    The columns of `source` and `target` go together one by one, in equal types; rows with equal keys have equal hashes.
    """
    ids = key_ids(
        [stacked(one, other) for one, other in zip(source, target, strict=True)], stacked(source_hash, target_hash)
    )
    at = len(source_hash)
    numbered = [
        pl.DataFrame({"id": part})
        .with_row_index("position")
        .with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over("id").alias("occurrence"))
        for part in (ids[:at], ids[at:])
    ]
    pairs = numbered[0].join(numbered[1], on=["id", "occurrence"], suffix="_target")
    paired = (pairs["position"].to_numpy(), pairs["position_target"].to_numpy())
    surplus: list[npt.NDArray[np.bool_]] = []
    for own, other, taken in ((numbered[0], numbered[1], paired[0]), (numbered[1], numbered[0], paired[1])):
        left_over = own["id"].is_in(other["id"].unique().implode()).to_numpy(writable=True)
        left_over[taken] = False
        surplus.append(left_over)
    return InOrder(*paired, *surplus)
