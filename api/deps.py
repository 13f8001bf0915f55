"""What routes are given: settings, records, blobs, the engine, and whose data it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from api.auth import acting, organization
from deployments.announce import Announcer
from deployments.gateway import EngineGateway
from deployments.launch import Launcher
from deployments.register import Registrar
from models.db import Database
from models.settings import Settings
from models.storage import Storage
from models.tokens import Signer
from models.vault import Vault


@dataclass(frozen=True)
class Services:
    """Made once, when the application starts."""

    settings: Settings
    database: Database
    storage: Storage
    gateway: EngineGateway
    registrar: Registrar
    launcher: Launcher
    vault: Vault
    signer: Signer
    announcer: Announcer

    @classmethod
    def from_settings(cls, settings: Settings) -> Services:
        database = Database.from_settings(settings)
        gateway = EngineGateway(settings)
        registrar = Registrar(database, gateway)
        launcher = Launcher(settings, database, gateway, registrar)
        announcer = Announcer(database, gateway, launcher)
        storage, vault, signer = Storage.from_settings(settings), Vault(settings), Signer.from_settings(settings)
        return cls(settings, database, storage, gateway, registrar, launcher, vault, signer, announcer)


async def services(request: Request) -> Services:
    """The application's services."""
    found: Services = request.app.state.services
    return found


Use = Annotated[Services, Depends(services)]
Org = Annotated[int, Depends(organization)]
Actor = Annotated[str, Depends(acting)]
RecordId = Annotated[int, Path(ge=-(2**63), le=2**63 - 1)]
"""An id in a path; one that no record can have is as unknown as any other."""
