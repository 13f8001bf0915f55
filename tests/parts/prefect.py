"""A real Prefect server for tests and benchmarks, started as `recon up` starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

START_LIMIT = 120.0


@dataclass
class PrefectServer:
    """A server process on a free loopback port; it can be killed and started again on the same port and database."""

    home: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def client_env(self) -> dict[str, str]:
        """The environment of a process that speaks to this server, and to no other."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
        return {
            **own,
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api_url,
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        }

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def launch(self) -> None:
        """Starts the process and returns at once."""
        env = {
            **self.client_env,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT__SERVER_FINAL": "1",
            **self.settings,
        }
        command = [sys.executable, "-m", "recon.serve", "prefect", "127.0.0.1", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_healthy(self) -> None:
        """Returns when the API answers."""
        deadline = time.monotonic() + START_LIMIT
        while not self._healthy():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"The Prefect server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)

    def start(self) -> None:
        """Starts the process and returns when the API answers."""
        self.launch()
        self.await_healthy()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process; SIGKILL for a crash."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _healthy(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.api_url}/health", timeout=2, trust_env=False).status_code == 200
        return False


@contextlib.contextmanager
def prefect_server(settings: Mapping[str, str] | None = None, *, wait: bool = True) -> Iterator[PrefectServer]:
    """A server with a home and a SQLite database of its own, stopped and removed at the end.

    `settings` are environment variables for the server alone. Without `wait` it is still starting.
    """
    with TemporaryDirectory(prefix="prefect-") as home:
        server = PrefectServer(Path(home), free_port(), settings or {})
        try:
            server.launch()
            if wait:
                server.await_healthy()
            yield server
        finally:
            server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
