"""The REST API from Python: what the demo needs of it, and how it says who asks."""

from __future__ import annotations

import hashlib
import mimetypes
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from models.errors import DependencyDown, ReconError

_ENDED = ("COMPLETED", "PARTIAL_FAILED", "FAILED", "CANCELED")
_POLL = 0.1
REFRESH = "/api/v1/auth/refresh"


class RequestRefused(ReconError):
    """The API answered with an error; `code` is the API's."""

    code = "REQUEST_REFUSED"


class Credentials(httpx.Auth):
    """Sends an API key or an access token; a token that has expired is renewed by its refresh token, and the request repeated.

    Without either nothing is sent.
    """

    def __init__(self, bearer: str | None = None, refresh_token: str | None = None) -> None:
        self._bearer = bearer
        self._refresh_token = refresh_token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._bearer is not None:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
        response = yield request
        if response.status_code != 401 or self._refresh_token is None:
            return
        renewal = httpx.Request(
            "POST", request.url.copy_with(path=REFRESH, query=None), json={"refreshToken": self._refresh_token}
        )
        answer = yield renewal
        if answer.is_success:
            answer.read()
            self.take(answer.json()["data"])
            request.headers["Authorization"] = f"Bearer {self._bearer}"
            yield request

    def take(self, issued: dict[str, Any]) -> None:
        """The tokens of a log-in or a renewal."""
        self._bearer, self._refresh_token = issued["token"], issued["refreshToken"]


class Client:
    """Speaks to the API at `base_url`, such as `http://127.0.0.1:8080`, as the holder of an API key or access token (`token`),
    as whoever `login` names, or as nobody.

    Every method raises `RequestRefused` where the API refuses and `DependencyDown` where it can't be reached, and returns
    the `data` of the envelope.
    """

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._credentials = Credentials(token)
        self._http = httpx.Client(base_url=self.base_url, timeout=120.0, auth=self._credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def login(self, email: str, password: str) -> dict[str, Any]:
        """Asks as this user from now on, and gives them."""
        issued = self._data("POST", "/api/v1/auth/login", json={"email": email, "password": password})
        self._credentials.take(issued)
        return issued["user"]

    def upload(self, path: Path, name: str | None = None) -> dict[str, Any]:
        """The uploaded file's record. A file that the API could not read is a `RequestRefused` too."""
        called = name or path.name
        kind = mimetypes.guess_type(called)[0] or "application/octet-stream"
        with path.open("rb") as file:
            stored = self._data("POST", "/api/v1/files/upload/single", files={"file": (called, file, kind)})
        if stored["status"] != "PROCESSED":
            raise RequestRefused(f"{called} was not read: {stored['processingError']}", file=called)
        return stored

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The `data` of any request's answer; `options` are httpx's."""
        return self._data(method, path, **options)

    def create_rule_set(self, definition: dict[str, Any]) -> dict[str, Any]:
        return self._data("POST", "/api/v1/rules", json=definition)

    def create_stream(self, definition: dict[str, Any]) -> dict[str, Any]:
        return self._data("POST", "/api/v1/streams", json=definition)

    def start_run(self, stream_id: int, metadata: dict[str, Any]) -> int:
        """The run's id."""
        body = {"triggerType": "MANUAL", "triggerMetadata": metadata}
        return self._data("POST", f"/api/v1/streams/{stream_id}/runs", json=body)["runId"]

    def run(self, run_id: int) -> dict[str, Any]:
        return self._data("GET", f"/api/v1/stream-runs/{run_id}")

    def steps(self, run_id: int) -> list[dict[str, Any]]:
        return self._data("GET", f"/api/v1/stream-runs/{run_id}/steps")

    def artifacts(self, step_run_id: int) -> list[dict[str, Any]]:
        return self._data("GET", f"/api/v1/step-runs/{step_run_id}/artifacts")

    def reconciliation_ids(self) -> list[int]:
        """The ids of all reconciliations, newest first."""
        return [one["id"] for one in self._data("GET", "/api/v1/reconciliations")]

    def parity(self, reconciliation_id: int) -> dict[str, Any]:
        """The figures of a reconciliation beside those of its stream run."""
        return self._data("GET", f"/api/v1/reconciliations/{reconciliation_id}/parity")

    def wait(
        self, run_id: int, seconds: float, progress: Callable[[list[dict[str, Any]]], None] | None = None
    ) -> dict[str, Any]:
        """Polls until the run has ended, calling `progress` with its steps. Raises `DependencyDown` after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.run(run_id)
            if progress is not None:
                progress(self.steps(run_id))
            if run["status"] in _ENDED:
                return run
            if time.monotonic() > deadline:
                raise DependencyDown(f"Run {run_id} is still {run['status']} after {seconds:.0f} s", run_id=run_id)
            time.sleep(_POLL)

    def download(self, url: str, path: Path) -> str:
        """Writes what the URL gives by default; returns `sha256:` and the digest of those bytes."""
        digest = hashlib.sha256()
        try:
            with self._http.stream("GET", url) as response, path.open("wb") as file:
                if not response.is_success:
                    response.read()
                    self._refuse("GET", url, response)
                for chunk in response.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(url, error) from error
        return f"sha256:{digest.hexdigest()}"

    def _data(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(path, error) from error
        if not response.is_success:
            self._refuse(method, path, response)
        return response.json()["data"]

    def _unreachable(self, path: str, error: httpx.TransportError) -> DependencyDown:
        return DependencyDown(f"The API at {self.base_url} does not answer {path}: {error}")

    @staticmethod
    def _refuse(method: str, path: str, response: httpx.Response) -> None:
        try:
            body: dict[str, Any] = response.json()
        except ValueError:
            body = {"message": response.text[:500]}
        told = body.get("data")
        fields = {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}
        blamed = "".join(f"; {name}: {text}" for name, text in fields.items())
        raise RequestRefused(
            f"{method} {path} was answered {response.status_code} {body.get('error', '')}: {body.get('message')}{blamed}",
            fields=fields,
            status=response.status_code,
        )
