"""The demo against the real stack, and that it notices what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from recon.demo import Job, run_demo
from recon.ecommerce import generate
from recon.local import EmbeddedStack
from recon.truth import SOURCE_FILE, StepTruth
from recon.verify import TYPES, Inputs, StepResult, check_step, read_rows
from tests.parts.rest import Rest


@pytest.fixture(scope="module")
def demo(
    stack: EmbeddedStack, rest: Rest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """A small demo: its directory, its JSON report, what it printed."""
    directory = tmp_path_factory.mktemp("demo")
    console = Console(record=True, width=120)
    job = Job(directory, api_url=stack.api_url, token=rest.token, orders=300)
    assert run_demo(job, console, directory / "report.json")
    return directory, json.loads((directory / "report.json").read_text()), console.export_text()


def test_the_report_says_what_was_done(demo: tuple[Path, dict[str, Any], str]) -> None:
    _, report, text = demo
    truth = generate(demo[0] / "again", orders=300)
    assert report["truth_ok"] is True
    assert report["seconds"] >= report["run_seconds"] > 0
    assert [step["order"] for step in report["steps"]] == [1, 2, 3]
    for step, expected in zip(report["steps"], truth.steps, strict=True):
        assert (step["source_rows"], step["target_rows"]) == (expected.source_rows, expected.target_rows)
        assert step["matched"] == len(expected.matched)
        assert sum(step["exceptions"].values()) == expected.breaks.total()
        assert [one["artifactType"] for one in step["artifacts"]] == ["MATCHED", *TYPES[:2], "EXCEPTIONS"]
        assert str(step["matched"]) in text
    assert "every bucket is what the truth says" in text


class Step:
    """One step's downloaded artifacts, to be spoilt and checked again."""

    def __init__(self, demo: tuple[Path, dict[str, Any], str], directory: Path) -> None:
        root, report, _ = demo
        self.facts = report["steps"][0]["artifacts"]
        self.paths = {fact["artifactType"]: directory / fact["filename"] for fact in self.facts}
        for path in self.paths.values():
            shutil.copy(root / "demo" / "artifacts" / path.name, path)
        files = root / "demo" / "files"
        self.truth: StepTruth = generate(directory / "truth", orders=300).steps[0]
        source, target = read_rows(files / SOURCE_FILE), read_rows(files / self.truth.target_file)
        matched = pl.read_parquet(self.paths["MATCHED"])
        self.inputs = Inputs(matched["source_file_id"][0], matched["target_file_id"][0], source, target)

    def spoil(self, kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        path = self.paths[kind]
        if path.suffix == ".parquet":
            change(pl.read_parquet(path)).write_parquet(path)
        else:
            change(pl.read_csv(path, infer_schema=False)).write_csv(path)

    def check(self) -> StepResult:
        return check_step(self.truth, 0.0, self.paths, self.facts, self.inputs)


@pytest.fixture
def first_step(demo: tuple[Path, dict[str, Any], str], tmp_path: Path) -> Step:
    return Step(demo, tmp_path)


def swap_targets(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("target_row").reverse())


def first_is(column: str, value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        first = pl.int_range(pl.len()) == 0
        return frame.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))

    return change


def without_last(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.head(-1)


def twice_the_first(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame.head(1)])


def test_a_right_step_has_no_difference(first_step: Step) -> None:
    assert first_step.check().differences == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("MATCHED", swap_targets),
        ("MATCHED", without_last),
        ("MATCHED", first_is("source_file_id", 999)),
        ("UNMATCHED_SOURCE", without_last),
        ("UNMATCHED_SOURCE", twice_the_first),
        ("UNMATCHED_SOURCE", first_is("_recon_reason", "AMBIGUOUS")),
        ("UNMATCHED_SOURCE", first_is("gross_amount", "0.00")),
        ("UNMATCHED_TARGET", first_is("_recon_row", "1000000")),
        ("EXCEPTIONS", first_is("severity", "LOW")),
        ("EXCEPTIONS", first_is("field", "sku")),
        ("EXCEPTIONS", twice_the_first),
    ],
)
def test_anything_wrong_is_named(first_step: Step, kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    first_step.spoil(kind, change)
    differences = first_step.check().differences
    assert differences
    assert all(kind in one or kind.lower() in one for one in differences)


def test_a_wrong_row_count_is_named(first_step: Step) -> None:
    first_step.facts = [{**fact, "rowCount": fact["rowCount"] + 1} for fact in first_step.facts]
    assert len(first_step.check().differences) == len(TYPES)
