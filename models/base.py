"""What every table shares: UTC times, integer ids, JSON columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field

BIG_INTEGER = BigInteger().with_variant(Integer, "sqlite")
"""Ids and counts; SQLite numbers rows by itself only in a column that is called INTEGER."""

NEVER_REUSED = {"sqlite_autoincrement": True}
"""Table arguments: SQLite would give a deleted row's id again."""

JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in Python, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time needs a zone: {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def primary_key() -> Any:
    """An integer id that the database gives."""
    return Field(default=None, primary_key=True, sa_type=BIG_INTEGER)


def reference(target: str, *, nullable: bool = False, index: bool = True) -> Any:
    """A foreign key to `table.column`."""
    return Field(
        default=None if nullable else ..., foreign_key=target, nullable=nullable, index=index, sa_type=BIG_INTEGER
    )


def big_integer(default: int | None = 0) -> Any:
    """A count or size that may exceed 32 bits."""
    return Field(default=default, nullable=default is None, sa_type=BIG_INTEGER)


def json_column(*, nullable: bool = True) -> Any:
    """A JSON value, kept as given."""
    return Field(default=None if nullable else ..., nullable=nullable, sa_type=JSON_VALUE)


def time_column(*, nullable: bool = False, index: bool = False) -> Any:
    """A UTC time; where it may not be null it defaults to the present."""
    if nullable:
        return Field(default=None, nullable=True, sa_type=UtcDateTime, index=index)
    return Field(default_factory=utc_now, nullable=False, sa_type=UtcDateTime, index=index)
