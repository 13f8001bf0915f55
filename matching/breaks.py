"""Disagreements as rows: type, severity, the field with both values, both records, and a sentence to act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.candidates import REASON_CODES, Codes, Pairing
from matching.comparators import Verdict
from matching.frames import Positions, Side
from matching.identity import FILE_ID, ROW
from matching.plan import Comparison, PassPlan
from matching.sentences import sentence
from matching.spec import Severities
from matching.terms import BreakType, Reason, Severity
from matching.texts import key_values, rendered

_COLUMNS: dict[str, type[pl.DataType]] = {
    "type": pl.String,
    "severity": pl.String,
    "field": pl.String,
    "source_value": pl.String,
    "target_value": pl.String,
    "delta": pl.String,
    "source_file_id": pl.Int64,
    "source_row": pl.Int64,
    "target_file_id": pl.Int64,
    "target_row": pl.Int64,
    "match_id": pl.Int64,
    "key": pl.String,
    "description": pl.String,
}

_POSITIONS: dict[str, type[pl.DataType]] = {"source": pl.UInt32, "target": pl.UInt32, "number": pl.UInt32}
"""What the breaks are ordered by; 0 is the number of a break that is about whole records."""


@dataclass(frozen=True)
class Judged:
    """A comparison and its verdicts, one per pair."""

    comparison: Comparison
    verdict: Verdict


def find_breaks(
    plan: PassPlan,
    source: Side,
    target: Side,
    pairing: Pairing,
    judged: Sequence[Judged],
    severities: Severities,
) -> pl.DataFrame:
    """The breaks of one pass, as `outcome.Outcome` describes them."""
    found = [_mismatches(plan, source, target, pairing, one, severities) for one in judged]
    if plan.legacy:
        found += _null_keys_of_pairs(plan, source, pairing, severities)
    found += _without_partner(plan, source, pairing.source_codes, severities)
    found += _without_partner(plan, target, pairing.target_codes, severities)
    frame = pl.concat(found).sort("source", "target", "number", nulls_last=True)
    return frame.with_columns(_key_texts(plan, source, target, frame), *_identities(source, target, frame)).select(
        *_COLUMNS
    )


def _frame(**columns: pl.Series | pl.Expr | str | int | None) -> pl.DataFrame:
    """A frame of breaks still to be given identities and key texts; columns left out are null."""
    wanted = {**_POSITIONS, **_COLUMNS}
    series = {name: one for name, one in columns.items() if isinstance(one, pl.Series)}
    rest = {name: one for name, one in columns.items() if name not in series}
    return pl.DataFrame(series).select(
        (pl.col(name) if name in series else _expression(rest.get(name))).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )


def _expression(value: pl.Expr | pl.Series | str | int | None) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value)


def _mismatches(
    plan: PassPlan, source: Side, target: Side, pairing: Pairing, judged: Judged, severities: Severities
) -> pl.DataFrame:
    comparison, verdict = judged.comparison, judged.verdict
    rows = np.flatnonzero(~verdict.agrees.to_numpy())
    at_source, at_target = pairing.source[rows], pairing.target[rows]
    delta = pl.Series("delta", [], dtype=pl.String).extend_constant(None, len(rows))
    if verdict.delta is not None:
        delta = verdict.delta.gather(rows).cast(pl.String)
    field = comparison.source_field
    return _frame(
        source=pl.Series(at_source),
        target=pl.Series(at_target),
        number=comparison.number,
        type=BreakType.VALUE_MISMATCH.value,
        severity=severities.of(BreakType.VALUE_MISMATCH, comparison.severity, field).value,
        field=field,
        source_value=rendered(source.values(field, at_source)),
        target_value=rendered(target.values(comparison.target_field, at_target)),
        delta=delta,
        description=pl.lit(f"Value mismatch for field {field}") if plan.legacy else sentence(comparison),
        match_id=pl.Series(rows + 1),
    )


def _null_keys_of_pairs(plan: PassPlan, source: Side, pairing: Pairing, severities: Severities) -> list[pl.DataFrame]:
    """Legacy: a null key pairs with a null key, so both are null, and the source is named."""
    found: list[pl.DataFrame] = []
    for key in plan.keys:
        missing = source.values(key.source_field).is_null().to_numpy()[pairing.source]
        rows = np.flatnonzero(missing)
        frame = _frame(
            source=pl.Series(pairing.source[rows]),
            target=pl.Series(pairing.target[rows]),
            number=key.number,
            type=BreakType.MISSING_SOURCE.value,
            severity=severities.of(BreakType.MISSING_SOURCE, Severity.CRITICAL).value,
            field=key.source_field,
            description=f"Key field '{key.source_field}' is null",
            match_id=pl.Series(rows + 1),
        )
        found.append(frame)
    return found


def _without_partner(plan: PassPlan, side: Side, codes: Codes, severities: Severities) -> list[pl.DataFrame]:
    other = "target" if side.name == "source" else "source"
    missing = BreakType.MISSING_TARGET if side.name == "source" else BreakType.MISSING_SOURCE
    found: list[pl.DataFrame] = []
    for break_type, reason, description in (
        (missing, Reason.MISSING, f"No matching record found in {other}"),
        (BreakType.DUPLICATE, Reason.DUPLICATE, f"Duplicate key in {side.name} with no matching {other} record"),
    ):
        rows = np.flatnonzero(codes == REASON_CODES[reason]).astype(np.uint32)
        severity = severities.of(break_type, Severity.HIGH).value
        positions = {side.name: pl.Series(rows)}
        found.append(_frame(**positions, number=0, type=break_type.value, severity=severity, description=description))
    rows = np.flatnonzero(codes == REASON_CODES[Reason.NULL_KEY]).astype(np.uint32)
    if len(rows):
        found.append(_set_aside(plan, side, rows, severities))
    return found


def _set_aside(plan: PassPlan, side: Side, rows: Positions, severities: Severities) -> pl.DataFrame:
    """Records with a null or blank key; the first such field is named, with what it holds."""
    field, value = pl.lit(None, pl.String), pl.lit(None, pl.String)
    columns: list[pl.Series] = []
    for number, key in enumerate(reversed(plan.keys)):
        name = key.source_field if side.name == "source" else key.target_field
        values = side.values(name, rows)
        stripped = key_values(key.pair, side.name, side.reader(rows)).str.strip_chars()
        columns += [
            (stripped.is_null() | (stripped == "")).alias(f"blank{number}"),
            rendered(values).alias(f"text{number}"),
        ]
        blank = pl.col(f"blank{number}")
        field = pl.when(blank).then(pl.lit(name)).otherwise(field)
        value = pl.when(blank).then(f"text{number}").otherwise(value)
    named = pl.DataFrame(columns).select(field.alias("field"), value.alias("value"))
    own: dict[str, pl.Series] = {side.name: pl.Series(rows), f"{side.name}_value": named["value"]}
    return _frame(
        **own,
        number=0,
        type=BreakType.FORMAT_ERROR.value,
        severity=severities.of(BreakType.FORMAT_ERROR, Severity.HIGH).value,
        field=named["field"],
        description=pl.format(
            "Key field '{}' is null or blank in {}; the record was set aside", "field", pl.lit(side.name)
        ),
    )


def _key_texts(plan: PassPlan, source: Side, target: Side, breaks: pl.DataFrame) -> pl.Series:
    """Readable keys: those of the source record, or of the target record where there is no other."""
    texts: list[pl.Series] = []
    for side, names in (
        (source, [one.source_field for one in plan.keys]),
        (target, [one.target_field for one in plan.keys]),
    ):
        parts: list[pl.Expr] = []
        columns: list[pl.Series] = []
        for number, name in enumerate(names):
            value = side.values(name).gather(breaks[side.name])
            columns.append(rendered(value).alias(f"key{number}"))
            parts += [pl.lit(f"{', ' if number else ''}{name}="), pl.col(f"key{number}").fill_null("null")]
        known = pl.lit(breaks[side.name].is_not_null())
        texts.append(pl.DataFrame(columns).select(pl.when(known).then(pl.concat_str(parts))).to_series())
    return texts[0].zip_with(texts[0].is_not_null(), texts[1]).alias("key")


def _identities(source: Side, target: Side, breaks: pl.DataFrame) -> list[pl.Series]:
    return [
        side.values(column).gather(breaks[side.name]).alias(f"{side.name}{'_file_id' if column == FILE_ID else '_row'}")
        for side in (source, target)
        for column in (FILE_ID, ROW)
    ]
