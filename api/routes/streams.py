"""Streams: create, look at, edit, pause, archive, validate, run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import to_json
from sqlmodel import Session, col, select

from api.deps import Org, RecordId, Services, Use
from api.envelope import Envelope, PageOf, PagingQuery, Wire, ok
from api.routes.runs import RunDetail, shape_run
from api.wire import Given, JsonObject, Name, Text, keepable_json
from matching.spec import Severities
from models import definitions, plan, runs, streams
from models.definitions import StepDraft
from models.errors import Conflict
from models.lifecycle import RunStatus, StreamStatus
from models.runs import StreamRun
from models.streams import Domain, Step, Stream, StreamFilter, StreamInputType, TriggerType

routes = APIRouter(prefix="/streams", tags=["streams"])

MOST_RETRIES = 100
LONGEST_TIMEOUT = 7 * 24 * 3600
"""Seconds."""


EventField = Annotated[Text, StringConstraints(pattern=r"^event\.[^.]", max_length=255)]
"""A field of the starting event's payload that names the file to read instead of the input's own: `event.fileId`."""


class StepInput(Given):
    """What a side of a step reads: `id` is a file's, a data source's, or an earlier step's order."""

    model_config = ConfigDict(extra="allow")

    type: StreamInputType
    id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]

    @model_validator(mode="after")
    def _keepable(self) -> StepInput:
        keepable_json(self.model_extra)
        return self


class StepConfig(Given):
    """A step's policies; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    continue_on_failure: StrictBool = False
    max_retries: Annotated[StrictInt, Field(ge=0, le=MOST_RETRIES)] = 0
    timeout_seconds: Annotated[StrictInt | StrictFloat, Field(gt=0, le=LONGEST_TIMEOUT)] | None = None
    severities: JsonObject | None = None
    source_from: EventField | None = None
    target_from: EventField | None = None

    @field_validator("severities")
    @classmethod
    def _known(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            Severities.model_validate(value)
        return value


class StepRequest(Given):
    step_order: Annotated[StrictInt, Field(ge=1, le=10_000)]
    name: Name
    source_input: StepInput
    target_input: StepInput
    rule_set_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
    config: StepConfig | None = None

    def draft(self) -> StepDraft:
        config = None if self.config is None else self.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return StepDraft(
            step_order=self.step_order,
            name=self.name,
            source_input=self.source_input.model_dump(mode="json", by_alias=True),
            target_input=self.target_input.model_dump(mode="json", by_alias=True),
            rule_set_id=self.rule_set_id,
            config=config,
        )


class StreamRequest(Given):
    name: Name
    description: Text | None = None
    domain: Domain = Domain.GENERAL
    trigger_type: TriggerType = TriggerType.MANUAL
    trigger_config: JsonObject | None = None
    steps: list[StepRequest]


class StreamChanges(Given):
    """What is left out stays as it is; a `null` takes a description or a trigger configuration away."""

    name: Name = ""
    description: Text | None = None
    domain: Domain = Domain.GENERAL
    trigger_type: TriggerType = TriggerType.MANUAL
    trigger_config: JsonObject | None = None
    steps: list[StepRequest] = Field(default_factory=list[StepRequest])
    status: Literal[StreamStatus.ACTIVE, StreamStatus.PAUSED] = StreamStatus.ACTIVE

    def drafts(self) -> list[StepDraft] | None:
        return [step.draft() for step in self.steps] if "steps" in self.model_fields_set else None


class RunRequest(Given):
    trigger_type: TriggerType = TriggerType.MANUAL
    trigger_metadata: JsonObject | None = None


class StreamSummary(Wire):
    id: int
    name: str
    status: StreamStatus
    domain: Domain
    step_count: int
    created_at: datetime
    updated_at: datetime


class StepDetail(Wire):
    id: int
    step_order: int
    name: str
    source_input: dict[str, Any]
    target_input: dict[str, Any]
    rule_set_id: int
    config: dict[str, Any] | None


class StreamDetail(Wire):
    id: int
    name: str
    description: str | None
    status: StreamStatus
    domain: Domain
    trigger_type: TriggerType
    trigger_config: dict[str, Any] | None
    steps: list[StepDetail]
    created_at: datetime
    updated_at: datetime


class StreamRunDetail(RunDetail):
    """`triggerMetadata`: what the client gave, the time that a schedule fired at, or the event with its id and payload."""

    trigger_type: TriggerType
    trigger_metadata: dict[str, Any] | None


class Finding(Wire):
    """`stepOrder` and `field` say where, if it is at one place."""

    code: str
    message: str
    step_order: int | None = None
    field: str | None = None


class Validation(Wire):
    valid: bool
    errors: list[Finding]
    warnings: list[Finding]


class RunCreated(Wire):
    run_id: int
    stream_id: int
    status: RunStatus
    current_step_order: int
    started_at: datetime | None
    created_at: datetime


def _summary(stream: Stream, step_count: int) -> StreamSummary:
    facts = stream.model_dump(include={"id", "name", "status", "domain", "created_at", "updated_at"})
    return StreamSummary(**facts, step_count=step_count)


def _detail(stream: Stream, steps: Sequence[Step]) -> StreamDetail:
    return StreamDetail(
        **stream.model_dump(include=set(StreamDetail.model_fields) - {"steps"}),
        steps=[StepDetail.model_validate(step) for step in steps],
    )


@routes.post("", status_code=201, response_model=Envelope[StreamSummary])
def create(use: Use, org: Org, body: StreamRequest) -> Response:
    """Checks the shape and that everything named exists; `validate` finds what may change later."""
    drafts = [step.draft() for step in body.steps]
    with use.database.write() as session:
        stream, steps = definitions.create(session, org, body.model_dump(mode="json", exclude={"steps"}), drafts)
    use.registrar.register(stream)
    return ok(_summary(stream, len(steps)), "Stream created successfully", status=201)


@routes.get("", response_model=Envelope[list[StreamSummary] | PageOf[StreamSummary]])
def listed(
    use: Use,
    org: Org,
    paging: PagingQuery,
    status: StreamStatus | None = None,
    domain: Domain | None = None,
    trigger_type: Annotated[TriggerType | None, Query(alias="triggerType")] = None,
    name: Annotated[str | None, Query(max_length=255, description="a part of the name, in any case")] = None,
) -> Response:
    """The streams, newest first; those behind legacy reconciliations don't show."""
    wanted = StreamFilter(status, domain, trigger_type, name)
    with use.database.read() as session:
        rows, total = streams.listed(session, org, wanted, **paging.window)
    return paging.answer(rows, total, lambda row: _summary(*row))


