"""Runs a stream in this process: the policies and the matching of a server's run, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from os import PathLike
from random import uniform
from time import sleep

import polars as pl

from matching.errors import ReconError
from matching.spec import Severities
from models.bounded import default_limit, reconcile_within
from models.errors import ValidationFailed, described
from models.lifecycle import RunStatus, StepRunStatus, roll_up
from models.settings import Settings
from models.sizes import parse_size
from recon.artifacts import UNMATCHED_SOURCE, UNMATCHED_TARGET
from recon.definition import SIDES, Step, Stream
from recon.given import GivenInput, Input, StepOutput, input_of
from recon.inputs import IN_MEMORY
from recon.opening import Inputs
from recon.results import RunFailed, StepResult, StreamResult, WorkFolder
from recon.rule_sets import RuleSet


@dataclass(frozen=True)
class _Place:
    """What the steps of a run share."""

    inputs: Inputs
    settings: Settings
    limit: int
    """Bytes of memory for one match."""
    folder: WorkFolder


def run_stream(
    stream: Stream,
    *,
    memory: int | str | None = None,
    work_dir: str | PathLike[str] | None = None,
    on_progress: Callable[[str, float], None] | None = None,
    raise_on_failure: bool = True,
) -> StreamResult:
    """As `Stream.run`."""

    def tell(name: str, part: float) -> None:
        if on_progress is not None:
            on_progress(name, part)

    with _working(_inputs_of(stream), memory, work_dir) as place:
        done: dict[str, StepResult] = {}
        stopped = False
        for order, step in enumerate(stream.steps, start=1):
            upstream = [one.step for one in map(step.input, SIDES) if isinstance(one, StepOutput)]
            if stopped or any(done[one].status is not StepRunStatus.COMPLETED for one in upstream):
                done[step.name] = StepResult(step.name, order, StepRunStatus.SKIPPED)
                continue
            done[step.name] = _run_step(place, step, order, done, partial(tell, step.name))
            stopped = done[step.name].status is StepRunStatus.FAILED and not step.continue_on_failure
    status = roll_up((done[step.name].status, step.continue_on_failure) for step in stream.steps)
    message = "; ".join(_failure(step, done[step.name]) for step in stream.steps if done[step.name].error) or None
    result = StreamResult(stream.name, status, done, place.inputs.names, message, _kept(place, *done.values()))
    if status is RunStatus.FAILED and raise_on_failure:
        raise RunFailed(f"Stream '{stream.name}' is FAILED: {message}", result)
    return result


def match_once(
    name: str,
    source: GivenInput,
    target: GivenInput,
    rule_set: RuleSet,
    *,
    severities: Severities | None = None,
    memory: int | str | None = None,
    work_dir: str | PathLike[str] | None = None,
) -> StepResult:
    """Matches two inputs, numbered 1 and 2 unless they say otherwise. Raises what reading and matching them raise."""
    sides = {"source": input_of(source), "target": input_of(target)}
    with _working(sides.items(), memory, work_dir) as place:
        opened = [place.inputs.open(one) for one in sides.values()]
        outcome = reconcile_within(
            place.limit, place.folder.made("spill"), rule_set.specification, *opened, severities=severities
        )
    result = StepResult(name, 1, StepRunStatus.COMPLETED, outcome=outcome, attempts=1, folder=place.folder)
    _kept(place, result)
    return result


def _inputs_of(stream: Stream) -> Iterator[tuple[str, Input]]:
    """The inputs with what they are called if they have no name, in the order of their numbers."""
    for step in stream.steps:
        for side in SIDES:
            given = step.input(side)
            if isinstance(given, Input):
                yield f"{side} of {step.name}", given


@contextmanager
def _working(
    inputs: Iterable[tuple[str, Input]], memory: int | str | None, work_dir: str | PathLike[str] | None
) -> Iterator[_Place]:
    settings = Settings()
    try:
        size = parse_size(memory) if isinstance(memory, str) else memory
    except ValueError as error:
        raise ValidationFailed(f"memory: {error}", fields={"memory": str(error)}) from error
    limit = size or settings.match_memory or default_limit()
    folder = WorkFolder(work_dir)
    try:
        # Held text takes about four times its bytes on disk, and there are two inputs.
        yield _Place(Inputs(inputs, folder.path, settings, min(IN_MEMORY, limit // 8)), settings, limit, folder)
    except BaseException:
        folder.close()
        raise


def _run_step(
    place: _Place, step: Step, order: int, done: Mapping[str, StepResult], tell: Callable[[float], None]
) -> StepResult:
    """Attempts until one succeeds, one fails for good, or there are no more."""
    for attempt in count(1):
        try:
            tell(0.0)
            sides = [_frame(place, step.input(side), done) for side in SIDES]
            spill = place.folder.made(f"step-{order}-attempt-{attempt}")
            outcome = reconcile_within(
                place.limit,
                spill,
                step.rule_set.specification,
                *sides,
                severities=step.own_severities,
                on_progress=tell,
            )
        except Exception as error:  # noqa: BLE001 - a step's failure is a result, under its policy
            if not _retryable(error) or attempt > step.max_retries:
                ended = StepRunStatus.FAILED
                return StepResult(step.name, order, ended, error=described(error), attempts=attempt)
            delay = min(place.settings.retry_base * 2 ** (attempt - 1), place.settings.retry_ceiling)
            sleep(delay * uniform(1, 1.5))  # noqa: S311 - so that not all come back at once
        else:
            ended = StepRunStatus.COMPLETED
            return StepResult(step.name, order, ended, outcome=outcome, attempts=attempt, folder=place.folder)
    raise AssertionError("counting has no end")


def _frame(place: _Place, given: Input | StepOutput, done: Mapping[str, StepResult]) -> pl.LazyFrame:
    if isinstance(given, Input):
        return place.inputs.open(given)
    return done[given.step].scan(UNMATCHED_SOURCE if given.side == "source" else UNMATCHED_TARGET)


def _retryable(error: Exception) -> bool:
    return error.retryable if isinstance(error, ReconError) else isinstance(error, ConnectionError | TimeoutError)


def _kept(place: _Place, *results: StepResult) -> WorkFolder | None:
    """The work files, if a result is read from them; otherwise they are removed."""
    if any(one.on_disk for one in results):
        return place.folder
    place.folder.close()
    return None


def _failure(step: Step, result: StepResult) -> str:
    code, message = result.error or ("", "")
    sides = [step.input(side) for side in SIDES]
    named = ", ".join(
        one.shown(f"{side} of {step.name}") if isinstance(one, Input) else str(one)
        for side, one in zip(SIDES, sides, strict=True)
    )
    return f"Step {result.order} ({step.name}; {named}): {code}: {message}"
