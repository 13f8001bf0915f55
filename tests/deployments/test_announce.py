"""What is left undone while the engine is away, and done when it is back: registrations and events, none lost or doubled."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlmodel import select

from deployments.announce import Announcer
from deployments.gateway import EngineGateway
from deployments.launch import Launcher
from deployments.register import Registrar
from models import definitions, events, runs, streams
from models.base import utc_now
from models.db import Database
from models.errors import DependencyDown
from models.events import StoredEvent
from models.files import FileStatus, StoredFile
from models.settings import Settings
from models.streams import Stream
from tests.parts.definitions import ORG, migrated_sqlite, written_stream
from tests.parts.prefect import PrefectServer, prefect_server

UPLOADS = {"event": "file.uploaded", "filter": {"filename": "bank_*"}, "concurrency": "ALLOW"}


@dataclass
class Facade:
    """The API's services over a database of their own."""

    database: Database
    registrar: Registrar
    announcer: Announcer

    @classmethod
    def over(cls, database: Database, api_url: str) -> Iterator[Facade]:
        settings = Settings(prefect_api_url=api_url)
        gateway = EngineGateway(settings)
        gateway.open()
        registrar = Registrar(database, gateway)
        launcher = Launcher(settings, database, gateway, registrar)
        yield cls(database, registrar, Announcer(database, gateway, launcher, settle=timedelta(0)))
        gateway.close()

    def stream(self, **facts: Any) -> int:
        with self.database.write() as session:
            return written_stream(session, **facts).id

    def uploaded(self, name: str) -> str:
        with self.database.write() as session:
            stored = StoredFile(organization_id=ORG, original_filename=name, status=FileStatus.PROCESSED, row_count=3)
            session.add(stored)
            session.flush()
            return events.uploaded(session, stored).event_id

    def started(self, stream_id: int) -> list[str | None]:
        """The ids of the events that started the stream's runs, oldest first."""
        with self.database.read() as session:
            return [one.event_id for one in runs.of_stream(session, stream_id)[0]][::-1]

    def of(self, stream_id: int) -> Stream:
        with self.database.read() as session:
            return streams.get(session, ORG, stream_id)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("announced")
    with migrated_sqlite(directory) as made:
        yield made


