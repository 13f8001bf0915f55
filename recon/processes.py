"""What `recon.local` tells the supervisor to run, and what it hears back; a JSON line each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

LOG_MARK = "--- started"
"""Begins the line that each start of a process leaves in its log."""

EventKind = Literal["started", "healthy", "exited", "failed", "stopped"]


@dataclass(frozen=True)
class HttpCheck:
    """Healthy when the URL answers 200 with a body that `pattern` (a regular expression) is found in.

    With `body` the request is a POST of that JSON. With `fresh`, the answer is a JSON list and one of its items must
    carry a `last_heartbeat_time` later than the start of the process: what an earlier process left does not count.
    """

    url: str
    pattern: str = ""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    fresh: bool = False


@dataclass(frozen=True)
class Component:
    """One process: started when those in `after` are healthy, stopped before all that stand earlier in the table."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: str
    check: HttpCheck
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What to run.

    `grace`: seconds from SIGTERM to SIGKILL, for all together. `start_limit`: seconds one may take to become healthy.
    """

    components: tuple[Component, ...]
    grace: float
    start_limit: float

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Plan:
        raw: dict[str, Any] = json.loads(line)
        return cls(tuple(_component(item) for item in raw["components"]), raw["grace"], raw["start_limit"])


@dataclass(frozen=True)
class Event:
    """Something that happened to a component.

    `seconds`: for healthy, since the start of the process; for exited, until it is started again. `code`: the exit
    code, negative for a signal.
    """

    kind: EventKind
    name: str = ""
    pid: int = 0
    seconds: float = 0.0
    code: int = 0

    @property
    def how(self) -> str:
        """The end in words."""
        return f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Event:
        return cls(**json.loads(line))


def _component(raw: dict[str, Any]) -> Component:
    return Component(
        name=raw["name"],
        argv=raw["argv"],
        env=raw["env"],
        log=raw["log"],
        check=HttpCheck(**raw["check"]),
        after=tuple(raw["after"]),
    )
