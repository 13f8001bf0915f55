"""A client of the REST API as an app would be one."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx

OPEN = {"PENDING", "RUNNING"}

ADMIN = ("admin@recon.test", "a password for tests")
"""E-mail address and password of the first user of every stack of the tests."""


class Rest:
    """Answers are asserted to be envelopes; `data` comes back. Asks as the admin, or as whoever's token or key is given."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self.base = base
        self.http = httpx.Client(base_url=f"{base}/api/v1", timeout=60)
        if token is None:
            token = self.login(*ADMIN)["token"]
        self.token = token
        self.http.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def login(self, email: str, password: str) -> dict[str, Any]:
        """What POST /auth/login gives."""
        return self.call("POST", "/auth/login", json={"email": email, "password": password})

    def call(self, method: str, path: str, *, status: int = 200, **options: Any) -> Any:
        """The envelope's data; for errors the whole envelope."""
        answer = self.http.request(method, path, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        body = answer.json()
        assert body["success"] is (status < 400)
        assert body["timestamp"].endswith("Z")
        if status >= 400:
            assert body["error"].isupper()
            assert isinstance(body["message"], str)
            return body
        return body.get("data")

    def upload(self, name: str, content: bytes | str) -> dict[str, Any]:
        given = content.encode() if isinstance(content, str) else content
        return self.call("POST", "/files/upload/single", status=201, files={"file": (name, given, "text/csv")})

    def rule_set(self, keys: list[str], compare: dict[str, tuple[str, str | None]] | None = None, **extra: Any) -> int:
        """A legacy rule set: key columns of the same name, and `column: (match type, tolerance)`."""
        mappings = [{"sourceField": one, "targetField": one, "isKey": True} for one in keys]
        rules = []
        for column, (match_type, tolerance) in (compare or {}).items():
            mappings.append({"sourceField": column, "targetField": column, "isKey": False})
            rule = {"name": column, "sourceField": column, "targetField": column, "matchType": match_type}
            rules.append(rule | ({"tolerance": float(tolerance)} if tolerance else {}))
        body = {"name": "rules", "fieldMappings": mappings, "matchingRules": rules, **extra}
        return self.call("POST", "/rules", status=201, json=body)["id"]

    def stream(self, steps: list[dict[str, Any]], name: str = "A stream", status: int = 201, **extra: Any) -> Any:
        body = {"name": name, "domain": "GENERAL", "triggerType": "MANUAL", "steps": steps, **extra}
        return self.call("POST", "/streams", status=status, json=body)

    def run(self, stream_id: int, **metadata: Any) -> int:
        body = {"triggerType": "MANUAL", "triggerMetadata": metadata}
        return self.call("POST", f"/streams/{stream_id}/runs", status=201, json=body)["runId"]

    def ended(self, run_id: int, seconds: float = 90) -> dict[str, Any]:
        """The run once it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.call("GET", f"/stream-runs/{run_id}")
            if run["status"] not in OPEN:
                return run
            assert time.monotonic() < deadline, f"run {run_id} did not end: {run}"
            time.sleep(0.1)

    def steps(self, run_id: int) -> list[dict[str, Any]]:
        return self.call("GET", f"/stream-runs/{run_id}/steps")

    def artifacts(self, step_run_id: int) -> dict[str, dict[str, Any]]:
        """By artifact type."""
        return {one["artifactType"]: one for one in self.call("GET", f"/step-runs/{step_run_id}/artifacts")}

    def download(self, url: str, **params: str) -> bytes:
        answer = self.http.get(url.removeprefix("/api/v1"), params=params)
        assert answer.status_code == 200, answer.text[:2000]
        return answer.content


def step(
    order: int, source: tuple[str, int] | int, target: tuple[str, int] | int, rule_set: int, **config: Any
) -> dict[str, Any]:
    """A step's JSON; a number as input is a file's id."""

    def given(one: tuple[str, int] | int) -> dict[str, Any]:
        kind, number = ("FILE", one) if isinstance(one, int) else one
        return {"type": kind, "id": number}

    body = {
        "stepOrder": order,
        "name": f"Step {order}",
        "sourceInput": given(source),
        "targetInput": given(target),
        "ruleSetId": rule_set,
    }
    return body | ({"config": config} if config else {})
