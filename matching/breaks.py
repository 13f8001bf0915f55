"""Disagreements as rows: type, severity, the field with both values, both records, and a sentence to act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from matching.frames import Positions, Side
from matching.identity import FILE_ID, ROW
from matching.keys import Flags, Numbers
from matching.links import REASON_CODES, Codes, Judged, Links, PassResult
from matching.plan import PassPlan, Plan
from matching.potential import NearPairs
from matching.sentences import sentence
from matching.spec import MEASURED, Severities
from matching.terms import BreakType, Cardinality, Decision, Reason, Severity
from matching.texts import key_values, rendered

BREAK_SCHEMA: dict[str, type[pl.DataType]] = {
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

POSITION_SCHEMA: dict[str, type[pl.DataType]] = {
    "source": pl.UInt32,
    "target": pl.UInt32,
    "number": pl.UInt32,
    "pass": pl.UInt32,
}
"""What the breaks are ordered by; 0 is the number of a break that is about whole records."""


@dataclass(frozen=True)
class Findings:
    """All that a rule set found: what each pass linked, with the id of the match that each link belongs to, and what is left."""

    plan: Plan
    source: Side
    target: Side
    results: Sequence[PassResult]
    match_ids: Sequence[Numbers]
    candidates: Sequence[Links]
    """Per pass: pairs of records without a partner for a person to decide on."""
    source_codes: Codes
    target_codes: Codes
    near: NearPairs


def find_breaks(found: Findings, severities: Severities) -> pl.DataFrame:
    """The breaks of a rule set, as `outcome.Outcome` describes them."""
    sides = ((found.source, found.source_codes), (found.target, found.target_codes))
    left = [leftover_breaks(found, side, codes, _asked(found, side), severities) for side, codes in sides]
    return in_order(pl.concat([pass_breaks(found, severities), *left, near_breaks(found, severities)])).select(
        *BREAK_SCHEMA
    )


def in_order(breaks: pl.DataFrame) -> pl.DataFrame:
    """By source, target, number and pass; no two breaks share all four."""
    return breaks.sort(*POSITION_SCHEMA, nulls_last=True)


def pass_breaks(found: Findings, severities: Severities) -> pl.DataFrame:
    """The breaks of matches and the pairs to decide on, with the positions that they are ordered by, in no order."""
    pieces: list[pl.DataFrame] = []
    for number, (result, ids, candidates) in enumerate(
        zip(found.results, found.match_ids, found.candidates, strict=True)
    ):
        place = _Place(found, number, result, ids, severities)
        compared = {one.number for one in result.plan.comparisons}
        pieces += [place.mismatches(one) for one in result.links.judged if one.comparison.number in compared]
        if result.plan.legacy:
            pieces += place.null_keys_of_pairs()
        pieces.append(place.to_decide(candidates))
    return _located(found, pl.concat(pieces))


def _located(found: Findings, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(_key_texts(found, frame), *_identities(found, frame))


def _asked(found: Findings, side: Side) -> Flags:
    """Which records are in a pair that a person is asked about."""
    asked = np.zeros(side.height, dtype=np.bool_)
    for one in found.candidates:
        asked[one.source if side.name == "source" else one.target] = True
    return asked


def _frame(**columns: pl.Series | pl.Expr | str | int | None) -> pl.DataFrame:
    """A frame of breaks still to be given identities and key texts; columns left out are null."""
    wanted = {**POSITION_SCHEMA, **BREAK_SCHEMA}
    series = {name: one for name, one in columns.items() if isinstance(one, pl.Series)}
    rest = {name: one for name, one in columns.items() if name not in series}
    return pl.DataFrame(series).select(
        (pl.col(name) if name in series else _expression(rest.get(name))).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )


def _expression(value: pl.Expr | pl.Series | str | int | None) -> pl.Expr:
    return value if isinstance(value, pl.Expr) else pl.lit(value)


@dataclass(frozen=True)
class _Place:
    """The breaks of one pass."""

    found: Findings
    number: int
    result: PassResult
    match_ids: Numbers
    severities: Severities

    def mismatches(self, judged: Judged) -> pl.DataFrame:
        """Values that a comparison does not let pass; of a match of several records, one break for all."""
        plan, links, comparison = self.result.plan, self.result.links, judged.comparison
        disagree = ~judged.verdict.agrees.to_numpy()
        grouped = plan.cardinality is not Cardinality.ONE_TO_ONE
        if grouped:
            disagree &= np.diff(links.match, prepend=-1) != 0
        rows = np.flatnonzero(disagree)
        at_source, at_target = links.source[rows], links.target[rows]
        delta = pl.Series("delta", [], dtype=pl.String).extend_constant(None, len(rows))
        if judged.verdict.delta is not None:
            delta = judged.verdict.delta.gather(rows).cast(pl.String)
        note = None if judged.verdict.noted is None else judged.verdict.gather(rows).note
        field = comparison.source_field
        off = grouped and comparison.rule.match_type in MEASURED
        break_type = BreakType.TOLERANCE_EXCEEDED if off else BreakType.VALUE_MISMATCH
        default = Severity.HIGH if off else comparison.severity
        source_value, target_value = judged.source_value, judged.target_value
        if source_value is None or target_value is None:
            source_value = rendered(self.found.source.values(field, at_source))
            target_value = rendered(self.found.target.values(comparison.target_field, at_target))
        else:
            source_value, target_value = source_value.gather(rows), target_value.gather(rows)
        return _frame(
            source=pl.Series(at_source),
            target=pl.Series(at_target),
            number=comparison.number,
            **{"pass": self.number},
            type=break_type.value,
            severity=self.severities.of(break_type, default, field).value,
            field=field,
            source_value=source_value,
            target_value=target_value,
            delta=delta,
            description=pl.lit(f"Value mismatch for field {field}") if plan.legacy else sentence(comparison, note),
            match_id=pl.Series(self.match_ids[rows]),
        )

    def null_keys_of_pairs(self) -> list[pl.DataFrame]:
        """Legacy: a null key pairs with a null key, so both are null, and the source is named."""
        links = self.result.links
        found: list[pl.DataFrame] = []
        for key in self.result.plan.keys:
            missing = self.found.source.values(key.source_field).is_null().to_numpy()[links.source]
            rows = np.flatnonzero(missing)
            frame = _frame(
                source=pl.Series(links.source[rows]),
                target=pl.Series(links.target[rows]),
                number=key.number,
                **{"pass": self.number},
                type=BreakType.MISSING_SOURCE.value,
                severity=self.severities.of(BreakType.MISSING_SOURCE, Severity.CRITICAL).value,
                field=key.source_field,
                description=f"Key field '{key.source_field}' is null",
                match_id=pl.Series(self.match_ids[rows]),
            )
            found.append(frame)
        return found

    def to_decide(self, candidates: Links) -> pl.DataFrame:
        """Pairs that a person is asked about."""
        plan = self.result.plan
        suggested = plan.decision is Decision.SUGGEST
        start = (
            f"Suggested by pass '{plan.name}'" if suggested else f"One of several possible partners by '{plan.name}'"
        )
        share = pl.Series("share", candidates.score / 10_000).round(1)
        return _frame(
            source=pl.Series(candidates.source),
            target=pl.Series(candidates.target),
            number=0,
            **{"pass": self.number},
            type=BreakType.POTENTIAL_MATCH.value,
            severity=self.severities.of(BreakType.POTENTIAL_MATCH, Severity.MEDIUM).value,
            description=pl.format("{}, agreement {} %; confirm or reject it", pl.lit(start), pl.lit(share)),
        )


def near_breaks(found: Findings, severities: Severities) -> pl.DataFrame:
    """Pairs of records without a partner that come near each other, as `pass_breaks` gives breaks."""
    near = found.near
    names = pl.Series(near.place).replace_strict(
        {number: one.name for number, one in enumerate(found.plan.passes)}, return_dtype=pl.String
    )
    share = pl.Series(near.score / 10_000).round(1)
    frame = _frame(
        source=pl.Series(near.source),
        target=pl.Series(near.target),
        number=0,
        **{"pass": pl.Series(near.place)},
        type=BreakType.POTENTIAL_MATCH.value,
        severity=severities.of(BreakType.POTENTIAL_MATCH, Severity.MEDIUM).value,
        description=pl.format(
            "Nearest without a partner by '{}', agreement {} %: {}; confirm or reject it",
            *(pl.lit(one) for one in (names, share, near.sentence)),
        ),
    )
    return _located(found, frame)


def leftover_breaks(found: Findings, side: Side, codes: Codes, asked: Flags, severities: Severities) -> pl.DataFrame:
    """The breaks of one side's records without a partner, as `pass_breaks` gives them; `asked`: a pair of theirs is told."""
    other = "target" if side.name == "source" else "source"
    missing = BreakType.MISSING_TARGET if side.name == "source" else BreakType.MISSING_SOURCE
    pieces: list[pl.DataFrame] = []
    for break_type, reason, severity, description in (
        (missing, Reason.MISSING, Severity.HIGH, f"No matching record found in {other}"),
        (
            BreakType.DUPLICATE,
            Reason.DUPLICATE,
            Severity.HIGH,
            f"Duplicate key in {side.name} with no matching {other} record",
        ),
        (
            missing,
            Reason.SEARCH_TRUNCATED,
            Severity.HIGH,
            f"No matching record found in {other}: the search was stopped by its budget, or by amounts too large to sum",
        ),
        (
            BreakType.POTENTIAL_MATCH,
            Reason.AMBIGUOUS,
            Severity.MEDIUM,
            f"Several records could settle with {other}, and nothing decides between them",
        ),
    ):
        left = codes == REASON_CODES[reason]
        if reason is Reason.AMBIGUOUS:
            left &= ~asked
        pieces.append(
            _frame(
                **{side.name: pl.Series(np.flatnonzero(left).astype(np.uint32))},
                number=0,
                type=break_type.value,
                severity=severities.of(break_type, severity).value,
                description=description,
            )
        )
    rows = np.flatnonzero((codes == REASON_CODES[Reason.NULL_KEY]) | (codes == REASON_CODES[Reason.FORMAT_ERROR]))
    if len(rows):
        pieces.append(_set_aside(_keyed(found.plan), side, rows.astype(np.uint32), severities))
    return _located(found, pl.concat(pieces))


