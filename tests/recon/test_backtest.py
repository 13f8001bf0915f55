"""`recon backtest`: two rule sets on two files, a summary, a report and artifacts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

SOURCE = "id,ref,amount\na,1,10.00\nb,2,20.00\nc,3,30.00\nd|e,4,40.00\n"
TARGET = "id,ref,amount\na,1,10.00\nb,9,25.00\nx,3,30.00\nd|e,4,40.01\n"


def recon(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("recon")), "backtest", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str | Path]:
    compared = [{"sourceField": "amount"}]
    old = {"passes": [{"name": "by id", "keys": [{"sourceField": "id"}], "comparisons": compared}]}
    new = {"passes": [{"name": "by ref", "keys": [{"sourceField": "ref"}], "comparisons": compared}]}
    for name, text in {
        "oms.csv": SOURCE, "bank.csv": TARGET, "old.json": json.dumps(old), "new.json": json.dumps(new),
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    rules = ["--old", tmp_path / "old.json", "--new", tmp_path / "new.json"]
    return [tmp_path / "oms.csv", tmp_path / "bank.csv", *rules]


def test_a_summary_a_report_and_the_artifacts(inputs: list[str | Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = recon(*inputs, "--out", out)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in done.stdout.splitlines()]
    for row in (
        ["", "old.json", "new.json"],
        ["same", "2", "2"],
        ["lost", "1", "0"],
        ["won", "0", "1"],
        ["in all", "3", "3"],
        ["VALUE_MISMATCH", "amount", "1", "1", "0"],
        ["source", "MATCHED", "3", "3"],
    ):
        assert row in cells, done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "breaks.csv", "breaks.parquet", "matches.csv", "matches.parquet", "report.md", "totals.csv", "totals.parquet",
    ]  # fmt: skip
    matches = pl.read_parquet(out / "matches.parquet")
    assert matches["status"].to_list() == ["LOST", "WON", "SAME", "SAME"]
    assert pl.read_csv(out / "matches.csv", infer_schema=False)["source_old"].to_list()[0] == "1:2"
    report = (out / "report.md").read_text()
    assert "# old.json against new.json" in report
    assert "| LOST | 1:2 |  | 2:2 |  | by id |  |" in report
    assert "| VALUE_MISMATCH | amount | 1 | 1 | 0 |" in report
    again = tmp_path / "again"
    recon(*inputs, "--out", again)
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in out.iterdir())


def test_what_fails(inputs: list[str | Path]) -> None:
    assert recon(*inputs, "--fail-on", "lost").returncode == 1
    assert recon(*inputs, "--fail-on", "re-paired").returncode == 0
    assert recon(*inputs, "--fail-on", "re-paired", "--fail-on", "new-breaks").returncode == 1
    same = [*inputs[:4], "--new", inputs[3]]
    assert recon(*same, "--fail-on", "lost", "--fail-on", "new-breaks").returncode == 0


def test_a_rule_set_that_is_none_is_refused(inputs: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text("[]")
    done = recon(*inputs)
    assert (done.returncode, done.stdout) == (2, "")
    assert "new.json has no rule set: a JSON object is expected" in done.stderr
