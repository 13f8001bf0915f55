"""Streams as code in one process: what may go in, what comes out, policies, and errors that say what to mend."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import polars as pl
import pytest
from typer.testing import CliRunner

from matching.errors import RuleInvalid
from models.errors import FileUnreadable, ValidationFailed
from recon import (
    DateWindowRule,
    Input,
    KeyPair,
    MatchingRule,
    Pass,
    RangeRule,
    RuleSet,
    RunFailed,
    Step,
    StepNotCompleted,
    Stream,
)
from recon.cli import app

SOURCE = "id,amt\n1,40.00\n2,5.00\n3,7.00\n5,1.00\n"
TARGET = "id,amt\n1,40.00\n2,5.10\n4,9.00\n"
BANK = "id,amt\n3,7.00\n"
RULES = RuleSet.of("id", "amt:0.01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("source", SOURCE), ("target", TARGET), ("bank", BANK)):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def two_steps(folder: Path) -> Stream:
    first = Step("first", folder / "source.csv", str(folder / "target.csv"), RULES)
    return Stream("Two", [first, Step("rest", first.unmatched_source, folder / "bank.csv", RULES)])


def test_what_a_step_leaves_is_the_next_ones_input(folder: Path) -> None:
    result = two_steps(folder).run()
    assert result.status == "COMPLETED"
    first, rest = result.steps.values()
    assert first.matched["source_row"].to_list() == [1, 2]
    assert first.exceptions["type"].to_list() == [
        "VALUE_MISMATCH",
        "MISSING_TARGET",
        "MISSING_TARGET",
        "MISSING_SOURCE",
    ]
    assert rest.matched.select("source_file_id", "source_row", "target_file_id", "target_row").rows() == [(1, 3, 3, 1)]
    assert rest.unmatched_source.rows() == [("5", "1.00", 1, 4, "MISSING")]
    assert first.unmatched_target.rows() == [("4", "9.00", 2, 3, "MISSING")]
    assert result.inputs == {1: "source.csv", 2: "target.csv", 3: "bank.csv"}
    assert rest.statistics.matched_records == 1
    assert first.totals.source == {"MATCHED": 2, "MISSING": 2}
    assert first.amounts.height == 0
    assert "1. first: COMPLETED, 2 matched of 4 and 3, 4 exceptions" in str(result)


def test_written_artifacts_are_those_of_recon_match(folder: Path) -> None:
    two_steps(folder).run().write(folder / "out")
    arguments = [
        "match",
        str(folder / "source.csv"),
        str(folder / "target.csv"),
        "--key",
        "id",
        "--compare",
        "amt:0.01",
    ]
    assert CliRunner().invoke(app, [*arguments, "--out", str(folder / "cli")]).exit_code == 0
    assert digests(folder / "out" / "step-1") == digests(folder / "cli")
    said = json.loads((folder / "out" / "run.json").read_text())
    assert (said["status"], said["inputs"]["3"], said["steps"][1]["stepOrder"]) == ("COMPLETED", "bank.csv", 2)
    # Beside what is written nothing stays, and a second run replaces it.
    two_steps(folder).run().write(folder / "out")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["run.json", "step-1", "step-2"]


def test_artifacts_go_to_any_url(folder: Path) -> None:
    two_steps(folder).run().write("memory://results/today")
    written = fsspec.filesystem("memory")
    assert (
        written.cat_file("/results/today/step-2/unmatched_source.csv").decode().splitlines()[1] == "5,1.00,1,4,MISSING"
    )
    assert len(written.find("/results/today")) == 15


def test_frames_of_all_kinds_give_the_same(folder: Path) -> None:
    source, target = (pl.read_csv(folder / f"{name}.csv", infer_schema=False) for name in ("source", "target"))
    jsonl = folder / "target.jsonl"
    target.write_ndjson(jsonl)
    expected = two_steps(folder).run().steps["first"]
    for pair in (
        (source, target),
        (source.lazy(), target.lazy()),
        (source.to_arrow(), jsonl),
        (f"file://{folder}/source.csv", target),
        (Input(source, name="orders"), Input(str(jsonl))),
    ):
        found = Stream("s", [Step("first", *pair, RULES)]).run().steps["first"]
        for artifact in ("matched", "unmatched_source", "unmatched_target", "exceptions"):
            assert found.scan(artifact).collect().equals(expected.scan(artifact).collect()), (pair, artifact)


def test_typed_columns_keep_their_types() -> None:
    rows = {
        "id": [1, 2],
        "day": [date(2026, 1, 31), date(2026, 2, 1)],
        "amt": [Decimal("1.10"), None],
        "at": ["a", "b"],
    }
    source = pl.DataFrame(rows, schema_overrides={"at": pl.Categorical})
    target = pl.DataFrame({"id": [1, 3], "day": ["2026-02-01", "x"], "amt": [1.10, 2.0]})
    found = Stream("s", [Step("one", source, target, RuleSet.of("id", ["amt:0.001", "day:1d"]))]).run().steps["one"]
    assert found.exceptions.filter(type="VALUE_MISMATCH").height == 0
    assert found.matched["agrees_1_amt"].to_list() == [True]
    left = found.unmatched_source.schema
    assert (left["id"], left["day"], left["amt"], left["at"]) == (pl.Int64, pl.Date, source.schema["amt"], pl.String)


def test_what_an_earlier_match_left_keeps_its_identity(folder: Path) -> None:
    """Chained by hand: `Input` says which number the new input has."""
    left = two_steps(folder).run().steps["first"].unmatched_source
    step = Step("by hand", left, Input(folder / "bank.csv", file_id=7), RULES)
    found = Stream("s", [step]).run().steps["by hand"]
    assert found.matched.select("source_file_id", "source_row", "target_file_id").rows() == [(1, 3, 7)]
    assert found.unmatched_source.columns == ["id", "amt", "_recon_file_id", "_recon_row", "_recon_reason"]


def test_one_input_has_one_number_however_often_it_is_named(folder: Path) -> None:
    frame = pl.DataFrame({"id": ["1"], "amt": ["40.00"]})
    steps = [
        Step("a", folder / "source.csv", frame, RULES),
        Step("b", frame, str(folder / "source.csv"), RULES),
        Step("c", Input(folder / "bank.csv", file_id=1), folder / "target.csv", RULES),
    ]
    result = Stream("s", steps).run()
    assert result.inputs == {1: "bank.csv", 2: "source.csv", 3: "target of a", 4: "target.csv"}
    assert result.steps["b"].matched["source_file_id"].to_list() == [3]
    with pytest.raises(ValidationFailed, match=r"file_id 1 is given to 'target\.csv' and to 'bank\.csv'"):
        Stream(
            "s", [Step("c", Input(folder / "bank.csv", file_id=1), Input(folder / "target.csv", file_id=1), RULES)]
        ).run()


def test_a_tolerated_failure_skips_only_what_reads_it(folder: Path) -> None:
    bad = Step("bad", folder / "source.csv", folder / "target.csv", RuleSet.of("order_id"), continue_on_failure=True)
    reads_it = Step("reads it", bad.unmatched_source, folder / "bank.csv", RULES)
    good = Step("good", folder / "source.csv", folder / "target.csv", RULES)
    result = Stream("s", [bad, reads_it, good]).run()
    assert result.status == "PARTIAL_FAILED"
    assert [one.status for one in result.steps.values()] == ["FAILED", "SKIPPED", "COMPLETED"]
    expected = "COLUMN_NOT_FOUND: Column 'order_id' not found in source; available: id, amt"
    assert result.error_message == f"Step 1 (bad; {folder}/source.csv, {folder}/target.csv): {expected}"
    with pytest.raises(StepNotCompleted, match=f"Step 1 'bad' is FAILED: {expected}"):
        _ = result.steps["bad"].matched
    with pytest.raises(StepNotCompleted, match="Step 2 'reads it' is SKIPPED"):
        _ = result.steps["reads it"].statistics


def test_a_failure_that_stops_skips_everything_after_and_is_raised(folder: Path) -> None:
    steps = [
        Step("good", folder / "source.csv", folder / "target.csv", RULES),
        Step("bad", folder / "gone.csv", folder / "target.csv", RULES, max_retries=3),
        Step("after", folder / "source.csv", folder / "target.csv", RULES),
    ]
    with pytest.raises(
        RunFailed, match=r"Stream 's' is FAILED: Step 2 \(bad; .*There is no file .*gone\.csv"
    ) as raised:
        Stream("s", steps).run()
    result = raised.value.result
    assert [one.status for one in result.steps.values()] == ["COMPLETED", "FAILED", "SKIPPED"]
    assert (result.steps["bad"].attempts, result.steps["bad"].error and result.steps["bad"].error[0]) == (
        1,
        "FILE_UNREADABLE",
    )
    assert result.steps["good"].matched.height == 2
    result.write(folder / "out")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["run.json", "step-1"]
    assert Stream("s", steps).run(raise_on_failure=False).status == "FAILED"


class _Flaky(BaseHTTPRequestHandler):
    """Answers 503 twice, then the file; 403 and 404 for good."""

    asked = 0

    def do_GET(self) -> None:
        text = SOURCE.encode()
        type(self).asked += self.path.startswith("/source")
        status = {"/secret.csv": 403, "/gone.csv": 404}.get(
            self.path.partition("?")[0], 503 if type(self).asked <= 2 else 200
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(text) if status == 200 else 0))
        self.end_headers()
        if status == 200:
            self.wfile.write(text)

    do_HEAD = do_GET  # noqa: N815 - http.server calls it so

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


def test_urls_are_fetched_and_what_was_out_of_reach_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECON_RETRY_BASE", "0.01")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Flaky)
    thread = Thread(target=server.serve_forever)
    thread.start()
    base = f"http://user:word@127.0.0.1:{server.server_port}"
    try:
        step = Step("web", f"{base}/source.csv?token=secret", folder / "target.csv", RULES, max_retries=5)
        found = Stream("s", [step]).run().steps["web"]
        assert found.attempts > 1
        assert found.matched.height == 2
        for name, code in (("gone", "FILE_MISSING_IN_STORAGE"), ("secret", "STORAGE_REFUSED")):
            step = Step("web", f"{base}/{name}.csv?token=secret", folder / "target.csv", RULES, max_retries=5)
            result = Stream("s", [step]).run(raise_on_failure=False)
            assert result.steps["web"].error is not None
            assert result.steps["web"].error[0] == code
            assert f"127.0.0.1:{server.server_port}/{name}.csv" in str(result.error_message)
            assert "word" not in str(result.error_message)
            assert "token" not in str(result.error_message)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_needs_more_than_its_memory_works_on_disk_to_the_same_bytes(folder: Path) -> None:
    number = pl.int_range(0, 20_000, eager=True)
    source = pl.DataFrame({"id": number * 7919 % 15_000, "amt": number % 97})
    target = source.with_columns(id=number * 7919 % 14_000, amt=number % 89).reverse()
    step = Step("large", source, target, RULES)
    rest = Step("rest", step.unmatched_source, target, RULES)
    held, spilled = Stream("s", [step, rest]).run(), Stream("s", [step, rest]).run(memory="200KB", work_dir=folder)
    assert (held.steps["large"].on_disk, spilled.steps["large"].on_disk) == (False, True)
    (work,) = folder.glob("recon-*")
    held.write(folder / "held")
    spilled.write(folder / "spilled")
    for one in ("step-1", "step-2"):
        assert digests(folder / "held" / one) == digests(folder / "spilled" / one)
    last = spilled.steps["rest"]
    spilled.close()
    assert not work.exists()
    with pytest.raises(FileNotFoundError, match="No such file"):
        _ = last.matched


RULE_OBJECTS = RuleSet(
    passes=(
        Pass(
            keys=(KeyPair(source_field="id", target_field="id"),),
            comparisons=(RangeRule(source_field="amt", target_field="amt", tolerance=Decimal("0.01")),),
        ),
    )
)


def test_rules_may_be_objects_dicts_and_files(folder: Path) -> None:
    (folder / "rules.json").write_text(json.dumps(RULES.definition()))
    expected = two_steps(folder).run().steps["first"].exceptions
    for rules in (RULE_OBJECTS, RULES.definition(), folder / "rules.json", str(folder / "rules.json")):
        step = Step("one", folder / "source.csv", folder / "target.csv", rules)
        found = Stream("s", [step]).run().steps["one"].exceptions
        assert found.drop("match_id", "description").equals(expected.drop("match_id", "description"))
    assert RuleSet.read(RULE_OBJECTS.definition()).definition() == RULE_OBJECTS.definition()
    assert RULE_OBJECTS.definition()["passes"][0]["comparisons"][0]["matchType"] == "RANGE"


def test_a_stream_may_be_plain_dicts(folder: Path) -> None:
    steps = [
        {"name": "first", "source": str(folder / "source.csv"), "target": str(folder / "target.csv"), "rules": RULES.definition()},
        {
            "name": "rest",
            "source": {"step": "first", "output": "unmatched_source"},
            "target": str(folder / "bank.csv"),
            "rules": RULES.definition(),
            "severities": {"MISSING_TARGET": "CRITICAL"},
        },
    ]  # fmt: skip
    result = Stream("Two", json.loads(json.dumps(steps))).run()
    assert result.steps["rest"].matched.height == 1
    assert result.steps["rest"].exceptions["severity"].to_list() == ["CRITICAL"]


def _step(**given: Any) -> Step:
    return Step(**{"name": "x", "source": "a.csv", "target": "b.csv", "rules": RULES, **given})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: _step(source=5), "Step 'x', source: int is no input; expected: a Polars DataFrame"),
        (lambda: _step(target=_step(name="y")), "Step 'x', target: a step has two outputs: 'y'.unmatched_source or"),
        (lambda: _step(rules={"passes": [{"keyz": 1}]}), r"Step 'x', rules: .*passes\[0\]: unknown option 'keyz'; available"),
        (lambda: _step(rules="gone.json"), r"Step 'x', rules: Rule set gone\.json can't be read: No such file"),
        (lambda: _step(severities={"LATE": "LOW"}), "Step 'x', severities: .*unknown option 'LATE'; available"),
        (lambda: _step(max_retries=-1), "Step 'x', max_retries: a number from 0, got -1"),
        (lambda: _step(timeout_seconds=0), "Step 'x', timeout_seconds: a number above 0, got 0"),
        (lambda: _step(name=" "), "A step needs a name"),
        (lambda: Stream("s", []), "Stream 's' needs at least one step"),
        (lambda: Stream("s", [_step(), _step()]), "Two steps are named 'x'; give each a name of its own"),
        (
            lambda: Stream("s", [_step(source=_step(name="y").unmatched_target)]),
            "Step 'x', source: unmatched_target of step 'y' is not there before it; earlier steps: none",
        ),
        (lambda: Stream("s", [{"name": "x", "src": 1}]), "Step 1 'x': 'src' is unknown, 'source' is missing.*; a step has: name"),
        (lambda: _step(source={"step": "y"}), "Step 'x', source: .* is no input; what an earlier step left is"),
        (lambda: Input("a.csv", file_id=0), "file_id 0 is not a number from 1"),
        (lambda: Stream("s", [_step()]).run(memory="much"), "memory: 'much' is no size"),
    ],
)  # fmt: skip
def test_errors_name_the_step_and_the_field(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValidationFailed, match=text) as raised:
        make()
    assert raised.value.code == "VALIDATION_FAILED"


def test_short_forms_are_refused_by_name() -> None:
    with pytest.raises(RuleInvalid, match="compare 'amt:lots' is not understood; expected one of: FIELD, A=B"):
        RuleSet.of("id", "amt:lots")
    with pytest.raises(RuleInvalid, match="key '=id' is not understood"):
        RuleSet.of(["=id"])


def test_frames_that_can_not_be_matched_are_refused_by_name() -> None:
    nested, reserved = pl.DataFrame({"id": [[1]]}), pl.DataFrame({"id": [1], "_recon_row": [1]})
    for frame, text in ((nested, "Column 'id' is nested"), (reserved, "Column name '_recon_row' is reserved")):
        result = Stream("s", [_step(source=Input(frame, name="orders"), target=frame)]).run(raise_on_failure=False)
        assert result.steps["x"].error is not None
        assert result.steps["x"].error[1].startswith(f"orders: {text}")


def test_the_definition_of_legacy_rules_survives() -> None:
    rules = RuleSet(matching_rules=(MatchingRule.model_validate({"sourceField": "a", "matchType": "FUZZY"}),))
    assert RuleSet.read(rules.definition()) == rules
    near = DateWindowRule(source_field="d", days_tolerance=2)
    window = RuleSet(passes=(Pass(keys=(KeyPair(source_field="a"),), conditions=(near,)),))
    assert RuleSet.read(window.definition()) == window


def test_importing_is_cheap_and_loads_prefect_for_reconcile_alone() -> None:
    script = (
        "import sys; from recon import Stream, Step, RuleSet, Input, StreamResult; import recon.cli\n"
        "from recon.running import run_stream\n"
        "loaded = {one.partition('.')[0] for one in sys.modules}\n"
        "assert not loaded & {'prefect', 'sqlmodel', 'sqlalchemy', 'fastapi', 'httpx'}, loaded\n"
        "from recon import reconcile\n"
        "assert 'prefect' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_recon_has_is_listed() -> None:
    import recon

    for name in recon.__all__:
        assert getattr(recon, name) is not None
    assert set(dir(recon)) == set(recon.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reconcyle'"):
        _ = recon.reconcyle
    with pytest.raises(FileUnreadable):
        recon.reconcile("gone.csv", "gone.csv", RULES)
