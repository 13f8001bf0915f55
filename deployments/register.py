"""Keeps what the engine knows of streams (deployments, their schedules and automations) as our rows say.

Rows first, then the engine: a change raises the stream's revision, and what the engine was not told (it was down, or this
process died in between) the sweep tells it later. Telling it twice changes nothing.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlmodel import col, select

from deployments.automations import automation_of, stream_tag
from deployments.gateway import EngineGateway
from deployments.names import deployment_name, engine_name
from models.base import utc_now
from models.db import Database
from models.errors import DependencyDown
from models.lifecycle import StreamStatus
from models.streams import Stream, TriggerType

log = logging.getLogger(__name__)

IMPLICIT_FLOW = "Reconciliations"
IMPLICIT_DEPLOYMENT = "reconciliation"
REGISTER_GRACE = timedelta(seconds=5)
"""How old a change has to be before the sweep takes its registration for lost."""


class Registrar:
    """Makes a stream's deployment say what the stream says."""

    def __init__(self, database: Database, gateway: EngineGateway) -> None:
        self._database = database
        self._gateway = gateway
        self._implicit_deployment: str | None = None

    def register(self, stream: Stream) -> None:
        """Tells the engine of the stream as it stands; if the engine is down, the sweep does."""
        try:
            self.registered(stream)
        except DependencyDown as error:
            log.warning("stream %s is not registered yet: %s", stream.id, error.message)

    def deployment(self, stream: Stream) -> str:
        """The engine's id of the stream's deployment, registered now if it never was. Raises DependencyDown."""
        known = self._implicit_deployment if stream.implicit else stream.deployment_id
        return known or self.registered(stream)

    def registered(self, stream: Stream) -> str:
        """Registers the stream and gives the engine's id of its deployment. Raises DependencyDown."""
        if stream.implicit:
            self._implicit_deployment = self._gateway.register(IMPLICIT_FLOW, IMPLICIT_DEPLOYMENT, parameters={})
            return self._implicit_deployment
        active = stream.status == StreamStatus.ACTIVE
        name = engine_name(stream.name, stream.id)
        # Taken away where it must not fire, not only paused: runs that it planned go with it.
        scheduled = active and stream.trigger_type == TriggerType.SCHEDULED
        deployment_id = self._gateway.register(
            name,
            deployment_name(stream.id),
            parameters={"stream_id": stream.id},
            description=stream.description,
            schedule=stream.trigger_config if scheduled else None,
            active=active,
            tags=[stream.domain],
        )
        automation_id = self._automated(stream, name, deployment_id)
        if stream.deployment_id not in (None, deployment_id):
            self._gateway.retire(deployment_name(stream.id), keep=deployment_id)
        with self._database.write() as session:
            stored = session.get_one(Stream, stream.id, with_for_update=True)
            # Lower than `revision` if the stream was changed meanwhile, and 0 if somebody else registered it meanwhile, so
            # that nobody knows who came last: then the sweep registers it again.
            undisturbed = stored.registered_revision == stream.registered_revision
            stored.registered_revision = stream.revision if undisturbed else 0
            stored.deployment_id = deployment_id
            stored.automation_id = automation_id
            session.add(stored)
        return deployment_id

    def _automated(self, stream: Stream, name: str, deployment_id: str) -> str | None:
        """Sets up the automation of a stream that waits for events, and takes that of any other one away."""
        waits = stream.status == StreamStatus.ACTIVE and stream.trigger_type == TriggerType.EVENT
        if not waits and stream.automation_id is None:
            return None
        automation = automation_of(stream, name, deployment_id) if waits else None
        return self._gateway.automate(stream_tag(stream.id), automation)

    def sweep(self) -> None:
        """Registers every stream whose last change the engine was not told. Raises DependencyDown."""
        with self._database.read() as session:
            changed = session.exec(
                select(Stream).where(
                    col(Stream.registered_revision) < col(Stream.revision),
                    col(Stream.implicit).is_(False),
                    col(Stream.updated_at) < utc_now() - REGISTER_GRACE,
                )
            ).all()
        for stream in changed:
            self.registered(stream)
