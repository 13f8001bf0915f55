"""The runs of engine runs that the engine started by itself: by a schedule, an automation, a person in its UI, the CLI."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import FlowRun
from sqlmodel import Session, col, or_, select

from models import events, runs, starts, streams
from models.errors import NotFound, PlanInvalid
from models.runs import StreamRun
from models.starts import NotStarted, Start
from models.streams import Stream, TriggerType
from models.triggers import Event


def own_run(session: Session, stream_id: int, flow_run: FlowRun, trigger: dict[str, Any] | None) -> StreamRun:
    """The run of an engine run, written now if this is the first time it begins.

    Raises NotStarted where nothing is to be done: the stream's rows say otherwise than the engine's schedule or automation, or
    the fire time or event has its run already. Raises Conflict where a person asked for what the stream's state forbids.
    """
    engine_run_id = str(flow_run.id)
    key = starts.engine_key(engine_run_id)
    is_own = or_(col(StreamRun.engine_run_id) == engine_run_id, col(StreamRun.idempotency_key) == key)
    run = session.exec(select(StreamRun).where(col(StreamRun.stream_id) == stream_id, is_own)).one_or_none()
    if run is not None:
        return run
    stream = session.get(Stream, stream_id)  # the engine starts any organization's
    if stream is None:
        raise NotFound("Stream", stream_id)
    start = _start(session, stream, flow_run, trigger)
    if start is None:
        streams.runnable(stream)
        return runs.create(
            session,
            stream,
            trigger_type=TriggerType.MANUAL,
            engine_run_id=engine_run_id,
            idempotency_key=key,
        )
    run, new = starts.begun(session, stream, start, engine_run_id=engine_run_id)
    if not new:
        raise NotStarted(f"Run {run.id} was started by this {start.trigger_type.lower()} trigger already: {start.key}")
    return run


def _start(session: Session, stream: Stream, flow_run: FlowRun, trigger: dict[str, Any] | None) -> Start | None:
    """The occasion of an engine run; None where a person started it."""
    if trigger is not None:
        event = event_of(trigger)
        if not events.concerns(session, stream.organization_id, event):
            raise NotStarted(f"The event {event.id} is not of the organization of stream {stream.id}")
        return starts.on_event(stream, event)
    if not flow_run.auto_scheduled or flow_run.expected_start_time is None:
        return None
    if str(flow_run.deployment_id) == stream.deployment_id:
        return starts.at_time(stream, flow_run.expected_start_time)
    # Somebody's own deployment (prefect.yaml), with a schedule that our rows know nothing of.
    return starts.elsewhere(stream, flow_run.expected_start_time)


def event_of(trigger: dict[str, Any]) -> Event:
    """The event that an automation passes on (`deployments/automations.py` says in which form)."""
    name, event_id, payload = (trigger.get(part) for part in ("event", "id", "payload"))
    if not (isinstance(name, str) and isinstance(event_id, str) and isinstance(payload, dict)):
        raise PlanInvalid(
            "The flow's `trigger` needs `event`, `id` and `payload`: a name, an id and an object",
            code="TRIGGER_INVALID",
        )
    return Event(name, event_id, payload, trigger.get("resource"), trigger.get("occurred"))
