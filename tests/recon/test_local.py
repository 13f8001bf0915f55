"""The embedded stack with stand-ins for its parts: supervision, refusals, and that no process is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from models.settings import Settings
from recon.components import MARKER, child_environment, stack_components
from recon.guards import DataDirInUse, HostUnusable, PortInUse
from recon.local import EmbeddedStack, StackFailed, free_port
from recon.processes import Component, Event, HttpCheck, Plan
from recon.up import SettingsInvalid, settings_from

STANDIN = Path(__file__).with_name("standin.py")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


class Parts:
    """Makes stand-in components on one data directory, and knows what became of them."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.events: list[Event] = []
        self.heard = threading.Condition()

    def part(self, name: str, *options: str, after: tuple[str, ...] = ()) -> Component:
        port = free_port()
        return Component(
            name=name,
            argv=[sys.executable, str(STANDIN), str(port), *options],
            env=child_environment(self.data_dir),
            log=str(self.data_dir / "logs" / f"{name}.log"),
            check=HttpCheck(f"http://127.0.0.1:{port}/", "^up$"),
            after=after,
        )

    def stack(self, *components: Component, grace: float = 5.0, start_limit: float = 60.0) -> EmbeddedStack:
        settings = Settings(data_dir=self.data_dir)
        return EmbeddedStack(settings, components=components, on_event=self._hear, grace=grace, start_limit=start_limit)

    def _hear(self, event: Event) -> None:
        with self.heard:
            self.events.append(event)
            self.heard.notify_all()

    def wait_for(self, kind: str, name: str, count: int = 1) -> Event:
        def found() -> list[Event]:
            return [event for event in self.events if (event.kind, event.name) == (kind, name)]

        with self.heard:
            assert self.heard.wait_for(lambda: len(found()) >= count, PATIENCE), f"no {kind} of {name}: {self.events}"
            return found()[count - 1]

    def alive(self) -> list[psutil.Process]:
        """The processes that work on the data directory, by their environment."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARKER) == str(self.data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path.resolve() / "stack")
    yield made
    left = made.alive()
    for process in left:
        process.kill()
    assert not left, f"processes left behind: {left}"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@contextmanager
def owning(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that owns a stack; killed at the latest at the end."""
    environment = child_environment(Path("elsewhere"))
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as owner:
        try:
            yield owner
        finally:
            owner.kill()


def test_parts_start_together_and_in_order_where_one_needs_another(parts: Parts) -> None:
    with parts.stack(parts.part("one"), parts.part("two", after=("one",)), parts.part("three")) as stack:
        assert set(stack.pids) == {"one", "two", "three"}
        assert all(psutil.pid_exists(pid) for pid in stack.pids.values())
        order = [(event.kind, event.name) for event in parts.events]
        assert order.index(("started", "three")) < order.index(("healthy", "one")) < order.index(("started", "two"))
    assert not parts.alive()
    assert parts.events[-1].kind == "stopped"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_part_that_dies_is_started_again(parts: Parts, number: signal.Signals) -> None:
    with parts.stack(parts.part("one"), parts.part("two")) as stack:
        first = stack.pids["one"]
        other = stack.pids["two"]
        os.kill(first, number)
        event = parts.wait_for("exited", "one")
        assert (event.pid, event.code, event.how) == (first, -number, f"signal {number.value}")
        parts.wait_for("healthy", "one", count=2)
        assert stack.pids["one"] != first
        assert stack.pids["two"] == other
    assert not parts.alive()


def test_the_pause_before_a_new_start_grows(parts: Parts) -> None:
    with parts.stack(parts.part("one")):
        for count in (1, 2, 3):
            os.kill(parts.wait_for("healthy", "one", count).pid, signal.SIGKILL)
        assert [parts.wait_for("exited", "one", count).seconds for count in (1, 2, 3)] == [0.5, 1.0, 2.0]


