"""What an attempt works with: settings, records, blobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from sqlmodel import Session

from models import people
from models.db import Database
from models.errors import DependencyDown
from models.settings import Settings
from models.storage import Storage

log = logging.getLogger(__name__)

TABLES = (people,)
"""Imported for what other tables refer to."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds before a database that was away is asked again; doubling."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Workplace:
    settings: Settings
    database: Database
    storage: Storage

    @classmethod
    def from_settings(cls, settings: Settings) -> Workplace:
        return cls(settings, Database.from_settings(settings), Storage.from_settings(settings))

    def reading(self, look: Callable[[Session], Answer]) -> Answer:
        """What `look` finds, waiting for a database that is away. Raises DependencyDown after the settings' patience."""

        def once() -> Answer:
            with self.database.read() as session:
                return look(session)

        return self._patiently(once)

    def writing(self, change: Callable[[Session], Answer]) -> Answer:
        """Commits what `change` does, waiting for a database that is away; `change` may be called again after a commit whose
        answer was lost, and has to recognise that. Raises DependencyDown after the settings' patience.
        """

        def once() -> Answer:
            with self.database.write() as session:
                return change(session)

        return self._patiently(once)

    def _patiently(self, act: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self.settings.database_patience
        pause = FIRST_PAUSE
        while True:
            try:
                return act()
            except DependencyDown as error:
                if time.monotonic() + pause > deadline:
                    raise
                log.warning("%s; asking again in %.1f s", error.message, pause)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


@cache
def process_workplace() -> Workplace:
    """The workplace of a flow run's own process, which gets its settings from its environment."""
    return Workplace.from_settings(Settings())
