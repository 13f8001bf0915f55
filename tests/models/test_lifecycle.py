"""The states of runs and steps, and how steps roll up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle import (
    RUN_FOLLOWS,
    RUN_TERMINAL,
    STEP_FOLLOWS,
    STEP_TERMINAL,
    RunStatus,
    StepRunStatus,
    roll_up,
    runs_before,
    steps_before,
)

DONE, FAILED, SKIPPED, CANCELED = (
    StepRunStatus.COMPLETED,
    StepRunStatus.FAILED,
    StepRunStatus.SKIPPED,
    StepRunStatus.CANCELED,
)


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([(DONE, False), (DONE, False)], RunStatus.COMPLETED),
        ([(DONE, False), (FAILED, False), (SKIPPED, False)], RunStatus.FAILED),
        ([(DONE, False), (FAILED, True), (SKIPPED, False)], RunStatus.PARTIAL_FAILED),
        ([(FAILED, True), (DONE, False)], RunStatus.PARTIAL_FAILED),
        ([(FAILED, True), (SKIPPED, False)], RunStatus.FAILED),
        ([(FAILED, True), (FAILED, False), (DONE, True)], RunStatus.FAILED),
        ([(DONE, False), (SKIPPED, False)], RunStatus.FAILED),
        ([(DONE, False), (CANCELED, False)], RunStatus.CANCELED),
    ],
)
def test_roll_up(steps: list[tuple[StepRunStatus, bool]], end: RunStatus) -> None:
    assert roll_up(steps) is end


@given(st.lists(st.tuples(st.sampled_from(sorted(STEP_TERMINAL)), st.booleans()), min_size=1))
def test_roll_up_depends_on_no_order_and_ends_the_run(steps: list[tuple[StepRunStatus, bool]]) -> None:
    end = roll_up(steps)
    assert end in RUN_TERMINAL
    assert roll_up(reversed(steps)) is end
    assert (end is RunStatus.COMPLETED) == all(status is DONE for status, _ in steps)
    if end is RunStatus.PARTIAL_FAILED:
        assert DONE in [status for status, _ in steps]


def test_terminal_states_never_change() -> None:
    assert {
        RunStatus.PARTIAL_FAILED,
        RunStatus.FAILED,
        RunStatus.COMPLETED,
        RunStatus.CANCELED,
    } == RUN_TERMINAL
    assert {DONE, FAILED, SKIPPED, CANCELED} == STEP_TERMINAL
    assert set(RUN_FOLLOWS) == set(RunStatus)
    assert set(STEP_FOLLOWS) == set(StepRunStatus)


def test_what_may_come_before() -> None:
    assert set(runs_before(RunStatus.CANCELED)) == {RunStatus.PENDING, RunStatus.RUNNING}
    assert set(steps_before(DONE)) == {StepRunStatus.IN_PROGRESS}
    assert set(steps_before(SKIPPED)) == {StepRunStatus.PENDING}
