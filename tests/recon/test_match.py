"""`recon match` as a newcomer uses it: files on disk in, a summary and artifacts out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from matching.errors import RuleInvalid
from recon.match import match_files
from recon.short_forms import parse_compare, parse_key
from tests.matching.helpers import one_pass

ARTIFACTS = [
    "exceptions.csv", "exceptions.parquet", "matched.parquet", "unmatched_source.csv", "unmatched_source.parquet",
    "unmatched_target.csv", "unmatched_target.parquet",
]  # fmt: skip

OMS = (
    "order,line,amount,status,day\nO-1,1,40.00,PAID,2026-01-31\nO-2,1,10.00,PAID,2026-01-31\n,1,5.00,PAID,2026-01-31\n"
)
BANK = "ref,line,credited,status,day\nO-1,1,40.01,paid,2026-02-01\nO-1,1,40.00,paid,2026-02-01\nO-3,1,1.00,paid,2026-02-01\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "oms.csv", tmp_path / "bank.csv"
    source.write_text(OMS)
    target.write_text(BANK)
    return source, target


def recon(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("recon")), "match", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_summary_and_the_artifacts(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    keys = ["--key", "order=ref", "--key", "line"]
    compared = ["--compare", "amount=credited:0.01", "--compare", "status", "--compare", "day:1d"]
    done = recon(*files, *keys, *compared, "--out", out)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in done.stdout.splitlines()]
    for row in (
        ["", "oms.csv", "bank.csv"],
        ["matched", "1", "1"],
        ["missing", "1", "1"],
        ["duplicate", "0", "1"],
        ["null key", "1", "0"],
        ["in all", "3", "3"],
        ["VALUE_MISMATCH", "MEDIUM", "status", "1"],
        ["MISSING_TARGET", "HIGH", "", "1"],
        ["FORMAT_ERROR", "HIGH", "order", "1"],
    ):
        assert row in cells, done.stdout
    assert "Match rate 33.33 % of the source; 5 exceptions" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ARTIFACTS
    assert (out / "unmatched_source.csv").read_text() == (
        "order,line,amount,status,day,_recon_file_id,_recon_row,_recon_reason\n"
        "O-2,1,10.00,PAID,2026-01-31,1,2,MISSING\n"
        '"",1,5.00,PAID,2026-01-31,1,3,NULL_KEY\n'
    )
    for name in ("unmatched_source", "unmatched_target", "exceptions"):
        texts = pl.read_csv(out / f"{name}.csv", infer_schema=False)
        assert texts.height == pl.read_parquet(out / f"{name}.parquet").height
    matched = pl.read_parquet(out / "matched.parquet")
    assert matched.select("source_row", "target_row", "delta_1_amount", "delta_3_day").rows() == [(1, 1, "0.01", 1)]


def test_fail_on_breaks(files: tuple[Path, Path]) -> None:
    source, target = files
    assert recon(source, target, "--key", "order=ref", "--fail-on-breaks").returncode == 1
    source.write_text("id\n1\n")
    assert recon(source, source, "--key", "id", "--fail-on-breaks").returncode == 0


def test_rules_from_a_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    mappings = [
        {"sourceField": "order", "targetField": "ref", "isKey": True},
        {"sourceField": "amount", "targetField": "credited"},
    ]
    rules.write_text(json.dumps({"name": "legacy", "fieldMappings": mappings}))
    done = recon(*files, "--rules", rules)
    assert done.returncode == 0, done.stderr
    assert "5 exceptions" in done.stdout


def test_rules_as_the_server_gives_them(files: tuple[Path, Path], tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    key = {
        "id": 1,
        "sourceField": "order",
        "targetField": "ref",
        "isKeyField": True,
        "confidence": 1.0,
        "transform": None,
    }
    amount = {"id": 2, "sourceField": "amount", "targetField": "credited", "isKey": False, "transformConfig": None}
    rule = {"id": 1, "name": "r", "sourceField": "amount", "targetField": "credited", "matchType": "RANGE"}
    rule |= {"threshold": 1000, "tolerance": None, "isActive": True, "description": None, "config": None}
    written = {"id": 7, "name": "n", "version": 3, "active": True, "passes": None, "createdAt": "2026-01-01T00:00:00Z"}
    rules.write_text(json.dumps(written | {"fieldMappings": [key, amount], "matchingRules": [rule]}))
    tolerant = recon(*files, "--rules", rules)
    assert tolerant.returncode == 0, tolerant.stderr
    assert "VALUE_MISMATCH" not in tolerant.stdout
    rules.write_text(
        json.dumps(written | {"fieldMappings": [key, amount], "matchingRules": [rule | {"isActive": False}]})
    )
    assert "VALUE_MISMATCH" in recon(*files, "--rules", rules).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--key", "nope"],
            "Error: Column 'nope' not found in source; available: order, line, amount, status, day",
        ),
        (
            ["--key", "order=ref", "--compare", "amount"],
            "Error: Column 'amount' not found in target; available: ref, line, credited, status, day",
        ),
        ([], "Error: Say which field makes two records partners: --key A=B, or a rule set with --rules FILE"),
        (["--key", "=ref"], "Error: --key '=ref' is not understood; expected: A=B, or A for both sides"),
        (
            ["--key", "order=ref", "--compare", "amount:1 cent"],
            "Error: --compare 'amount:1 cent' is not understood; expected one of",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(files: tuple[Path, Path], arguments: list[str], message: str) -> None:
    done = recon(*files, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rules.json", "{", "rules.json is not JSON"),
        ("rules.json", "[]", "rules.json has no rule set: a JSON object is expected"),
        ("rules.json", '{"name": "n"}', "Rule set must have at least one key field"),
        (
            "rules.json",
            '{"pases": []}',
            "unknown option 'pases'; available: name, fieldMappings, matchingRules, passes,",
        ),
        ("rules.json", '{"fieldMappings": [{"isKye": true}]}', "fieldMappings[0]: unknown option 'isKye'; available: "),
        (
            "rules.json",
            '{"matchingRules": [{"tolerence": 1}]}',
            "matchingRules[0]: unknown option 'tolerence'; available: ",
        ),
        ("rules.json", '{"passes": [{"keys": []}]}', "passes[0]: a pass needs at least one key, or a condition"),
    ],
)
def test_rules_that_say_nothing(
    files: tuple[Path, Path], tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    done = recon(*files, "--rules", tmp_path / name)
    assert done.returncode == 2
    assert message in done.stderr


def test_files_that_can_not_be_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = files
    ragged, odd = tmp_path / "ragged.csv", tmp_path / "odd.txt"
    ragged.write_text("order,line\nO-1\n")
    odd.write_text("x")
    for target, message in (
        (ragged, "Line 2"),
        (odd, "Unsupported file type: odd.txt"),
        (tmp_path / "none.csv", "does not exist"),
    ):
        done = recon(source, target, "--key", "order")
        assert done.returncode == 2
        assert message in done.stderr


def test_nothing_half_made_stays_behind(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert recon(*files, "--key", "nope", "--out", out).returncode == 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "key"),
    [("a", ("a", "a")), ("a=b", ("a", "b")), ("a=b=c", ("a", "b=c")), ("a b=ü", ("a b", "ü"))],
)
def test_key_forms(text: str, key: tuple[str, str]) -> None:
    assert parse_key(text) == {"sourceField": key[0], "targetField": key[1]}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a", {"matchType": "EXACT"}),
        ("a=b", {"targetField": "b", "matchType": "EXACT"}),
        ("a=b:exact", {"targetField": "b", "matchType": "EXACT"}),
        ("a:0.01", {"matchType": "RANGE", "tolerance": "0.01"}),
        ("a:.5", {"matchType": "RANGE", "tolerance": ".5"}),
        ("a:0", {"matchType": "RANGE", "tolerance": "0"}),
        ("a=b:1d", {"targetField": "b", "matchType": "DATE_WINDOW", "daysTolerance": 1}),
        ("a:~", {"matchType": "FUZZY"}),
        ("a:~0.9", {"matchType": "FUZZY", "fuzzyThreshold": 0.9}),
        ("a:contains", {"matchType": "CONTAINS"}),
        ("a:Starts-With", {"matchType": "STARTS_WITH"}),
        ("a=b:c:ends-with", {"targetField": "b:c", "matchType": "ENDS_WITH"}),
    ],
)
def test_compare_forms(text: str, rule: dict[str, Any]) -> None:
    assert parse_compare(text) == {"sourceField": "a", "targetField": "a", **rule}


@pytest.mark.parametrize("text", ["", "a=", "=b", "a:", "a:1x", "a:-1", "a:1e3", "a:~x", "a:like", ":0.01"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(RuleInvalid, match="is not understood; expected one of: FIELD, A=B"):
        parse_compare(text)


def test_artifacts_are_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    number = pl.int_range(0, 30_000, eager=True)
    source = pl.DataFrame({"id": number * 7919 % 25_000, "amount": number % 97, "note": number.hash(1)})
    target = source.with_columns(id=number * 7919 % 24_000, amount=number % 89).reverse()
    paths = [tmp_path / "source.csv", tmp_path / "target.csv"]
    source.write_csv(paths[0])
    target.write_csv(paths[1])
    outs = {threads: tmp_path / threads for threads in ("1", "7")}
    for threads, out in outs.items():
        done = recon(*paths, "--key", "id", "--compare", "amount:1", "--out", out, POLARS_MAX_THREADS=threads)
        assert done.returncode == 0, done.stderr
    for name in ARTIFACTS:
        first, second = ((out / name).read_bytes() for out in outs.values())
        assert first == second, name
        assert len(first) > 10_000, name


def test_an_artifact_as_parquet_is_an_input_that_keeps_its_identity(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = files
    rule_set = one_pass([{"sourceField": "order", "targetField": "ref"}])
    match_files(source, target, rule_set, tmp_path)
    told: list[float] = []
    later = one_pass([{"sourceField": "amount", "targetField": "credited"}])
    outcome = match_files(tmp_path / "unmatched_source.parquet", target, later, on_progress=told.append)
    assert outcome.unmatched_source.select("order", "_recon_file_id", "_recon_row").rows() == [
        ("O-2", 1, 2),
        ("", 1, 3),
    ]
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ragged.csv", b"id,amt\n1\n", "Line 2"),
        ("junk.parquet", b"junk", "Parquet"),
        ("reserved.jsonl", b'{"id": 1, "_recon_row": 7}\n', "'_recon_row' is reserved"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    sound, bad = tmp_path / "sound.csv", tmp_path / name
    sound.write_text("id\n1\n")
    bad.write_bytes(content)
    done = recon(sound, bad, "--key", "id")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {name}: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_parquet_with_other_columns_than_plain_ones(tmp_path: Path) -> None:
    sound, odd, out = tmp_path / "sound.csv", tmp_path / "odd.parquet", tmp_path / "out"
    sound.write_text("id\n1\n")
    pl.DataFrame({"id": [b"1", b"2"], "kind": pl.Series(["a", "b"], dtype=pl.Categorical)}).write_parquet(odd)
    assert recon(odd, sound, "--key", "id", "--out", out).returncode == 0
    assert (out / "unmatched_source.csv").read_text().splitlines()[1].startswith("2,b,")
    pl.DataFrame({"id": ["1"], "more": [[1, 2]]}).write_parquet(odd)
    assert "'more' is nested" in recon(odd, sound, "--key", "id").stderr
    pl.DataFrame({"id": ["1"], "_recon_file_id": ["x"], "_recon_row": [1]}).write_parquet(odd)
    assert "is reserved" in recon(odd, sound, "--key", "id").stderr


def test_no_place_for_artifacts_and_rules_nested_too_deep(files: tuple[Path, Path], tmp_path: Path) -> None:
    blocked = recon(*files, "--key", "order=ref", "--out", "/proc/nowhere")
    assert (blocked.returncode, blocked.stderr.splitlines()) == (
        2,
        ["Error: Can't write to /proc/nowhere: No such file or directory"],
    )
    rules = tmp_path / "rules.json"
    rules.write_text("[" * 100_000)
    deep = recon(*files, "--rules", rules)
    assert (deep.returncode, "Traceback" in deep.stderr) == (2, False)


def test_little_memory_gives_the_same_files(tmp_path: Path) -> None:
    rows = 5_000
    number = pl.int_range(rows, eager=True)
    source = pl.DataFrame({"id": number * 7919 % 4_000, "amount": number % 97, "note": "x"}).cast(pl.String)
    target = source.with_columns(id=(number * 6151 % 4_500).cast(pl.String)).reverse()
    paths = [tmp_path / "source.csv", tmp_path / "target.csv"]
    source.write_csv(paths[0])
    target.write_csv(paths[1])
    for memory in ("1GB", "400kB"):
        out = tmp_path / memory
        done = recon(*paths, "--key", "id", "--compare", "amount:1", "--out", out, "--memory", memory)
        assert done.returncode == 0, done.stderr
        assert sorted(one.name for one in out.iterdir()) == sorted(ARTIFACTS)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1GB", "400kB", "source.csv", "target.csv"]
    for name in ARTIFACTS:
        assert (tmp_path / "1GB" / name).read_bytes() == (tmp_path / "400kB" / name).read_bytes(), name


def test_a_memory_that_is_no_size_is_refused(files: tuple[Path, Path]) -> None:
    done = recon(*files, "--key", "order=ref", RECON_MATCH_MEMORY="much")
    assert done.returncode == 2
    assert "'much' is no size" in done.stderr
