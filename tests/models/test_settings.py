"""Settings: what the addresses come to, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.settings import Settings


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
