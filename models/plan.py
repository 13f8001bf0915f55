"""From a definition to what can run: resolves the inputs of steps and names every problem with a stable code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from matching import required_columns, spec
from matching.errors import ColumnNotFound, MatchingError, ReconError
from models import artifacts, files, rules, sources
from models.errors import FileVanished, NotFound, PlanInvalid
from models.files import FileStatus, StoredFile
from models.runs import StreamRun
from models.settings import Settings
from models.storage import Storage
from models.streams import STEP_OUTPUTS, Step, Stream, StreamInputType, steps_of
from models.triggers import file_of_event


@dataclass(frozen=True)
class Problem:
    """Something that makes (or, as a warning, may make) a run fail. `field` is the side or part of the step to blame."""

    code: str
    message: str
    step_order: int | None = None
    field: str | None = None


@dataclass(frozen=True)
class ResolvedInput:
    """One side of a step, ready to be read: its file and, for a step's output, the artifact and who left it."""

    file: StoredFile
    artifact_id: int | None = None
    upstream_step_run_id: int | None = None


def check_stream(
    session: Session, storage: Storage, settings: Settings, stream: Stream
) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings of a stream's current definition, in step order, without reading any row."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    columns: dict[tuple[int, str], Sequence[str] | None] = {}
    for step in steps_of(session, stream.id, stream.definition_version):
        sides: dict[str, Sequence[str] | None] = {}
        upstream = step.upstream()
        for side, kind, input_id in _sides(step):
            if side in upstream:
                order, output = upstream[side]
                sides[side] = columns.get((order, _output_side(output)))
                continue
            try:
                stored = _file(session, storage, stream.organization_id, kind, input_id)
            except ReconError as error:
                errors.append(
                    Problem(
                        error.code, f"Step {step.step_order} {side}: {error.message}", step.step_order, f"{side}Input"
                    )
                )
                sides[side] = None
                continue
            sides[side] = stored.columns
            if (stored.row_count or 0) > settings.large_file_rows:
                warnings.append(_large(step.step_order, side, stored.row_count or 0))
        columns[step.step_order, "source"] = sides["source"]
        columns[step.step_order, "target"] = sides["target"]
        try:
            stored_rules = rules.get(session, stream.organization_id, step.rule_set_id)
            parts = rules.parts(session, [stored_rules.id])
            rule_set = rules.specification(stored_rules, parts[0][stored_rules.id], parts[1][stored_rules.id])
        except ReconError as error:
            errors.append(Problem(error.code, f"Step {step.step_order}: {error.message}", step.step_order, "ruleSetId"))
            continue
        for error in check_columns(rule_set, sides["source"], sides["target"]):
            message = f"Step {step.step_order}, rule set {stored_rules.id} '{stored_rules.name}': {error.message}"
            errors.append(Problem(error.code, message, step.step_order, "ruleSetId"))
    return errors, warnings


def check_columns(
    rule_set: spec.RuleSet, source: Sequence[str] | None, target: Sequence[str] | None
) -> list[MatchingError]:
    """What makes the rule set impossible on inputs with these columns; a side whose columns are unknown is not judged."""
    try:
        wanted = required_columns(rule_set)
    except MatchingError as error:
        return [error]
    errors: list[MatchingError] = []
    for side, names, available in zip(("source", "target"), wanted, (source, target), strict=True):
        missing = [] if available is None else [name for name in names if name not in available]
        if missing:
            errors.append(ColumnNotFound(side, missing, list(available or ())))
    return errors


def pinned_rules(session: Session, run: StreamRun, step: Step) -> spec.RuleSet:
    """The rule set as it stood when the run was created; raises PlanInvalid (RULE_SET_NOT_FOUND) if it was gone already."""
    version = run.rule_set_versions.get(str(step.rule_set_id))
    if version is None:
        raise PlanInvalid(
            f"RuleSet not found with id: {step.rule_set_id}", code="RULE_SET_NOT_FOUND", rule_set_id=step.rule_set_id
        )
    return rules.pinned(session, step.rule_set_id, version)


