"""What a match, and a stream of them, leaves: frames, counts, files."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, NoReturn, Self

import polars as pl

from matching.errors import ReconError
from matching.outcome import LargeOutcome, Outcome, Statistics, Totals
from models.lifecycle import RunStatus, StepRunStatus
from recon.artifacts import (
    ARTIFACTS,
    EXCEPTIONS,
    MATCHED,
    UNMATCHED_SOURCE,
    UNMATCHED_TARGET,
    frames_of,
    placed,
    write_outcome,
)


class StepNotCompleted(ReconError):
    """A step is asked for what it left, and it did not complete."""

    code = "STEP_NOT_COMPLETED"


class UnknownArtifact(ReconError):
    """A step is asked for what no step leaves."""

    code = "UNKNOWN_ARTIFACT"

    def __init__(self, artifact: str, why: str | None = None) -> None:
        available = ", ".join(ARTIFACTS)
        super().__init__(f"There is no '{artifact}': {why or f'available: {available}'}", artifact=artifact)


class RunFailed(ReconError):
    """A stream ended FAILED; `result` holds what its completed steps left."""

    code = "RUN_FAILED"

    def __init__(self, message: str, result: StreamResult) -> None:
        super().__init__(message)
        self.result = result


class WorkFolder:
    """A directory of work files that is removed with the last result that reads them, or when it is closed."""

    def __init__(self, beside: str | PathLike[str] | None = None) -> None:
        self.path = Path(mkdtemp(prefix="recon-", dir=beside))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def made(self, name: str) -> Path:
        """A new directory in it."""
        path = self.path / name
        path.mkdir()
        return path

    def close(self) -> None:
        self._remove()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "This result is larger than RECON_MATCH_MEMORY and lies on the disk of its process: it can't be handed to another one. "
            "Write it to a URL with out=…, and hand that over"
        )


class StepResult:
    """What one step left. Asked for what is not there, because it did not complete, it raises StepNotCompleted.

    All frames are in a fixed order, and equal inputs and rules give equal frames.
    """

    def __init__(
        self,
        name: str,
        order: int = 1,
        status: StepRunStatus = StepRunStatus.PENDING,
        *,
        outcome: Outcome | LargeOutcome | None = None,
        error: tuple[str, str] | None = None,
        attempts: int = 0,
        folder: WorkFolder | None = None,
    ) -> None:
        self.name = name
        self.order = order
        """From 1."""
        self.status = status
        self.error = error
        """Code and sentence of a failure."""
        self.attempts = attempts
        self._outcome = outcome
        self._folder = folder if isinstance(outcome, LargeOutcome) else None

    @property
    def on_disk(self) -> bool:
        """Whether it was too large to be held: then it is read from work files, which `close` removes."""
        return self._folder is not None

    @property
    def matched(self) -> pl.DataFrame:
        """One row per pair, by source identity: `match_id` Int64 from 1; `pass` String; `source_file_id`, `source_row`,
        `target_file_id`, `target_row` Int64; `score` Float64; then, n being the comparison's number, `agrees_<n>_<source field>`
        Boolean and `delta_<n>_<source field>` (target minus source: an exact decimal as String, or days as Int64)."""
        return self.scan(MATCHED).collect()

    @property
    def unmatched_source(self) -> pl.DataFrame:
        """Every source record without a partner, by identity: the input's columns untouched; `_recon_file_id`, `_recon_row` Int64,
        the input and the record's number in it; `_recon_reason` String."""
        return self.scan(UNMATCHED_SOURCE).collect()

    @property
    def unmatched_target(self) -> pl.DataFrame:
        """As `unmatched_source`, of the target."""
        return self.scan(UNMATCHED_TARGET).collect()

    @property
    def exceptions(self) -> pl.DataFrame:
        """One row per disagreement: String `type`, `severity`, `field`, `source_value`, `target_value`, `delta`; Int64
        `source_file_id`, `source_row`, `target_file_id`, `target_row`, `match_id`, null where there is none; String `key`,
        `description`."""
        return self.scan(EXCEPTIONS).collect()

    def scan(self, artifact: str) -> pl.LazyFrame:
        """One of "matched", "unmatched_source", "unmatched_target", "exceptions", lazily: for what is too large to be held."""
        if artifact not in ARTIFACTS:
            raise UnknownArtifact(artifact)
        return frames_of(self._completed())[artifact].lazy()

    @property
    def statistics(self) -> Statistics:
        """Counts: records of either side, matched, unmatched, exceptions; `match_rate` in percent."""
        return self._completed().statistics

    @property
    def totals(self) -> Totals:
        """Records by bucket (MATCHED, MISSING, DUPLICATE, …) on each side; buckets without records are left out."""
        return self._completed().totals

    @property
    def amounts(self) -> pl.DataFrame:
        """Sums by side, bucket and currency, where the rule set has `amount`: String `side`, `bucket`, `currency`, `amount`
        (exact); Int64 `rows`, `unread`. Empty otherwise."""
        return self._completed().amounts

    def write(self, out: str | PathLike[str]) -> None:
        """Writes the artifacts to a directory or below an fsspec URL, replacing what an earlier match left there.

        `matched.parquet`, and `unmatched_source`, `unmatched_target`, `exceptions` as `.csv` and `.parquet`: the bytes of
        `recon match --out` and of a run on a server. Raises OutUnusable, or what the storage raises.
        """
        with placed(out) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Writes the artifacts into an empty directory."""
        write_outcome(self._completed(), folder)

    def table(self) -> list[dict[str, str]]:
        """Counts for people: `rows`, what is counted, and `count`."""
        counted = self.statistics
        kinds = self.scan(EXCEPTIONS).group_by("type").len().sort("type").collect()
        counts = {
            "source rows": counted.total_source_records,
            "target rows": counted.total_target_records,
            "matched": counted.matched_records,
            **{f"source: {bucket.lower()}": rows for bucket, rows in self.totals.source.items() if bucket != "MATCHED"},
            **{f"target: {bucket.lower()}": rows for bucket, rows in self.totals.target.items() if bucket != "MATCHED"},
            "exceptions": counted.exception_count,
            **{f"exceptions: {kind}": count for kind, count in kinds.iter_rows()},
        }
        return [{"rows": name, "count": f"{count:,}"} for name, count in counts.items()]

    def close(self) -> None:
        """Removes work files, if there are any; a large result can't be read any more. Happens by itself in the end."""
        if self._folder is not None:
            self._folder.close()

    def __str__(self) -> str:
        head = f"{self.order}. {self.name}: {self.status}"
        if self.error is not None:
            return f"{head}, {self.error[0]}: {self.error[1]}"
        if self.status is not StepRunStatus.COMPLETED:
            return head
        counted = self.statistics
        return (
            f"{head}, {counted.matched_records:,} matched of {counted.total_source_records:,} and "
            f"{counted.total_target_records:,}, {counted.exception_count:,} exceptions"
        )

    __repr__ = __str__

    def _completed(self) -> Outcome | LargeOutcome:
        if self._outcome is None:
            raise self._nothing()
        return self._outcome

    def _nothing(self) -> StepNotCompleted:
        why = f": {self.error[0]}: {self.error[1]}" if self.error else ""
        return StepNotCompleted(f"Step {self.order} '{self.name}' is {self.status}{why}", step=self.name)


