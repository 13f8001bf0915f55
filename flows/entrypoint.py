"""The flow that every stream's deployment points to."""

from __future__ import annotations

from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Failed
from sqlmodel import col, select

from flows.compiler import compile_run
from flows.workplace import Workplace, process_workplace
from models import runs, streams
from models.base import utc_now
from models.errors import PlanInvalid
from models.lifecycle import RunStatus
from models.people import DEFAULT_ORGANIZATION
from models.recovery import close_lost_run
from models.runs import StreamRun
from models.streams import TriggerType


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
def run_stream(stream_id: int | None = None, run_id: int | None = None) -> State[Any]:
    """Executes one run of a stream.

    `run_id` names a run that the API has written; without it (a schedule, the Prefect UI, the CLI) the run of this engine
    run is found or created for `stream_id`.
    """
    place = process_workplace()
    context = FlowRunContext.get()
    engine_run_id = str(context.flow_run.id) if context is not None and context.flow_run is not None else None
    run = _claim(place, stream_id, run_id, engine_run_id)
    if run is None:
        return Cancelled(message="The run was ended before it started")
    end = compile_run(place, run).execute(place)
    with place.database.read() as session:
        message = session.get_one(StreamRun, run.id).error_message
    return _state(end, message)


def _claim(place: Workplace, stream_id: int | None, run_id: int | None, engine_run_id: str | None) -> StreamRun | None:
    """Moves the run to RUNNING; None if it has ended already."""
    with place.database.write() as session:
        if run_id is None:
            run = session.exec(select(StreamRun).where(col(StreamRun.engine_run_id) == engine_run_id)).one_or_none()
            if run is None:
                if stream_id is None:
                    raise PlanInvalid("The flow needs a stream_id or a run_id", code="RUN_PARAMETERS_MISSING")
                stream = streams.get(session, DEFAULT_ORGANIZATION, stream_id)
                streams.runnable(stream)
                run = runs.create(
                    session, stream, trigger_type=TriggerType(stream.trigger_type), engine_run_id=engine_run_id
                )
        else:
            run = session.get_one(StreamRun, run_id)
            run.engine_run_id = engine_run_id
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
