"""The real stack: what it serves, what it survives, and `recon up` from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from recon.components import MARKER
from recon.local import EmbeddedStack, free_port
from tests.parts.rest import Rest, step

ROOT = Path(__file__).resolve().parents[2]
RECON = [sys.executable, "-c", "from recon.cli import app; app(prog_name='recon')"]
PATIENCE = 120


def recon_up(data_dir: Path, api_port: int | None = None) -> subprocess.Popen[str]:
    ports = ["--api-port", str(api_port or free_port()), "--prefect-port", str(free_port())]
    command = [*RECON, "up", "--data-dir", str(data_dir), *ports]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def alive(data_dir: Path) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"recon up ended with {process.wait()}:\n{''.join(lines)}")


def address(lines: list[str], heading: str) -> str:
    return next(line.removeprefix(f"  {heading}").split()[0] for line in lines if line.startswith(f"  {heading}  "))


def test_everything_is_served(stack: EmbeddedStack) -> None:
    health = httpx.get(f"{stack.api_url}/api/v1/health").json()
    assert health["data"]["status"] == "UP"
    assert httpx.get(f"{stack.api_url}/docs").status_code == 200
    page = httpx.get(stack.prefect_ui_url, headers={"Accept": "text/html"}, follow_redirects=True)
    assert page.status_code == 200
    assert "Prefect" in page.text
    settings = httpx.get(f"{stack.prefect_ui_url}/ui-settings").json()
    assert (settings["api_url"], settings["default_ui"]) == ("/api", "v1")
    assert (stack.data_dir / "prefect" / "prefect.db").exists()
    assert {path.name for path in stack.log_dir.iterdir()} >= {"api.log", "prefect.log", "worker.log"}


@pytest.mark.parametrize("name", ["worker", "api", "prefect"])
def test_a_killed_part_is_started_again_and_runs_go_on(stack: EmbeddedStack, rest: Rest, name: str) -> None:
    killed = stack.pids[name]
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while stack.pids.get(name) in (None, killed):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stack.await_healthy()
    source, target = (rest.upload(f"{side}-{name}.csv", "id,amount\n1,2.00\n2,3.00\n")["id"] for side in "ab")
    stream = rest.stream([step(1, source, target, rest.rule_set(["id"]))])
    assert rest.ended(rest.run(stream["id"]))["status"] == "COMPLETED"


def test_up_stops_on_a_signal_and_finds_everything_again(tmp_path: Path) -> None:
    content = "id,amount\n1,2.00\n"
    uploaded: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with recon_up(tmp_path) as up:
            lines = read_until(up, "Ctrl-C")
            api, engine = address(lines, "API"), address(lines, "Prefect UI")
            assert str(tmp_path) in address(lines, "Data directory")
            assert httpx.get(f"{engine}/api/health").json() is True
            with Rest(api) as rest:
                for file in uploaded:
                    assert rest.download(f"/files/{file}/download").decode() == content
                uploaded.append(rest.upload("kept.csv", content)["id"])
            up.send_signal(number)
            assert up.wait(PATIENCE) == 0
            assert not alive(tmp_path)


def test_up_refuses_a_port_in_use(tmp_path: Path, stack: EmbeddedStack) -> None:
    with recon_up(tmp_path, stack.settings.api_port) as up:
        output = up.communicate()[0]
    assert up.returncode == 2
    assert f"Port {stack.settings.api_port} " in output
    assert "--api-port" in output
    assert "Traceback" not in output


def test_up_refuses_a_data_directory_in_use(stack: EmbeddedStack) -> None:
    with recon_up(stack.data_dir) as up:
        output = up.communicate()[0]
    assert up.returncode == 2
    assert f"{stack.data_dir} is in use" in output
