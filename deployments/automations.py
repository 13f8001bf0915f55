"""Trigger configuration -> Prefect automation: an event that a stream waits for runs its deployment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.events.actions import ActionTypes, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from models.events import OWN_RESOURCES
from models.streams import Stream
from models.triggers import RESOURCE

PASSED_ON = (
    '{{ {"event": event.event, "id": event.id | string, "occurred": event.occurred.isoformat(), '
    '"resource": event.resource.root, "payload": event.payload} | tojson }}'
)
"""Prefect's template of the flow's `trigger` parameter; `flows/starting.py` reads it."""

RESOURCE_ID = "prefect.resource.id"


def stream_tag(stream_id: int) -> str:
    """The tag by which a stream's automation is found."""
    return f"recon-stream-{stream_id}"


def automation_of(stream: Stream, name: str, deployment_id: str) -> AutomationCore:
    """The automation of a stream with a checked EVENT configuration.

    The engine looks at names and at the resource; whether the payload is the wanted one, the flow looks before it begins.
    Events of our own are not waited for: whoever wrote one started the runs with it.
    """
    config = stream.trigger_config or {}
    chosen: dict[str, Any] = config.get("filter") or {}
    labels: dict[str, str | list[str]] = {
        field.removeprefix(RESOURCE): _patterns(wanted)
        for field, wanted in chosen.items()
        if field.startswith(RESOURCE) and all(_is_label_pattern(one) for one in _patterns(wanted))
    }
    labels.setdefault(RESOURCE_ID, f"!{OWN_RESOURCES}*")
    run: list[ActionTypes] = [
        RunDeployment(
            source="selected",
            deployment_id=UUID(deployment_id),
            parameters={
                "stream_id": stream.id,
                "trigger": {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": PASSED_ON}},
            },
            job_variables=None,
        )
    ]
    return AutomationCore(
        name=name,
        description=f"Runs stream {stream.id} on the event it waits for",
        tags=[stream_tag(stream.id)],
        trigger=EventTrigger(
            expect={str(config["event"])},
            match=ResourceSpecification.model_validate(labels),
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=run,
    )


def _is_label_pattern(wanted: Any) -> bool:
    # To the engine a text that begins with "!" means every other one; to a filter it is a text like any other.
    return isinstance(wanted, str) and not wanted.startswith("!")


def _patterns(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]
