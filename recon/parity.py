"""`recon parity`: legacy reconciliations beside their stream runs, figure by figure, over the API of a running server."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

_API = "http://127.0.0.1:8080"


def parity_command(
    reconciliations: Annotated[
        list[int] | None, typer.Argument(help="Ids of reconciliations; all that there are if none is given.")
    ] = None,
    api: Annotated[str, typer.Option(help="Address of the API.")] = _API,
    token: Annotated[str | None, typer.Option(envvar="RECON_API_TOKEN", help="Access token or API key.")] = None,
) -> None:
    """Compare legacy reconciliations with their stream runs. Exit code 1 if any figure differs."""
    # Imported here: `recon --help` answers at once.
    from recon.client import Client

    with Client(api, token) as client:
        reports = [client.parity(one) for one in reconciliations or client.reconciliation_ids()]
    console = Console()
    different = [one for one in reports if not one["clean"]]
    if different:
        console.print(_table(different))
    console.print(f"{len(reports)} compared, {len(different)} with differences")
    if different:
        sys.exit(1)


def _table(reports: list[dict[str, Any]]) -> Table:
    table = Table("reconciliation", "run", "figure", "legacy", "stream")
    for report in reports:
        for one in report["compared"]:
            if not one["equal"]:
                table.add_row(
                    str(report["reconciliationId"]),
                    str(report["runId"]),
                    one["name"],
                    str(one["legacy"]),
                    str(one["stream"]),
                )
    return table
