"""Which fire times and events start a run, and that each starts one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models import definitions, runs, starts, streams
from models.db import Database, migrate
from models.errors import Conflict, ValidationFailed
from models.settings import Settings
from models.starts import NotStarted
from models.streams import Stream
from models.triggers import Event
from tests.parts.definitions import ORG, migrated_sqlite, written_stream
from tests.parts.postgres import postgres_server

BERLIN = {"cron": "0 30 2 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("starts")
    if request.param == "sqlite":
        with migrated_sqlite(directory) as made:
            yield made
        return
    with postgres_server() as url:
        settings = Settings(data_dir=directory, database_url=url)
        migrate(settings)
        made = Database.from_settings(settings)
        yield made
        made.dispose()


def stream_of(database: Database, trigger: str, config: dict[str, Any]) -> Stream:
    with database.write() as session:
        return written_stream(session, trigger_type=trigger, trigger_config=config)


def test_the_rows_decide_what_fires(database: Database) -> None:
    stream = stream_of(database, "SCHEDULED", BERLIN)
    stream.fires_from = datetime(2026, 3, 28, tzinfo=UTC)
    night = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    assert starts.at_time(stream, night).metadata == {"scheduledTime": "2026-03-28T01:30:00Z"}
    # Prefect's reader may name 01:30 for the 02:30 that does not exist on the 29th.
    with pytest.raises(NotStarted, match="does not fire"):
        starts.at_time(stream, datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    assert starts.at_time(stream, datetime(2026, 3, 29, 1, 30, tzinfo=UTC)).key == "schedule:2026-03-29T01:30:00Z"
    with pytest.raises(NotStarted, match="before"):
        starts.at_time(stream, night - timedelta(days=1))
    for status in ("PAUSED", "ARCHIVED"):
        with pytest.raises(NotStarted, match=status):
            starts.at_time(stream.model_copy(update={"status": status}), night)
    with pytest.raises(NotStarted, match="no schedule"):
        starts.at_time(stream.model_copy(update={"trigger_type": "MANUAL"}), night)


def test_rivals_start_one_run_for_an_event(database: Database) -> None:
    """Ten threads with the same five events: five runs, and each is new to one thread."""
    stream = stream_of(database, "EVENT", {"event": "order.paid", "concurrency": "ALLOW"})
    news: list[bool] = []
    ids: dict[str, set[int]] = {}

    def deliver() -> None:
        for number in range(5):
            with database.write() as session:
                taken = starts.take(
                    session, ORG, stream.id, name=None, event_id=f"event-{number}", payload={"number": number}
                )
                assert taken.run is not None
                news.append(taken.new)
                ids.setdefault(f"event-{number}", set()).add(taken.run.id)

    threads = [threading.Thread(target=deliver) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(news), sum(news)) == (50, 5)
    assert [len(found) for found in ids.values()] == [1] * 5
    with database.read() as session:
        kept, _ = runs.of_stream(session, stream.id)
    assert {one.event_id: one.trigger_metadata["payload"] for one in kept if one.trigger_metadata} == {
        f"event-{number}": {"number": number} for number in range(5)
    }


def test_what_an_event_sent_to_a_stream_may_be(database: Database) -> None:
    config = {"event": "file.*", "filter": {"filename": "bank_*.csv"}}
    stream = stream_of(database, "EVENT", config)
    with database.write() as session:
        sent = {"event_id": "1", "payload": {"filename": "bank_7.csv"}}
        with pytest.raises(ValidationFailed) as raised:
            starts.take(session, ORG, stream.id, name=None, **sent)
        assert list(raised.value.fields) == ["event"]
        assert starts.take(session, ORG, stream.id, name="disk.full", **sent).run is None
        other = starts.take(session, ORG, stream.id, name="file.made", event_id="2", payload={"filename": "x.csv"})
        assert (other.run, other.new) == (None, False)
        assert starts.take(session, ORG, stream.id, name="file.made", **sent).new
        definitions.pause(session, ORG, stream.id)
        with pytest.raises(Conflict, match="PAUSED"):
            starts.take(session, ORG, stream.id, name="file.made", **sent)
        manual = written_stream(session)
        with pytest.raises(Conflict) as refused:
            starts.take(session, ORG, manual.id, name="file.made", **sent)
        assert refused.value.code == "NOT_EVENT_TRIGGERED"


def test_an_engine_event_that_the_stream_does_not_wait_for_starts_nothing(database: Database) -> None:
    stream = stream_of(database, "EVENT", {"event": "bank.*", "filter": {"amount": [5, None]}})
    assert starts.on_event(stream, Event("bank.paid", "1", {"amount": 5})).key == "1"
    assert starts.on_event(stream, Event("bank.paid", "1", {"amount": None})).key == "1"
    for event in (Event("banks", "1", {"amount": 5}), Event("bank.paid", "1", {"amount": 6}), Event("bank.", "1", {})):
        with pytest.raises(NotStarted):
            starts.on_event(stream, event)
    with database.read() as session:
        stored = streams.get(session, ORG, stream.id)
        stored.trigger_type = "MANUAL"
        with pytest.raises(NotStarted):
            starts.on_event(stored, Event("bank.paid", "1", {"amount": 5}))


def test_with_skip_no_second_run_comes_to_be(database: Database) -> None:
    stream = stream_of(database, "EVENT", {"event": "order.paid", "concurrency": "SKIP"})
    with database.write() as session:
        first = starts.take(session, ORG, stream.id, name=None, event_id="1", payload={})
        assert first.new
        with pytest.raises(Conflict) as refused:
            starts.take(session, ORG, stream.id, name=None, event_id="2", payload={})
        assert refused.value.code == "RUN_ACTIVE"
        again = starts.take(session, ORG, stream.id, name=None, event_id="1", payload={})
        assert (again.run, again.new) == (first.run, False)
