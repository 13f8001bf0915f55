"""Events sent to a stream: each starts one run, however often it is delivered."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Body, Response
from pydantic import Field, StringConstraints

from api.deps import Org, RecordId, Use
from api.envelope import Envelope, Wire, ok
from api.wire import Given, JsonObject, Text
from models import starts

routes = APIRouter(prefix="/streams", tags=["streams"])

Word = Annotated[Text, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


class EventRequest(Given):
    """`event` may be left out where the stream waits for one name; `id` names the occurrence, so that it is not taken twice."""

    event: Word | None = None
    id: Word | None = None
    payload: JsonObject = Field(default_factory=dict)


class EventTaken(Wire):
    """`matched`: whether the stream waits for such an event; without that, there is no run."""

    event_id: str
    stream_id: int
    matched: bool
    run_id: int | None
    status: str | None


@routes.post(
    "/{streamId}/events",
    status_code=201,
    response_model=Envelope[EventTaken],
    responses={200: {"model": Envelope[EventTaken], "description": "Known already, or not what the stream waits for"}},
)
def take(
    use: Use,
    org: Org,
    streamId: RecordId,  # noqa: N803 - the contract's name
    body: Annotated[EventRequest | None, Body()] = None,
) -> Response:
    """Starts a run with the event in its `triggerMetadata`. The same `id` gives the same run again."""
    given = body or EventRequest()
    event_id = given.id or str(uuid4())
    with use.database.write() as session:
        taken = starts.take(session, org, streamId, name=given.event, event_id=event_id, payload=given.payload)
    if taken.new and taken.run is not None:
        use.launcher.submit(taken.run.id)
    answer = EventTaken(
        event_id=event_id,
        stream_id=streamId,
        matched=taken.run is not None,
        run_id=None if taken.run is None else taken.run.id,
        status=None if taken.run is None else taken.run.status,
    )
    return ok(answer, taken.message, status=201 if taken.new else 200)
