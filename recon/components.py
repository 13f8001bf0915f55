"""Which processes the embedded stack consists of, their environments, and how each shows that it is healthy."""

from __future__ import annotations

import json
import os
import site
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from models.settings import Settings
from recon.processes import Component, HttpCheck

MARKER = "RECON_STACK_DATA_DIR"
"""In the environment of every process of a stack: tells which directory it works on."""

_CLIENT_AUTH, _SERVER_AUTH = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"

_KEPT_FOR_THE_ENGINE = (
    "PREFECT_API_KEY",
    _CLIENT_AUTH,
    _SERVER_AUTH,
    "PREFECT_LOGGING_LEVEL",
    "PREFECT_SERVER_LOGGING_LEVEL",
)


def stack_components(settings: Settings) -> list[Component]:
    """The table, in the order of starting. Without the Prefect server where settings name another engine."""
    data_dir = settings.data_dir.resolve()
    engine = settings.effective_prefect_api_url
    environment = {
        **child_environment(data_dir),
        **_settings_environment(settings),
        "RECON_PREFECT_API_URL": engine,
        "PREFECT_API_URL": engine,
        "PREFECT_HOME": str(data_dir / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    environment |= _log_in(settings, environment)
    host = settings.host
    api = Component(
        name="api",
        argv=[sys.executable, "-m", "recon.serve", "api", host, str(settings.api_port)],
        env=environment,
        log=str(data_dir / "logs" / "api.log"),
        check=HttpCheck(f"{own_api_url(settings)}/api/v1/health", r'"status"\s*:\s*"UP"'),
    )
    worker = Component(
        name="worker",
        argv=[sys.executable, "-m", "deployments.worker"],
        env={"PREFECT_WORKER_QUERY_SECONDS": "0.5", **environment},
        log=str(data_dir / "logs" / "worker.log"),
        check=HttpCheck(
            f"{engine}/work_pools/{settings.work_pool}/workers/filter",
            body={"workers": {"status": {"any_": ["ONLINE"]}}},
            headers=_authorization(environment),
            fresh=True,
        ),
    )
    if settings.prefect_api_url is not None:
        return [api, worker]
    server = Component(
        name="prefect",
        argv=[sys.executable, "-m", "recon.serve", "prefect", host, str(settings.prefect_port)],
        env=environment | _server_environment(settings, data_dir),
        log=str(data_dir / "logs" / "prefect.log"),
        check=HttpCheck(f"{engine}/health", "true"),
    )
    return [server, api, worker]


def child_environment(data_dir: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every process of the stack gets: the marker, and nothing of the user's own Prefect."""
    environment = {
        name: value
        for name, value in inherited.items()
        if not name.startswith("PREFECT_") or name in _KEPT_FOR_THE_ENGINE
    }
    # The working directory must not come first: it may hold packages named like ours (`api`, `models`).
    environment |= {MARKER: str(data_dir), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    home = Path(__file__).resolve().parents[1]
    if str(home) not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join([str(home), *filter(None, [inherited.get("PYTHONPATH")])])
    return environment


def _server_environment(settings: Settings, data_dir: Path) -> dict[str, str]:
    return {
        "PREFECT_API_DATABASE_CONNECTION_URL": settings.effective_prefect_database_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_HOST": settings.host,
        "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
        "PREFECT_UI_API_URL": "/api",  # right whichever name, address or tunnel the browser comes by
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # only the default: that UI reports to a service outside
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_UI_STATIC_DIRECTORY": str(data_dir / "prefect" / "ui"),  # the installed package may be read-only
        "PREFECT__SERVER_FINAL": "1",
    }


def _log_in(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The engine's credentials for server and clients. A server of our own that asks for some must get them from all parts."""
    own_server = settings.prefect_api_url is None
    if settings.prefect_auth is not None:
        credentials = settings.prefect_auth.get_secret_value()
        return {_CLIENT_AUTH: credentials} | ({_SERVER_AUTH: credentials} if own_server else {})
    if own_server and _SERVER_AUTH in environment:
        return {_CLIENT_AUTH: environment[_SERVER_AUTH]}
    return {}


def _settings_environment(settings: Settings) -> dict[str, str]:
    """`RECON_*` for every setting that has a value; together they give an equal `Settings`."""
    texts: dict[str, str] = {}
    for name in type(settings).model_fields:
        value: Any = getattr(settings, name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            plain = str(text) if isinstance(text, str | Path) else json.dumps(text)
            texts[f"RECON_{name.upper()}"] = plain
    return texts


def own_api_url(settings: Settings) -> str:
    """Where this machine reaches the API, whatever address it is published under."""
    return settings.model_copy(update={"public_url": None}).effective_public_url


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    credentials = environment.get(_CLIENT_AUTH)
    return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"} if credentials else {}