def _keyed(plan: Plan) -> PassPlan:
    """The pass whose keys name a record that no pass has matched."""
    return next((one for one in plan.passes if one.keys), plan.passes[0])


def _set_aside(plan: PassPlan, side: Side, rows: Positions, severities: Severities) -> pl.DataFrame:
    """Records without a key; the first such field is named, with what it holds."""
    field, value, text = (pl.lit(None, pl.String) for _ in range(3))
    columns: list[pl.Series] = []
    for number, key in enumerate(reversed(plan.keys)):
        name = key.pair.field_of(side.name)
        stripped = key_values(key.pair, side.name, side.reader(rows)).str.strip_chars()
        columns += [
            (stripped.is_null() | (stripped == "")).alias(f"blank{number}"),
            rendered(side.values(name, rows)).alias(f"text{number}"),
        ]
        blank, raw = pl.col(f"blank{number}"), pl.col(f"text{number}")
        is_bare = raw.is_null() | (raw.str.strip_chars() == "")
        says = pl.when(is_bare).then(pl.lit("is null or blank")).otherwise(pl.format("can't be read from '{}'", raw))
        field = pl.when(blank).then(pl.lit(name)).otherwise(field)
        value = pl.when(blank).then(raw).otherwise(value)
        text = pl.when(blank).then(says).otherwise(text)
    named = pl.DataFrame(columns).select(field.alias("field"), value.alias("value"), text.alias("text"))
    own: dict[str, pl.Series] = {side.name: pl.Series(rows), f"{side.name}_value": named["value"]}
    return _frame(
        **own,
        number=0,
        type=BreakType.FORMAT_ERROR.value,
        severity=severities.of(BreakType.FORMAT_ERROR, Severity.HIGH).value,
        field=named["field"],
        description=pl.format(
            "Key field '{}' {} in {}; the record was set aside",
            pl.lit(named["field"]),
            pl.lit(named["text"]),
            pl.lit(side.name),
        ),
    )


