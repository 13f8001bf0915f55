"""What events start: our own (an upload), told to the engine, too; and those of the engine that its automations lost.

Our rows come first. An event is written with the change that it tells of; the runs of the streams that wait for it are written
under its id; then they are submitted and the engine is told. Each of this is done again by the sweep if it was left undone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event as Flag
from threading import Lock

from sqlmodel import Session, col, select

from deployments.gateway import EngineGateway
from deployments.launch import Launcher
from models import events, starts
from models.base import utc_now
from models.db import Database
from models.errors import Conflict, DependencyDown
from models.events import OWN_RESOURCES, StoredEvent
from models.lifecycle import StreamStatus
from models.starts import NotStarted
from models.streams import Stream, TriggerType
from models.triggers import Event, means

log = logging.getLogger(__name__)

ANNOUNCE_GRACE = timedelta(seconds=5)
"""How old an event has to be before the sweep takes its announcement for lost."""

CATCH_UP_SECONDS = 30
LOOK_BACK = timedelta(hours=1)
"""How far back the engine's events are looked through after a start."""

SETTLE = timedelta(seconds=45)
"""How long the engine has for an event: to keep it, and to run its automation."""


class Announcer:
    """Starts the runs that events ask for."""

    def __init__(
        self, database: Database, gateway: EngineGateway, launcher: Launcher, *, settle: timedelta = SETTLE
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._launcher = launcher
        self._busy, self._wanted = Lock(), Flag()
        self._settle = settle
        self._caught_up = utc_now() - LOOK_BACK

    def announce(self) -> None:
        """Starts what our newest events ask for and tells the engine of them; if it is down, the sweep does.

        One thread does it for all: who comes while it is at work leaves its event to it.
        """
        self._wanted.set()
        while self._wanted.is_set() and self._busy.acquire(blocking=False):
            try:
                self._wanted.clear()
                self._announce(utc_now())
            except DependencyDown as error:
                log.warning("events are not announced yet: %s", error.message)
            except Exception:
                log.exception("events are not announced yet")
            finally:
                self._busy.release()

    def sweep(self) -> None:
        """Announces what was left undone, and starts what the engine's automations lost. Raises DependencyDown."""
        self._announce(utc_now() - ANNOUNCE_GRACE)
        if utc_now() - self._caught_up > self._settle + timedelta(seconds=CATCH_UP_SECONDS):
            self.catch_up()

    def _announce(self, before: datetime) -> None:
        while found := self._found(events.undispatched, before):
            for one in found:
                self._dispatch(one)
        while found := self._found(events.unsent, before):
            self._gateway.emit([one.event for one in found])
            with self._database.write() as session:
                for one in found:
                    session.get_one(StoredEvent, one.id).sent_at = utc_now()

    def _found(self, wanted: Callable[..., Sequence[StoredEvent]], before: datetime) -> Sequence[StoredEvent]:
        with self._database.read() as session:
            return wanted(session, before=before)

    def _dispatch(self, stored: StoredEvent) -> None:
        with self._database.read() as session:
            waiting = _waiting(session, stored.organization_id)
        for stream in waiting:
            self._start(stream, stored.event, stored.occurred_at)
        with self._database.write() as session:
            session.get_one(StoredEvent, stored.id).dispatched_at = utc_now()

    def _start(self, stream: Stream, event: Event, occurred: datetime) -> bool:
        """Starts a stream's run for an event if it waits for it and has none; whether it did."""
        if stream.fires_from is not None and occurred < stream.fires_from:
            return False
        if not means(stream.trigger_config or {}, event):
            return False
        try:
            with self._database.write() as session:
                current = session.get_one(Stream, stream.id, with_for_update=True)
                run, new = starts.begun(session, current, starts.on_event(current, event))
        except (NotStarted, Conflict) as reason:
            log.info("event %s starts no run of stream %s: %s", event.id, stream.id, reason.message)
            return False
        except DependencyDown:
            raise
        except Exception:
            # One stream's trouble must not keep the event from the others.
            log.exception("event %s could not start a run of stream %s", event.id, stream.id)
            return False
        if new:
            self._launcher.submit(run.id)
        return new

    def catch_up(self) -> None:
        """Starts what events of the engine ask for that no run tells of. Raises DependencyDown."""
        until = utc_now() - self._settle
        with self._database.read() as session:
            waiting = _waiting(session)
        names = sorted({str((stream.trigger_config or {})["event"]) for stream in waiting})
        for event in self._gateway.events(names, self._caught_up - self._settle, until):
            if str((event.resource or {}).get("prefect.resource.id", "")).startswith(OWN_RESOURCES):
                continue
            occurred = datetime.fromisoformat(str(event.occurred))
            for stream in waiting:
                if self._start(stream, event, occurred):
                    log.warning("event %s (%s) had not started stream %s; it has now", event.id, event.name, stream.id)
        self._caught_up = until


def _waiting(session: Session, organization_id: int | None = None) -> Sequence[Stream]:
    """The streams that wait for events, of one organization or of all."""
    chosen = select(Stream).where(
        col(Stream.trigger_type) == TriggerType.EVENT, col(Stream.status) == StreamStatus.ACTIVE
    )
    if organization_id is not None:
        chosen = chosen.where(col(Stream.organization_id) == organization_id)
    return session.exec(chosen.order_by(col(Stream.id))).all()
