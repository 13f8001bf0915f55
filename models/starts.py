"""Runs that a schedule or an event starts: once for each fire time and each event, however often they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from matching.errors import ReconError
from models import runs, streams
from models.base import utc_now
from models.cron import fires_at, parse_cron
from models.errors import Conflict, ValidationFailed
from models.lifecycle import StreamStatus
from models.runs import StreamRun
from models.streams import Stream, TriggerType
from models.triggers import Event, means, timezone_of


class NotStarted(ReconError):
    """The stream as it stands does not start a run now; nothing is wrong."""

    code = "RUN_NOT_STARTED"


@dataclass(frozen=True)
class Start:
    """What asks for a run. `key` names this one occasion among all of the stream's."""

    trigger_type: TriggerType
    key: str
    metadata: dict[str, Any]


def at_time(stream: Stream, due: datetime) -> Start:
    """The start that a stream's schedule asks for at a moment. Raises NotStarted unless the stream fires then.

    The engine's schedule may be that of an earlier revision, and near clock changes it names times that are none of ours.
    """
    moment = due.replace(microsecond=0)
    _active(stream)
    if stream.trigger_type != TriggerType.SCHEDULED:
        raise NotStarted(f"Stream {stream.id} '{stream.name}' has no schedule any more")
    if stream.fires_from is not None and moment < stream.fires_from:
        raise NotStarted(f"{_shown(moment)} was before stream {stream.id} '{stream.name}' got its schedule or resumed")
    config = stream.trigger_config or {}
    if not fires_at(parse_cron(str(config["cron"])), timezone_of(config), moment):
        raise NotStarted(f"The schedule '{config['cron']}' of stream {stream.id} does not fire at {_shown(moment)}")
    return _scheduled(moment)


def elsewhere(stream: Stream, due: datetime) -> Start:
    """The start that a schedule of somebody's own asks for, whatever the stream's trigger. Raises NotStarted unless ACTIVE."""
    _active(stream)
    return _scheduled(due)


def on_event(stream: Stream, event: Event) -> Start:
    """The start that an event asks for. Raises NotStarted unless the stream waits for such an event."""
    _active(stream)
    if stream.trigger_type != TriggerType.EVENT:
        raise NotStarted(f"Stream {stream.id} '{stream.name}' does not wait for events")
    if not means(stream.trigger_config or {}, event):
        raise NotStarted(f"Stream {stream.id} '{stream.name}' does not wait for such an event")
    return Start(TriggerType.EVENT, event.id, event.metadata)


def engine_key(engine_run_id: str) -> str:
    """The idempotency key of the run of an engine run that a person started at the engine."""
    return f"engine-run-{engine_run_id}"


def known(session: Session, stream_id: int, key: str) -> StreamRun | None:
    """The run that this occasion started, if it did."""
    chosen = select(StreamRun).where(col(StreamRun.stream_id) == stream_id, col(StreamRun.event_id) == key)
    return session.exec(chosen).one_or_none()


def begun(
    session: Session, stream: Stream, start: Start, *, engine_run_id: str | None = None
) -> tuple[StreamRun, bool]:
    """The run of an occasion, and whether it is new. The stream is held until the transaction ends.

    Raises NotStarted where the stream's runs may not overlap, and one is open.
    """
    session.exec(select(Stream.id).where(col(Stream.id) == stream.id).with_for_update()).one()
    found = known(session, stream.id, start.key)
    if found is not None:
        return found, False
    try:
        run = runs.create(
            session,
            stream,
            trigger_type=start.trigger_type,
            trigger_metadata=start.metadata,
            engine_run_id=engine_run_id,
            event_id=start.key,
        )
    except Conflict as active:
        raise NotStarted(active.message) from active
    return run, True


@dataclass(frozen=True)
class Taken:
    """What became of an event that was sent to a stream: its run, if the stream waits for such events, and whether it is new."""

    run: StreamRun | None
    new: bool
    message: str


def take(
    session: Session,
    organization_id: int,
    stream_id: int,
    *,
    name: str | None,
    event_id: str,
    payload: dict[str, Any],
) -> Taken:
    """Starts the run that an event sent to a stream asks for. Without a name, the stream's own is meant.

    Raises NotFound, ValidationFailed (a name is needed), Conflict (NOT_EVENT_TRIGGERED, STREAM_NOT_ACTIVE, RUN_ACTIVE).
    """
    stream = streams.get(session, organization_id, stream_id)
    if stream.trigger_type != TriggerType.EVENT:
        raise Conflict(
            f"Stream {stream.id} '{stream.name}' has the trigger type {stream.trigger_type}; only EVENT streams take events",
            code="NOT_EVENT_TRIGGERED",
            stream_id=stream.id,
        )
    streams.runnable(stream)
    config = stream.trigger_config or {}
    pattern = str(config["event"])
    if name is None and pattern.endswith("*"):
        raise ValidationFailed("Validation failed", fields={"event": f"a name is needed that begins as in '{pattern}'"})
    event = Event(name or pattern, event_id, payload, occurred=_shown(utc_now()))
    if not means(config, event):
        return Taken(None, new=False, message="The stream does not wait for such an event")
    try:
        run, new = begun(session, stream, on_event(stream, event))
    except NotStarted as active:
        raise Conflict(active.message, code="RUN_ACTIVE", stream_id=stream.id) from active
    return Taken(run, new, "Stream run created successfully" if new else "The event has its run already")


def _scheduled(due: datetime) -> Start:
    return Start(TriggerType.SCHEDULED, f"schedule:{_shown(due)}", {"scheduledTime": _shown(due)})


def _active(stream: Stream) -> None:
    if stream.status != StreamStatus.ACTIVE:
        raise NotStarted(f"Stream {stream.id} '{stream.name}' is {stream.status}")


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
