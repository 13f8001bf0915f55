"""The rounds of one set-up: runs are asked for, faults strike, and afterwards the invariants hold or do not."""

from __future__ import annotations

import threading
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
from tests.chaos.sites import ORPHAN_GRACE, Site
from tests.chaos.watcher import Watcher
from tests.parts.rest import Rest

MOMENT_LIMIT = 20.0
"""Seconds that a fault waits for its moment before it strikes all the same."""

HIT_LIMIT = 120.0
"""Seconds until a fault must have found what it strikes."""

_STEP = 1.0

RECOVERY_LIMIT = 120.0
"""Seconds from the last fault of a round to the right end of all its runs. A minute is what the product promises on a
machine of its own; this also holds on a busy one. The sitting prints what was measured."""

STRAY_LIMIT = 30.0
ORPHAN_LIMIT = 2 * ORPHAN_GRACE + 30
"""Seconds until the sweep must have removed what attempts left: its grace and its interval, with some room."""


class Sitting:
    """What came out so far."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self.journal = journal
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.recoveries: list[float] = []
        self.remarks: list[str] = []
        self.over = threading.Event()
        """Somebody wants the sitting to end before its time."""

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
        """One round; False if the stack does not come back, or nobody wants to see more."""
        if self._sitting.over.is_set():
            return False
        submissions: list[tuple[Fault, Submission]] = []
        for fault in wanted.faults:
            self._strike(fault, submissions)
            time.sleep(fault.pause)
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
            f"{wanted.number} ({self._setup}) ended {recovery:.1f} s after its last fault; "
            f"{len(self._sitting.violations)} violations so far",
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
        completed, again = invariants.disturbed(self._site.database)
        self._sitting.remarks.append(
            f"{self._setup}: {len(self._run_ids)} runs, {completed} steps completed, {again} of them not at the first attempt"
        )

    def _strike(self, fault: Fault, submissions: list[tuple[Fault, Submission]]) -> None:
        """Asks for the fault's run, and for another one whenever nothing is under way that could be hit; then strikes."""
        began, count, hit, met = time.monotonic(), 0, None, False
        while hit is None and time.monotonic() - began < HIT_LIMIT:
            until = time.monotonic() + MOMENT_LIMIT
            met = False
            while not met and time.monotonic() < until:
                if count == 0 or not self._is_under_way(submissions):
                    submissions.append((fault, self._ask_for_run(fault, count)))
                    count += 1
                met = self._watcher.wait_for(fault.moment, _STEP)
            time.sleep(fault.delay)
            hit = self._injector.strike(fault)
        moment = fault.moment if met else f"{fault.moment} (missed)"
        words = f"{fault.number:3} {self._setup} {fault.act} at {moment} + {fault.delay} s: {hit or 'nothing to hit'}"
        facts = {"fault": fault.number, "act": fault.act, "hit": hit, "flying": self._watcher.in_flight()}
        self._sitting.journal.note("fault", words, **facts)
        if hit is not None:
            self._sitting.faults[f"{self._setup} {fault.act}"] += 1

    def _ask_for_run(self, fault: Fault, count: int) -> Submission:
        stream_id = self._books[fault.stream].stream_id
        key = f"chaos-{self._sitting.seed}-{fault.number}-{count}"
        # What stands in for a run that ended too soon is not cancelled.
        cancel = fault.cancel if count == 0 else None
        return Submission(self._site.stack.api_url, stream_id, key, RECOVERY_LIMIT, cancel)

    def _is_under_way(self, submissions: list[tuple[Fault, Submission]]) -> bool:
        """Whether a run is being asked for, or has not ended."""
        run_ids = [one.run_id for _, one in submissions]
        return None in run_ids or bool(self._watcher.wait_for_ends([one for one in run_ids if one is not None], 0))

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
