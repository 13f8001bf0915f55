"""`recon demo`: the main job from generated files to checked artifacts, over REST, against a stack of its own or any other."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from models.errors import ReconError
from models.settings import Settings
from recon import template
from recon.client import Client
from recon.ecommerce import generate
from recon.local import EmbeddedStack, free_port
from recon.operations import access_token
from recon.truth import SOURCE_FILE, StepTruth, Truth
from recon.up import Stopped, stop_on_signals
from recon.verify import TYPES, Inputs, StepResult, check_step, read_rows

RUN_LIMIT = 600.0


@dataclass(frozen=True)
class Job:
    """What to run, and where. Without `api_url` the demo starts a stack of its own on `data_dir` and free ports.

    `token` is an access token or API key for `api_url`; on its own stack the demo lets itself in.
    """

    data_dir: Path
    api_url: str | None = None
    token: str | None = None
    orders: int = 10_000
    seed: int = 7
    keep: bool = False


@dataclass
class Report:
    """What the demo found. Seconds: of everything, of the stack's start, of the run from POST to its end."""

    api_url: str
    run_id: int
    status: str
    prefect_run_url: str | None
    steps: list[StepResult]
    differences: list[str]
    seconds: float
    start_seconds: float
    run_seconds: float

    @property
    def truth_ok(self) -> bool:
        return not self.differences

    def to_json(self) -> str:
        return json.dumps({"truth_ok": self.truth_ok, **asdict(self)}, indent=2) + "\n"


def run_demo(job: Job, console: Console, json_file: Path | None = None) -> bool:
    """True if every artifact is what the truth says. The report is shown and, if asked for, written as JSON."""
    began = time.monotonic()
    work = job.data_dir.resolve() / "demo"
    shutil.rmtree(work, ignore_errors=True)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
    with console.status("Starting …") as status, _serving(job, status, console) as (api_url, stack, token):
        start_seconds = time.monotonic() - began
        status.update("Generating the acceptance data …")
        truth = generate(work / "files", seed=job.seed, orders=job.orders)
        _done(console, f"{sum(truth.files.values()):,} rows in {len(truth.files)} files, seed {job.seed}")
        with Client(api_url, token) as client:
            report = _run_and_check(client, truth, work, status, console)
        report.start_seconds = round(start_seconds, 2)
        report.seconds = round(time.monotonic() - began, 2)
        report.prefect_run_url = _prefect_run_url(stack, report.run_id) if stack else None
        status.stop()
        _show(report, console)
        if json_file:
            json_file.write_text(report.to_json(), encoding="utf-8")
        if job.keep and stack:
            _done(console, f"the stack stays up: {stack.api_url}/docs and {stack.prefect_ui_url}; Ctrl-C ends it")
            with suppress(Stopped):
                stack.wait()
    return report.truth_ok


@contextmanager
def _serving(job: Job, status: Status, console: Console) -> Iterator[tuple[str, EmbeddedStack | None, str | None]]:
    """The API's address, the stack behind it where that is the demo's own, and a token."""
    if job.api_url:
        yield job.api_url, None, job.token
        return
    settings = Settings(data_dir=job.data_dir, api_port=free_port(), prefect_port=free_port())
    stack = EmbeddedStack(settings)
    stop_on_signals(stack)
    status.update("Starting the Prefect server, the API and a worker …")
    began = time.monotonic()
    with stack:
        _done(
            console, f"the stack is up after {time.monotonic() - began:.1f} s: {stack.api_url}, {stack.prefect_ui_url}"
        )
        yield stack.api_url, stack, access_token(stack.settings)


def _run_and_check(client: Client, truth: Truth, work: Path, status: Status, console: Console) -> Report:
    status.update("Uploading …")
    ids = {name: client.upload(work / "files" / name)["id"] for name in truth.files}
    _done(console, f"uploaded {', '.join(f'{name} (file {number})' for name, number in ids.items())}")
    rule_sets = [client.create_rule_set(definition)["id"] for definition in template.rule_sets()]
    targets = [ids[step.target_file] for step in truth.steps]
    stream = client.create_stream(template.stream("E-commerce settlement demo", ids[SOURCE_FILE], targets, rule_sets))
    _done(console, f"created stream {stream['id']} of {stream['stepCount']} steps, rule sets {rule_sets}")
    began = time.monotonic()
    run_id = client.start_run(stream["id"], {"requestedBy": "recon demo", "seed": truth.seed})
    run = client.wait(run_id, RUN_LIMIT, lambda steps: status.update(_progress(run_id, steps)))
    run_seconds = round(time.monotonic() - began, 2)
    _done(console, f"run {run_id} ended {run['status']} after {run_seconds:.1f} s")
    report = Report(client.base_url, run_id, run["status"], None, [], [], 0.0, 0.0, run_seconds)
    if run["status"] != "COMPLETED":
        report.differences.append(f"run {run_id} is {run['status']}: {run['errorMessage']}")
    status.update("Downloading and checking the artifacts …")
    for step, step_truth in zip(client.steps(run_id), truth.steps, strict=True):
        if step["status"] != "COMPLETED":
            report.differences.append(f"step {step['stepOrder']} is {step['status']}")
            continue
        files = work / "files"
        target = step_truth.target_file
        inputs = Inputs(ids[SOURCE_FILE], ids[target], read_rows(files / SOURCE_FILE), read_rows(files / target))
        result = _download_and_check(client, step, step_truth, work / "artifacts", inputs)
        report.steps.append(result)
        report.differences += result.differences
    return report


