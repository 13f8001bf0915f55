"""`recon up` in a terminal: the stack in the foreground, its addresses, its mishaps, and the signals that end it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from models.errors import ReconError
from models.settings import LOOPBACK, Settings
from recon.local import EmbeddedStack
from recon.processes import Event

_NAMES = {"prefect": "Prefect server", "api": "API", "worker": "worker"}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SettingsInvalid(ReconError):
    """A `RECON_*` variable or an option that makes no sense."""

    code = "SETTINGS_INVALID"


class Stopped(BaseException):
    """A signal asked for the end: no error, and nothing on the way out may catch it as one."""


def settings_from(**given: Any) -> Settings:
    """Settings from the options given and, for those that are None, the environment. Raises `SettingsInvalid`."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fields = {
            f"RECON_{problem['loc'][0]}".upper(): problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        }
        raise SettingsInvalid("The settings make no sense", fields=fields) from error


def stop_on_signals(stack: EmbeddedStack) -> None:
    """The first Ctrl-C, SIGTERM or SIGHUP raises `Stopped` in the main thread; a later one ends the waiting for parts."""
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as `signal` calls it
        nonlocal asked
        if asked:
            stack.stop(at_once=True)
            return
        asked = True
        raise Stopped

    for number in _SIGNALS:
        signal.signal(number, on_signal)


def run_stack(**given: Any) -> None:
    """Runs the stack until a signal. Raises what `EmbeddedStack` raises."""
    console = Console(soft_wrap=True, highlight=False)
    stack = EmbeddedStack(settings_from(**given), on_event=_narrator(console))
    stop_on_signals(stack)
    began = time.monotonic()
    try:
        console.print(f"Starting on {escape(str(stack.data_dir))} …")
        with console.status("Starting the Prefect server, the API and a worker …"):
            stack.start()
            password = _first_password(stack.settings)
        _print_addresses(console, stack, time.monotonic() - began)
        _print_login(console, stack.settings, password)
        stack.wait()
    except Stopped:
        console.print("Stopping …")
    finally:
        stack.stop()
    console.print("Stopped.")


def _narrator(console: Console) -> Callable[[Event], None]:
    def narrate(event: Event) -> None:
        name = _NAMES.get(event.name, event.name)
        match event.kind:
            case "healthy":
                console.print(f"  [green]✓[/] {name:<15} healthy after {event.seconds:.1f} s")
            case "exited":
                console.print(f"  [yellow]![/] {name} ended ({event.how}); starting it again in {event.seconds:.1f} s")
            case _:
                pass

    return narrate


def _print_addresses(console: Console, stack: EmbeddedStack, seconds: float) -> None:
    console.print(f"\n[bold green]Recon Streams is up[/] after {seconds:.1f} s")
    console.print(f"  API             [bold]{stack.api_url}[/]  (documentation: {stack.api_url}/docs)")
    console.print(f"  Prefect UI      [bold]{stack.prefect_ui_url}[/]")
    console.print(f"  Data directory  {escape(str(stack.data_dir))}  (logs: {escape(str(stack.log_dir))})")
    if stack.settings.host not in LOOPBACK:
        console.print(
            f"  [yellow]Listening on {stack.settings.host}: whoever reaches this machine reaches the stack.[/]"
        )


def _first_password(settings: Settings) -> str | None:
    """The password of the admin that a database without a user is given; None where there are users, or settings name one."""
    if not settings.auth or settings.admin_password is not None:
        return None
    # Imported here, when the stack's own processes have started.
    from recon.operations import first_password

    return first_password(settings)


def _print_login(console: Console, settings: Settings, password: str | None) -> None:
    if not settings.auth:
        console.print("  [yellow]No log-in:[/] whoever can reach this machine's loopback is admin.")
    if password is not None:
        console.print(
            f"  First user      [bold]{escape(settings.admin_email)}[/]  password [bold]{escape(password)}[/]"
        )
        console.print("                  [yellow]shown this once and kept nowhere: change it, or set your own[/]")
    console.print("  Ctrl-C stops everything.\n")
