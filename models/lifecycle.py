"""The states of runs and step runs, what may follow what, and how steps roll up into their run. Ordered facts, no database."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class StreamStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ARCHIVED = "ARCHIVED"


class RunStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PARTIAL_FAILED = "PARTIAL_FAILED"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class StepRunStatus(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    RETRY_WAIT = "RETRY_WAIT"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"
    SKIPPED = "SKIPPED"
    CANCELED = "CANCELED"


RUN_FOLLOWS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.CANCELED, RunStatus.FAILED}),
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.PARTIAL_FAILED, RunStatus.CANCELED}),
    RunStatus.PARTIAL_FAILED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.CANCELED: frozenset(),
}
"""PENDING may fail without having run: its engine run can die before our first line."""

STEP_FOLLOWS: dict[StepRunStatus, frozenset[StepRunStatus]] = {
    StepRunStatus.PENDING: frozenset({StepRunStatus.IN_PROGRESS, StepRunStatus.SKIPPED, StepRunStatus.CANCELED}),
    StepRunStatus.IN_PROGRESS: frozenset(
        {StepRunStatus.COMPLETED, StepRunStatus.RETRY_WAIT, StepRunStatus.FAILED, StepRunStatus.CANCELED}
    ),
    StepRunStatus.RETRY_WAIT: frozenset({StepRunStatus.IN_PROGRESS, StepRunStatus.FAILED, StepRunStatus.CANCELED}),
    StepRunStatus.FAILED: frozenset(),
    StepRunStatus.COMPLETED: frozenset(),
    StepRunStatus.SKIPPED: frozenset(),
    StepRunStatus.CANCELED: frozenset(),
}

RUN_TERMINAL = frozenset(status for status, follows in RUN_FOLLOWS.items() if not follows)
STEP_TERMINAL = frozenset(status for status, follows in STEP_FOLLOWS.items() if not follows)
RUN_OPEN = frozenset(RunStatus) - RUN_TERMINAL
STEP_OPEN = frozenset(StepRunStatus) - STEP_TERMINAL


def steps_before(status: StepRunStatus) -> list[StepRunStatus]:
    """The states from which a step run may reach `status`."""
    return [before for before, follows in STEP_FOLLOWS.items() if status in follows]


def runs_before(status: RunStatus) -> list[RunStatus]:
    """The states from which a run may reach `status`."""
    return [before for before, follows in RUN_FOLLOWS.items() if status in follows]


def roll_up(steps: Iterable[tuple[StepRunStatus, bool]]) -> RunStatus:
    """The end state of a run whose steps are all terminal.

    `steps` are pairs of a step's end state and whether its failure is tolerated (`continueOnFailure`). A run is
    PARTIAL_FAILED only if every failure was tolerated and at least one step completed.
    """
    ends = list(steps)
    statuses = [status for status, _ in ends]
    if StepRunStatus.CANCELED in statuses:
        return RunStatus.CANCELED
    if all(status is StepRunStatus.COMPLETED for status in statuses):
        return RunStatus.COMPLETED
    failures = [tolerated for status, tolerated in ends if status is StepRunStatus.FAILED]
    if failures and all(failures) and StepRunStatus.COMPLETED in statuses:
        return RunStatus.PARTIAL_FAILED
    return RunStatus.FAILED
