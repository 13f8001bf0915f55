"""Asks a stack for what it may not be able to give just now, until it does, as a careful client would."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

AGAIN = 0.3
TIMEOUT = 15.0


class Refused(Exception):
    """An answer that asking again would not change."""


def insist(base: str, method: str, path: str, seconds: float, **options: Any) -> httpx.Response:
    """The first answer below 500, but for 429. Raises TimeoutError if there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.request(method, f"{base}/api/v1{path}", timeout=TIMEOUT, trust_env=False, **options)
        except httpx.HTTPError as error:
            last = type(error).__name__
        else:
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
            last = f"{answer.status_code} {answer.text[:300]}"
        time.sleep(AGAIN)
    raise TimeoutError(f"{method} {path} had no answer within {seconds} s; the last was {last}")


class Submission:
    """One run that is asked for, in a thread of its own, under one idempotency key however often it takes."""

    def __init__(self, base: str, stream_id: int, key: str, seconds: float, cancel: float | None = None) -> None:
        self.run_id: int | None = None
        self.cancel_sent = False
        self.problem: str | None = None
        self._base = base
        self._seconds = seconds
        self._path = f"/streams/{stream_id}/runs"
        self._key = key
        self._cancel = cancel
        self._thread = threading.Thread(target=self._submit, name=f"submission-{key}", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Returns when the run is accepted, and cancelled where that is wanted, or neither within the time that it has."""
        self._thread.join()

    def _submit(self) -> None:
        began = time.monotonic()
        try:
            body = {"triggerType": "MANUAL", "triggerMetadata": {"key": self._key}}
            headers = {"Idempotency-Key": self._key}
            answer = insist(self._base, "POST", self._path, self._seconds, json=body, headers=headers)
            if answer.status_code != 201:
                raise Refused(f"POST {self._path}: {answer.status_code} {answer.text[:500]}")
            self.run_id = int(answer.json()["data"]["runId"])
            if self._cancel is not None:
                time.sleep(max(0.0, self._cancel - (time.monotonic() - began)))
                self.cancel_sent = True
                answer = insist(self._base, "POST", f"/stream-runs/{self.run_id}/cancel", self._seconds)
                if answer.status_code not in (200, 409):
                    raise Refused(f"cancel of run {self.run_id}: {answer.status_code} {answer.text[:500]}")
        except Exception as error:  # noqa: BLE001 - told by the sitting
            self.problem = f"{type(error).__name__}: {error}"
