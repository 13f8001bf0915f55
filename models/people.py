"""Organizations: everything belongs to one and is invisible to any other."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from models.base import primary_key, time_column

DEFAULT_ORGANIZATION = 1
"""The organization that a fresh database starts with."""


class Organization(SQLModel, table=True):
    __tablename__ = "organizations"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    name: str = Field(unique=True)
    created_at: datetime = time_column()
