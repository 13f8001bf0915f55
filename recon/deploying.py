"""Streams as code at a running Recon Streams: created or brought up to date, run, looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deployments.names import deployment_name, engine_name
from models.errors import Conflict, ValidationFailed
from models.settings import Settings
from models.streams import TriggerType
from models.tabular import write_parquet
from models.triggers import check_trigger
from recon.client import Client, RequestRefused
from recon.definition import SIDES, Step, Stream
from recon.given import Input, StepOutput
from recon.opening import local_file, table_of
from recon.remote import server_result
from recon.results import RunFailed, StreamResult
from recon.rule_sets import RuleSet

API = "/api/v1"
ARCHIVED = "ARCHIVED"


@dataclass(frozen=True)
class Deployment:
    """A stream as it stands at a server. `rule_sets` are ids by step name, `inputs` names by file id."""

    stream_id: int
    name: str
    prefect_deployment: str
    """What `prefect deployment run` takes."""
    api_url: str
    steps: tuple[str, ...]
    rule_sets: dict[str, int]
    inputs: dict[int, str]
    token: str | None = field(default=None, repr=False)

    def run(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        timeout: float = 3600,
        raise_on_failure: bool = True,
    ) -> StreamResult:
        """Starts a run and waits for its end, `timeout` seconds at most; what it left is downloaded when it is asked for.

        `metadata` is kept with the run. Raises RunFailed, which holds the result, if it is FAILED or CANCELED, DependencyDown
        when the time is up, RequestRefused (a paused stream).
        """
        return self.result(self.start(metadata=metadata), timeout=timeout, raise_on_failure=raise_on_failure)

    def start(self, *, metadata: Mapping[str, Any] | None = None) -> int:
        """Starts a run and gives its id. Raises RequestRefused."""
        with self._client() as client:
            return client.start_run(self.stream_id, dict(metadata or {}))

    def result(self, run_id: int, *, timeout: float = 3600, raise_on_failure: bool = True) -> StreamResult:
        """What a run of the stream left, once it has ended; as `run`."""
        with self._client() as client:
            run = client.wait(run_id, timeout)
        names = dict(enumerate(self.steps, start=1))
        result = server_result(self._client, self.name, run, names, self.inputs)
        if raise_on_failure and run["status"] in ("FAILED", "CANCELED"):
            raise RunFailed(f"Run {run_id} of '{self.name}' is {run['status']}: {run['errorMessage']}", result)
        return result

    def _client(self) -> Client:
        return Client(self.api_url, self.token)


def deploy(
    stream: Stream,
    *,
    cron: str | None = None,
    timezone: str = "UTC",
    trigger: Mapping[str, Any] | None = None,
    api_url: str | None = None,
    token: str | None = None,
) -> Deployment:
    """As `Stream.deploy`."""
    settings = Settings()
    secret = settings.api_token.get_secret_value() if settings.api_token else None
    started = _trigger(cron, timezone, trigger)
    url, token = api_url or settings.api_url or settings.effective_public_url, token or secret
    with Client(url, token) as client, TemporaryDirectory(prefix="recon-") as folder:
        known = _known(client, stream.name)
        files = _Files(client, Path(folder), settings, known)
        bodies, inputs, rule_sets = [], dict[int, str](), dict[str, int]()
        for order, step in enumerate(stream.steps, start=1):
            given = {side: _input(stream, files, step, side, inputs) for side in SIDES}
            rule_sets[step.name] = _rule_set(client, stream, step, known)
            bodies.append(_step_body(step, order, given, rule_sets[step.name]))
        body = {
            "name": stream.name,
            "description": stream.description,
            "domain": stream.domain,
            **started,
            "steps": bodies,
        }
        if known is None:
            stream_id = int(client.create_stream(body)["id"])
        else:
            stream_id = int(known["id"])
            # The server leaves what is the same as it is.
            client.call("PATCH", f"{API}/streams/{stream_id}", json=body)
    return Deployment(
        stream_id=stream_id,
        name=stream.name,
        prefect_deployment=f"{engine_name(stream.name, stream_id)}/{deployment_name(stream_id)}",
        api_url=url,
        steps=tuple(step.name for step in stream.steps),
        rule_sets=rule_sets,
        inputs=inputs,
        token=token,
    )


def _trigger(cron: str | None, timezone: str, trigger: Mapping[str, Any] | None) -> dict[str, Any]:
    """`triggerType` and `triggerConfig`. Raises ValidationFailed."""
    if cron is not None and trigger is not None:
        raise ValidationFailed("Give either cron or trigger, not both", fields={"trigger": "not beside cron"})
    if cron is not None:
        trigger = {"triggerType": "SCHEDULED", "triggerConfig": {"cron": cron, "timezone": timezone}}
    given: dict[str, Any] = {"triggerType": "MANUAL", "triggerConfig": None, **(trigger or {})}
    kind, config, kinds = given["triggerType"], given["triggerConfig"], tuple(TriggerType)
    if kind not in kinds or len(given) != 2 or not (config is None or isinstance(config, dict)):
        raise ValidationFailed(
            f"trigger {dict(trigger or {})} is not understood; expected triggerType ({', '.join(kinds)}) and triggerConfig",
            fields={"trigger": "triggerType and triggerConfig"},
        )
    try:
        check_trigger(TriggerType(kind), config)
    except ValidationFailed as error:
        texts = "; ".join(f"{name.removeprefix('triggerConfig.')}: {text}" for name, text in error.fields.items())
        raise ValidationFailed(texts, fields=error.fields) from error
    return given


def _known(client: Client, name: str) -> dict[str, Any] | None:
    """The stream of that name. Raises Conflict if there are several."""
    named = [
        one["id"] for one in client.call("GET", f"{API}/streams") if one["name"] == name and one["status"] != ARCHIVED
    ]
    if len(named) > 1:
        listed = ", ".join(str(one) for one in sorted(named))
        raise Conflict(
            f"There are {len(named)} streams named '{name}' ({listed}); archive all but one, or give this one another name",
            code="STREAM_NAME_AMBIGUOUS",
            stream_ids=sorted(named),
        )
    return client.call("GET", f"{API}/streams/{named[0]}") if named else None


class _Files:
    """Uploads each input once; one whose bytes the stream reads already is not uploaded again."""

    def __init__(self, client: Client, folder: Path, settings: Settings, known: Mapping[str, Any] | None) -> None:
        self._client, self._folder, self._settings = client, folder, settings
        self._ids: dict[object, int] = {}
        given = [step[f"{side}Input"] for step in (known or {"steps": []})["steps"] for side in SIDES]
        ids = {one["id"] for one in given if one["type"] == "FILE"}
        self._there = [client.call("GET", f"{API}/files/{one}") for one in sorted(ids)]

    def id_of(self, given: Input, name: str) -> int:
        """The id of an input's file, which is called `name`."""
        if given.identity not in self._ids:
            work = self._folder / str(len(self._ids))
            work.mkdir()
            if given.location is None:
                path = work / "frame.parquet"
                write_parquet(table_of(given.data), path)
            else:
                path = local_file(given, work, self._settings)
            self._ids[given.identity] = self._stored(path, name)
        return self._ids[given.identity]

    def _stored(self, path: Path, name: str) -> int:
        checksum = _checksum(path)
        for one in self._there:
            same = (one["checksum"], one["originalFilename"]) == (checksum, name)
            if same and one["status"] == "PROCESSED" and not one["missing"]:
                return int(one["id"])
        return int(self._client.upload(path, name)["id"])


