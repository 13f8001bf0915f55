"""A stack of its own whose processes are killed, and what its runs make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.settings import Settings
from recon.local import EmbeddedStack, free_port
from tests.parts import survival
from tests.parts.postgres import postgres
from tests.parts.rest import Rest
from tests.parts.survival import Material


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("survival"),
        api_port=free_port(),
        prefect_port=free_port(),
        retry_base=1.5,
        heartbeat=1,
        lost_after=15,
        engine_start=15,
    )
    with EmbeddedStack(settings) as running:
        yield running


@pytest.fixture(scope="module")
def own_rest(own_stack: EmbeddedStack) -> Iterator[Rest]:
    with Rest(own_stack.api_url) as client:
        yield client


@pytest.fixture(scope="module")
def material(own_rest: Rest) -> Material:
    return Material(own_rest)


@pytest.mark.parametrize(
    "check",
    [
        survival.a_timeout_is_a_retry,
        survival.a_cancel_ends_a_long_call,
        survival.runs_queue_up,
        survival.the_engine_s_own_run_may_be_lost_before_it_begins,
        survival.a_second_run_is_skipped,
        survival.runs_are_resumed,
        survival.two_apis_make_one_run_of_a_key,
    ],
)
def test_runs(check: object, own_stack: EmbeddedStack, own_rest: Rest, material: Material) -> None:
    assert callable(check)
    check(own_stack, own_rest, material)


@pytest.mark.parametrize("victim", ["child", "worker", "executors", "api", "prefect"])
def test_a_kill_is_survived(victim: str, own_stack: EmbeddedStack, own_rest: Rest, material: Material) -> None:
    survival.a_kill_is_survived(own_stack, own_rest, material, victim)


def test_a_database_may_go_for_a_while(tmp_path: Path) -> None:
    with postgres() as server:
        settings = Settings(
            data_dir=tmp_path,
            database_url=server.url,
            api_port=free_port(),
            prefect_port=free_port(),
            heartbeat=1,
            lost_after=15,
        )
        with EmbeddedStack(settings) as stack, Rest(stack.api_url) as rest:
            survival.a_database_may_go(stack, rest, Material(rest), server.crash, server.start)
