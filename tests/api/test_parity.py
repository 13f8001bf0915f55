"""Dual read: the legacy's figures against those counted from the run's artifacts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recon.cli import app
from recon.local import EmbeddedStack
from tests.parts.rest import Rest


@pytest.fixture(scope="module")
def compared(rest: Rest) -> int:
    files = [
        rest.upload(name, text)["id"]
        for name, text in (
            ("parity_a.csv", "id,amt\n1,1\n2,5\n2,6\n3,7\n"),
            ("parity_b.csv", "id,amt\n1,2\n2,5\n4,9\n"),
        )
    ]
    rules = rest.rule_set(["id"], {"amt": ("EXACT", None)})
    body = {"name": "Parity", "sourceFileId": files[0], "targetFileId": files[1], "ruleSetId": rules}
    return rest.call("POST", "/reconciliations", status=201, json=body)["id"]


def test_a_reconciliation_and_its_run_agree(rest: Rest, stack: EmbeddedStack, compared: int, tmp_path: Path) -> None:
    before = rest.call("GET", f"/reconciliations/{compared}/parity")
    assert (before["clean"], [one["name"] for one in before["compared"]]) == (True, ["status"])
    rest.call("POST", f"/reconciliations/{compared}/start")
    # The step's end is the reconciliation's; its run follows a moment later.
    rest.ended(before["runId"])
    report = rest.call("GET", f"/reconciliations/{compared}/parity")
    assert (report["clean"], report["differences"]) == (True, [])
    figures = {one["name"]: (one["legacy"], one["stream"]) for one in report["compared"]}
    assert figures["status"] == ("COMPLETED", "COMPLETED")
    assert figures["matchedRecords"] == (2, 2)
    assert figures["unmatchedSourceRecords"] == (1, 1)
    assert figures["exceptionCount"] == figures["storedExceptions"] == (4, 4)
    assert figures["matchRate"] == (50.0, 50.0)
    shown = CliRunner().invoke(app, ["parity", str(compared), "--api", stack.api_url])
    assert (shown.exit_code, "1 compared, 0 with differences" in shown.output) == (0, True)

    # Whatever goes wrong with either side has to show.
    with sqlite3.connect(stack.data_dir / "recon.db", timeout=30) as database:
        database.execute("UPDATE reconciliations SET matched_records = 3 WHERE id = ?", (compared,))
        database.execute(
            "DELETE FROM breaks WHERE id = (SELECT max(id) FROM breaks WHERE reconciliation_id = ?)", (compared,)
        )
    report = rest.call("GET", f"/reconciliations/{compared}/parity")
    assert report["clean"] is False
    assert report["differences"] == ["matchedRecords", "storedExceptions", "metrics.matchedRecords"]
    shown = CliRunner().invoke(app, ["parity", str(compared), "--api", stack.api_url])
    assert shown.exit_code == 1
    assert "matchedRecords" in shown.output
    rest.call("GET", "/reconciliations/99999999/parity", status=404)
