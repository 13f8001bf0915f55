"""What the Prefect UI shows of a step's result, beside the run: it must neither wait for that nor fail with it."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from deployments.engine import asking_once
from flows.step import StepSummary
from models.settings import Settings
from models.tokens import Signer

log = logging.getLogger(__name__)

LAST_WORDS = 5.0
"""Seconds that the end of a run waits for what is not shown yet."""


class Showcase:
    """Shows results one after another in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "show")
        self._shown: list[Future[None]] = []

    def show(self, step_run_id: int, summary: StepSummary) -> None:
        """Call it in the task that the result is of."""
        self._shown.append(self._thread.submit(copy_context().run, self._show, step_run_id, summary))

    def close(self) -> None:
        wait(self._shown, LAST_WORDS)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _show(self, step_run_id: int, summary: StepSummary) -> None:
        try:
            # A server that is away is not worth waiting for.
            with asking_once():
                self._create(step_run_id, summary)
        except Exception as error:  # noqa: BLE001 - whatever Prefect or its client says, the step has its result
            log.warning("step run %s is not shown in the Prefect UI: %s", step_run_id, error)

    def _create(self, step_run_id: int, summary: StepSummary) -> None:
        """A table of counts, and links to the downloads."""
        counts = {
            "source rows": summary.source_rows,
            "target rows": summary.target_rows,
            "matched": summary.matched,
            "unmatched source": summary.unmatched_source,
            "unmatched target": summary.unmatched_target,
            "exceptions": sum(summary.exceptions.values()),
            **{f"exceptions: {kind}": count for kind, count in summary.exceptions.items()},
        }
        create_table_artifact(
            key=f"step-{summary.step_order}-result",
            table=[{"rows": name, "count": f"{count:,}"} for name, count in counts.items()],
            description=f"Step {summary.step_order}: {summary.name}",
        )
        base = self._settings.effective_public_url
        # A browser that follows a link brings no token of its own.
        signer = Signer.from_settings(self._settings)
        links = "\n".join(
            f"- [{artifact_type}]({base}/api/v1/files/{file_id}/download?token={signer.link(file_id)})"
            for artifact_type, file_id in summary.files.items()
        )
        create_markdown_artifact(
            key=f"step-{summary.step_order}-downloads",
            markdown=f"## Downloads of step {summary.step_order}: {summary.name}\n\n{links}\n",
            description=f"Downloads of step run {step_run_id}",
        )
