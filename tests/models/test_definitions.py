"""Editing, pausing and archiving: what changes, what stays, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import definitions, runs, streams
from models.base import utc_now
from models.db import Database
from models.definitions import StepDraft
from models.errors import Conflict, NotFound, ValidationFailed
from models.streams import Domain, Stream, StreamFilter, TriggerType
from tests.parts.definitions import ORG, migrated_sqlite, written_stream


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("definitions")
    with migrated_sqlite(directory) as made:
        yield made


@pytest.fixture
def stream(database: Database) -> Stream:
    with database.write() as session:
        return written_stream(session)


def edited(
    database: Database, stream: Stream, steps: list[StepDraft] | None = None, **facts: Any
) -> tuple[Stream, list[str]]:
    """The stream after an edit, and the names of its steps."""
    with database.write() as session:
        changed = definitions.edit(session, ORG, stream.id, facts, steps)
    with database.read() as session:
        found = streams.get(session, ORG, changed.id)
        return found, [one.name for one in streams.steps_of(session, found.id, found.definition_version)]


def current(database: Database, stream: Stream) -> list[StepDraft]:
    with database.read() as session:
        found = streams.get(session, ORG, stream.id)
        return [
            StepDraft(one.step_order, one.name, one.source_input, one.target_input, one.rule_set_id, one.config)
            for one in streams.steps_of(session, found.id, found.definition_version)
        ]


def test_only_what_is_given_changes(database: Database, stream: Stream) -> None:
    changed, names = edited(database, stream, name="Other", description="Why")
    assert (changed.name, changed.description, changed.domain) == ("Other", "Why", "GENERAL")
    assert (changed.definition_version, names) == (1, ["Step 1", "Step 2"])
    assert changed.revision == stream.revision + 1
    assert changed.updated_at > stream.updated_at
    assert changed.fires_from == stream.fires_from
    same, _ = edited(database, changed, current(database, changed), name="Other")
    assert (same.revision, same.updated_at, same.definition_version) == (changed.revision, changed.updated_at, 1)


def test_other_steps_are_a_new_version_and_a_run_keeps_its_own(database: Database, stream: Stream) -> None:
    with database.write() as session:
        run = runs.create(session, streams.get(session, ORG, stream.id), trigger_type=TriggerType.MANUAL)
    first, second = current(database, stream)
    changed, names = edited(database, stream, [replace(second, name="Alone"), first])
    assert (changed.definition_version, names) == (2, ["Step 1", "Alone"])
    with database.write() as session:
        assert [one.name for one in streams.steps_of(session, stream.id, run.definition_version)] == [
            "Step 1",
            "Step 2",
        ]
        later = runs.create(session, streams.get(session, ORG, stream.id), trigger_type=TriggerType.MANUAL)
        assert (run.definition_version, later.definition_version) == (1, 2)
        assert len(runs.step_runs(session, run.id)[0]) == len(runs.step_runs(session, later.id)[0]) == 2


def test_a_trigger_is_checked_with_what_stays(database: Database, stream: Stream) -> None:
    for facts, field in (
        ({"trigger_type": "SCHEDULED"}, "triggerConfig.cron"),
        ({"trigger_type": "EVENT"}, "triggerConfig.event"),
        ({"trigger_config": {"concurrency": "NEVER"}}, "triggerConfig.concurrency"),
    ):
        with pytest.raises(ValidationFailed) as raised:
            edited(database, stream, **facts)
        assert list(raised.value.fields) == [field]
    edited(database, stream, trigger_config={"cron": "0 30 2 * * *"})
    changed, _ = edited(database, stream, trigger_type="SCHEDULED")
    assert (changed.trigger_type, changed.revision) == ("SCHEDULED", 3)
    with pytest.raises(ValidationFailed):
        edited(database, stream, trigger_config=None)


def test_a_refused_edit_leaves_everything_as_it_was(database: Database, stream: Stream) -> None:
    first, second = current(database, stream)
    for steps, error in (
        ([], ValidationFailed),
        ([first, first], ValidationFailed),
        ([replace(first, rule_set_id=999_999)], NotFound),
        ([first, replace(second, source_input={"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": 2})], ValidationFailed),
    ):
        with pytest.raises(error):
            edited(database, stream, steps, name="Half done")
    found, names = edited(database, stream)
    assert (found.name, found.revision, found.definition_version, names) == ("A stream", 1, 1, ["Step 1", "Step 2"])


def test_pausing_resuming_archiving(database: Database, stream: Stream) -> None:
    with database.write() as session:
        paused = definitions.pause(session, ORG, stream.id)
        assert (paused.status, paused.revision) == ("PAUSED", 2)
        assert definitions.pause(session, ORG, stream.id).revision == 2
        with pytest.raises(Conflict, match="PAUSED"):
            streams.runnable(paused)
    edited(database, stream, name="Edited while it is paused")
    before = utc_now()
    with database.write() as session:
        resumed = definitions.resume(session, ORG, stream.id)
        assert resumed.fires_from is not None
        assert (resumed.status, resumed.fires_from >= before) == ("ACTIVE", True)
        definitions.archive(session, ORG, stream.id)
    for act in (definitions.pause, definitions.resume, definitions.archive):
        with database.write() as session, pytest.raises(Conflict) as raised:
            act(session, ORG, stream.id)
        assert raised.value.code == "STREAM_ARCHIVED"
    with pytest.raises(Conflict):
        edited(database, stream, name="Too late")


def test_streams_behind_legacy_reconciliations_are_not_to_be_changed(database: Database) -> None:
    with database.write() as session:
        hidden = written_stream(session, implicit=True)
        with pytest.raises(NotFound):
            definitions.archive(session, ORG, hidden.id)
        with pytest.raises(NotFound):
            definitions.pause(session, ORG + 1, hidden.id)


def test_lists_are_filtered(database: Database) -> None:
    with database.write() as session:
        bank = written_stream(session, name="Bank 100%_ daily", domain="BANKING").id
        written_stream(session, name="bank 1000 daily", domain="TRADING")
        paused = definitions.pause(session, ORG, written_stream(session, name="Paused bank", domain="TRADING").id).id

    def found(**wanted: Any) -> list[int]:
        with database.read() as session:
            rows, total = streams.listed(session, ORG, StreamFilter(**wanted))
        assert total == len(rows)
        return [one.id for one, _ in rows]

    assert found(name="100%_") == [bank]
    assert found(domain=Domain.BANKING) == [bank]
    assert found(name="BANK", domain=Domain.TRADING, status=streams.StreamStatus.PAUSED) == [paused]
    assert found(trigger_type=TriggerType.EVENT) == []
