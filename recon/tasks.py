"""One match as a Prefect task. Importing this loads Prefect; nothing else in `recon` that works without a server does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext

from matching import spec
from models.fetching import display_url
from recon.given import GivenInput
from recon.results import StepResult
from recon.rule_sets import Rules, RuleSet, severities_of
from recon.running import match_once

P = ParamSpec("P")
R = TypeVar("R")


class PlainTask(Task[P, R]):
    """A task in a flow, and outside one the plain function: no server is asked for, or started."""

    if not TYPE_CHECKING:

        def __call__(self, *args, return_state=False, wait_for=None, **kwargs):
            if not return_state and wait_for is None and not _in_a_run():
                return self.fn(*args, **kwargs)
            return super().__call__(*args, return_state=return_state, wait_for=wait_for, **kwargs)

        def with_options(self, **options):
            made = super().with_options(**options)
            # Prefect's own gives a plain Task whatever it is called on.
            made.__class__ = type(self)
            return made


def _in_a_run() -> bool:
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def plain_task(**options: Any) -> Callable[[Callable[P, R]], PlainTask[P, R]]:
    """Makes a function a PlainTask; `options` are those of Prefect's `task`."""

    def make(function: Callable[P, R]) -> PlainTask[P, R]:
        return PlainTask(fn=function, **options)

    return make


@plain_task(name="reconcile", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def reconcile(
    source: GivenInput,
    target: GivenInput,
    rules: Rules,
    *,
    name: str = "reconcile",
    out: str | PathLike[str] | None = None,
    severities: spec.Severities | Mapping[str, Any] | None = None,
    memory: int | str | None = None,
    work_dir: str | PathLike[str] | None = None,
) -> StepResult:
    """Matches two inputs and gives what they leave: frames and counts.

    `source` and `target` are Polars frames, Arrow tables, paths or fsspec URLs (or `Input`, for a name, a format or a file id);
    `rules` a RuleSet, its JSON object, or the path of a file that holds one. `out`, a directory or fsspec URL, gets the artifacts,
    with the bytes of `recon match --out`. `memory` (bytes, or such as "4GB"; default RECON_MATCH_MEMORY) bounds the match: what
    needs more works in `work_dir`.

    In a flow it is a Prefect task, which leaves a table of counts in the UI and persists nothing: hand large results on by `out`.
    Outside a flow it is a plain call, which needs no Prefect server. Raises FileUnreadable, FileVanished, StorageUnavailable,
    StorageRefused for inputs, RuleInvalid, ColumnNotFound, KeyFieldRequired, SearchTooWide for rules.
    """
    result = match_once(
        name,
        source,
        target,
        RuleSet.read(rules),
        severities=severities_of(severities),
        memory=memory,
        work_dir=work_dir,
    )
    if out is not None:
        result.write(out)
    if _in_a_run():
        _show(result, None if out is None else display_url(fspath(out)))
    return result


def _show(result: StepResult, out: str | None) -> None:
    """The counts as a table in the Prefect UI."""
    slug = re.sub(r"[^a-z0-9]+", "-", result.name.lower()).strip("-") or "reconcile"
    create_table_artifact(
        key=f"{slug}-result",
        table=result.table(),
        description=result.name if out is None else f"{result.name}: artifacts in {out}",
    )