class StreamResult:
    """How a run of a stream ended. `inputs` are the names of the inputs by their `_recon_file_id`."""

    def __init__(
        self,
        name: str,
        status: RunStatus,
        steps: Mapping[str, StepResult],
        inputs: Mapping[int, str],
        error_message: str | None,
        folder: WorkFolder | None = None,
    ) -> None:
        self.name = name
        self.status = status
        """COMPLETED, PARTIAL_FAILED (every failure was tolerated), FAILED or CANCELED."""
        self.steps = dict(steps)
        """By name, in order."""
        self.inputs = dict(inputs)
        self.error_message = error_message
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes work files, if there are any; large results can't be read any more. Happens by itself in the end."""
        if self._folder is not None:
            self._folder.close()

    def write(self, out: str | PathLike[str]) -> None:
        """Writes each completed step's artifacts as `StepResult.write` does, to `step-1`, `step-2`, …, and `run.json`.

        `run.json` says how the run and each step ended, and which input each `_recon_file_id` is. Raises OutUnusable, or what the
        storage raises.
        """
        with placed(out) as folder:
            for step in self.steps.values():
                if step.status is StepRunStatus.COMPLETED:
                    (folder / f"step-{step.order}").mkdir()
                    step.write_into(folder / f"step-{step.order}")
            (folder / "run.json").write_text(json.dumps(self.summary(), indent=2) + "\n", "utf-8")

    def summary(self) -> dict[str, Any]:
        """How it ended, JSON-ready: no rows."""
        return {
            "stream": self.name,
            "status": str(self.status),
            "errorMessage": self.error_message,
            "inputs": {str(file_id): name for file_id, name in self.inputs.items()},
            "steps": [_step_summary(one) for one in self.steps.values()],
        }

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.status}", *(f"  {one}" for one in self.steps.values())])

    __repr__ = __str__


def _step_summary(step: StepResult) -> dict[str, Any]:
    facts: dict[str, Any] = {"stepOrder": step.order, "name": step.name, "status": str(step.status)}
    if step.error is not None:
        facts |= {"errorClass": step.error[0], "errorMessage": step.error[1]}
    if step.status is StepRunStatus.COMPLETED:
        facts |= {
            "statistics": step.statistics.on_the_wire(),
            "totals": {"source": step.totals.source, "target": step.totals.target},
        }
    return facts
