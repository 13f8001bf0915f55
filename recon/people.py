"""People and their acts, from the machine that the stack runs on: `recon token`, `reset-password`, `add-organization`, `audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.settings import Settings

DataDir = Annotated[Path | None, typer.Option(help="As for recon up. RECON_DATA_DIR, default .recon.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="As for recon up. RECON_DATABASE_URL.")]


def token_command(
    email: Annotated[str | None, typer.Argument(help="Whose. Default: the first active ADMIN's.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print an access token for the API, good for a day."""
    from recon.operations import access_token

    typer.echo(access_token(_settings(data_dir, database_url), email))


def reset_password_command(
    email: Annotated[str, typer.Argument(help="Whose.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Give a user a temporary password and print it; every log-in of theirs ends."""
    from recon.operations import reset_password

    typer.echo(reset_password(_settings(data_dir, database_url), email))


def add_organization_command(
    name: Annotated[str, typer.Argument(help="Unlike every other one's.")],
    admin: Annotated[str, typer.Option(help="E-mail address of its first ADMIN.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an organization with an ADMIN and print their temporary password."""
    from recon.operations import add_organization

    typer.echo(add_organization(_settings(data_dir, database_url), name, admin))


def audit_command(
    act: Annotated[str, typer.Argument(help="verify: prove that nothing in the audit was changed or taken away.")],
    noted: Annotated[
        list[str] | None, typer.Option(help="ORGANIZATION:NUMBER:HASH as noted from an earlier verification.")
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Go through the audit's chains of hashes. Exit code 1 if one is broken."""
    from recon.operations import verdicts

    if act != "verify":
        raise typer.BadParameter("there is only verify")
    found = verdicts(_settings(data_dir, database_url), noted or [])
    for one in found:
        state = one.wrong or "whole"
        typer.echo(
            f"organization {one.organization_id}: {one.entries} entries, {state}; newest {one.entries}:{one.head}"
        )
    if any(one.wrong for one in found):
        raise typer.Exit(1)


def _settings(data_dir: Path | None, database_url: str | None) -> Settings:
    """The stack's settings; its database is migrated."""
    from models.db import migrate
    from recon.up import settings_from

    settings = settings_from(data_dir=data_dir, database_url=database_url)
    migrate(settings)
    return settings
