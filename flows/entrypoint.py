"""The flow that every stream's deployment points to."""

from __future__ import annotations

from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Failed
from sqlmodel import col, select

from flows.compiler import compile_run
from flows.starting import own_run
from flows.workplace import Workplace, process_workplace
from models import runs
from models.base import utc_now
from models.errors import PlanInvalid
from models.lifecycle import RunStatus
from models.recovery import close_lost_run
from models.runs import StreamRun
from models.starts import NotStarted


def close_what_died(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect calls it by keyword
    """Ends the rows of a run whose engine run crashed or failed outside our own code."""
    with process_workplace().database.write() as session:
        run = session.exec(select(StreamRun).where(col(StreamRun.engine_run_id) == str(flow_run.id))).one_or_none()
        if run is not None:
            close_lost_run(session, run.id, f"The engine ended the run: {state.name}")


@flow(
    name="recon-stream",
    persist_result=False,
    on_crashed=[close_what_died],
    on_failure=[close_what_died],
    on_cancellation=[close_what_died],
)
def run_stream(
    stream_id: int | None = None, run_id: int | None = None, trigger: dict[str, Any] | None = None
) -> State[Any]:
    """Executes one run of a stream.

    `run_id` names a run that the API has written; without it (a schedule, an automation, the Prefect UI, the CLI) the run of
    this engine run is found or created for `stream_id`. `trigger` is the event that an automation was started by.
    """
    place = process_workplace()
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise PlanInvalid("The flow needs an engine run", code="ENGINE_RUN_MISSING")
    try:
        run = _claim(place, stream_id, run_id, context.flow_run, trigger)
    except NotStarted as reason:
        return Completed(name="Skipped", message=reason.message)
    if run is None:
        return Cancelled(message="The run was ended before it started")
    end = compile_run(place, run).execute(place)
    with place.database.read() as session:
        message = session.get_one(StreamRun, run.id).error_message
    return _state(end, message)


def _claim(
    place: Workplace, stream_id: int | None, run_id: int | None, flow_run: FlowRun, trigger: dict[str, Any] | None
) -> StreamRun | None:
    """Moves the run to RUNNING; None if it has ended already."""
    with place.database.write() as session:
        if run_id is None:
            if stream_id is None:
                raise PlanInvalid("The flow needs a stream_id or a run_id", code="RUN_PARAMETERS_MISSING")
            run = own_run(session, stream_id, flow_run, trigger)
        else:
            run = session.get_one(StreamRun, run_id)
            run.engine_run_id = str(flow_run.id)
            session.add(run)
        session.flush()
        if run.status == RunStatus.PENDING:
            runs.move(session, run.id, RunStatus.RUNNING, started_at=utc_now())
        session.refresh(run)
        return run if run.status == RunStatus.RUNNING else None


def _state(end: RunStatus, message: str | None) -> State[Any]:
    match end:
        case RunStatus.COMPLETED:
            return Completed(message="All steps completed")
        case RunStatus.PARTIAL_FAILED:
            return Completed(name="PartialFailed", message=message or "Some steps failed")
        case RunStatus.CANCELED:
            return Cancelled(message=message or "Canceled")
        case _:
            return Failed(message=message or "A step failed")