def test_a_part_that_ignores_sigterm_is_killed_after_the_grace(parts: Parts, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with parts.stack(parts.part("one", "--tell", str(told)), parts.part("two", "--deaf"), grace=2.0):
        deaf = parts.wait_for("healthy", "two").pid
    assert not psutil.pid_exists(deaf)
    assert told.read_text() == "SIGTERM", "the one before it in the table had its chance to end by itself"


def test_grandchildren_in_sessions_of_their_own_end_with_the_stack(parts: Parts, tmp_path: Path) -> None:
    with parts.stack(parts.part("one", "--family", str(tmp_path / "pid")), grace=0.5):
        grandchild = int((tmp_path / "pid").read_text())
        assert psutil.pid_exists(grandchild)
    assert not psutil.pid_exists(grandchild)


def test_what_a_dead_part_leaves_is_ended_while_the_stack_goes_on(parts: Parts, tmp_path: Path) -> None:
    with parts.stack(parts.part("one", "--family", str(tmp_path / "pid")), grace=0.5) as stack:
        orphan = int((tmp_path / "pid").read_text())
        os.kill(stack.pids["one"], signal.SIGKILL)
        parts.wait_for("healthy", "one", count=2)
        until(lambda: not psutil.pid_exists(orphan))
        assert psutil.pid_exists(stack.pids["one"])


def test_a_part_that_can_not_start_shows_the_end_of_its_log(parts: Parts) -> None:
    stack = parts.stack(parts.part("one"), parts.part("two", "--exit", "3"))
    with pytest.raises(StackFailed, match=r"two ended with exit code 3 .*(?s:.)*no such thing"):
        stack.start()
    assert not parts.alive()


def test_the_shown_log_is_that_of_the_last_start(parts: Parts) -> None:
    broken = parts.part("one", "--exit", "3")
    for _ in range(2):
        with pytest.raises(StackFailed) as failed:
            parts.stack(broken).start()
        assert str(failed.value).count("no such thing") == 1


def test_a_part_that_never_answers_fails_the_start(parts: Parts) -> None:
    silent = parts.part("one", "--deaf")
    silent = Component(silent.name, silent.argv, silent.env, silent.log, HttpCheck(silent.check.url, "never"))
    with pytest.raises(StackFailed, match=r"one ended with signal 9"):
        parts.stack(silent, start_limit=0.5).start()


def test_a_stack_starts_again_on_its_directory(parts: Parts) -> None:
    one = parts.part("one")
    for _ in range(2):
        with parts.stack(one):
            assert httpx.get(one.check.url).text == "up"


def test_two_stacks_on_one_directory(parts: Parts) -> None:
    with parts.stack(parts.part("one")) as stack:
        with pytest.raises(DataDirInUse, match=rf"{stack.data_dir} .*process {os.getpid()}.*--data-dir"):
            parts.stack(parts.part("two")).start()
        assert psutil.pid_exists(stack.pids["one"])


@pytest.mark.parametrize(("setting", "option"), [("api_port", "--api-port"), ("prefect_port", "--prefect-port")])
def test_a_port_in_use_is_named_with_its_option_before_anything_starts(parts: Parts, setting: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ports = {"api_port": free_port(), "prefect_port": free_port()} | {setting: port}
        with pytest.raises(PortInUse, match=rf"{port}.*{option}"):
            EmbeddedStack(Settings(data_dir=parts.data_dir, **ports), on_event=parts._hear).start()
    assert not parts.events


def test_one_port_for_both_servers_is_refused(parts: Parts) -> None:
    port = free_port()
    with pytest.raises(PortInUse, match=str(port)):
        EmbeddedStack(Settings(data_dir=parts.data_dir, api_port=port, prefect_port=port)).start()


def test_a_host_that_is_not_ours_is_named(parts: Parts) -> None:
    with pytest.raises(HostUnusable, match=r"no\.such\.host\.invalid"):
        EmbeddedStack(Settings(data_dir=parts.data_dir, host="no.such.host.invalid")).start()


def test_the_supervisors_death_is_noticed_and_nothing_is_left(parts: Parts, tmp_path: Path) -> None:
    stack = parts.stack(parts.part("one", "--family", str(tmp_path / "pid")), grace=0.5)
    with stack:
        pid = next(process.pid for process in parts.alive() if "recon.supervisor" in process.cmdline())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(StackFailed, match="supervisor"):
            stack.wait()
    assert not parts.alive()


OWNER = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from models.settings import Settings
from recon.local import EmbeddedStack
from recon.processes import Plan

line, data_dir = sys.argv[1:]
stack = EmbeddedStack(Settings(data_dir=Path(data_dir)), components=Plan.from_line(line).components, grace=1.0)
with stack:
    print("ready", flush=True)
    time.sleep(600)
"""


ATTENDED = """
import sys
from contextlib import contextmanager
from pathlib import Path
from models.settings import Settings
from recon.local import EmbeddedStack
from recon.processes import Plan
from recon.up import Stopped, stop_on_signals

line, data_dir = sys.argv[1:]
plan = Plan.from_line(line)
stack = EmbeddedStack(Settings(data_dir=Path(data_dir)), components=plan.components, grace=plan.grace)
stop_on_signals(stack)
try:
    with stack:
        try:
            print("ready", flush=True)
            stack.wait()
        finally:
            print("stopping", flush=True)
except Stopped:
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_stack_and_a_second_one_ends_the_waiting(parts: Parts, number: signal.Signals) -> None:
    plan = Plan((parts.part("one"), parts.part("two", "--deaf")), 10 * PATIENCE, 60.0)
    command = [sys.executable, "-c", ATTENDED, plan.to_line(), str(parts.data_dir)]
    with owning(command) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        owner.send_signal(number)
        assert owner.stdout.readline() == b"stopping\n"
        owner.send_signal(number)
        assert owner.wait(PATIENCE) == 7
    assert not parts.alive()


def test_kill_9_of_the_owner_leaves_nothing(parts: Parts, tmp_path: Path) -> None:
    plan = Plan((parts.part("one", "--deaf", "--family", str(tmp_path / "pid")), parts.part("two")), 1.0, 60.0)
    command = [sys.executable, "-c", OWNER, plan.to_line(), str(parts.data_dir)]
    with owning(command) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        assert len(parts.alive()) == 4
        owner.kill()
    until(lambda: not parts.alive())
    with parts.stack(parts.part("three")):
        assert parts.wait_for("healthy", "three")


def test_leftovers_of_an_earlier_stack_are_ended_first(parts: Parts) -> None:
    command = [sys.executable, str(STANDIN), "sleep", "--deaf"]
    with subprocess.Popen(command, env=child_environment(parts.data_dir)) as leftover:
        until(lambda: parts.alive())
        with parts.stack(parts.part("one"), grace=0.5) as stack:
            assert leftover.wait(PATIENCE) < 0
            assert psutil.pid_exists(stack.pids["one"])


def test_the_table_keeps_the_users_prefect_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "of-the-user")
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    settings = Settings(data_dir=tmp_path, api_port=18080, prefect_port=14200, storage_url="s3://bucket/prefix")
    table = {component.name: component for component in stack_components(settings)}
    assert list(table) == ["prefect", "api", "worker"]
    for component in table.values():
        assert component.env["PREFECT_HOME"] == str(tmp_path / "prefect")
        assert component.env["PREFECT_API_URL"] == "http://127.0.0.1:14200/api"
        assert component.env["RECON_STORAGE_URL"] == "s3://bucket/prefix"
        assert "PREFECT_PROFILE" not in component.env
    server = table["prefect"].env
    assert server["PREFECT_API_DATABASE_CONNECTION_URL"] == f"sqlite+aiosqlite:///{tmp_path}/prefect/prefect.db"
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert server["PREFECT_UI_API_URL"] == "/api"


@pytest.mark.parametrize("name", ["plain", "dä ta 日本", 'a "quoted"', "back\\slash"])
def test_the_parts_see_equal_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path.resolve() / name,
        database_url="sqlite:////elsewhere.db",
        storage_secret_key="s3cr3t",
        start_wait=0.5,
        streams_enabled=False,
        cors_origins=["http://one", "http://two"],
    )
    for name, value in stack_components(settings)[1].env.items():
        monkeypatch.setenv(name, value)
    assert Settings(prefect_api_url=None) == settings


