"""The invariants hold of undisturbed runs, and each of them can fail: what is tampered with is reported."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.db import Database
from models.storage import Storage
from recon.local import EmbeddedStack
from tests.chaos import books, invariants
from tests.chaos.books import Expected, StreamBook
from tests.chaos.invariants import Evidence, Ledger, Reference
from tests.chaos.journal import Journal
from tests.chaos.plan import Moment
from tests.chaos.watcher import Watcher
from tests.parts.rest import Rest

PATIENCE = 60


@dataclass(frozen=True)
class Copied:
    """The records and blobs of a stack, copied, so that they can be tampered with."""

    home: Path
    books: dict[str, StreamBook]
    run_ids: dict[str, int]

    @property
    def blobs(self) -> Path:
        return self.home / "files"

    @property
    def database(self) -> Database:
        return Database(f"sqlite:///{self.home / 'recon.db'}")

    @property
    def evidence(self) -> Evidence:
        storage, database = Storage(str(self.blobs)), self.database

        def download(file_id: int) -> bytes:
            (path,) = self.ask(f"SELECT storage_path FROM files WHERE id = {file_id}")[0]
            return (self.blobs / path).read_bytes()

        return Evidence(database, storage, download)

    def ask(self, statement: str) -> list[tuple[str]]:
        connection = sqlite3.connect(self.home / "recon.db")
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def blob(self, artifact_type: str, column: str = "storage_path") -> Path:
        """That of the first step of the chain."""
        chosen = (
            f"SELECT f.{column} FROM files f JOIN artifacts a ON a.file_id = f.id "
            f"WHERE a.step_run_id = {self.step_run} AND a.artifact_type = '{artifact_type}'"
        )
        return self.blobs / self.ask(chosen)[0][0]

    @property
    def run_id(self) -> int:
        return self.run_ids["chain"]

    @property
    def expected(self) -> Expected:
        return self.books["chain"].expected

    @property
    def step_run(self) -> int:
        return int(self.ask(f"SELECT id FROM step_runs WHERE run_id = {self.run_id} AND step_order = 1")[0][0])

    def violations(self, reference: Reference | None = None) -> list[str]:
        return invariants.check_run(self.evidence, self.run_id, self.expected, reference)


@pytest.fixture(scope="module")
def original(rest: Rest, stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Copied:
    home = tmp_path_factory.mktemp("original")
    registered = books.register(rest, allow=False, count=2_000)
    run_ids = {name: rest.run(one.stream_id) for name, one in registered.items()}
    for run_id in run_ids.values():
        rest.ended(run_id)
    source, copy = sqlite3.connect(stack.data_dir / "recon.db"), sqlite3.connect(home / "recon.db")
    source.backup(copy)
    source.close()
    copy.close()
    copied = Copied(home, registered, run_ids)
    shutil.copytree(stack.data_dir / "files", copied.blobs)
    return copied


@pytest.fixture(scope="module")
def reference(original: Copied) -> Reference:
    return invariants.take_reference(original.evidence, original.run_id)


@pytest.fixture
def copied(original: Copied, tmp_path: Path) -> Iterator[Copied]:
    home = tmp_path / "copy"
    shutil.copytree(original.home, home)
    yield Copied(home, original.books, original.run_ids)
    shutil.rmtree(home)


@pytest.mark.parametrize("name", ["chain", "breaks", "tolerant", "stopping"])
def test_undisturbed_runs_are_as_expected(original: Copied, name: str) -> None:
    assert invariants.check_run(original.evidence, original.run_ids[name], original.books[name].expected) == []


def test_another_run_leaves_the_same(rest: Rest, stack: EmbeddedStack, original: Copied, reference: Reference) -> None:
    run_id = rest.run(original.books["chain"].stream_id)
    rest.ended(run_id)
    evidence = Evidence(
        Database(stack.settings.effective_database_url),
        Storage.from_settings(stack.settings),
        lambda file_id: rest.download(f"/files/{file_id}/download"),
    )
    assert invariants.check_run(evidence, run_id, original.expected, reference) == []
    evidence.database.dispose()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite_and_record(copied: Copied) -> None:
    """Other bytes whose checksum is recorded everywhere: only the comparison with the undisturbed run can tell."""
    path = copied.blob("UNMATCHED_SOURCE")
    flip_a_byte(path)
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    where = f"storage_path = '{path.relative_to(copied.blobs)}'"
    copied.ask(f"UPDATE artifacts SET checksum = '{checksum}' WHERE {where}")
    copied.ask(f"UPDATE files SET checksum = '{checksum}' WHERE {where}")


def double_an_exception(copied: Copied) -> None:
    columns = [row[1] for row in copied.ask("PRAGMA table_info(breaks)") if row[1] != "id"]  # type: ignore[misc]
    names = ", ".join(columns)
    copied.ask(f"INSERT INTO breaks ({names}) SELECT {names} FROM breaks WHERE step_run_id = {copied.step_run} LIMIT 1")


TAMPERING: dict[str, tuple[Callable[[Copied], object], str]] = {
    "a byte of an artifact": (lambda it: flip_a_byte(it.blob("MATCHED")), "artifact MATCHED .* has bytes of"),
    "a byte of a twin": (lambda it: flip_a_byte(it.blob("EXCEPTIONS", "twin_path")), "has a twin with bytes of"),
    "an artifact written anew": (rewrite_and_record, "left other checksums than the undisturbed run"),
    "an exception doubled": (double_an_exception, r"has \d+ exceptions, .* in the artifact"),
    "an exception changed": (
        lambda it: it.ask(
            f"UPDATE breaks SET delta = '9' WHERE id = (SELECT max(id) FROM breaks WHERE step_run_id = {it.step_run})"
        ),
        "left other breaks than the undisturbed run",
    ),
    "a count changed": (
        lambda it: it.ask(f"UPDATE step_runs SET exception_count = 1 WHERE id = {it.step_run}"),
        "says 1$",
    ),
    "a step under way": (
        lambda it: it.ask(f"UPDATE step_runs SET status = 'IN_PROGRESS' WHERE id = {it.step_run}"),
        "step 1 is IN_PROGRESS .*, expected COMPLETED",
    ),
    "a step that failed and left artifacts": (
        lambda it: it.ask(f"UPDATE step_runs SET status = 'FAILED' WHERE id = {it.step_run}"),
        r"is FAILED and has the artifacts \[",
    ),
    "a run under way": (lambda it: it.ask(f"UPDATE runs SET status = 'RUNNING' WHERE id = {it.run_id}"), "is RUNNING"),
    "a run that failed": (
        lambda it: it.ask(f"UPDATE runs SET status = 'FAILED' WHERE id = {it.run_id}"),
        "ended FAILED .*, expected COMPLETED",
    ),
    "an artifact gone": (
        lambda it: it.ask(f"DELETE FROM artifacts WHERE step_run_id = {it.step_run} AND artifact_type = 'MATCHED'"),
        r"has the artifacts \['EXCEPTIONS', 'UNMATCHED_SOURCE', 'UNMATCHED_TARGET'\]",
    ),
    "a lineage event gone": (
        lambda it: it.ask(
            f"DELETE FROM lineage_events WHERE downstream_step_run_id = {it.step_run} AND facts LIKE '%target%'"
        ),
        r"read \['source'\], by the lineage",
    ),
    "a publication gone": (
        lambda it: it.ask(
            f"DELETE FROM lineage_events WHERE upstream_step_run_id = {it.step_run} AND facts LIKE '%MATCHED%'"
        ),
        "published .* by the lineage and has the artifacts",
    ),
    "another attempt": (
        lambda it: it.ask(f"UPDATE step_runs SET attempt_no = 2 WHERE id = {it.step_run}"),
        "is not of attempt 2, which completed the step",
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_reported(copied: Copied, reference: Reference, name: str) -> None:
    tamper, words = TAMPERING[name]
    assert copied.violations(reference) == []
    tamper(copied)
    assert any(re.search(words, one) for one in copied.violations(reference)), copied.violations(reference)


def test_a_cancelled_run_may_have_completed_steps_and_nothing_half_done(copied: Copied) -> None:
    copied.ask(f"UPDATE runs SET status = 'CANCELED' WHERE id = {copied.run_id}")
    check = (copied.evidence, copied.run_id, copied.expected)
    assert invariants.check_run(*check, canceled=True) == []
    assert invariants.check_run(*check) != []
    copied.ask(f"UPDATE step_runs SET status = 'CANCELED' WHERE id = {copied.step_run}")
    assert any("is CANCELED and has the artifacts" in one for one in invariants.check_run(*check, canceled=True))


def test_what_is_under_way_for_ever_is_reported(copied: Copied) -> None:
    copied.ask(f"UPDATE runs SET status = 'COMPLETED' WHERE id NOT IN ({copied.run_id})")
    copied.ask("UPDATE step_runs SET status = 'COMPLETED'")
    assert invariants.check_rest(copied.database) == []
    copied.ask(f"UPDATE step_runs SET status = 'RETRY_WAIT' WHERE id = {copied.step_run}")
    copied.ask(f"UPDATE runs SET status = 'PENDING' WHERE id = {copied.run_id}")
    assert invariants.check_rest(copied.database) == [
        f"run {copied.run_id} is PENDING for ever",
        f"step 1 of run {copied.run_id} is RETRY_WAIT for ever",
    ]


def test_an_orphaned_blob_is_reported(copied: Copied) -> None:
    before = invariants.orphans(copied.database, copied.evidence.storage)
    path = copied.blob("MATCHED")
    orphan = path.with_name("orphan.parquet")
    shutil.copy(path, orphan)
    found = invariants.orphans(copied.database, copied.evidence.storage)
    assert set(found) - set(before) == {str(orphan.relative_to(copied.blobs))}


def test_runs_that_are_lost_or_asked_for_by_nobody_are_reported(copied: Copied) -> None:
    there = {int(row[0]) for row in copied.ask("SELECT id FROM runs")}
    assert invariants.check_runs(copied.database, there) == []
    assert invariants.check_runs(copied.database, there - {copied.run_id} | {10**9}) == [
        "run 1000000000 is lost",
        f"run {copied.run_id} was asked for by nobody",
    ]


def test_bytes_that_rot_are_reported(copied: Copied) -> None:
    assert invariants.check_checksums(copied.evidence) == []
    flip_a_byte(copied.blob("EXCEPTIONS"))
    assert len(invariants.check_checksums(copied.evidence)) == 1


CHANGES: dict[str, Callable[[Copied], object]] = {
    "a completed step executed again": lambda it: it.ask(
        f"UPDATE step_runs SET completed_at = '2030-01-01 00:00:00' WHERE id = {it.step_run}"
    ),
    "an artifact replaced": lambda it: it.ask(f"UPDATE artifacts SET id = id + 1000 WHERE step_run_id = {it.step_run}"),
    "a blob written again": lambda it: os.utime(it.blob("MATCHED"), (1, 1)),
    "an exception added": double_an_exception,
    "a run that goes on": lambda it: it.ask(f"UPDATE runs SET status = 'RUNNING' WHERE id = {it.run_id}"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_after_its_end_is_reported(copied: Copied, name: str) -> None:
    ledger = Ledger(copied.evidence, lambda path: str((copied.blobs / path).stat().st_mtime_ns))
    ledger.enter(copied.run_id)
    assert ledger.changes() == []
    CHANGES[name](copied)
    (change,) = ledger.changes()
    assert change.startswith(f"run {copied.run_id} changed after its end")


def test_the_watcher_sees_steps_that_go_back(copied: Copied, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    copied.ask(f"UPDATE runs SET status = 'RUNNING' WHERE id = {copied.run_id}")
    with Watcher(copied.database, journal) as watcher:
        assert watcher.wait_for(Moment.BETWEEN, PATIENCE)
        assert watcher.wait_for_ends([copied.run_id], 0) == [copied.run_id]
        assert watcher.seen_wrong == []
        copied.ask(f"UPDATE step_runs SET status = 'IN_PROGRESS', attempt_no = 0 WHERE id = {copied.step_run}")
        deadline = time.monotonic() + PATIENCE
        while len(watcher.seen_wrong) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert watcher.seen_wrong == [
        f"step 1 of run {copied.run_id} had ended COMPLETED and became IN_PROGRESS",
        f"step 1 of run {copied.run_id} went from attempt 1 back to 0",
    ]
    journal.close()
