"""Frames and rule sets for the tests of matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from matching import Outcome, RuleSet, rule_set_of
from matching.identity import FILE_ID, ROW


def side(columns: Mapping[str, Sequence[Any]], *, file_id: int = 1, dtype: Any = pl.String) -> pl.LazyFrame:
    """An input of texts (or of `dtype`; None: as Polars sees it), its rows numbered from 1."""
    schema = None if dtype is None else dict.fromkeys(columns, dtype)
    frame = pl.DataFrame(dict(columns), schema=schema)
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    return frame.lazy().with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row)


def read(path: Path, file_id: int) -> pl.LazyFrame:
    """A CSV file of texts, its rows numbered from 1."""
    row = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
    return pl.scan_csv(path, infer_schema=False).with_columns(pl.lit(file_id, pl.Int64).alias(FILE_ID), row)


def matched_people(outcome: Outcome, source: pl.LazyFrame, target: pl.LazyFrame) -> list[tuple[str, str]]:
    """The `rec_id`s of each match."""
    return (
        outcome.matches.lazy()
        .join(source, left_on="source_row", right_on=ROW)
        .join(target, left_on="target_row", right_on=ROW, suffix="_target")
        .select("rec_id", "rec_id_target")
        .collect()
        .rows()
    )


def a_pass(keys: Sequence[Any], comparisons: Sequence[Any] = (), **rest: Any) -> dict[str, Any]:
    """A pass as it is written; a name alone is a key field of both sides."""
    written = [{"sourceField": key} if isinstance(key, str) else key for key in keys]
    return {"keys": written, "comparisons": list(comparisons), **rest}


def one_pass(
    keys: Sequence[Any], comparisons: Sequence[Any] = (), *, severities: Mapping[str, Any] | None = None, **rest: Any
) -> RuleSet:
    """A rule set of one pass; `rest` are options of the pass."""
    return rule_set_of({"passes": [a_pass(keys, comparisons, **rest)], "severities": severities})


def legacy(keys: Sequence[str], *fields: str, **rules: Mapping[str, Any]) -> RuleSet:
    """A rule set without passes: fields have one name on both sides, `rules` are matching rules by source field."""
    return rule_set_of(
        {
            "fieldMappings": [
                {"sourceField": name, "targetField": name, "isKey": name in keys} for name in (*keys, *fields)
            ],
            "matchingRules": [{"sourceField": name, **rule} for name, rule in rules.items()],
        }
    )


def frames(outcome: Outcome) -> tuple[pl.DataFrame, ...]:
    return outcome.matches, outcome.unmatched_source, outcome.unmatched_target, outcome.breaks


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes are the same to the last column, type and row."""
    if one.statistics != other.statistics or one.totals != other.totals:
        return False
    pairs = zip(frames(one), frames(other), strict=True)
    return all(first.schema == second.schema and first.equals(second) for first, second in pairs)
