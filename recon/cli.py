"""The command line: `recon up` and its parts alone, `recon demo`, `recon match`.

Each command imports what it needs when it runs, so that `recon --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from matching.errors import ReconError
from recon.backtest import backtest_command
from recon.generate.command import generate_command
from recon.match import match_command
from recon.parity import parity_command
from recon.people import add_organization_command, audit_command, reset_password_command, token_command
from recon.suggest import suggest_command

_INTERRUPTED = 130


class _App(typer.Typer):
    """Says what the product can say went wrong without a traceback, with exit code 2."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return super().__call__(*args, **options)
        except ReconError as error:
            console = Console(stderr=True, soft_wrap=True, highlight=False)
            console.print(f"[bold red]Error:[/] {escape(error.message)}")
            for name, text in error.fields.items():
                console.print(f"  {escape(name)}: {escape(text)}")
            sys.exit(2)


app = _App(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


app.command("match")(match_command)
app.command("suggest")(suggest_command)
app.command("generate")(generate_command)
app.command("backtest")(backtest_command)
app.command("parity")(parity_command)
app.command("token")(token_command)
app.command("audit")(audit_command)
app.command("reset-password")(reset_password_command)
app.command("add-organization")(add_organization_command)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:  # pyright: ignore[reportUnusedFunction]
    """Multi-step data reconciliation: do these systems agree, and if not, where and why?"""
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as version_of

        try:
            typer.echo(version_of("recon-streams"))
        except PackageNotFoundError:
            typer.echo("not installed: running from its source")
        raise typer.Exit


@app.command()
def up(
    api_port: Annotated[int | None, typer.Option(help="Port of the API. RECON_API_PORT, default 8080.")] = None,
    prefect_port: Annotated[
        int | None, typer.Option(help="Port of the Prefect server and its UI. RECON_PREFECT_PORT, default 4200.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. RECON_HOST, default 127.0.0.1: this machine only.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where database, files and logs live. RECON_DATA_DIR, default .recon.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL. RECON_DATABASE_URL, default SQLite in the data directory.")
    ] = None,
    storage_url: Annotated[
        str | None,
        typer.Option(
            help="URL of the stored files, e.g. s3://bucket/prefix. RECON_STORAGE_URL, default data directory."
        ),
    ] = None,
    auth: Annotated[
        bool | None,
        typer.Option("--auth/--no-auth", help="Without log-in, on a loopback host only. RECON_AUTH, default with."),
    ] = None,
) -> None:
    """Start the Prefect server, a worker and the API, and keep them running until Ctrl-C."""
    from recon.up import run_stack

    run_stack(
        api_port=api_port,
        prefect_port=prefect_port,
        host=host,
        data_dir=data_dir,
        database_url=database_url,
        storage_url=storage_url,
        auth=auth,
    )


@app.command()
def api(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. RECON_HOST, default 127.0.0.1: this machine only.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="RECON_API_PORT, default 8080.")] = None,
) -> None:
    """Serve the API alone, where a Prefect server and workers run elsewhere (RECON_PREFECT_API_URL)."""
    from recon.serve import serve
    from recon.up import settings_from

    settings = settings_from(host=host, api_port=port)
    serve("api", settings.host, settings.api_port)


@app.command()
def worker(
    pool: Annotated[str | None, typer.Option(help="Work pool, created if missing. RECON_WORK_POOL.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same time. RECON_WORKER_LIMIT, default 8.")
    ] = None,
) -> None:
    """Take runs from a work pool of the Prefect server at RECON_PREFECT_API_URL until Ctrl-C."""
    from deployments.worker import work
    from recon.up import settings_from

    work(settings_from(work_pool=pool, worker_limit=limit))


@app.command()
def demo(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file as JSON.")] = None,
    api_url: Annotated[
        str | None, typer.Option(help="Run against this API. Default: a stack of the demo's own on free ports.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="RECON_API_TOKEN", help="Access token or API key for --api-url.")
    ] = None,
    orders: Annotated[int, typer.Option(min=200, help="How many orders to generate.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 7,
    data_dir: Annotated[Path, typer.Option(help="Where the demo's stack and files live.")] = Path(".recon-demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running until Ctrl-C.")] = False,
) -> None:
    """Generate acceptance data, run it through a three-step stream and check every result against the truth."""
    from recon.demo import Job, run_demo
    from recon.up import Stopped

    job = Job(data_dir, api_url, token, orders, seed, keep)
    try:
        right = run_demo(job, Console(highlight=False), json_file)
    except Stopped:
        raise typer.Exit(_INTERRUPTED) from None
    if not right:
        raise typer.Exit(1)
