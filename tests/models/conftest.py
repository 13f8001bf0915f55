"""The databases that records are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.db import Database, migrate
from models.settings import Settings
from tests.parts.postgres import postgres_server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("db")
    if request.param == "sqlite":
        settings = Settings(data_dir=directory)
        migrate(settings)
        made = Database.from_settings(settings)
        yield made
        made.dispose()
        return
    with postgres_server() as url:
        settings = Settings(data_dir=directory, database_url=url)
        migrate(settings)
        made = Database.from_settings(settings)
        yield made
        made.dispose()