@pytest.fixture(scope="module")
def alone(database: Database) -> Iterator[Facade]:
    """The services with no engine at the address that they know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield from Facade.over(database, f"http://127.0.0.1:{port}/api")


@pytest.fixture(scope="module")
def server() -> Iterator[PrefectServer]:
    with prefect_server() as running:
        yield running


@pytest.fixture(scope="module")
def facade(database: Database, server: PrefectServer) -> Iterator[Facade]:
    yield from Facade.over(database, server.api_url)


def test_events_wait_for_the_engine_and_their_runs_do_not(alone: Facade, facade: Facade, server: PrefectServer) -> None:
    waiting = alone.stream(trigger_type="EVENT", trigger_config=UPLOADS)
    busy = alone.stream(trigger_type="EVENT", trigger_config={**UPLOADS, "concurrency": "ALLOW", "event": "file.*"})
    ids = [alone.uploaded(f"bank_{number}.csv") for number in range(3)]
    other = alone.uploaded("orders.csv")
    alone.announcer.announce()
    assert alone.started(waiting) == alone.started(busy) == ids
    # Who comes later has nothing to do with what happened before.
    later = alone.stream(trigger_type="EVENT", trigger_config=UPLOADS)
    alone.announcer.announce()
    with alone.database.write() as session:
        for stored in session.exec(select(StoredEvent)).all():
            assert (stored.dispatched_at is None, stored.sent_at is None) == (False, True)
            stored.occurred_at -= timedelta(minutes=1)
    with pytest.raises(DependencyDown):
        alone.announcer.sweep()

    facade.announcer.sweep()
    assert facade.started(waiting) == ids
    assert facade.started(later) == []
    with facade.database.read() as session:
        assert not events.unsent(session, before=utc_now())
    asked = {"filter": {"event": {"name": ["file.uploaded"]}, "order": "ASC"}}
    deadline = time.monotonic() + 60
    while len(kept := httpx.post(f"{server.api_url}/events/filter", json=asked).json()["events"]) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert {one["id"] for one in kept} == {*ids, other}


def test_events_that_automations_lost_are_caught_up(facade: Facade, server: PrefectServer) -> None:
    """The streams are not registered, as if their automations had failed."""
    config = {"event": "ledger.closed", "filter": {"book": "EU*"}}
    stream = facade.stream(trigger_type="EVENT", trigger_config=config)
    prefix = facade.stream(trigger_type="EVENT", trigger_config={"event": "ledger.*"})

    def happened(book: str, at: datetime) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "event": "ledger.closed",
            "occurred": at.isoformat(),
            "resource": {"prefect.resource.id": "ledger.1"},
            "payload": {"book": book},
        }

    now = datetime.now(UTC)
    # More than a page of the engine's.
    wanted = [happened(f"EU{number}", now) for number in range(60)]
    sent = [*wanted, happened("US1", now), happened("EU0", now - timedelta(minutes=5))]
    httpx.post(f"{server.api_url}/events", json=sent).raise_for_status()
    deadline = time.monotonic() + 60
    while len(facade.started(prefix)) < 61:
        assert time.monotonic() < deadline
        facade.announcer.catch_up()
    facade.announcer.catch_up()
    assert sorted(str(one) for one in facade.started(stream)) == sorted(one["id"] for one in wanted)
    assert len(facade.started(prefix)) == 61


def test_what_was_edited_without_the_engine_is_registered_later(
    alone: Facade, facade: Facade, server: PrefectServer
) -> None:
    def deployments() -> list[dict[str, Any]]:
        body = {"deployments": {"name": {"any_": [f"stream-{stream}"]}}}
        found: list[dict[str, Any]] = httpx.post(f"{server.api_url}/deployments/filter", json=body).json()
        return found

    def edit(**facts: Any) -> None:
        with facade.database.write() as session:
            changed = definitions.edit(session, ORG, stream, facts, None)
            changed.updated_at -= timedelta(minutes=1)

    stream = facade.stream(trigger_type="SCHEDULED", trigger_config={"cron": "0 0 6 1,31 * *"})
    facade.registrar.register(facade.of(stream))
    assert [len(one["schedules"]) for one in deployments()] == [3]
    edit(name="Renamed", trigger_config={"cron": "0 0 7 * * *"})
    alone.registrar.register(alone.of(stream))
    assert facade.of(stream).registered_revision < facade.of(stream).revision
    assert [len(one["schedules"]) for one in deployments()] == [3]
    facade.registrar.sweep()
    (renamed,) = deployments()
    assert [one["schedule"]["cron"] for one in renamed["schedules"]] == ["0 7 * * *"]
    assert facade.of(stream).registered_revision == facade.of(stream).revision
    assert facade.of(stream).deployment_id == renamed["id"]

    # Two that register at the same time: whoever came last, it is done once more.
    early = facade.of(stream)
    edit(description="Later")
    facade.registrar.registered(facade.of(stream))
    facade.registrar.registered(early)
    assert facade.of(stream).registered_revision < facade.of(stream).revision
    facade.registrar.sweep()
    assert [one["description"] for one in deployments()] == ["Later"]
    assert facade.of(stream).registered_revision == facade.of(stream).revision

    # An old deployment stays for a run that waits in it, but plans nothing any more.
    with httpx.Client(base_url=server.api_url) as prefect:
        due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        prefect.post(f"/deployments/{renamed['id']}/create_flow_run", json={"state": state}).raise_for_status()
    edit(name="Third name")
    facade.registrar.sweep()
    kept = {one["id"]: (one["paused"], len(one["schedules"])) for one in deployments()}
    assert kept.pop(renamed["id"]) == (True, 0)
    assert list(kept.values()) == [(False, 1)]