def _download_and_check(
    client: Client, step: dict[str, Any], truth: StepTruth, directory: Path, inputs: Inputs
) -> StepResult:
    directory.mkdir(parents=True, exist_ok=True)
    facts = client.artifacts(step["id"])
    differences: list[str] = []
    paths: dict[str, Path] = {}
    for fact in facts:
        path = paths[fact["artifactType"]] = directory / fact["filename"]
        checksum = client.download(fact["downloadUrl"], path)
        if checksum != fact["checksum"]:
            differences.append(f"{path.name}: checksum {fact['checksum']}, the bytes have {checksum}")
        ending = "parquet" if fact["artifactType"] == "MATCHED" else "csv"
        name = f"stream_{step['runId']}_step_{step['stepOrder']}_{fact['artifactType'].lower()}.{ending}"
        if path.name != name:
            differences.append(f"{path.name}: named {name} in the contract")
    if sorted(paths) != sorted(TYPES):
        raise ReconError(f"Step {step['stepOrder']} left {sorted(paths)}, expected {sorted(TYPES)}")
    result = check_step(truth, _seconds(step), paths, facts, inputs)
    result.differences = differences + result.differences
    return result


def _seconds(step: dict[str, Any]) -> float:
    started, completed = (datetime.fromisoformat(step[name]) for name in ("startedAt", "completedAt"))
    return round((completed - started).total_seconds(), 2)


def _progress(run_id: int, steps: list[dict[str, Any]]) -> str:
    shown = ", ".join(f"step {step['stepOrder']} {step['status']} {step['progress']} %" for step in steps)
    return f"Run {run_id}: {shown}"


def _prefect_run_url(stack: EmbeddedStack, run_id: int) -> str | None:
    """Where the Prefect UI shows the run; our API never tells the engine's ids, but Prefect's knows ours."""
    query = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}
    try:
        found = httpx.post(f"{stack.prefect_api_url}/flow_runs/filter", json=query, timeout=5).raise_for_status().json()
    except httpx.HTTPError:
        return None
    ours = (one for one in found if one["parameters"].get("run_id") == run_id)
    return next((f"{stack.prefect_ui_url}/runs/flow-run/{one['id']}" for one in ours), None)


def _done(console: Console, text: str) -> None:
    console.print(f"  [green]✓[/] {text}", soft_wrap=True, highlight=False)


def _show(report: Report, console: Console) -> None:
    table = Table(
        title=f"Run {report.run_id}: {report.status}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("step")
    table.add_column("side")
    for heading in ("rows in", "matched", "unmatched"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("exceptions by type", no_wrap=True)
    table.add_column("seconds", justify="right")
    for step in report.steps:
        exceptions = "\n".join(f"{kind:<15} {rows:>5,}" for kind, rows in step.exceptions.items())
        table.add_row(
            str(step.order),
            "source\ntarget",
            f"{step.source_rows:,}\n{step.target_rows:,}",
            f"{step.matched:,}",
            f"{step.unmatched_source:,}\n{step.unmatched_target:,}",
            exceptions,
            f"{step.seconds:.2f}",
            end_section=True,
        )
    console.print(table)
    if report.prefect_run_url:
        _done(console, f"in the Prefect UI: {report.prefect_run_url}")
    if report.truth_ok:
        _done(console, "every checksum and every bucket is what the truth says")
    for difference in report.differences:
        console.print(f"  [red]✗[/] {escape(difference)}", soft_wrap=True, highlight=False)
    console.print(
        f"  {report.seconds:.1f} s in all, {report.run_seconds:.1f} s of them from POST to the end of the run"
    )
