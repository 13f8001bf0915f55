"""What an attempt works with: settings, records, blobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from models.db import Database
from models.settings import Settings
from models.storage import Storage


@dataclass(frozen=True)
class Workplace:
    settings: Settings
    database: Database
    storage: Storage

    @classmethod
    def from_settings(cls, settings: Settings) -> Workplace:
        return cls(settings, Database.from_settings(settings), Storage.from_settings(settings))


@cache
def process_workplace() -> Workplace:
    """The workplace of a flow run's own process, which gets its settings from its environment."""
    return Workplace.from_settings(Settings())
