"""Writing a stream's definition: what is checked when it is created, and what may change later and is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from models import files, rules, sources
from models.errors import ValidationFailed
from models.streams import STEP_OUTPUTS, Step, Stream, StreamInputType, TriggerType
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
