"""The only module that speaks to Prefect's API for the facade: register, submit, cancel, look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import temporary_settings
from prefect.states import Cancelling, Scheduled

from deployments.engine import asking_once, engine_settings
from deployments.schedules import deployment_schedules
from models.errors import DependencyDown
from models.settings import Settings
from models.triggers import Event

ENTRYPOINT = "flows.entrypoint.run_stream"
ANSWER_SECONDS = 10
"""How long a request of ours may wait for the engine; what it misses, the sweep does again."""

BUSY = (429, 503)
BUSY_DELAYS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before a busy engine is asked again."""

Answer = TypeVar("Answer")


ENGINE_OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class EngineState:
    """A state as the engine has it: its type (SCHEDULED, RUNNING, CRASHED, …), its name where that is another, and since when."""

    type: str
    name: str | None = None
    since: datetime | None = None

    def older_than(self, seconds: float, now: datetime) -> bool:
        return self.since is not None and self.since < now - timedelta(seconds=seconds)


@dataclass(frozen=True)
class EngineRun:
    """An engine run with the engine's id of its deployment."""

    id: str
    deployment_id: str
    state: EngineState


class EngineGateway:
    """Prefect as the facade needs it. Every call raises DependencyDown when its server does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._pool, self._pool_type = settings.work_pool, settings.work_pool_type
        with temporary_settings(engine_settings(settings)):
            self._client = get_client(httpx_settings={"timeout": ANSWER_SECONDS}, sync_client=True)

    def close(self) -> None:
        self._client.__exit__(None, None, None)

    def open(self) -> None:
        self._client.__enter__()

    def register(
        self,
        flow_name: str,
        deployment_name: str,
        *,
        parameters: dict[str, Any],
        description: str | None = None,
        schedule: dict[str, Any] | None = None,
        active: bool = True,
        tags: Sequence[str] = (),
    ) -> str:
        """Creates or updates a deployment of the entrypoint under a flow of its own name; gives the deployment's id."""
        _ask(self._ensure_pool)
        flow_id = _ask(lambda: self._client.create_flow_from_name(flow_name))
        deployment_id = _ask(
            lambda: self._client.create_deployment(
                flow_id=flow_id,
                name=deployment_name,
                entrypoint=ENTRYPOINT,
                work_pool_name=self._pool,
                parameters=parameters,
                description=description,
                schedules=deployment_schedules(schedule, active=active) if schedule else [],
                paused=not active,
                tags=list(tags),
                enforce_parameter_schema=False,
            )
        )
        return str(deployment_id)

    def submit(self, deployment_id: str, *, parameters: dict[str, Any], name: str, idempotency_key: str) -> str | None:
        """Asks for a run and gives its engine id; the same key gives the same one. None if the deployment is gone."""
        try:
            flow_run = _ask(
                lambda: self._client.create_flow_run_from_deployment(
                    UUID(deployment_id), parameters=parameters, name=name, idempotency_key=idempotency_key
                )
            )
        except DependencyDown as error:
            # This call of the client has no error of its own for what is not there.
            answer = getattr(error.__cause__, "response", None)
            if answer is not None and answer.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        return str(flow_run.id)

    def cancel(self, engine_run_id: str) -> None:
        """Asks the engine to end a run. One that has ended, or is unknown, is left alone."""
        with suppress(ObjectNotFound):
            _ask(lambda: self._client.set_flow_run_state(engine_run_id, Cancelling()))

    def end(self, engine_run_id: str, how: EngineState, message: str) -> None:
        """Makes the engine's record say that a run is over, whatever it says now. An unknown one is left alone."""
        state = State(type=StateType(how.type), name=how.name, message=message)
        with suppress(ObjectNotFound):
            _ask(lambda: self._client.set_flow_run_state(engine_run_id, state, force=True))

    def states(self, engine_run_ids: Sequence[str]) -> dict[str, EngineState]:
        """The states of those engine runs that the engine knows; at most 200 can be asked for."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in engine_run_ids]))
        found = _ask(lambda: self._client.read_flow_runs(flow_run_filter=wanted))
        return {
            str(one.id): EngineState(str(one.state.type.value), one.state.name, one.state.timestamp)
            for one in found
            if one.state is not None
        }

    def unclaimed(self, after: datetime) -> list[EngineRun]:
        """The engine runs of our pool, due since `after`, that the engine started by itself and that are not over well."""
        wanted = FlowRunFilter(
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": after}),
            state=FlowRunFilterState(
                type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CRASHED])
            ),
        )
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool]))
        found = _ask(lambda: self._client.read_flow_runs(flow_run_filter=wanted, work_pool_filter=pool))
        return [
            EngineRun(
                str(one.id),
                str(one.deployment_id),
                EngineState(str(one.state.type.value), one.state.name, one.state.timestamp),
            )
            for one in found
            if one.state is not None and one.parameters.get("run_id") is None
        ]

    def again(self, engine_run_id: str, message: str) -> None:
        """Has the engine begin a run once more, from its beginning."""
        state = Scheduled(name="AwaitingRetry", message=message)
        with suppress(ObjectNotFound):
            _ask(lambda: self._client.set_flow_run_state(engine_run_id, state, force=True))

    def retire(self, name: str, *, keep: str) -> None:
        """Lets no deployment of a name fire but the one to keep: a renamed stream has a flow of another name.

        One with runs that wait to be executed stays behind for them, paused and without schedules.
        """
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        for old in _ask(lambda: self._client.read_deployments(deployment_filter=named)):
            if str(old.id) != keep:
                self._retire(old)

    def _retire(self, old: DeploymentResponse) -> None:
        _ask(lambda: self._client.update_deployment(old.id, DeploymentUpdate(paused=True, schedules=[])))
        waiting = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[old.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])),
        )
        if not _ask(lambda: self._client.read_flow_runs(flow_run_filter=waiting, limit=1)):
            with suppress(ObjectNotFound):
                _ask(lambda: self._client.delete_deployment(old.id))

    def automate(self, tag: str, automation: AutomationCore | None) -> str | None:
        """Makes an automation the only one with its tag, or leaves none; gives its id at the engine."""
        tagged = AutomationFilter(tags=AutomationFilterTags(all_=[tag]))
        found = [one.id for one in _ask(lambda: self._client.read_automations(automations=tagged))]
        if automation is not None and not found:
            return str(_ask(lambda: self._client.create_automation(automation)))
        if automation is not None:
            _ask(lambda: self._client.update_automation(found[0], automation))
        for surplus in found if automation is None else found[1:]:
            _ask(partial(self._client.delete_automation, surplus))
        return None if automation is None else str(found[0])

    def emit(self, happened: Sequence[Event]) -> None:
        """Tells the engine of events. An event that it knows already is not a second one."""
        body = [
            {
                "event": one.name,
                "id": one.id,
                "occurred": one.occurred,
                "resource": dict(one.resource or {}),
                "payload": dict(one.payload),
            }
            for one in happened
        ]
        _ask(lambda: self._client.request("POST", "/events", json=body).raise_for_status())

    def events(self, names: Sequence[str], since: datetime, until: datetime) -> Iterator[Event]:
        """The events that the engine keeps of a time, oldest first; a name ending in `*` is a prefix."""
        wanted: dict[str, Any] = {
            "occurred": {"since": since.isoformat(), "until": until.isoformat()},
            "order": "ASC",
        }
        for kind, chosen in (
            ("name", [name for name in names if not name.endswith("*")]),
            ("prefix", [name[:-1] for name in names if name.endswith("*")]),
        ):
            # Together they would have to be fulfilled both.
            if not chosen:
                continue
            asked = {"filter": {**wanted, "event": {kind: chosen}}}
            page = self._page("POST", "/events/filter", json=asked)
            yield from map(_event, page["events"])
            while page["next_page"] is not None:
                token = httpx.URL(page["next_page"]).params["page-token"]
                page = self._page("GET", "/events/filter/next", params={"page-token": token})
                yield from map(_event, page["events"])

    def _page(
        self, method: Literal["GET", "POST"], path: Literal["/events/filter", "/events/filter/next"], **given: Any
    ) -> dict[str, Any]:
        return _ask(lambda: self._client.request(method, path, **given).raise_for_status().json())

    def _ensure_pool(self) -> None:
        try:
            self._client.read_work_pool(self._pool)
        except ObjectNotFound:
            # The worker fills in the job template when it starts. A pool that is there keeps its own type.
            try:
                self._client.create_work_pool(WorkPoolCreate(name=self._pool, type=self._pool_type))
            except ObjectAlreadyExists:
                return


def _event(given: dict[str, Any]) -> Event:
    return Event(given["event"], given["id"], given["payload"], given["resource"], given["occurred"])


def _ask(call: Callable[[], Answer]) -> Answer:
    """What the call gives; asked again, soon, while the engine is busy. Every call of ours may be repeated.

    Prefect's server on SQLite answers 503 when two writers meet. The client's own retries would keep a request waiting for
    minutes.
    """
    for delay in (*BUSY_DELAYS, None):
        try:
            with asking_once():
                return call()
        except httpx.HTTPStatusError as error:
            asked, answer = error.request, error.response
            if answer.status_code not in BUSY or delay is None:
                raise DependencyDown(
                    f"The workflow engine answered {answer.status_code} to {asked.method} {asked.url.path}: "
                    f"{answer.text[:200]}"
                ) from error
            time.sleep(delay)
        except httpx.TransportError as error:
            raise DependencyDown(f"The workflow engine does not answer: {type(error).__name__}") from error
    raise AssertionError("the last delay is None")
