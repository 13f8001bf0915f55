"""`recon suggest` as a newcomer uses it: what it writes, `recon match` takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from matching import rule_set_of
from recon.ecommerce import generate
from recon.match import match_files
from recon.suggest import suggest_files


def recon(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("recon")), *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "250", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_what_it_writes_is_what_match_takes(tmp_path: Path) -> None:
    generate(tmp_path, orders=1_000)
    files = tmp_path / "oms_orders.csv", tmp_path / "marketplace_orders.csv"
    rules, out = tmp_path / "rules.json", tmp_path / "out"
    done = recon("suggest", *files, "--out", rules)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "one-to-one" in done.stderr
    for words in ("Keys", "Mappings", "Rules", "RANGE 0.01", "EXACT after UPPER", "DATE_WINDOW 1"):
        assert words in done.stderr
    matched = recon("match", *files, "--rules", rules, "--out", out)
    assert matched.returncode == 0, matched.stderr
    records = {line.split(",")[1] for line in files[0].read_text().splitlines()[1:]}
    found = pl.read_parquet(out / "matched.parquet").height
    assert 0.8 * len(records) < found < len(records)
    # Without --out the rule set goes to standard output, alone.
    assert json.loads(recon("suggest", *files).stdout) == json.loads(rules.read_text())


@pytest.mark.parametrize(
    ("source", "target", "breaks"),
    [
        ("chinook/invoices.csv", "chinook/lines.csv", 0),
        ("chinook/lines.csv", "chinook/invoices.csv", 0),
        # 43 of the 66 unequal sums are cents apart; the tolerance decides how many of them are breaks.
        ("olist_sample/source_items.csv", "olist_sample/target_payments.csv", range(23, 67)),
        ("olist_sample/target_payments.csv", "olist_sample/source_items.csv", range(23, 67)),
    ],
)
def test_groups_settle_by_what_is_suggested(shared_data: Path, source: str, target: str, breaks: int | range) -> None:
    files = shared_data / source, shared_data / target
    rule_set = suggest_files(*files).rule_set()
    assert rule_set is not None
    outcome = match_files(*files, rule_set_of(rule_set))
    assert outcome.breaks.height in (breaks if isinstance(breaks, range) else (breaks,))
    assert outcome.unmatched_source.is_empty()
    assert outcome.unmatched_target.is_empty()


def test_sides_that_write_everything_in_another_way(tmp_path: Path) -> None:
    day, paid = date(2026, 1, 1), {0: ("open", "PENDING"), 1: ("paid", "SETTLED"), 2: ("late", "OVERDUE")}
    ours, theirs = ["account,amount,day,state,memo"], ["nr;;betrag;;datum;;status;;zweck"]
    for number in range(1, 301):
        cents, booked = number * 104_729 % 900_000, day + timedelta(days=number * 7 % 90)
        one, other = paid[number * 31 % 7 % 3]
        ours.append(f"{number * 977:08d},{cents / 100:.2f},{booked},{one},Thanks for invoice {cents} and regards")
        german = f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))
        theirs.append(f'{number * 977};;"{german}";;{booked:%d.%m.%Y};;{other};;Invoice {cents}')
    files = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    files[0].write_text("\n".join(ours))
    files[1].write_text("\n".join(theirs).replace(";;", ","))
    found = suggest_files(*files)
    assert {(one.source_field, one.target_field) for one in found.mappings} == {
        ("account", "nr"), ("amount", "betrag"), ("day", "datum"), ("state", "status"), ("memo", "zweck"),
    }  # fmt: skip
    rule_set = found.rule_set()
    assert rule_set is not None
    outcome = match_files(*files, rule_set_of(rule_set))
    assert (outcome.matches.height, outcome.breaks.height) == (300, 0)


def test_texts_and_dates_of_groups(tmp_path: Path) -> None:
    orders, lines = ["order,total,ccy,day"], ["line,order_no,amount,currency,posted"]
    for number in range(1, 201):
        booked, currency = date(2026, 1, 1) + timedelta(days=number % 60), ("EUR", "USD", "GBP")[number % 3]
        parts = [1_000 + number * 37 % 500 + part for part in range(1 + number % 3)]
        orders.append(f"K{number * 7919 % 10_007},{sum(parts)}.00,{currency},{booked}")
        lines += [f"L{number}-{part},K{number * 7919 % 10_007},{part}.00,{currency},{booked}" for part in parts]
    files = tmp_path / "orders.csv", tmp_path / "lines.csv"
    for path, rows in zip(files, (orders, lines), strict=True):
        path.write_text("\n".join(rows))
    rule_set = suggest_files(*files).rule_set()
    assert rule_set is not None
    only = rule_set["passes"][0]
    assert (only["cardinality"], len(only["comparisons"])) == ("ONE_TO_MANY", 3)
    outcome = match_files(*files, rule_set_of(rule_set))
    assert (outcome.breaks.height, outcome.unmatched_target.height) == (0, 0)


def test_dirty_records(shared_data: Path) -> None:
    files = shared_data / "febrl/source.csv", shared_data / "febrl/target.csv"
    rule_set = suggest_files(*files).rule_set()
    assert rule_set is not None
    assert match_files(*files, rule_set_of(rule_set)).matches.height == 4561


def test_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,size\nx,1\ny,2\n")
    (tmp_path / "b.csv").write_text("colour,weight\nred,3\nblue,4\n")
    done = recon("suggest", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / "rules.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No key: " in done.stderr
    assert not (tmp_path / "rules.json").exists()
    (tmp_path / "c.pdf").write_text("%PDF")
    refused = recon("suggest", tmp_path / "a.csv", tmp_path / "c.pdf")
    assert refused.returncode == 2
    assert "Unsupported file type: c.pdf" in refused.stderr


def test_no_place_for_the_rule_set(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("id\n" + "".join(f"{number}\n" for number in range(50)))
    done = recon("suggest", path, path, "--out", tmp_path / "nowhere" / "rules.json")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: Can't write to ")