@routes.get("/{streamId}", response_model=Envelope[StreamDetail])
def one(use: Use, org: Org, streamId: RecordId) -> Response:  # noqa: N803 - the contract's name
    """The current definition; inputs, `config` and `triggerConfig` come back as they were given."""
    with use.database.read() as session:
        stream = streams.get(session, org, streamId)
        steps = streams.steps_of(session, stream.id, stream.definition_version)
    return ok(_detail(stream, steps))


@routes.patch("/{streamId}", response_model=Envelope[StreamDetail])
def edit(use: Use, org: Org, streamId: RecordId, body: StreamChanges) -> Response:  # noqa: N803
    """Changes what the body names. Other steps make a new definition version; runs keep the one they began with."""
    facts = body.model_dump(mode="json", exclude={"steps", "status"}, exclude_unset=True)
    with use.database.write() as session:
        stream = definitions.edit(session, org, streamId, facts, body.drafts())
        if "status" in body.model_fields_set:
            move = definitions.pause if body.status is StreamStatus.PAUSED else definitions.resume
            stream = move(session, org, streamId)
        steps = streams.steps_of(session, stream.id, stream.definition_version)
    use.registrar.register(stream)
    return ok(_detail(stream, steps), "Stream updated successfully")


@routes.post("/{streamId}/pause", response_model=Envelope[StreamSummary])
def pause(use: Use, org: Org, streamId: RecordId) -> Response:  # noqa: N803
    """A PAUSED stream neither fires nor takes runs; runs that it took before are carried out."""
    return _moved(use, org, streamId, definitions.pause, "Stream paused")