def test_the_engine_s_database_and_log_in_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "environment:secret")
    own = Settings(
        data_dir=tmp_path, prefect_database_url="postgresql+psycopg://me:pw@host/db", prefect_auth="me:secret"
    )
    table = {component.name: component for component in stack_components(own)}
    assert table["prefect"].env["PREFECT_API_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://me:pw@host/db"
    assert table["prefect"].env["PREFECT_SERVER_API_AUTH_STRING"] == "me:secret"
    for component in table.values():
        assert component.env["PREFECT_API_AUTH_STRING"] == "me:secret"
    assert table["worker"].check.headers == {"Authorization": "Basic bWU6c2VjcmV0"}
    for component in stack_components(Settings(data_dir=tmp_path)):
        assert component.env["PREFECT_API_AUTH_STRING"] == "environment:secret"
    assert "me:" not in repr(own)


def test_a_log_in_has_a_name_and_a_password() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings_from(prefect_auth="secret-alone")
    assert refused.value.fields == {"RECON_PREFECT_AUTH": "user:password is needed"}


def test_an_engine_of_ones_own_is_not_started(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, prefect_api_url="https://prefect.example/api")
    assert [component.name for component in stack_components(settings)] == ["api", "worker"]


def test_a_wildcard_host_is_reached_on_loopback(tmp_path: Path) -> None:
    server, api, _ = stack_components(Settings(data_dir=tmp_path, host="0.0.0.0"))  # noqa: S104
    assert server.check.url == "http://127.0.0.1:4200/api/health"
    assert api.check.url == "http://127.0.0.1:8080/api/v1/health"
