"""A run's progress as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.deps import Org, RecordId, Services, Use
from api.envelope import Wire
from api.routes.runs import RunDetail, StepRunDetail, shape_run
from models import runs
from models.lifecycle import RUN_TERMINAL, RunStatus

routes = APIRouter(tags=["stream runs"])

POLL_SECONDS = 0.5
ALIVE_SECONDS = 15
"""A comment is sent when nothing happened for so long: proxies cut silent connections."""


@routes.get(
    "/stream-runs/{runId}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def watch(request: Request, use: Use, org: Org, runId: RecordId) -> StreamingResponse:  # noqa: N803 - the contract's name
    """Events `run` and `step`, whenever one changes, with what the routes of the same name give; `end` when the run has ended.

    The first ones say how things stand when the client comes. A client that comes back just asks again.
    """
    await run_in_threadpool(_now, use, org, runId)
    kind = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, use, org, runId), media_type="text/event-stream", headers=kind)


def _now(use: Services, org: int, run_id: int) -> tuple[RunDetail, list[StepRunDetail]]:
    with use.database.read() as session:
        run = runs.get(session, org, run_id)
        counted = runs.metrics(session, [run.id])[run.id]
        steps, _ = runs.step_runs(session, run.id)
    return shape_run(run, counted), [StepRunDetail.model_validate(one) for one in steps]


async def _events(request: Request, use: Services, org: int, run_id: int) -> AsyncIterator[str]:
    sent: dict[str, str] = {}
    last = time.monotonic()
    while not await request.is_disconnected():
        run, steps = await run_in_threadpool(_now, use, org, run_id)
        for key, name, shown in (("run", "run", run), *((f"step {one.id}", "step", one) for one in steps)):
            text = _text(shown)
            if sent.get(key) != text:
                sent[key] = text
                last = time.monotonic()
                yield f"event: {name}\ndata: {text}\n\n"
        if RunStatus(run.status) in RUN_TERMINAL:
            yield f"event: end\ndata: {_text(run)}\n\n"
            return
        if time.monotonic() - last >= ALIVE_SECONDS:
            last = time.monotonic()
            yield ": still there\n\n"
        await asyncio.sleep(POLL_SECONDS)


def _text(shown: Wire) -> str:
    return shown.model_dump_json(by_alias=True)
