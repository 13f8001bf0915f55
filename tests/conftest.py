"""What all tests share: the real stack, once for the session, and the data that lies beside the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from models.settings import Settings
from recon.local import EmbeddedStack, free_port
from tests.parts.rest import ADMIN, Rest

# Every stack of the tests gets the admin that `Rest` logs in as.
os.environ["RECON_ADMIN_EMAIL"], os.environ["RECON_ADMIN_PASSWORD"] = ADMIN

SERVERS = {
    "api": "shared stack",
    "browser": "shared stack",
    "recon": "shared stack",
    "chaos": "own stacks",
    "deployments": "own stacks",
    "flows": "own stacks",
}
"""Folders whose tests start servers, by the process that runs them. These tests wait more than they work, so that two processes
of them leave room for a third one."""

SHARED = Path(__file__).parents[2] / "shared" / "data"


class Together(LoadScopeScheduling):
    """Shares tests out to several processes: those with servers to two of them, others module by module."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", maxsplit=1)[0]
        return SERVERS.get(path.split("/")[1], path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data with known truth; not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data beside the project")
    return SHARED


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Prefect server, worker and API on free ports."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("stack"),
        api_port=free_port(),
        prefect_port=free_port(),
        # The first run of a cold stack may take longer than the default on a busy machine.
        start_wait=45,
        retry_base=0.2,
        large_file_rows=50,
        backtest_rows=500,
        upload_limit=5_000_000,
        # The larger inputs of the tests go to disk, the others do not.
        match_memory=1_500_000,
    )
    with EmbeddedStack(settings) as running, Rest(running.api_url) as admin:
        # For what asks the stack without a client of the tests' own: commands, streams as code.
        os.environ["RECON_API_TOKEN"] = admin.token
        yield running
        del os.environ["RECON_API_TOKEN"]


@pytest.fixture(scope="session")
def rest(stack: EmbeddedStack) -> Iterator[Rest]:
    """The REST API of the stack."""
    with Rest(stack.api_url) as client:
        yield client
