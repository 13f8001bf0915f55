"""The application: routes, the envelope on everything, and the sweep that does what was left undone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from api import errors, openapi
from api.auth import API, SCHEMES, Authentication, authorize
from api.deps import Services
from api.envelope import Failure
from api.headers import SafeHeaders
from api.routes import (
    admin,
    ai,
    assistant,
    audit,
    auth,
    backtests,
    dashboard,
    datasources,
    events,
    exceptions,
    files,
    health,
    lineage,
    parity,
    reconciliations,
    rule_parts,
    rules,
    runs,
    streams,
    watch,
)
from matching.errors import ReconError
from models import people
from models.db import migrate
from models.orphans import Sweep
from models.settings import Settings

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5
LEGACY = (
    auth,
    admin,
    audit,
    files,
    rules,
    rule_parts,
    backtests,
    reconciliations,
    parity,
    exceptions,
    dashboard,
    datasources,
    ai,
    assistant,
)
"""The modules of routes that are there whatever the flags say."""

FAILURES: dict[int | str, dict[str, Any]] = {"4XX": {"model": Failure}}
"""Keeps FastAPI from announcing its own 422, which is never sent; `api/openapi.py` says which errors each route gives."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API over the given settings, or over those of the environment."""
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await run_in_threadpool(migrate, chosen)
        made = Services.from_settings(chosen)
        await run_in_threadpool(_first_admin, made)
        made.gateway.open()
        app.state.services = made
        sweeping = asyncio.create_task(_sweep_forever(made))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            made.gateway.close()
            made.database.dispose()

    app = FastAPIOffline(
        redoc_url=None,
        title="Recon Streams",
        description="Multi-step data reconciliation: do these systems agree, and if not, where and why?",
        version="1.0.0",
        lifespan=lifespan,
        responses=FAILURES,
    )
    app.add_middleware(Authentication, settings=chosen)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=chosen.cors_origins,
        allow_methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"],
        allow_headers=["*"],
        allow_credentials=True,
        max_age=3600,
    )
    app.add_middleware(SafeHeaders)
    errors.install(app)
    public = APIRouter(prefix=API)
    for one in (health.routes, auth.public):
        public.include_router(one)
    api = APIRouter(prefix=API, dependencies=[*SCHEMES, Depends(authorize)])
    for module in LEGACY:
        api.include_router(module.routes)
    if chosen.streams_enabled:
        api.include_router(streams.routes)
        api.include_router(events.routes)
        api.include_router(runs.routes)
        api.include_router(lineage.routes)
        api.include_router(watch.routes)
    app.include_router(public)
    app.include_router(api)
    openapi.install(app)
    return app


def _first_admin(made: Services) -> None:
    """Makes the admin that the settings name with a password; without one `recon up` makes one up and shows it."""
    if made.settings.admin_password is not None:
        with made.database.write() as session:
            password = made.settings.admin_password.get_secret_value()
            if people.ensure_admin(session, made.settings.admin_email, password) is not None:
                log.info("made the first user: %s", made.settings.admin_email)


async def _sweep_forever(made: Services) -> None:
    orphans = Sweep(made.database, made.storage, timedelta(seconds=made.settings.orphan_grace))
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        # Each by itself: what one of them stumbles over must not keep the others from their work.
        for sweep in (made.registrar.sweep, made.launcher.sweep, made.announcer.sweep, orphans.run):
            try:
                await run_in_threadpool(sweep)
            except ReconError as error:
                log.warning("a sweep was put off: %s", error.message)
            except Exception:
                log.exception("a sweep failed")
