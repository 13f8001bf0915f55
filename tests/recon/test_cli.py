"""The command line without a stack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recon.cli import app


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys, "--help")
    assert code == 0
    for command in ("up", "demo", "match"):
        assert f" {command} " in output


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys, "--version")
    assert code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n|not installed: running from its source\n", output)


def test_settings_that_make_no_sense_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECON_API_PORT", "eighty")
    code, _, errors = run(capsys, "up", "--data-dir", str(tmp_path / "never"))
    assert code == 2
    assert "RECON_API_PORT" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "never").exists()


def test_a_data_directory_that_is_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, errors = run(capsys, "up", "--data-dir", str(tmp_path / "file"))
    assert code == 2
    assert str(tmp_path / "file") in errors


def test_a_demo_needs_room_for_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "demo", "--orders", "10")
    assert code == 2
    assert "200" in errors


def test_an_api_that_does_not_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"
    code, _, errors = run(capsys, "demo", "--api-url", url, "--orders", "200", "--data-dir", str(tmp_path))
    assert code == 2
    assert url in errors
