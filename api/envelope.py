"""The envelope of every answer, the page shape, and what wire types share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

T = TypeVar("T")
Row = TypeVar("Row")

JSON_TYPE = "application/json"


class Wire(BaseModel):
    """A JSON shape: camelCase outside, snake_case inside; unknown keys are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Envelope(Wire, Generic[T]):
    """What every answer looks like; `message` and `data` are left out where there is nothing to say."""

    success: bool
    message: str | None = None
    data: T
    timestamp: datetime


class Acknowledged(Wire):
    """An answer without data."""

    success: bool
    message: str
    timestamp: datetime


class Failure(Wire):
    """An error; `data` maps the fields to blame to texts."""

    success: bool
    message: str
    error: str
    data: dict[str, str] | None = None
    timestamp: datetime


class PageOf(Wire, Generic[T]):
    """A page of a list; `number` counts from 0."""

    content: list[T]
    total_elements: int
    total_pages: int
    size: int
    number: int
    number_of_elements: int
    first: bool
    last: bool
    empty: bool


class Paging:
    """A requested page; `asked` is False where the plain list is wanted."""

    def __init__(
        self,
        page: Annotated[int | None, Query(ge=0, le=2**31, description="page number from 0")] = None,
        size: Annotated[int | None, Query(ge=1, le=500, description="rows a page")] = None,
    ) -> None:
        self.asked = page is not None or size is not None
        self.page = page or 0
        self.size = size or 20

    @property
    def window(self) -> dict[str, int]:
        """Offset and limit for a query; nothing where all rows are wanted."""
        return {"offset": self.page * self.size, "limit": self.size} if self.asked else {}

    def answer(self, rows: Sequence[Row], total: int, shape: Callable[[Row], Wire]) -> Response:
        """The rows as a plain list, or as the page that was asked for."""
        shaped = [shape(row) for row in rows]
        return ok(page_of(shaped, total, self.page, self.size) if self.asked else shaped)


PagingQuery = Annotated[Paging, Depends(Paging)]


def page_of(content: list[Any], total: int, page: int, size: int) -> PageOf[Any]:
    """A page with its place in the whole."""
    pages = -(-total // size)
    return PageOf[Any](
        content=content,
        total_elements=total,
        total_pages=pages,
        size=size,
        number=page,
        number_of_elements=len(content),
        first=page == 0,
        last=page >= pages - 1,
        empty=not content,
    )


def ok(content: Any = None, message: str | None = None, *, status: int = 200) -> Response:
    """A success; `content` becomes `data`."""
    body: dict[str, Any] = {"success": True}
    if message is not None:
        body["message"] = message
    if content is not None:
        body["data"] = content
    body["timestamp"] = datetime.now(UTC)
    return Response(to_json(body, by_alias=True), status_code=status, media_type=JSON_TYPE)


def failed(
    status: int, code: str, message: str, fields: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error; `fields` become `data`."""
    body: dict[str, Any] = {"success": False, "message": message, "error": code}
    if fields:
        body["data"] = fields
    body["timestamp"] = datetime.now(UTC)
    return Response(to_json(body), status_code=status, media_type=JSON_TYPE, headers=headers)
