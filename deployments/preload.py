"""Imported once by the forkserver: every flow run's process starts with what is loaded here.

Importing is all that may happen: a query, a connection or a thread of our own in the forkserver would be broken in its children.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback

MODULES = (
    "deployments.child",
    "polars",
    "pyarrow",
    "sqlalchemy",
    "sqlmodel",
    "flows.entrypoint",
    # What Prefect and others import only when a flow is defined or started, and Polars when it meets a file.
    "numpy.ma",
    "polars._utils.parquet",
    "prefect._internal.states",
    "prefect.concurrency._asyncio",
    "prefect.concurrency._sync",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "pydantic.v1",
    "prefect._internal.observers",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "rich._emoji_codes",
    "encodings.idna",
)

MODELS = (
    "prefect.artifacts:MarkdownArtifact",
    "prefect.artifacts:TableArtifact",
    "prefect.client.schemas.actions:ArtifactCreate",
    "prefect.client.schemas.actions:FlowRunUpdate",
    "prefect.client.schemas.actions:LogCreate",
    "prefect.client.schemas.objects:Artifact",
    "prefect.client.schemas.objects:ConcurrencyLeaseHolder",
    "prefect.client.schemas.objects:FlowRun",
    "prefect.client.schemas.objects:ServerDefaultResultStorage",
    "prefect.client.schemas.objects:WorkPool",
    "prefect.client.schemas.objects:WorkQueue",
    "prefect.client.schemas.responses:DeploymentResponse",
    "prefect.events.filters:EventFilter",
    "prefect.events.filters:EventIDFilter",
    "prefect.events.filters:EventNameFilter",
    "prefect.events.filters:EventOccurredFilter",
    "prefect.events.schemas.events:Event",
)
"""Types whose validators Prefect builds when they are first used, which every run does."""


def preload(names: tuple[str, ...] = MODULES) -> None:
    """Imports what can be imported. A module that fails is left to the run that needs it, which then reports the error."""
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                traceback.print_exc()
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the forkserver must live
            sys.stderr.write(f"Preloading {name} failed:\n")
            traceback.print_exc()
    for name in MODELS:
        module, _, model = name.partition(":")
        # One that a version of Prefect does not have is built, if it is needed, by the run.
        if (found := getattr(sys.modules.get(module), model, None)) is not None:
            found.model_rebuild()
    importlib.import_module("sqlalchemy.orm").configure_mappers()
    importlib.import_module("deployments.child").settle_in()
    gc.collect()
    gc.freeze()  # the children share these pages as long as nobody writes to them, the collector included


# The worker has spoken to the server before: its children need not ask for its version.
os.environ.setdefault("PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED", "false")
preload()
