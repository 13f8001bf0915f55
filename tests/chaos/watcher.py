"""Looks at runs and step runs several times a second: what never may be seen is noted, and faults find their moments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from models.db import Database
from models.errors import DependencyDown
from models.lifecycle import RUN_TERMINAL, STEP_TERMINAL, RunStatus, StepRunStatus
from models.runs import StepRun, StreamRun
from tests.chaos.journal import Journal
from tests.chaos.plan import Moment

EVERY = 0.05
"""Seconds."""

COMPARED = 90
"""Progress of a step that publishes."""

StepState = tuple[StepRunStatus, int, int]
"""Status, attempt number, progress."""


class Watcher:
    """A thread that reads the tables past any proxy, within `with`. `seen_wrong` gathers what it saw and should not have."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self.seen_wrong: list[str] = []
        self._database = database
        self._journal = journal
        self._runs: dict[int, RunStatus] = {}
        self._steps: dict[int, dict[int, StepState]] = {}
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def wait_for(self, moment: Moment, seconds: float) -> bool:
        """False if it did not come within `seconds`."""
        return self._await(lambda: self._is(moment), seconds)

    def wait_for_ends(self, run_ids: list[int], seconds: float) -> list[int]:
        """The runs that have not ended within `seconds`."""
        self._await(lambda: not self._open(run_ids), seconds)
        with self._changed:
            return self._open(run_ids)

    def status(self, run_id: int) -> str:
        with self._changed:
            steps = self._steps.get(run_id, {})
            shown = ", ".join(f"{status} attempt {attempt} {progress}%" for status, attempt, progress in steps.values())
            return f"{self._runs.get(run_id)} ({shown})"

    def in_flight(self) -> dict[int, str]:
        """Runs that have not ended, with the states of their steps."""
        with self._changed:
            open_runs = [run_id for run_id, status in self._runs.items() if status not in RUN_TERMINAL]
        return {run_id: self.status(run_id) for run_id in open_runs}

    def _await(self, condition: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _open(self, run_ids: list[int]) -> list[int]:
        return [run_id for run_id in run_ids if self._runs.get(run_id) not in RUN_TERMINAL]

    def _is(self, moment: Moment) -> bool:
        for run_id, status in self._runs.items():
            if status in RUN_TERMINAL:
                continue
            steps = self._steps.get(run_id, {}).values()
            if moment is Moment.SUBMITTED:
                return True
            for step, _, progress in steps:
                working = step is StepRunStatus.IN_PROGRESS
                if moment is Moment.STARTED and working:
                    return True
                if moment is Moment.COMPARED and working and progress >= COMPARED:
                    return True
                if moment is Moment.BETWEEN and step is StepRunStatus.COMPLETED:
                    return True
        return False

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                with self._database.read() as session:
                    run_columns: Any = select(col(StreamRun.id), col(StreamRun.status))
                    step_columns: Any = select(
                        col(StepRun.run_id),
                        col(StepRun.step_order),
                        col(StepRun.status),
                        col(StepRun.attempt_no),
                        col(StepRun.progress),
                    )
                    runs = session.execute(run_columns).all()
                    steps = session.execute(step_columns).all()
            except (DependencyDown, SQLAlchemyError):  # the database is what a fault has hit
                time.sleep(EVERY)
                continue
            with self._changed:
                for run_id, status in runs:
                    self._see_run(run_id, RunStatus(status))
                for run_id, order, status, attempt, progress in sorted(steps):
                    self._see_step(run_id, order, (StepRunStatus(status), attempt, progress))
                self._changed.notify_all()
            self._over.wait(EVERY)

    def _see_run(self, run_id: int, now: RunStatus) -> None:
        before = self._runs.get(run_id)
        self._runs[run_id] = now
        if before is now:
            return
        self._journal.note("run", f"{run_id}: {before} -> {now}", quiet=True, run=run_id, status=now)
        if before in RUN_TERMINAL:
            self.seen_wrong.append(f"run {run_id} had ended {before} and became {now}")

    def _see_step(self, run_id: int, order: int, now: StepState) -> None:
        steps = self._steps.setdefault(run_id, {})
        before = steps.get(order)
        steps[order] = now
        if before is None or before == now:
            return
        if before[:2] != now[:2]:
            words = f"{run_id}/{order}: {before[0]} attempt {before[1]} -> {now[0]} attempt {now[1]}"
            self._journal.note("step", words, quiet=True, run=run_id, order=order, status=now[0], attempt=now[1])
        if before[0] in STEP_TERMINAL:
            self.seen_wrong.append(f"step {order} of run {run_id} had ended {before[0]} and became {now[0]}")
        if now[1] < before[1]:
            self.seen_wrong.append(f"step {order} of run {run_id} went from attempt {before[1]} back to {now[1]}")
