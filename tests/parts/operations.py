"""Every operation that the API describes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx

PREFIX = "/api/v1"


@dataclass(frozen=True)
class Operation:
    """`path` is the template below `/api/v1`."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    def at(self, ids: dict[str, int]) -> str:
        return self.path.format(**ids)


def operations(base: str) -> list[Operation]:
    """What a running API says of itself."""
    paths: dict[str, dict[str, Any]] = httpx.get(f"{base}/openapi.json").json()["paths"]
    return [
        Operation(method.upper(), path.removeprefix(PREFIX)) for path, methods in paths.items() for method in methods
    ]
