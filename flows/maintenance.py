"""What keeps runs true where nothing else does: the sweeps of the API, as flows with a schedule.

The API sweeps every few seconds by itself. In a setup without one, or while it is down, these do; sweeping twice changes
nothing.
"""

from __future__ import annotations

from prefect import flow

from deployments.gateway import EngineGateway
from deployments.launch import Launcher
from deployments.register import Registrar
from flows.workplace import process_workplace


@flow(name="recon-recover", persist_result=False)
def recover() -> None:
    """Tells the engine of streams that it was not told of, hands runs over that were lost on the way, and ends or continues
    those whose engine run is over. Raises DependencyDown while the engine does not answer."""
    place = process_workplace()
    gateway = EngineGateway(place.settings)
    gateway.open()
    try:
        registrar = Registrar(place.database, gateway)
        registrar.sweep()
        Launcher(place.database, gateway, registrar).sweep()
    finally:
        gateway.close()
