"""The house's own rules: who imports whom, what the locks may say, and a schema that its migrations really make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from importlinter import cli
from sqlmodel import SQLModel

from models.db import Database, migrate
from models.settings import Settings

ROOT = Path(__file__).parents[1]


def test_imports_keep_to_the_layers() -> None:
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == cli.EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_versions_and_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    pins = re.findall(r"^[a-zA-Z0-9._-]+(?:\[.*?\])?==\S+", text, re.MULTILINE)
    assert len(pins) > 50
    assert text.count("--hash=sha256:") >= len(pins)


def test_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    migrate(settings)
    database = Database.from_settings(settings)
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    database.dispose()
    assert differences == []
