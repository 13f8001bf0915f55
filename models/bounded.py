"""Matching within a limit of memory: in memory where that is enough, by partitions on disk where it is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from matching import Outcome, RuleSet, reconcile, required_columns
from matching.columns import exactly
from matching.outcome import LargeOutcome
from matching.spec import Severities

MOST = 6 * 10**9
"""More than this is not taken by default, whatever the machine has."""

_HELD = 64
"""Bytes of a record beside its values: identity, hash, codes, its share of pairs and verdicts."""

_COPIES = 2
"""How often the values that rules name are there while they are joined and judged."""

_VIEW = 16
"""Bytes of a text beside its own."""

_SAMPLE = 10_000
_SHARE = 6
"""A partition should need this part of the limit: keys are not spread evenly, and reading and writing need some, too."""

_MOST_PARTITIONS = 512


def default_limit() -> int:
    """Half of the machine's memory, `MOST` bytes at most."""
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2, MOST)


def working_set(frame: pl.LazyFrame, fields: Sequence[str]) -> int:
    """About how many bytes matching needs for the records of one input, judging by the first of them."""
    names = [one for one in dict.fromkeys(fields) if one in frame.collect_schema()]
    first = frame.select(exactly(*names)).head(_SAMPLE).collect()
    height = int(frame.select(pl.len()).collect().item())
    texts = sum(isinstance(one, pl.String) for one in first.dtypes)
    each = texts * _VIEW + (first.estimated_size() / first.height if first.height else 0)
    return int(height * (_HELD + _COPIES * each))


def reconcile_within(
    limit: int,
    folder: Path,
    rule_set: RuleSet,
    source: pl.LazyFrame,
    target: pl.LazyFrame,
    *,
    severities: Severities | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Outcome | LargeOutcome:
    """As `matching.reconcile`, in about `limit` bytes of memory. Which way it goes changes not a byte of the artifacts.

    What does not fit is spilled to `folder`, which is there and empty; a LargeOutcome can be read as long as that is there.
    """
    fields = required_columns(rule_set)
    need = sum(
        working_set(one, names)
        for one, names in zip((source, target), fields, strict=True)
        if not {*names} - {*one.collect_schema()}
    )
    if need <= limit:
        return reconcile(rule_set, source, target, severities=severities, on_progress=on_progress)
    # Loaded when they are needed: most inputs are not so large.
    from matching.engines.partitioned import reconcile_partitioned
    from models.tabular.spill import ParquetSpill

    partitions = min(-(-_SHARE * need // limit), _MOST_PARTITIONS)
    spill = ParquetSpill(folder)
    return reconcile_partitioned(
        rule_set, source, target, spill, partitions, severities=severities, on_progress=on_progress
    )
