"""The flow that every stream's deployment points to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Failed
from sqlmodel import Session

from deployments.launch import Launcher
from flows.compiler import compile_run
from flows.pulse import Pulse
from flows.starting import own_run
from flows.step import AttemptFenced
from flows.workplace import Workplace, process_workplace
from models import recovery, turns
from models.base import utc_now
from models.errors import Conflict, NotFound, PlanInvalid
from models.lifecycle import RUN_TERMINAL, RunStatus
from models.runs import StreamRun
from models.starts import NotStarted

log = logging.getLogger(__name__)

REFUSALS = (NotFound, Conflict, PlanInvalid)
"""What a person may ask for in the engine's UI and can't have: said there in our words, without a traceback."""


def note_the_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect calls it by keyword
    """Has a run continued whose engine run crashed or failed outside our own code, and cancelled if that was cancelled."""
    place, engine_run_id = process_workplace(), str(flow_run.id)
    if place.reading(lambda session: recovery.run_of(session, engine_run_id)) is None:
        return
    with Launcher.of_process(place.settings, place.database) as launcher:
        launcher.engine_ended(engine_run_id, cancelled=state.is_cancelled() or state.is_cancelling(), how=state.name)


@flow(
    name="recon-stream",
    persist_result=False,
    on_crashed=[note_the_end],
    on_failure=[note_the_end],
    on_cancellation=[note_the_end],
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
    flow_run, engine_run_id = context.flow_run, str(context.flow_run.id)
    try:
        claimed = place.writing(lambda session: _claim(session, stream_id, run_id, flow_run, trigger))
    except NotStarted as reason:
        log.warning("no run was created: %s", reason.message)
        return Completed(name="Skipped", message=reason.message)
    except REFUSALS as reason:
        return Failed(message=f"{reason.code}: {reason.message}")
    if claimed.waits_for is not None:
        return Completed(
            name="Queued",
            message=f"Run {claimed.run.id} waits for run {claimed.waits_for}; another engine run executes it then",
        )
    if claimed.mine:
        compiled = compile_run(place, claimed.run)
        try:
            with Pulse(place, claimed.run.id, engine_run_id):
                compiled.execute(place)
        except AttemptFenced:
            if place.reading(lambda session: recovery.holds(session, claimed.run.id, engine_run_id)):
                raise
        _wake_the_next(place, claimed.run.stream_id)
        # Not under the pulse, which ends a process that goes on with a run that is over.
        compiled.showcase.close()
    return _state(place.reading(lambda session: session.get_one(StreamRun, claimed.run.id)))


@dataclass(frozen=True)
class _Claim:
    """The run, whether it is this engine run's to execute, and the run that it has to wait for."""

    run: StreamRun
    mine: bool = False
    waits_for: int | None = None


def _claim(
    session: Session, stream_id: int | None, run_id: int | None, flow_run: FlowRun, trigger: dict[str, Any] | None
) -> _Claim:
    if run_id is not None:
        run = session.get(StreamRun, run_id)
        if run is None:
            raise NotFound("StreamRun", run_id)
    elif stream_id is not None:
        run = own_run(session, stream_id, flow_run, trigger)
    else:
        raise PlanInvalid("The flow needs a stream_id or a run_id", code="RUN_PARAMETERS_MISSING")
    older = turns.waits_for(session, run)
    if older is not None:
        turns.put_back(session, run)
        return _Claim(run, waits_for=older)
    mine = recovery.claim(session, run.id, str(flow_run.id))
    session.refresh(run)
    return _Claim(run, mine)


def _wake_the_next(place: Workplace, stream_id: int) -> None:
    """Hands the run whose turn it is now to the engine; the sweep would do it some seconds later."""
    try:
        if place.reading(lambda session: turns.due(session, utc_now(), stream_id=stream_id)):
            with Launcher.of_process(place.settings, place.database) as launcher:
                launcher.submit_next(stream_id)
    except Exception:
        log.warning("the next run of stream %s is left to the sweep", stream_id, exc_info=True)


def _state(run: StreamRun) -> State[Any]:
    """What the engine is told; a run that is still open goes on in another engine run."""
    if RunStatus(run.status) not in RUN_TERMINAL:
        return Cancelled(message=f"Another engine run goes on with run {run.id}")
    match run.status:
        case RunStatus.COMPLETED:
            return Completed(message="All steps completed")
        case RunStatus.PARTIAL_FAILED:
            return Completed(name="PartialFailed", message=run.error_message or "Some steps failed")
        case RunStatus.CANCELED:
            return Cancelled(message=run.error_message or "Canceled")
        case _:
            return Failed(message=run.error_message or "A step failed")
