"""Writing a stream's definition and changing it: what is checked then, and what may change later and is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from models import files, rules, sources, streams
from models.base import utc_now
from models.errors import Conflict, NotFound, ValidationFailed
from models.lifecycle import StreamStatus
from models.streams import STEP_OUTPUTS, Step, Stream, StreamInputType, TriggerType, steps_of
from models.triggers import check_trigger


@dataclass(frozen=True)
class StepDraft:
    """A step as given; inputs are JSON objects `{"type", "id"}` whose values were checked for their types."""

    step_order: int
    name: str
    source_input: dict[str, Any]
    target_input: dict[str, Any]
    rule_set_id: int
    config: dict[str, Any] | None


def check_shape(trigger_type: TriggerType, trigger_config: dict[str, Any] | None, steps: Sequence[StepDraft]) -> None:
    """Raises ValidationFailed naming every field that can't be right whatever happens later."""
    wrong: dict[str, str] = {}
    if not steps:
        wrong["steps"] = "a stream needs at least one step"
    orders = [step.step_order for step in steps]
    for index, step in enumerate(steps):
        place = f"steps[{index}]"
        if step.step_order in orders[:index]:
            wrong[f"{place}.stepOrder"] = f"step order {step.step_order} is taken; each step needs its own"
        for side, given in (("sourceInput", step.source_input), ("targetInput", step.target_input)):
            named = side.replace("Input", "From")
            if (step.config or {}).get(named) is not None and given["type"] != StreamInputType.FILE:
                wrong[f"{place}.config.{named}"] = f"an event names a file; the {side} is of type {given['type']}"
            if given["type"] not in STEP_OUTPUTS:
                continue
            if given["id"] not in orders:
                wrong[f"{place}.{side}.id"] = f"there is no step {given['id']}; earlier steps: {_earlier(orders, step)}"
            elif given["id"] >= step.step_order:
                wrong[f"{place}.{side}.id"] = (
                    f"step {given['id']} does not come before step {step.step_order}; "
                    f"earlier steps: {_earlier(orders, step)}"
                )
    try:
        check_trigger(trigger_type, trigger_config)
    except ValidationFailed as error:
        wrong |= error.fields
    if wrong:
        raise ValidationFailed("Validation failed", fields=wrong)


def _earlier(orders: list[int], step: StepDraft) -> str:
    return ", ".join(str(order) for order in sorted(orders) if order < step.step_order) or "none"


def check_references(session: Session, organization_id: int, steps: Sequence[StepDraft]) -> None:
    """Raises NotFound for the first file, data source or rule set that is unknown at creation."""
    finders: dict[str, Callable[[int], object]] = {
        StreamInputType.FILE: lambda one: files.get(session, organization_id, one),
        StreamInputType.DATA_SOURCE_SNAPSHOT: lambda one: sources.get(session, organization_id, one),
    }
    for step in steps:
        for given in (step.source_input, step.target_input):
            if given["type"] in finders:
                finders[given["type"]](given["id"])
        rules.get(session, organization_id, step.rule_set_id)


def write_steps(session: Session, stream: Stream, steps: Sequence[StepDraft]) -> list[Step]:
    """Adds the steps of the stream's current definition version, in step order."""
    written = [
        Step(
            stream_id=stream.id,
            definition_version=stream.definition_version,
            step_order=step.step_order,
            name=step.name,
            source_type=step.source_input["type"],
            source_id=step.source_input["id"],
            target_type=step.target_input["type"],
            target_id=step.target_input["id"],
            source_input=step.source_input,
            target_input=step.target_input,
            rule_set_id=step.rule_set_id,
            config=step.config,
        )
        for step in sorted(steps, key=lambda one: one.step_order)
    ]
    for step in written:
        session.add(step)
        session.flush()
    return written


def create(
    session: Session, organization_id: int, facts: Mapping[str, Any], drafts: Sequence[StepDraft]
) -> tuple[Stream, list[Step]]:
    """Writes a stream with its first definition version; `facts` are columns of the stream.

    Raises ValidationFailed naming the fields, or NotFound for what the steps name.
    """
    stream = Stream(organization_id=organization_id, fires_from=utc_now(), **facts)
    check_shape(TriggerType(stream.trigger_type), stream.trigger_config, drafts)
    check_references(session, organization_id, drafts)
    session.add(stream)
    session.flush()
    return stream, write_steps(session, stream, drafts)


def edit(
    session: Session, organization_id: int, stream_id: int, facts: Mapping[str, Any], drafts: Sequence[StepDraft] | None
) -> Stream:
    """Changes what is given and leaves the rest; other steps make a new definition version, which later runs are pinned to.

    Raises NotFound, Conflict (STREAM_ARCHIVED), ValidationFailed as `create` does. The engine is to be told afterwards.
    """
    stream = _changeable(session, organization_id, stream_id)
    present = [_draft(step) for step in steps_of(session, stream.id, stream.definition_version)]
    changed = {name: value for name, value in facts.items() if getattr(stream, name) != value}
    for name, value in changed.items():
        setattr(stream, name, value)
    others = drafts is not None and sorted(drafts, key=lambda one: one.step_order) != present
    check_shape(TriggerType(stream.trigger_type), stream.trigger_config, drafts if drafts is not None else present)
    if drafts is not None and others:
        check_references(session, organization_id, drafts)
        stream.definition_version += 1
        write_steps(session, stream, drafts)
    if {"trigger_type", "trigger_config"} & changed.keys():
        stream.fires_from = utc_now()
    if changed or others:
        _note_change(session, stream)
    return stream


def pause(session: Session, organization_id: int, stream_id: int) -> Stream:
    """Stops a stream from firing and from taking runs. Raises NotFound, Conflict (STREAM_ARCHIVED)."""
    return _to(session, _changeable(session, organization_id, stream_id), StreamStatus.PAUSED)


def resume(session: Session, organization_id: int, stream_id: int) -> Stream:
    """Lets a stream fire again, from now on: what was due meanwhile is not made up for. Raises as `pause` does."""
    return _to(session, _changeable(session, organization_id, stream_id), StreamStatus.ACTIVE)


def archive(session: Session, organization_id: int, stream_id: int) -> Stream:
    """Ends a stream for good; its runs stay to be looked at. Raises as `pause` does."""
    return _to(session, _changeable(session, organization_id, stream_id), StreamStatus.ARCHIVED)


def _to(session: Session, stream: Stream, status: StreamStatus) -> Stream:
    if stream.status != status:
        stream.status = status
        stream.fires_from = utc_now()
        _note_change(session, stream)
    return stream


def _changeable(session: Session, organization_id: int, stream_id: int) -> Stream:
    """The stream, held until the transaction ends: of two changes, the later one sees the earlier one."""
    session.exec(select(Stream.id).where(col(Stream.id) == stream_id).with_for_update()).one_or_none()
    stream = streams.get(session, organization_id, stream_id)
    if stream.implicit:
        raise NotFound("Stream", stream_id)
    if stream.status == StreamStatus.ARCHIVED:
        raise Conflict(
            f"Stream {stream.id} '{stream.name}' is ARCHIVED, which is final",
            code="STREAM_ARCHIVED",
            stream_id=stream.id,
        )
    return stream


def _note_change(session: Session, stream: Stream) -> None:
    stream.revision += 1
    stream.updated_at = utc_now()
    session.add(stream)


def _draft(step: Step) -> StepDraft:
    return StepDraft(step.step_order, step.name, step.source_input, step.target_input, step.rule_set_id, step.config)