@routes.post("/{streamId}/resume", response_model=Envelope[StreamSummary])
def resume(use: Use, org: Org, streamId: RecordId) -> Response:  # noqa: N803
    """The stream fires again from now on; what was due meanwhile is not made up for."""
    return _moved(use, org, streamId, definitions.resume, "Stream resumed")


@routes.delete("/{streamId}", response_model=Envelope[StreamSummary])
def archive(use: Use, org: Org, streamId: RecordId) -> Response:  # noqa: N803
    """Archives the stream, which is final; its runs and their artifacts stay."""
    return _moved(use, org, streamId, definitions.archive, "Stream archived")


def _moved(
    use: Services, org: int, stream_id: int, move: Callable[[Session, int, int], Stream], message: str
) -> Response:
    with use.database.write() as session:
        stream = move(session, org, stream_id)
        steps = streams.steps_of(session, stream.id, stream.definition_version)
    use.registrar.register(stream)
    return ok(_summary(stream, len(steps)), message)


@routes.post("/{streamId}/validate", response_model=Envelope[Validation])
def validate(use: Use, org: Org, streamId: RecordId) -> Response:  # noqa: N803
    """Everything that would make a run fail now, and what may be unwise."""
    with use.database.read() as session:
        stream = streams.get(session, org, streamId)
        errors, warnings = plan.check_stream(session, use.storage, use.settings, stream)
    return ok(
        Validation(
            valid=not errors,
            errors=[Finding.model_validate(one) for one in errors],
            warnings=[Finding.model_validate(one) for one in warnings],
        )
    )


@routes.post("/{streamId}/runs", status_code=201, response_model=Envelope[RunCreated])
def run(
    use: Use,
    org: Org,
    streamId: RecordId,  # noqa: N803
    body: Annotated[RunRequest | None, Body()] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Starts a run. The same `Idempotency-Key` gives the same run again."""
    wanted = body or RunRequest()
    digest = hashlib.sha256(to_json(wanted)).hexdigest()
    with use.database.write() as session:
        stream = streams.get(session, org, streamId)
        known = None
        if idempotency_key is not None:
            # Taken for this transaction: of two equal requests at the same time, the second finds the first one's run.
            session.exec(select(Stream.id).where(col(Stream.id) == stream.id).with_for_update()).one()
            key = (col(StreamRun.stream_id) == stream.id, col(StreamRun.idempotency_key) == idempotency_key)
            known = session.exec(select(StreamRun).where(*key)).one_or_none()
        if known is None:
            streams.runnable(stream)
            created = runs.create(
                session,
                stream,
                trigger_type=wanted.trigger_type,
                trigger_metadata=wanted.trigger_metadata,
                idempotency_key=idempotency_key,
                request_digest=digest,
            )
        elif known.request_digest != digest:
            raise Conflict(
                f"Idempotency-Key '{idempotency_key}' was used for run {known.id} with another body",
                code="IDEMPOTENCY_KEY_REUSED",
                run_id=known.id,
            )
        else:
            created = known
    if known is None:
        use.launcher.submit(created.id)
    facts = created.model_dump(include={"stream_id", "status", "current_step_order", "started_at", "created_at"})
    return ok(RunCreated(run_id=created.id, **facts), "Stream run created successfully", status=201)


@routes.get("/{streamId}/runs", response_model=Envelope[list[StreamRunDetail] | PageOf[StreamRunDetail]])
def runs_of(use: Use, org: Org, streamId: RecordId, paging: PagingQuery) -> Response:  # noqa: N803
    """The stream's runs, newest first, and what started each."""
    with use.database.read() as session:
        stream = streams.get(session, org, streamId)
        rows, total = runs.of_stream(session, stream.id, **paging.window)
        counted = runs.metrics(session, [row.id for row in rows])

    def shape(row: StreamRun) -> StreamRunDetail:
        shown = shape_run(row, counted[row.id]).model_dump()
        return StreamRunDetail(
            **shown, trigger_type=TriggerType(row.trigger_type), trigger_metadata=row.trigger_metadata
        )

    return paging.answer(rows, total, shape)
