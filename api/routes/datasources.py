"""Data sources: the legacy routes. Secrets of a configuration come back masked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.deps import Org, RecordId, Services, Use
from api.envelope import Acknowledged, Envelope, PageOf, PagingQuery, Wire, ok
from api.wire import Given, JsonObject, Name, Text
from matching.errors import ReconError
from models import connections, sources
from models.base import utc_now
from models.sources import DataSource, SourceType

routes = APIRouter(prefix="/datasources", tags=["data sources"])


class DataSourceRequest(Given):
    name: Name
    description: Text | None = None
    type: SourceType
    config: JsonObject | None = None


class DataSourceDetail(Wire):
    id: int
    name: str
    description: str | None
    type: str
    config: dict[str, Any] | None
    active: bool
    last_tested_at: datetime | None
    last_test_successful: bool | None
    last_test_error: str | None
    created_at: datetime
    updated_at: datetime


def _fill(use: Services, stored: DataSource, body: DataSourceRequest) -> None:
    stored.name, stored.description, stored.type = body.name, body.description, body.type
    stored.config, stored.secrets = use.vault.seal(body.config, stored.secrets)
    stored.updated_at = utc_now()


@routes.post("", status_code=201, response_model=Envelope[DataSourceDetail])
def create(use: Use, org: Org, body: DataSourceRequest) -> Response:
    """A data source; `test` says whether it can be reached."""
    stored = DataSource(organization_id=org, name=body.name, type=body.type)
    _fill(use, stored, body)
    with use.database.write() as session:
        session.add(stored)
        session.flush()
    return ok(DataSourceDetail.model_validate(stored), "Data source created successfully", status=201)


@routes.get("", response_model=Envelope[list[DataSourceDetail] | PageOf[DataSourceDetail]])
def listed(use: Use, org: Org, paging: PagingQuery, type: Annotated[SourceType | None, Query()] = None) -> Response:
    """The data sources, oldest first."""
    with use.database.read() as session:
        rows, total = sources.listed(session, org, type, **paging.window)
    return paging.answer(rows, total, DataSourceDetail.model_validate)


@routes.get("/{id}", response_model=Envelope[DataSourceDetail])
def one(use: Use, org: Org, id: RecordId) -> Response:
    """One data source."""
    with use.database.read() as session:
        return ok(DataSourceDetail.model_validate(sources.get(session, org, id)))


@routes.put("/{id}", response_model=Envelope[DataSourceDetail])
def update(use: Use, org: Org, id: RecordId, body: DataSourceRequest) -> Response:
    """Replaces everything; a masked secret stays what it was."""
    with use.database.write() as session:
        stored = sources.get(session, org, id)
        _fill(use, stored, body)
        session.add(stored)
    return ok(DataSourceDetail.model_validate(stored), "Data source updated successfully")


@routes.delete("/{id}", response_model=Acknowledged)
def delete(use: Use, org: Org, id: RecordId) -> Response:
    """Deletes a data source that no stream reads."""
    with use.database.write() as session:
        sources.remove(session, org, id)
    return ok(message="Data source deleted successfully")


@routes.post("/{id}/test", response_model=Envelope[DataSourceDetail])
def test(use: Use, org: Org, id: RecordId) -> Response:
    """Connects to the data source and keeps how that went; 200 either way."""
    with use.database.read() as session:
        stored = sources.get(session, org, id)
    config = use.vault.unseal(stored.config or {}, stored.secrets)
    failure: str | None = None
    try:
        connections.check(SourceType(stored.type), config, use.settings)
    except ReconError as error:
        failure = error.message
    with use.database.write() as session:
        stored = sources.get(session, org, id)
        sources.note_test(session, stored, failure)
    message = "Connection test successful" if failure is None else f"Connection test failed: {failure}"
    return ok(DataSourceDetail.model_validate(stored), message)
