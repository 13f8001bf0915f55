"""A Prefect worker that no fault of the server, or of one run, ends. Prefect's own gives up after some."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse, WorkerFlowRunResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_WORKER_QUERY_SECONDS, temporary_settings
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from deployments.engine import asking_once, engine_settings
from models.errors import ReconError
from models.settings import Settings

Answer = TypeVar("Answer")

_SERVER_POLL = 0.25
_ASK_AGAIN = 1.0
_RUNS_ANSWER = 10.0
"""Seconds until a request for runs is given up and made again; Prefect's client would wait for a minute."""


class PoolOfAnotherType(ReconError):
    """The work pool's runs are not for this worker; `pool_type` tells whose they are."""

    code = "WORK_POOL_TYPE"

    def __init__(self, pool: str, pool_type: str, own_type: str) -> None:
        super().__init__(
            f"Work pool {pool} is of type {pool_type}, this worker of type {own_type}; "
            f"start one with: prefect worker start --type {pool_type} --pool {pool}",
            pool=pool,
            pool_type=pool_type,
        )
        self.pool_type = pool_type


class ReconJobConfiguration(BaseJobConfiguration):
    """A run is configured by environment variables alone."""

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: Flow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)
        entrypoint = deployment.entrypoint if deployment else None
        if deployment and entrypoint and ":" not in entrypoint and not deployment.pull_steps:
            # It can be imported as it stands: the process need not ask the server where the flow is.
            self.env.setdefault("PREFECT__FLOW_ENTRYPOINT", entrypoint)


class SteadyWorker(BaseWorker[ReconJobConfiguration, BaseVariables, BaseWorkerResult], abc.ABC):
    """Waits for a server that is not there yet, outlives one that goes, and catches what a single run throws."""

    def __init__(self, work_pool_name: str, *, settings: Settings | None = None, **options: Any) -> None:
        """`options` are those of BaseWorker; `limit` is the settings' own if not given."""
        self._settings = settings or Settings()
        options["limit"] = options.get("limit") or self._settings.worker_limit
        super().__init__(work_pool_name, **options)

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., None] = print
    ) -> None:
        polling = {PREFECT_WORKER_QUERY_SECONDS: self._settings.worker_query}
        with temporary_settings(engine_settings(self._settings) | polling):
            await super().start(run_once, with_healthcheck, printer)

    async def setup(self) -> None:
        """Raises PoolOfAnotherType."""
        await self._server_is_up()
        await self._require_own_pool()
        await super().setup()

    async def _require_own_pool(self) -> None:
        async with get_client() as client:
            try:
                pool = await self._insist(lambda: client.read_work_pool(self._work_pool_name))
            except ObjectNotFound:
                return  # it will be made, of this type
        if pool.type != self.type:
            raise PoolOfAnotherType(pool.name, pool.type, self.type)

    async def _server_is_up(self) -> None:
        """Waits, so that server and worker can be started side by side."""
        told = ""
        async with get_client() as client:
            while True:
                with asking_once():
                    problem = await client.api_healthcheck()
                if problem is None:
                    return
                if told != str(problem):
                    told = str(problem)
                    self._logger.info("Waiting for the Prefect server: %s", told)
                await anyio.sleep(_SERVER_POLL)

    async def _insist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The server's answer, however long that takes. Raises what asking again would not change."""
        while True:
            try:
                with asking_once():
                    return await ask()
            except httpx.TransportError:
                self._logger.debug("The Prefect server does not answer", exc_info=True)
            except httpx.HTTPStatusError as error:
                if error.response.is_client_error:
                    raise
            await anyio.sleep(_ASK_AGAIN)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        try:
            return await super().get_and_submit_flow_runs()
        except Exception:
            self._logger.debug("Could not ask for runs", exc_info=True)
            return []

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        with asking_once(), anyio.fail_after(_RUNS_ANSWER):
            return await super()._get_scheduled_flow_runs()

    async def _sync_and_initialize(self) -> None:
        try:
            await super()._sync_and_initialize()
        except Exception:
            if not self.is_setup:
                raise
            self._logger.debug("Could not tell the server that the worker lives", exc_info=True)

    async def _submit_run(self, flow_run: FlowRun) -> None:
        try:
            await super()._submit_run(flow_run)
        except Exception:
            self._logger.exception("Flow run %s could not be started", flow_run.id)
            self._submitting_flow_run_ids.discard(flow_run.id)
            self._release_limit_slot(flow_run.id)

    async def _submit_run_and_capture_errors(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[int | Exception] | None = None
    ) -> BaseWorkerResult | Exception:
        try:
            return await super()._submit_run_and_capture_errors(flow_run, task_status)
        except Exception as error:
            self._logger.exception("Flow run %s was lost sight of", flow_run.id)
            return error

    async def _propose_submitting_state(self, flow_run: FlowRun) -> None:
        """Nothing to propose: from Pending to a process it takes milliseconds."""

    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        """Beside the start of the run, which need not wait for it."""
        assert self._runs_task_group is not None  # noqa: S101 - runs are its tasks
        self._runs_task_group.start_soon(self._label, flow_run_id)

    async def _label(self, flow_run_id: UUID) -> None:
        try:
            with asking_once():  # a busy server has better things to do
                await super()._give_worker_labels_to_flow_run(flow_run_id)
        except Exception:
            self._logger.debug("Flow run %s could not be labelled", flow_run_id, exc_info=True)
