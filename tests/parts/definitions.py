"""Streams written straight into a database, for tests below the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmodel import Session

from models import definitions
from models.db import Database, migrate
from models.definitions import StepDraft
from models.files import FileStatus, StoredFile
from models.rules import StoredRuleSet
from models.settings import Settings
from models.streams import Stream

ORG = 1


@contextmanager
def migrated_sqlite(directory: Path) -> Iterator[Database]:
    """A fresh SQLite database."""
    settings = Settings(data_dir=directory)
    migrate(settings)
    database = Database.from_settings(settings)
    yield database
    database.dispose()


def drafts(session: Session, count: int = 2) -> list[StepDraft]:
    """Steps over a file and a rule set that are written with them."""
    stored = StoredFile(organization_id=ORG, original_filename="a.csv", status=FileStatus.PROCESSED)
    rule_set = StoredRuleSet(organization_id=ORG, name="rules")
    session.add_all([stored, rule_set])
    session.flush()
    given = {"type": "FILE", "id": stored.id}
    return [StepDraft(order, f"Step {order}", given, given, rule_set.id, None) for order in range(1, count + 1)]


def written_stream(session: Session, **facts: Any) -> Stream:
    """A stream of two steps, as creating it through the API would write it."""
    given = {"name": "A stream", "domain": "GENERAL", "trigger_type": "MANUAL", "trigger_config": None, **facts}
    return definitions.create(session, ORG, given, drafts(session))[0]
