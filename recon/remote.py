"""What a run on a server left, as if it had run here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from matching.identity import REASON
from matching.outcome import Statistics, Totals
from matching.passes import BUCKETS
from models.errors import StorageUnavailable
from models.lifecycle import RunStatus, StepRunStatus
from recon.artifacts import ARTIFACTS, MATCHED, UNMATCHED_SOURCE, UNMATCHED_TARGET
from recon.client import Client
from recon.results import StepResult, StreamResult, UnknownArtifact, WorkFolder

Connect = Callable[[], Client]
"""Opens a connection to the server, to be closed by who asked for it."""


class ServerStepResult(StepResult):
    """A step run. Its artifacts are downloaded when they are asked for, once."""

    def __init__(
        self,
        connect: Connect,
        name: str,
        step_run: Mapping[str, Any],
        reconciliation: Mapping[str, Any],
        run_message: str | None,
        folder: WorkFolder,
    ) -> None:
        self._connect = connect
        self._step_run = step_run
        self._reconciliation = reconciliation
        failed = step_run["status"] == StepRunStatus.FAILED
        super().__init__(
            name,
            step_run["stepOrder"],
            StepRunStatus(step_run["status"]),
            error=_failure(self._reconciliation["errorMessage"] or "", run_message or "") if failed else None,
            attempts=step_run["attemptNo"],
        )
        self._downloads = folder
        self._urls: dict[str, tuple[str, str]] = {}

    def scan(self, artifact: str) -> pl.LazyFrame:
        if artifact not in ARTIFACTS:
            raise UnknownArtifact(artifact)
        self._require_completed()
        path = self._downloads.path / f"step-{self.order}-{artifact}.parquet"
        if not path.exists():
            self._download(artifact, "parquet", path)
        return pl.scan_parquet(path, glob=False)

    @property
    def statistics(self) -> Statistics:
        self._require_completed()
        counted = self._reconciliation
        return Statistics(
            total_source_records=counted["totalSourceRecords"],
            total_target_records=counted["totalTargetRecords"],
            matched_records=counted["matchedRecords"],
            unmatched_source_records=counted["unmatchedSourceRecords"],
            unmatched_target_records=counted["unmatchedTargetRecords"],
            exception_count=counted["exceptionCount"],
        )

    @property
    def totals(self) -> Totals:
        counted = self.statistics
        return Totals(
            source=self._buckets(UNMATCHED_SOURCE, counted.total_source_records),
            target=self._buckets(UNMATCHED_TARGET, counted.total_target_records),
        )

    @property
    def amounts(self) -> pl.DataFrame:
        raise UnknownArtifact("amounts", "a server does not keep them; Stream.run gives them")

    def write_into(self, folder: Path) -> None:
        self._require_completed()
        for artifact in ARTIFACTS:
            self._download(artifact, "parquet", folder / f"{artifact}.parquet")
            if artifact != MATCHED:
                self._download(artifact, "csv", folder / f"{artifact}.csv")

    def _buckets(self, artifact: str, records: int) -> dict[str, int]:
        reasons = self.scan(artifact).group_by(REASON).len().collect()
        rows: dict[str, int] = dict(reasons.iter_rows())
        rows[BUCKETS[0]] = records - sum(rows.values())
        return {bucket: rows[bucket] for bucket in BUCKETS if rows.get(bucket)}

    def _download(self, artifact: str, ending: str, path: Path) -> None:
        """Writes an artifact; what is downloaded as it was stored is checked against its checksum."""
        own = "parquet" if artifact == MATCHED else "csv"
        part = path.with_suffix(".part")
        with self._connect() as client:
            if not self._urls:
                for one in client.artifacts(self._step_run["id"]):
                    self._urls[one["artifactType"].lower()] = one["downloadUrl"], one["checksum"]
            url, checksum = self._urls[artifact]
            found = client.download(url if ending == own else f"{url}?format={ending}", part)
        if ending == own and found != checksum:
            raise StorageUnavailable(f"{url} gave bytes with the checksum {found}, expected {checksum}", url=url)
        part.replace(path)

    def _require_completed(self) -> None:
        if self.status is not StepRunStatus.COMPLETED:
            raise self._nothing()


def server_result(
    connect: Connect, name: str, run: Mapping[str, Any], step_names: Mapping[int, str], inputs: Mapping[int, str]
) -> StreamResult:
    """The result of a run that has ended; `step_names` are by step order, `inputs` are names by file id."""
    folder, message = WorkFolder(), run["errorMessage"]
    steps: dict[str, StepResult] = {}
    with connect() as client:
        for one in client.steps(run["id"]):
            called = step_names.get(one["stepOrder"], f"Step {one['stepOrder']}")
            reconciliation = client.call("GET", f"/api/v1/reconciliations/{one['reconciliationId']}")
            steps[called] = ServerStepResult(connect, called, one, reconciliation, message, folder)
    return StreamResult(name, RunStatus(run["status"]), steps, inputs, message, folder)


def _failure(message: str, run_message: str) -> tuple[str, str]:
    """Code and sentence of a failed step; the code is told by its run alone."""
    found = re.search(rf"\): ([A-Z_]+): {re.escape(message)}", run_message)
    return (found[1] if found else "STEP_FAILED"), message
