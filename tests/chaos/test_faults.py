"""The tools of the faults do what they say: lines that are cut, silenced and slowed down, and a disk that is full."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.disk import Disk, small_disk
from tests.chaos.proxy import LAG, Line, Trouble

PATIENCE = 30


class Echo(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.heard: list[bytes] = []


class Answer(socketserver.BaseRequestHandler):
    server: Echo  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        try:
            while said := self.request.recv(1000):
                self.server.heard.append(said)
                self.request.sendall(said.upper())
        except ConnectionError:
            pass


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def call(line: Line) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=PATIENCE)


def asked(connection: socket.socket, word: bytes = b"hello") -> bytes:
    connection.sendall(word)
    return connection.recv(1000)


def until_heard(server: Echo, word: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while word not in server.heard:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_line_passes_bytes_on_in_both_directions_and_the_end_too(echo: Echo) -> None:
    with Line(echo.server_address[1]) as line, call(line) as connection:
        assert asked(connection) == b"HELLO"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""


def test_a_line_that_is_cut_resets_old_connections_and_new_ones(echo: Echo) -> None:
    with Line(echo.server_address[1]) as line, call(line) as old:
        assert asked(old) == b"HELLO"
        line.trouble(Trouble.CUT)
        with pytest.raises(ConnectionError):
            asked(old)
        with pytest.raises(ConnectionError), call(line) as new:
            asked(new)
        line.heal()
        with call(line) as again:
            assert asked(again) == b"HELLO"


def test_what_is_said_on_a_line_that_drops_never_arrives(echo: Echo) -> None:
    with Line(echo.server_address[1]) as line, call(line) as connection:
        assert asked(connection) == b"HELLO"
        line.trouble(Trouble.DROP)
        connection.sendall(b"lost")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1000)
        line.heal()
        connection.settimeout(PATIENCE)
        with pytest.raises(ConnectionError):
            assert connection.recv(1000)
        assert b"lost" not in echo.heard


def test_a_deafened_line_loses_the_answer_to_what_was_done(echo: Echo) -> None:
    with Line(echo.server_address[1]) as line, call(line) as connection:
        line.trouble(Trouble.DEAFEN)
        connection.sendall(b"commit")
        until_heard(echo, b"commit")
        line.heal()
        with pytest.raises(ConnectionError):
            assert connection.recv(1000)


def test_a_delayed_line_is_slow_and_loses_nothing(echo: Echo) -> None:
    with Line(echo.server_address[1]) as line, call(line) as connection:
        line.trouble(Trouble.DELAY)
        began = time.monotonic()
        assert asked(connection) == b"HELLO"
        assert time.monotonic() - began >= 2 * LAG
        line.heal()
        assert asked(connection, b"more") == b"MORE"


def test_a_line_to_nobody_ends_its_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Line(port) as line, pytest.raises(ConnectionError), call(line) as connection:
        assert asked(connection)


WRITER = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "ab") as file:
            file.write(bytes(100_000))
        print("written", flush=True)
    except OSError as error:
        print("failed", flush=True)
"""


@pytest.mark.parametrize("small", [True, False])
def test_a_full_disk_takes_nothing_until_it_is_freed(small: bool, tmp_path: Path) -> None:
    with small_disk() as given:
        if small and not given.mounted:
            pytest.skip("the machine allows no file system of its own")
        disk = given if small else Disk(tmp_path, mounted=False)
        command = [sys.executable, "-c", WRITER, str(disk.home / "file")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None

            def written() -> str:
                print("", file=writer.stdin, flush=True)
                return writer.stdout.readline().strip() if writer.stdout else ""

            process = psutil.Process(writer.pid)
            assert written() == "written"
            disk.fill([process])
            assert written() == "failed"
            disk.free([process])
            assert written() == "written"
            writer.stdin.close()
    assert not given.home.exists()
