"""The same rows on SQLite and on a real PostgreSQL: the schema, and transitions under rivals."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from models import adapter, breaks, definitions, rules, runs, streams
from models.base import utc_now
from models.breaks import Break, BreakFilter
from models.db import Database, migrate
from models.errors import Conflict, DependencyDown
from models.files import FileStatus, StoredFile
from models.lifecycle import RunStatus, StepRunStatus
from models.recovery import close_lost_run
from models.rules import StoredMapping, StoredRule, StoredRuleSet
from models.runs import StepRun, StreamRun
from models.settings import Settings
from models.streams import Stream, TriggerType
from tests.parts.postgres import postgres_server

ORG = 1


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    with postgres_server() as url, ProcessPoolExecutor(3, mp_context=get_context("spawn")) as processes:
        settings = Settings(data_dir=tmp_path, database_url=url)
        for done in [processes.submit(migrate, settings) for _ in range(3)]:
            done.result()


def stream_run(database: Database, step_count: int = 2) -> tuple[StreamRun, list[StepRun]]:
    with database.write() as session:
        stored = StoredFile(organization_id=ORG, original_filename="a.csv", status=FileStatus.PROCESSED)
        rule_set = StoredRuleSet(organization_id=ORG, name="rules")
        stream = Stream(organization_id=ORG, name="stream")
        session.add_all([stored, rule_set, stream])
        session.flush()
        rules.add_parts(
            session,
            rule_set,
            [StoredMapping(source_field="a", target_field="b", is_key=True)],
            [StoredRule(name="r", source_field="c", target_field="c", match_type="RANGE", tolerance=Decimal("0.010"))],
        )
        rules.snapshot(session, rule_set)
        given = {"type": "FILE", "id": stored.id}
        drafts = [
            definitions.StepDraft(order, f"step {order}", given, given, rule_set.id, {"maxRetries": 1})
            for order in range(1, step_count + 1)
        ]
        definitions.write_steps(session, stream, drafts)
        run = runs.create(session, stream, trigger_type=TriggerType.MANUAL)
        steps, total = runs.step_runs(session, run.id)
        assert total == step_count
        return run, list(steps)


def test_migrations_make_what_the_tables_say(database: Database) -> None:
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    assert differences == []


def test_what_is_written_comes_back(database: Database) -> None:
    run, steps = stream_run(database)
    with database.read() as session:
        got = session.get_one(StreamRun, run.id)
        step = streams.steps_of(session, got.stream_id, 1)[0]
        definition = rules.pinned(session, step.rule_set_id, got.rule_set_versions[str(step.rule_set_id)])
        reconciliation = steps[0].reconciliation_id
    assert got.created_at.tzinfo is UTC
    assert abs(got.created_at - utc_now()) < timedelta(minutes=1)
    assert definition.matching_rules[0].tolerance == Decimal("0.010")
    assert step.config == {"maxRetries": 1}
    assert reconciliation is not None


def test_times_keep_their_instant_and_need_a_zone(database: Database) -> None:
    run, _ = stream_run(database)
    noon = datetime(2026, 3, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as session:
        session.get_one(StreamRun, run.id).started_at = noon
    with database.read() as session:
        assert session.get_one(StreamRun, run.id).started_at == noon
    with pytest.raises(Exception, match="needs a zone"), database.write() as session:
        session.get_one(StreamRun, run.id).started_at = datetime(2026, 1, 1)  # noqa: DTZ001


def test_a_failed_block_writes_nothing(database: Database) -> None:
    run, _ = stream_run(database)

    def fail_after_moving() -> None:
        with database.write() as session:
            assert runs.move(session, run.id, RunStatus.RUNNING)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_moving()
    with database.read() as session:
        assert session.get_one(StreamRun, run.id).status == RunStatus.PENDING


def test_only_one_of_many_rivals_gets_a_transition(database: Database) -> None:
    _, steps = stream_run(database)
    won: list[str] = []

    def claim(key: str) -> None:
        with database.write() as session:
            if runs.move_step(session, steps[0].id, StepRunStatus.IN_PROGRESS, attempt_key=key):
                won.append(key)

    threads = [threading.Thread(target=claim, args=(f"attempt-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    with database.write() as session:
        assert not runs.move_step(session, steps[0].id, StepRunStatus.COMPLETED, held_by="somebody else")
        assert not runs.note_progress(session, steps[0].id, "somebody else", 50)
        assert runs.note_progress(session, steps[0].id, won[0], 50)
        assert runs.move_step(session, steps[0].id, StepRunStatus.COMPLETED, held_by=won[0])
        assert not runs.move_step(session, steps[0].id, StepRunStatus.FAILED)
        assert not runs.move_step(session, steps[1].id, StepRunStatus.COMPLETED)


def test_cancel_ends_what_is_open_and_fences_the_attempt(database: Database) -> None:
    run, steps = stream_run(database, 3)
    with database.write() as session:
        runs.move(session, run.id, RunStatus.RUNNING)
        runs.move_step(session, steps[0].id, StepRunStatus.IN_PROGRESS, attempt_key="one")
        runs.move_step(session, steps[0].id, StepRunStatus.COMPLETED, held_by="one")
        runs.move_step(session, steps[1].id, StepRunStatus.IN_PROGRESS, attempt_key="two")
        assert runs.cancel(session, run.id, at=utc_now())
        assert not runs.cancel(session, run.id, at=utc_now())
        assert not runs.move_step(session, steps[1].id, StepRunStatus.COMPLETED, held_by="two")
    with database.read() as session:
        ended, _ = runs.step_runs(session, run.id)
        assert [one.status for one in ended] == ["COMPLETED", "CANCELED", "CANCELED"]
        assert session.get_one(StreamRun, run.id).status == "CANCELED"
        assert runs.metrics(session, [run.id])[run.id].completed_steps == 1


def test_a_lost_run_is_closed_once(database: Database) -> None:
    run, steps = stream_run(database)
    with database.write() as session:
        runs.move(session, run.id, RunStatus.RUNNING)
        runs.move_step(session, steps[0].id, StepRunStatus.IN_PROGRESS, attempt_key="one")
        assert close_lost_run(session, run.id, "The engine ended the run: CRASHED")
        assert not close_lost_run(session, run.id, "again")
    with database.read() as session:
        lost = session.get_one(StreamRun, run.id)
        ended, _ = runs.step_runs(session, run.id)
    assert (lost.status, lost.error_message) == ("FAILED", "The engine ended the run: CRASHED")
    assert [(one.status, one.error_class) for one in ended] == [("FAILED", "WORKER_LOST"), ("SKIPPED", None)]


def test_breaks_in_bulk_and_by_page(database: Database) -> None:
    _, steps = stream_run(database, 1)
    now = utc_now()
    rows = [
        Break(
            organization_id=ORG,
            reconciliation_id=steps[0].reconciliation_id,
            step_run_id=steps[0].id,
            type="MISSING_TARGET" if n % 3 else "DUPLICATE",
            severity="HIGH",
            description=f"break {n}",
            source_file_id=1,
            source_row=n,
            created_at=now,
            updated_at=now,
        ).model_dump(exclude={"id"})
        for n in range(1, 31)
    ]
    with database.write() as session:
        breaks.insert(session, rows)
    wanted = BreakFilter(reconciliation_id=steps[0].reconciliation_id, type="DUPLICATE")
    with database.read() as session:
        page, total = breaks.page(session, ORG, wanted, offset=5, limit=3)
        other, none = breaks.page(session, ORG + 1, wanted, offset=0, limit=3)
    assert (total, [one.source_row for one in page]) == (10, [18, 21, 24])
    assert (none, list(other)) == (0, [])


def test_a_database_out_of_reach_says_so_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://recon:hush-hush@127.0.0.1:9/none"
    database = Database.from_settings(Settings(data_dir=tmp_path, database_url=url))
    with pytest.raises(DependencyDown) as raised, database.read() as session:
        runs.step_runs(session, 1)
    assert raised.value.retryable
    assert "hush-hush" not in str(raised.value)


def test_a_completed_reconciliation_can_be_deleted_before_its_run_is_closed(database: Database) -> None:
    with database.write() as session:
        stored = StoredFile(organization_id=ORG, original_filename="a.csv", status=FileStatus.PROCESSED)
        rule_set = StoredRuleSet(organization_id=ORG, name="rules")
        session.add_all([stored, rule_set])
        session.flush()
        record = adapter.create(
            session,
            ORG,
            name="legacy",
            description=None,
            source_file_id=stored.id,
            target_file_id=stored.id,
            rule_set_id=rule_set.id,
            domain="GENERAL",
        )
        run_id = adapter.start(session, ORG, record.id)
        runs.move(session, run_id, RunStatus.RUNNING)
        _, step_run, _ = adapter.own(session, ORG, record.id, "deleted")
        step_run.status = StepRunStatus.IN_PROGRESS
    with database.write() as session, pytest.raises(Conflict, match="is running"):
        adapter.delete(session, ORG, record.id)
    with database.write() as session:
        session.get_one(StepRun, step_run.id).status = StepRunStatus.COMPLETED
    with database.write() as session:
        adapter.delete(session, ORG, record.id)
    with database.read() as session:
        assert session.get_one(StreamRun, run_id).status == RunStatus.RUNNING
