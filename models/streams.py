"""Streams and their steps: what is to be reconciled, in which order, under which rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, UniqueConstraint, func
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import big_integer, json_column, primary_key, reference, time_column
from models.errors import Conflict, NotFound
from models.lifecycle import StreamStatus


class StreamInputType(StrEnum):
    FILE = "FILE"
    STEP_OUTPUT_UNMATCHED_SOURCE = "STEP_OUTPUT_UNMATCHED_SOURCE"
    STEP_OUTPUT_UNMATCHED_TARGET = "STEP_OUTPUT_UNMATCHED_TARGET"
    DATA_SOURCE_SNAPSHOT = "DATA_SOURCE_SNAPSHOT"


STEP_OUTPUTS = (StreamInputType.STEP_OUTPUT_UNMATCHED_SOURCE, StreamInputType.STEP_OUTPUT_UNMATCHED_TARGET)


class TriggerType(StrEnum):
    MANUAL = "MANUAL"
    SCHEDULED = "SCHEDULED"
    EVENT = "EVENT"


class Concurrency(StrEnum):
    """What a new run does while another one of its stream is open: wait for its turn, run beside it, or not come to be."""

    QUEUE = "QUEUE"
    ALLOW = "ALLOW"
    SKIP = "SKIP"


class Domain(StrEnum):
    BANKING = "BANKING"
    TRADING = "TRADING"
    ACCOUNTS_PAYABLE = "ACCOUNTS_PAYABLE"
    INVENTORY = "INVENTORY"
    INTERCOMPANY = "INTERCOMPANY"
    ECOMMERCE = "ECOMMERCE"
    TECHNICAL = "TECHNICAL"
    GENERAL = "GENERAL"


class Stream(SQLModel, table=True):
    """`implicit` streams stand behind legacy reconciliations and don't show in lists.

    `revision` rises with every change that the engine has to know of, `registered_revision` is the one it was last told;
    `deployment_id` and `automation_id` are the engine's. Fire times and events from before `fires_from` start nothing.
    """

    __tablename__ = "streams"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    organization_id: int = reference("organizations.id")
    name: str
    description: str | None = None
    domain: str = Field(default=Domain.GENERAL)
    status: str = Field(default=StreamStatus.ACTIVE)
    trigger_type: str = Field(default=TriggerType.MANUAL)
    trigger_config: dict[str, Any] | None = json_column()
    definition_version: int = 1
    implicit: bool = Field(default=False, index=True)
    deployment_id: str | None = None
    automation_id: str | None = None
    revision: int = 1
    registered_revision: int = 0
    fires_from: datetime | None = time_column(nullable=True)
    created_at: datetime = time_column()
    updated_at: datetime = time_column()

    @property
    def concurrency(self) -> Concurrency:
        """Legacy reconciliations, whose streams are implicit, never wait for one another."""
        if self.implicit:
            return Concurrency.ALLOW
        return Concurrency((self.trigger_config or {}).get("concurrency", Concurrency.QUEUE))


class Step(SQLModel, table=True):
    """One step of one definition version. `source_input`, `target_input` and `config` are the JSON as given."""

    __tablename__ = "steps"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("stream_id", "definition_version", "step_order"),)

    id: int = primary_key()
    stream_id: int = reference("streams.id")
    definition_version: int = 1
    step_order: int
    name: str
    source_type: str
    source_id: int = big_integer()
    target_type: str
    target_id: int = big_integer()
    source_input: dict[str, Any] = json_column(nullable=False)
    target_input: dict[str, Any] = json_column(nullable=False)
    rule_set_id: int = Field(index=True)
    config: dict[str, Any] | None = json_column()

    @property
    def tolerated(self) -> bool:
        """Whether later steps go on after this one's failure."""
        return bool((self.config or {}).get("continueOnFailure", False))

    @property
    def max_retries(self) -> int:
        """Retries after the first attempt."""
        return int((self.config or {}).get("maxRetries", 0))

    def from_event(self, side: str) -> str | None:
        """The field of the starting event that names the file which a side reads, if one is given."""
        named: str | None = (self.config or {}).get(f"{side}From")
        return named

    @property
    def timeout(self) -> float | None:
        """Seconds that one attempt may take; None for as long as it needs."""
        given = (self.config or {}).get("timeoutSeconds")
        return None if given is None else float(given)

    @property
    def named_parts(self) -> str:
        """What the step is made of, by type and id."""
        return f"{self.source_type} {self.source_id}, {self.target_type} {self.target_id}, rule set {self.rule_set_id}"

    def upstream(self) -> dict[str, tuple[int, StreamInputType]]:
        """The earlier steps that this one reads: side -> (step order, which output)."""
        sides = {"source": (self.source_type, self.source_id), "target": (self.target_type, self.target_id)}
        return {
            side: (step_order, StreamInputType(kind))
            for side, (kind, step_order) in sides.items()
            if kind in STEP_OUTPUTS
        }


def get(session: Session, organization_id: int, stream_id: int) -> Stream:
    """The stream; raises NotFound where it is not the organization's."""
    found = session.get(Stream, stream_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("Stream", stream_id)
    return found


@dataclass(frozen=True)
class StreamFilter:
    """Which streams are wanted; `name` is a part of the name, in any case."""

    status: StreamStatus | None = None
    domain: Domain | None = None
    trigger_type: TriggerType | None = None
    name: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As parts of a WHERE, to be fulfilled together."""
        chosen = [
            col(getattr(Stream, column)) == wanted
            for column, wanted in (
                ("status", self.status),
                ("domain", self.domain),
                ("trigger_type", self.trigger_type),
            )
            if wanted is not None
        ]
        if self.name:
            chosen.append(func.lower(col(Stream.name)).contains(self.name.lower(), autoescape=True))
        return chosen


def listed(
    session: Session,
    organization_id: int,
    wanted: StreamFilter | None = None,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[Sequence[tuple[Stream, int]], int]:
    """The organization's own streams with their step counts, newest first, and how many there are."""
    mine = [col(Stream.organization_id) == organization_id, col(Stream.implicit).is_(False)]
    mine += (wanted or StreamFilter()).conditions()
    total = session.exec(select(func.count()).select_from(Stream).where(*mine)).one()
    counted = (
        select(Stream, func.count(col(Step.id)))
        .join(
            Step,
            (col(Step.stream_id) == col(Stream.id)) & (col(Step.definition_version) == col(Stream.definition_version)),
            isouter=True,
        )
        .where(*mine)
        .group_by(col(Stream.id))
        .order_by(col(Stream.id).desc())
        .offset(offset)
        .limit(limit)
    )
    return session.exec(counted).all(), total


def steps_of(session: Session, stream_id: int, definition_version: int) -> Sequence[Step]:
    """The steps of one definition version, in step order."""
    chosen = (col(Step.stream_id) == stream_id, col(Step.definition_version) == definition_version)
    return session.exec(select(Step).where(*chosen).order_by(col(Step.step_order))).all()


def runnable(stream: Stream) -> None:
    """Raises Conflict (STREAM_NOT_ACTIVE) unless the stream takes runs."""
    if stream.status != StreamStatus.ACTIVE:
        raise Conflict(
            f"Stream {stream.id} '{stream.name}' is {stream.status}; only an ACTIVE stream takes runs",
            code="STREAM_NOT_ACTIVE",
            stream_id=stream.id,
            status=stream.status,
        )