def resolve(
    session: Session, storage: Storage, run: StreamRun, step: Step, step_run_ids: dict[int, int]
) -> dict[str, ResolvedInput]:
    """The inputs of a step of a run: side -> what to read. `step_run_ids` maps the run's step orders to step runs.

    Raises PlanInvalid, NotFound or FileVanished with the input's type and id in the message.
    """
    resolved: dict[str, ResolvedInput] = {}
    upstream = step.upstream()
    for side, kind, input_id in _sides(step):
        if side not in upstream:
            named = step.from_event(side)
            given = None if named is None else file_of_event(named, run.trigger_metadata)
            resolved[side] = ResolvedInput(
                _file(session, storage, run.organization_id, kind, input_id if given is None else given)
            )
            continue
        order, output = upstream[side]
        left = artifacts.one_of(session, step_run_ids.get(order, 0), artifacts.OUTPUT_ARTIFACTS[output])
        if left is None:
            raise PlanInvalid(
                f"{kind} {input_id}: step {order} of run {run.id} left no such artifact",
                code="STEP_OUTPUT_NOT_FOUND",
                input_type=kind,
                input_id=input_id,
                run_id=run.id,
            )
        artifact, stored = left
        _present(storage, kind, input_id, stored)
        resolved[side] = ResolvedInput(stored, artifact.id, artifact.step_run_id)
    return resolved


def _sides(step: Step) -> tuple[tuple[str, str, int], tuple[str, str, int]]:
    return ("source", step.source_type, step.source_id), ("target", step.target_type, step.target_id)


def _output_side(output: StreamInputType) -> str:
    return "source" if output == StreamInputType.STEP_OUTPUT_UNMATCHED_SOURCE else "target"


def _file(session: Session, storage: Storage, organization_id: int, kind: str, input_id: int) -> StoredFile:
    if kind == StreamInputType.DATA_SOURCE_SNAPSHOT:
        try:
            source = sources.get(session, organization_id, input_id)
        except NotFound as error:
            raise PlanInvalid(f"{kind} {input_id}: {error.message}", code=error.code, input_id=input_id) from error
        raise PlanInvalid(
            f"{kind} {input_id}: snapshots of '{source.name}' are not taken yet; upload its rows as a FILE",
            code="SNAPSHOT_UNAVAILABLE",
            input_id=input_id,
        )
    if kind in STEP_OUTPUTS:
        raise PlanInvalid(f"{kind} {input_id} is not an earlier step", code="STEP_OUTPUT_NOT_FOUND")
    try:
        stored = files.get(session, organization_id, input_id)
    except NotFound as error:
        raise PlanInvalid(f"{kind} {input_id}: {error.message}", code=error.code, file_id=input_id) from error
    if stored.status != FileStatus.PROCESSED:
        reason = stored.processing_error or f"its status is {stored.status}"
        raise PlanInvalid(
            f"{kind} {input_id} '{stored.original_filename}' was not processed: {reason}",
            code="FILE_NOT_PROCESSED",
            file_id=input_id,
        )
    _present(storage, kind, input_id, stored)
    return stored


def _present(storage: Storage, kind: str, input_id: int, stored: StoredFile) -> None:
    if stored.twin_path is None or not storage.exists(stored.twin_path):
        raise FileVanished(
            f"{kind} {input_id}: the bytes of file {stored.id} '{stored.original_filename}' are missing in storage",
            input_type=kind,
            input_id=input_id,
            file_id=stored.id,
        )


def _large(step_order: int, side: str, row_count: int) -> Problem:
    return Problem(
        f"STEP_{side.upper()}_FILE_LARGE",
        f"Step {step_order} {side} file has {_short(row_count)} rows; consider schedule window.",
        step_order,
        f"{side}Input",
    )


def _short(count: int) -> str:
    """1,200,000 as 1.2M, 40,000 as 40K."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return str(count)