def _key_texts(found: Findings, breaks: pl.DataFrame) -> pl.Series:
    """Readable keys by the break's pass: those of the source record, or of the target record where there is no other."""
    of_leftover = found.plan.passes.index(_keyed(found.plan))
    passes = breaks["pass"].fill_null(of_leftover).to_numpy()
    texts = pl.Series("key", [None] * breaks.height, dtype=pl.String)
    for number in np.unique(passes):
        rows = np.flatnonzero(passes == number)
        plan = found.plan.passes[number]
        pairs = [key.pair for key in plan.keys] or plan.reads()
        sides = [
            _named_values(found.source, [one.source_field for one in pairs], breaks["source"].gather(rows)),
            _named_values(found.target, [one.target_field for one in pairs], breaks["target"].gather(rows)),
        ]
        own = sides[0].zip_with(sides[0].is_not_null(), sides[1])
        texts = own if len(rows) == breaks.height else texts.scatter(rows, own)
    return texts.alias("key")


def _named_values(side: Side, names: Sequence[str], positions: pl.Series) -> pl.Series:
    parts: list[pl.Expr] = []
    columns: list[pl.Series] = []
    for number, name in enumerate(names):
        columns.append(rendered(side.values(name).gather(positions)).alias(f"key{number}"))
        parts += [pl.lit(f"{', ' if number else ''}{name}="), pl.col(f"key{number}").fill_null("null")]
    known = pl.lit(positions.is_not_null())
    return pl.DataFrame(columns).select(pl.when(known).then(pl.concat_str(parts))).to_series()


def _identities(found: Findings, breaks: pl.DataFrame) -> list[pl.Series]:
    return [
        side.values(column).gather(breaks[side.name]).alias(f"{side.name}{'_file_id' if column == FILE_ID else '_row'}")
        for side in (found.source, found.target)
        for column in (FILE_ID, ROW)
    ]
