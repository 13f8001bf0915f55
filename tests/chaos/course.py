"""The rounds of one set-up: runs are asked for, faults strike, and afterwards the invariants hold or do not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from tests.chaos import books, invariants
from tests.chaos.books import StreamBook
from tests.chaos.client import Submission
from tests.chaos.faults import Injector
from tests.chaos.invariants import Evidence, Ledger, Reference
from tests.chaos.journal import Journal
from tests.chaos.plan import Fault, Round
from tests.chaos.sites import Site
from tests.chaos.watcher import Watcher
from tests.parts.rest import Rest

MOMENT_LIMIT = 15.0
"""Seconds that a fault waits for its moment before it strikes all the same."""

RECOVERY_LIMIT = 120.0
"""Seconds from the last fault of a round to the right end of all its runs. A minute is what the product promises on a
machine of its own; this also holds on a busy one. The sitting prints what was measured."""

STRAY_LIMIT = 30.0
ORPHAN_LIMIT = 180.0
"""Seconds until the sweep must have removed what attempts left: its grace and its interval, with some room."""


class Sitting:
    """What came out so far."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self.journal = journal
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.recoveries: list[float] = []

    def violation(self, words: str) -> None:
        self.violations.append(words)
        self.journal.note("VIOLATION", words)


class Course:
    """The rounds of one set-up."""

    def __init__(self, sitting: Sitting, setup: str, site: Site, watcher: Watcher, rest: Rest) -> None:
        self._sitting = sitting
        self._setup = setup
        self._site = site
        self._watcher = watcher
        self._rest = rest
        self._injector = Injector(site)
        self._evidence = Evidence(
            site.database, site.storage, lambda file_id: rest.download(f"/files/{file_id}/download")
        )
        self._ledger = Ledger(self._evidence, site.stamp)
        self._books: dict[str, StreamBook] = {}
        self._references: dict[str, Reference] = {}
        self._run_ids: set[int] = set()
        self._told = 0

    def prepare(self) -> bool:
        """Registers the streams and runs each of them undisturbed; False if that alone goes wrong."""
        # The embedded set-up lets runs overlap, the other one queues those of one stream.
        self._books = books.register(self._rest, allow=self._setup == "embedded")
        good = True
        for name, book in self._books.items():
            run_id = self._rest.run(book.stream_id)
            self._run_ids.add(run_id)
            self._rest.ended(run_id, RECOVERY_LIMIT)
            wrong = invariants.check_run(self._evidence, run_id, book.expected)
            for one in wrong:
                self._sitting.violation(f"undisturbed {name}: {one}")
            good = good and not wrong
            self._references[name] = invariants.take_reference(self._evidence, run_id)
            self._ledger.enter(run_id)
        self._sitting.journal.note("reference", f"{len(self._books)} streams ran undisturbed")
        return good

    def hold(self, wanted: Round) -> bool:
        """One round; False if the stack does not come back."""
        submissions: list[tuple[Fault, Submission]] = []
        for fault in wanted.faults:
            stream_id = self._books[fault.stream].stream_id
            key = f"chaos-{self._sitting.seed}-{fault.number}"
            submissions.append(
                (fault, Submission(self._site.stack.api_url, stream_id, key, RECOVERY_LIMIT, fault.cancel))
            )
            self._strike(fault)
        self._injector.settle()
        last = time.monotonic()
        for fault, submission in submissions:
            submission.join()
            if submission.problem is not None:
                self._sitting.violation(f"fault {fault.number}: {submission.problem}")
        accepted = {one.run_id for _, one in submissions if one.run_id is not None}
        self._run_ids |= accepted
        unended = self._watcher.wait_for_ends(sorted(accepted), RECOVERY_LIMIT - (time.monotonic() - last))
        recovery = time.monotonic() - last
        for run_id in unended:
            seen = self._watcher.status(run_id)
            self._sitting.violation(f"run {run_id} had not ended {RECOVERY_LIMIT:.0f} s after the last fault: {seen}")
        if not self._site.await_healthy(RECOVERY_LIMIT):
            self._sitting.violation(f"the stack was not healthy again; parts that run: {self._site.stack.pids}")
            return False
        self._sitting.recoveries.append(recovery)
        self._check(submissions)
        self._sitting.journal.note(
            "round",
            f"{wanted.number} ended {recovery:.1f} s after its last fault; {len(self._sitting.violations)} violations",
        )
        return True

    def finish(self) -> None:
        """What holds when everything has calmed down."""
        self._expect_none(lambda: invariants.check_rest(self._site.database), STRAY_LIMIT)
        self._expect_none(
            lambda: [f"an orphaned blob: {one}" for one in invariants.orphans(self._site.database, self._site.storage)],
            ORPHAN_LIMIT,
        )
        self._expect_none(self._ledger.changes, 0)
        self._expect_none(lambda: invariants.check_checksums(self._evidence), 0)
        self._expect_none(lambda: invariants.check_runs(self._site.database, self._run_ids), 0)

    def _strike(self, fault: Fault) -> None:
        met = self._watcher.wait_for(fault.moment, MOMENT_LIMIT)
        time.sleep(fault.delay)
        flying = self._watcher.in_flight()
        hit = self._injector.strike(fault)
        self._sitting.faults[f"{self._setup} {fault.act}"] += 1
        moment = fault.moment if met else f"{fault.moment} (missed)"
        words = f"{fault.number:3} {fault.act} at {moment} + {fault.delay} s: {hit}"
        self._sitting.journal.note("fault", words, fault=fault.number, act=fault.act, hit=hit, flying=flying)
        time.sleep(fault.pause)

    def _check(self, submissions: list[tuple[Fault, Submission]]) -> None:
        for fault, submission in submissions:
            if submission.run_id is None:
                continue
            book = self._books[fault.stream]
            for one in invariants.check_run(
                self._evidence,
                submission.run_id,
                book.expected,
                self._references[fault.stream],
                canceled=submission.cancel_sent,
            ):
                self._sitting.violation(f"{fault.stream} ({one})")
            self._ledger.enter(submission.run_id)
        self._expect_none(self._ledger.changes, 0)
        self._expect_none(
            lambda: [f"a process that nobody needs: {one.pid} {one.name()}" for one in self._site.strays()], STRAY_LIMIT
        )
        seen = self._watcher.seen_wrong
        for one in seen[self._told :]:
            self._sitting.violation(one)
        self._told = len(seen)
        for error in self._injector.failed:
            self._sitting.violation(f"a fault could not be ended: {error!r}")
        self._injector.failed.clear()

    def _expect_none(self, found: Callable[[], list[str]], seconds: float) -> None:
        """What is still found after `seconds` is a violation."""
        deadline = time.monotonic() + seconds
        while wrong := found():
            if time.monotonic() > deadline:
                for one in wrong:
                    self._sitting.violation(one)
                return
            time.sleep(0.5)