def _input(stream: Stream, files: _Files, step: Step, side: str, inputs: dict[int, str]) -> dict[str, Any]:
    given = step.input(side)
    if isinstance(given, StepOutput):
        order = [one.name for one in stream.steps].index(given.step) + 1
        return {"type": f"STEP_OUTPUT_UNMATCHED_{given.side.upper()}", "id": order}
    name = given.named(f"{step.name} {side}")
    if given.location is None and not name.endswith(".parquet"):
        name += ".parquet"
    file_id = files.id_of(given, name)
    inputs.setdefault(file_id, name)
    return {"type": "FILE", "id": file_id}


def _step_body(step: Step, order: int, given: Mapping[str, Any], rule_set_id: int) -> dict[str, Any]:
    config: dict[str, Any] = {"continueOnFailure": step.continue_on_failure, "maxRetries": step.max_retries}
    if step.timeout_seconds is not None:
        config["timeoutSeconds"] = step.timeout_seconds
    severities = step.own_severities
    if severities is not None:
        config["severities"] = severities.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "stepOrder": order,
        "name": step.name,
        "sourceInput": given["source"],
        "targetInput": given["target"],
        "ruleSetId": rule_set_id,
        "config": config,
    }


def _rule_set(client: Client, stream: Stream, step: Step, known: Mapping[str, Any] | None) -> int:
    """The id of the step's rule set: the one that the step of that name has, brought up to date, or a new one."""
    wanted = _rule_set_body(step.rule_set, f"{stream.name}: {step.name}")
    for one in (known or {"steps": []})["steps"]:
        if one["name"] != step.name:
            continue
        try:
            stored = client.call("GET", f"{API}/rules/{one['ruleSetId']}")
        except RequestRefused as error:
            if error.attributes.get("status") != 404:
                raise
            break
        if stored["name"] == wanted["name"]:
            if not _says(stored, wanted):
                client.call("PUT", f"{API}/rules/{stored['id']}", json=wanted)
            return int(stored["id"])
    return int(client.create_rule_set(wanted)["id"])


def _rule_set_body(rule_set: RuleSet, name: str) -> dict[str, Any]:
    body = rule_set.definition()
    rules = [
        {**one, "name": one["name"] or one["sourceField"], "targetField": one["targetField"] or one["sourceField"]}
        for one in body["matchingRules"]
    ]
    parts = {"passes": None, "severities": None, "amount": None, "potentialMatches": None}
    return {**parts, **body, "name": rule_set.name or name, "matchingRules": rules}


def _says(stored: Any, wanted: Any) -> bool:
    """Whether a stored record says what is wanted; what it has beside that does not matter."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(_says(stored.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(stored, list) and len(stored) == len(wanted)
        return same and all(_says(one, other) for one, other in zip(stored, wanted, strict=True))
    if isinstance(stored, float) and isinstance(wanted, str):
        return float(wanted) == stored
    return stored == wanted


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
