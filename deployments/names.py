"""What things are called at the engine."""

from __future__ import annotations

REFUSED_IN_NAMES = str.maketrans(dict.fromkeys('/%&<>"\\', " "))
"""Prefect refuses these in names or can't show them in addresses."""


def engine_name(name: str, record_id: int) -> str:
    """A name that Prefect takes and that no other record has."""
    return f"{' '.join(name.translate(REFUSED_IN_NAMES).split())} ({record_id})".strip()


def deployment_name(stream_id: int) -> str:
    """Of a stream's deployment; its flow has the stream's own `engine_name`."""
    return f"stream-{stream_id}"
