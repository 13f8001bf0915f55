"""Settings: what the addresses come to, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("api_port", 99_999, "65535"),
        ("prefect_port", 0, "1"),
        ("database_url", "nonsense", "postgresql"),
        ("database_url", "mysql://u:hush-hush@db/recon", "postgresql"),
        ("storage_url", "gopher://files", "gopher"),
        ("data_dir", "what?", "'?'"),
    ],
)
def test_what_can_never_work_is_refused_at_once(setting: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{setting: value})  # pyright: ignore[reportArgumentType]
    (problem,) = refused.value.errors()
    assert problem["loc"] == (setting,)
    assert said in problem["msg"]
    assert "hush-hush" not in problem["msg"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("database_url", "sqlite:////srv/recon.db"),
        ("database_url", "postgresql+psycopg://u@db/recon"),
        ("storage_url", "/srv/files"),
        ("storage_url", "file:///srv/files"),
        ("storage_url", "s3://bucket/prefix"),
        ("storage_url", "memory://recon"),
    ],
)
def test_urls_that_work(setting: str, value: str) -> None:
    assert getattr(Settings(**{setting: value}), setting) == value  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("recon.example", "http://recon.example:8080"),
    ],
)
def test_addresses_can_be_connected_to(host: str, url: str) -> None:
    settings = Settings(host=host)
    assert settings.effective_public_url == url
    assert settings.effective_prefect_api_url == url.replace("8080", "4200/api")


def test_the_environment_and_its_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECON_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RECON_API_PORT", "9000")
    monkeypatch.setenv("RECON_STORAGE_SECRET_KEY", "hush-hush")
    settings = Settings()
    assert settings.effective_database_url == f"sqlite:///{tmp_path / 'recon.db'}"
    assert settings.effective_storage_url == str(tmp_path / "files")
    assert settings.api_port == 9000
    assert "hush-hush" not in repr(settings)
