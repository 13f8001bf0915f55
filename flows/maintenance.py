"""What keeps runs true where nothing else does: the sweeps of the API, as flows with a schedule.

The API sweeps every few seconds by itself. In a setup without one, or while it is down, these do; sweeping twice, also at the
same time, changes nothing.
"""

from __future__ import annotations

import time
from datetime import timedelta

from prefect import flow

from deployments.gateway import EngineGateway
from deployments.launch import Launcher
from deployments.register import Registrar
from flows.workplace import process_workplace
from models import orphans


@flow(name="recon-recover", persist_result=False)
def recover() -> None:
    """Tells the engine of streams that it was not told of, hands runs over that were lost on the way, and continues or ends
    those that died. Raises DependencyDown while the engine or the database does not answer."""
    place = process_workplace()
    gateway = EngineGateway(place.settings)
    gateway.open()
    try:
        registrar = Registrar(place.database, gateway)
        launcher = Launcher(place.settings, place.database, gateway, registrar)
        registrar.sweep()
        launcher.sweep()
        # Only who has seen the database for this long may take a silent run for lost.
        time.sleep(2 * place.settings.heartbeat + 1)
        launcher.sweep()
    finally:
        gateway.close()


@flow(name="recon-tidy", persist_result=False)
def tidy() -> None:
    """Deletes blobs that no record names and finishes uploads that were interrupted, both after `RECON_ORPHAN_GRACE` seconds.
    Raises DependencyDown, StorageUnavailable."""
    place = process_workplace()
    grace = timedelta(seconds=place.settings.orphan_grace)
    orphans.finish_uploads(place.database, place.storage, grace)
    orphans.sweep(place.database, place.storage, grace)
