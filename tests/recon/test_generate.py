"""The generator of reconciliation data: its truth holds for the files as written, whatever the arguments."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import required_columns, rule_set_of
from recon.cli import app
from recon.generate import Generated, generate
from recon.generate.knobs import SCENARIOS, USED, GeneratorInvalid

LEFTOVERS = {"MISSING_TARGET", "MISSING_SOURCE", "DUPLICATE"}
AMOUNTS = {"payouts": ("net", "amount")}
BYTES = {
    "payments": "8d6f8a35b157924db2b2db398d9ced3737fc34a674c5cbdedefc44cb9ff165b2",
    "payouts": "29cce24e3acce462e4a4edeefab299df163fc89701fbba8748c9dcce378b6695",
    "invoices": "c30fd62da6bd397e8dca4961b035608308db8f080133bcd1980df60879df2a24",
    "ledger": "b53aff06f3acf17be190fe4d8d881563aa4eb60397c3eece8126ea6139c718a6",
    "fx": "417498133209836cbd9f5220d4a4b3ac1689fe43c0e5f361568753925cd636e9",
    "people": "82ce3accc06781042d21313830f47e74bb5de65ed8dc6910b1ff460ccad150c8",
}
"""SHA-256 of source, target and truth as CSV: 300 rows, seed 11, difficulty 5."""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


def links(made: Generated) -> pl.DataFrame:
    return made.truth.filter(pl.col("source_row").is_not_null() & pl.col("target_row").is_not_null())


def check_every_row_is_told_of(made: Generated) -> None:
    linked = links(made)
    alone = made.truth.filter(pl.col("source_row").is_null() | pl.col("target_row").is_null())
    assert set(alone["kind"]) <= LEFTOVERS
    assert not set(linked["kind"]) & LEFTOVERS
    assert not linked.select("source_row", "target_row").is_duplicated().any()
    for name, frame in (("source_row", made.source), ("target_row", made.target)):
        with_partner = set(linked[name])
        without = Counter(alone[name].drop_nulls().to_list())
        assert set(without.values()) <= {1}
        assert not with_partner & set(without)
        assert with_partner | set(without) == set(range(1, frame.height + 1))
    # Several links of a row, and doubles, are in one group.
    for name in ("source_row", "target_row"):
        several = linked.filter(pl.col(name).is_duplicated())
        assert several["group"].null_count() == 0
    assert alone.filter(kind="DUPLICATE")["group"].null_count() == 0
    numbers = made.truth["group"].drop_nulls().unique().sort().to_list()
    assert numbers == list(range(1, len(numbers) + 1))


def check_sums(made: Generated) -> None:
    """The groups say what the files' texts add up to, in exact decimals."""
    assert made.groups is not None
    linked = links(made).filter(pl.col("group").is_not_null())
    told = {row["group"]: row for row in made.groups.iter_rows(named=True)}
    assert set(told) == set(linked["group"])
    columns = AMOUNTS.get(made.scenario, ("amount", "amount"))
    amounts = [frame[column].to_list() for frame, column in zip((made.source, made.target), columns, strict=True)]
    for (group,), rows in linked.group_by("group"):
        sums = [
            sum(Decimal(texts[row - 1]) for row in set(rows[name]))
            for texts, name in zip(amounts, ("source_row", "target_row"), strict=True)
        ]
        row, kinds = told[group], set(rows["kind"])
        assert sums == [Decimal(row["source_sum"]), Decimal(row["target_sum"])]
        difference = sums[1] - sums[0]
        assert difference == Decimal(row["difference"])
        if "FEE" in kinds:
            assert difference < 0
        elif "MISMATCH" in kinds:
            assert difference != 0
        elif made.scenario == "payouts" or not kinds & {"ROUNDING", "TYPO", "TRUNCATED", "LATE"}:
            assert difference == 0
        else:
            assert abs(difference) <= (Decimal(1) if row["currency"] == "JPY" else Decimal("0.01"))


@settings(max_examples=60, deadline=None)
@given(
    scenario=st.sampled_from(SCENARIOS),
    seed=st.integers(0, 2**63 - 1),
    rows=st.integers(1, 400),
    difficulty=st.integers(0, 5),
)
def test_truth_tells_of_every_row_and_sums_are_conserved(scenario: str, seed: int, rows: int, difficulty: int) -> None:
    made = generate(scenario, rows=rows, seed=seed, difficulty=difficulty)
    check_every_row_is_told_of(made)
    if made.groups is not None:
        check_sums(made)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_everything_turned_up(scenario: str) -> None:
    """Every share at one half: faults meet each other."""
    shares = {name: 0.5 for name in USED[scenario] if name not in ("currencies", "batch_size")}
    made = generate(scenario, rows=20_000 if scenario == "payouts" else 2_000, seed=5, difficulty=5, **shares)
    check_every_row_is_told_of(made)
    if made.groups is not None:
        check_sums(made)
    assert all(made.faults[name] > 0 for name in shares)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_easiest_is_clean_and_one_to_one(scenario: str) -> None:
    made = generate(scenario, rows=500, difficulty=0)
    assert set(made.truth["kind"]) == {"EXACT"}
    assert made.truth["group"].null_count() == made.truth.height == made.source.height == made.target.height == 500
    assert not any(made.faults.values())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_more_difficulty_is_more_trouble(scenario: str) -> None:
    levels = [generate(scenario, rows=6_000, seed=3, difficulty=level) for level in range(6)]
    for easier, harder in pairwise(levels):
        assert sum(harder.faults.values()) > sum(easier.faults.values())
        assert sum(map(bool, harder.faults.values())) >= sum(map(bool, easier.faults.values()))
        assert links(harder).filter(kind="EXACT").height < links(easier).filter(kind="EXACT").height or (
            scenario == "payouts" and links(harder).filter(kind="EXACT").height == 0
        )
    assert set(levels[5].faults) == set(USED[scenario]) - {"currencies", "batch_size"}
    assert all(levels[5].faults.values())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_knob_changes_its_own_fault_alone(scenario: str) -> None:
    quiet = generate(scenario, rows=3_000, difficulty=0)
    noisy = generate(scenario, rows=3_000, difficulty=0, noise=0.2)
    noisier = generate(scenario, rows=3_000, difficulty=0, noise=0.4)
    assert noisy.source.equals(quiet.source)
    assert {name for name, count in noisy.faults.items() if count} == {"noise"}
    struck = [set(links(made).filter(kind="NOISE")["source_row"]) for made in (noisy, noisier)]
    assert struck[0] < struck[1]
    assert 0.15 * 3_000 < len(struck[0]) < 0.25 * 3_000


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_equal_arguments_give_equal_bytes(scenario: str, tmp_path: Path) -> None:
    for name in ("once", "again"):
        generate(scenario, rows=300, seed=11, difficulty=5).write(tmp_path / name)
    generate(scenario, rows=300, seed=11, difficulty=5).write(tmp_path / "parquet", "parquet")
    once = {path.name: path.read_bytes() for path in (tmp_path / "once").iterdir()}
    assert once == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    digest = sha256(b"".join(once[name] for name in ("source.csv", "target.csv", "truth.csv"))).hexdigest()
    assert digest == BYTES[scenario]
    for side in ("source", "target"):
        text = pl.read_csv(tmp_path / "once" / f"{side}.csv", infer_schema=False)
        assert text.equals(pl.read_parquet(tmp_path / "parquet" / f"{side}.parquet"))
    other = generate(scenario, rows=300, seed=12, difficulty=5)
    assert not other.source.equals(text)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("currencies", [1, 8])
def test_rules_are_a_rule_set_on_the_columns_of_the_files(scenario: str, currencies: int) -> None:
    knobs = {} if scenario == "people" else {"currencies": currencies}
    made = generate(scenario, rows=50, difficulty=4, **knobs)
    rules = rule_set_of(json.loads(json.dumps(made.rules)))
    source, target = required_columns(rules)
    assert set(source) <= set(made.source.columns)
    assert set(target) <= set(made.target.columns)


def test_truth_json_says_how_it_was_made(tmp_path: Path) -> None:
    made = generate("invoices", rows=400, seed=2, difficulty=3, late=0.5)
    made.write(tmp_path)
    told = json.loads((tmp_path / "truth.json").read_text("utf-8"))
    assert told["knobs"]["late"] == 0.5
    again = generate(
        told["scenario"], rows=told["rows"], seed=told["seed"], difficulty=told["difficulty"], **told["knobs"]
    )
    assert again.source.equals(made.source)
    assert again.target.equals(made.target)
    assert sum(told["kinds"].values()) == made.truth.height
    amounts = made.source.group_by("currency").agg(pl.col("amount"))
    assert {code: str(sum(map(Decimal, texts))) for code, texts in amounts.iter_rows()} == told["sums"]["source"]


def day_of(text: str) -> date:
    if re.fullmatch(r"\d\d\.\d\d\.\d{4}", text):
        day, month, year = text.split(".")
        return date(int(year), int(month), int(day))
    return date.fromisoformat(text)


def minor(text: str, currency: str) -> int:
    return int(Decimal(text).scaleb({"JPY": 0, "KWD": 3}.get(currency, 2)))


def valid(number: str | None) -> str | None:
    """A whole reference: nine digits with right check digits."""
    return number if number and len(number) == 9 and int(number) % 97 == 1 else None


def number_in(text: str) -> str | None:
    found = re.search(r"(?<![0-9A-Za-z])(?:[A-Z]+-00|[a-z]+-00)?([1-9]\d{8})(?![0-9A-Za-z])", text)
    return valid(found[1]) if found else None


@pytest.mark.parametrize(
    ("scenario", "source", "target"),
    [
        ("payments", ("order_id", "ordered_on"), ("order_ref", "paid_on")),
        ("ledger", ("description", "booked_on"), ("remittance", "value_date")),
        ("fx", ("payment_ref", "value_date"), ("reference", "posted_on")),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_truth_can_be_found(scenario: str, seed: int, source: tuple[str, str], target: tuple[str, str]) -> None:
    """Whole references first, then the only one within a minor unit and three days; nothing else is needed."""
    made = generate(scenario, rows=6_000, seed=seed, difficulty=5)
    rates = {}
    if scenario == "fx":
        rates = {(day, code): Decimal(rate) for day, code, _, rate in made.tables["rates"].iter_rows()}
    group_of: dict[tuple[str, int], int] = {}
    for source_row, target_row, group, _ in made.truth.drop_nulls("group").iter_rows():
        group_of |= {("s", source_row): group, ("t", target_row): group}
    right = {(row, other) for row, other in links(made).select("source_row", "target_row").iter_rows()}

    by_number: dict[str, list[int]] = {}
    open_rows: dict[tuple[str, int], list[tuple[int, date]]] = {}
    for row, one in enumerate(made.target.iter_rows(named=True), 1):
        number = number_in(one[target[0]])
        if number is not None:
            by_number.setdefault(number, []).append(row)
        place = (one["currency"], minor(one["amount"], one["currency"]))
        open_rows.setdefault(place, []).append((row, day_of(one[target[1]])))
    found: set[tuple[int, int]] = set()
    left: list[tuple[int, dict[str, str]]] = []
    for row, one in enumerate(made.source.iter_rows(named=True), 1):
        number = number_in(one[source[0]])
        assert number is not None
        others = by_number.get(number, [])
        found |= {(row, other) for other in others}
        if not others:
            left.append((row, one))
    taken = {other for _, other in found}
    for row, one in left:
        currency, amount = one["currency"], minor(one["amount"], one["currency"])
        if scenario == "fx" and currency != "EUR":
            exact = Decimal(one["amount"]) * rates[one[source[1]], currency]
            rounded = abs(exact).quantize(Decimal("0.01"), ROUND_HALF_UP).copy_sign(exact)
            currency, amount = "EUR", minor(str(rounded), "EUR")
        elif scenario == "fx":
            currency = "EUR"
        day = day_of(one[source[1]])
        for near in (amount - 1, amount, amount + 1):
            for other, posted in open_rows.get((currency, near), []):
                vague = number_in(made.target[target[0]][other - 1]) is None
                if other not in taken and abs((posted - day).days) <= 3 and vague:
                    found.add((row, other))
    wrong = {
        (row, other)
        for row, other in found - right
        if ("s", row) not in group_of or group_of["s", row] != group_of.get(("t", other))
    }
    assert not wrong
    assert right <= found


def test_rates_make_the_euros() -> None:
    made = generate("fx", rows=3_000, seed=4, difficulty=3, currencies=8, rounding=0, mismatch=0)
    rates = {(day, code): Decimal(rate) for day, code, _, rate in made.tables["rates"].iter_rows()}
    seen = set()
    for row, other, _, _ in links(made).iter_rows():
        paid, booked = made.source.row(row - 1, named=True), made.target.row(other - 1, named=True)
        rate = rates.get((paid["value_date"], paid["currency"]), Decimal(1))
        assert Decimal(booked["amount"]) == (Decimal(paid["amount"]) * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
        seen.add(paid["currency"])
    assert len(seen) == 8


def test_payouts_can_be_found() -> None:
    """Whole days, days less a fee, days less a single transaction, the day before, the day with one of the day before."""
    made = generate("payouts", rows=20_000, seed=9, difficulty=5)
    rows: dict[tuple[str, str], dict[int, Decimal]] = {}
    for row, one in enumerate(made.source.iter_rows(named=True), 1):
        rows.setdefault((one["account"], one["available_on"]), {})[row] = Decimal(one["net"])
    parts: dict[int, set[int]] = {}
    for row, other, _, _ in links(made).iter_rows():
        parts.setdefault(other, set()).add(row)
    kinds = dict(links(made).group_by("target_row").agg(pl.col("kind").unique().sort()).iter_rows())
    group_of = dict(made.truth.drop_nulls(["group", "source_row"]).select("source_row", "group").iter_rows())
    checked = Counter[str]()
    for other, truth in parts.items():
        credit = made.target.row(other - 1, named=True)
        account, amount = credit["account"].strip().upper(), Decimal(credit["amount"])
        assert credit["counterparty"].strip().upper() == "PAYHUB"
        pool = rows.get((account, day_of(credit["value_date"]).isoformat()), {})
        if sum(pool.values()) == amount and pool:
            assert set(pool) == truth
            checked["whole"] += 1
        elif pool and "FEE" in kinds[other]:
            assert set(pool) == truth
            assert sum(pool.values()) > amount
            checked["fee"] += 1
        elif pool and truth < set(pool):
            without = [row for row, net in pool.items() if sum(pool.values()) - net == amount]
            # The only one, or a double and its twin.
            assert set(pool) - truth <= set(without)
            assert len(without) == 1 or len({group_of[row] for row in without}) == 1
            checked["less one"] += 1
        else:
            days = sorted(
                day for one, day in rows if one == account and day <= day_of(credit["value_date"]).isoformat()
            )
            late = rows[account, days[-1]]
            if sum(late.values()) == amount:
                assert set(late) == truth
                checked["late"] += 1
            else:
                more = amount - sum(late.values())
                assert [row for row, net in rows[account, days[-2]].items() if net == more] == list(truth - set(late))
                checked["one more"] += 1
    assert checked["whole"] > 0.3 * len(parts)
    assert len(checked) == 5
    assert min(checked.values()) > 5


def test_persons_differ_in_what_proves_them() -> None:
    made = generate("people", rows=20_000, seed=6, difficulty=5)
    persons = made.source.unique("person_id")
    assert persons.height == made.source.height - made.truth.filter(kind="DUPLICATE")["source_row"].count()
    assert persons["tax_id"].n_unique() == persons.height
    assert persons.select("birth_date", "postcode").n_unique() == persons.height
    proofs = ("tax_id", "birth_date", "postcode")
    texts = {name: (made.source[name].to_list(), made.target[name].to_list()) for name in proofs}
    for row, other, _, _ in links(made).iter_rows():
        same = {name: texts[name][0][row - 1] == texts[name][1][other - 1] for name in ("tax_id", "postcode")}
        born = texts["birth_date"][1][other - 1]
        whole = born is not None and re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4}", born) is not None
        iso = "-".join(reversed(born.split("."))) if whole else None
        same_day = iso == texts["birth_date"][0][row - 1]
        assert same["tax_id"] or (same["postcode"] and same_day)


@pytest.mark.parametrize(
    ("arguments", "field", "expected"),
    [
        ({"scenario": "orders"}, "scenario", "payouts"),
        ({"difficulty": 6}, "difficulty", "0 to 5"),
        ({"rows": 0}, "rows", "1 to"),
        ({"seed": -1}, "seed", "0 to"),
        ({"typos": 1.5}, "typos", "0 to 1"),
        ({"typos": float("nan")}, "typos", "0 to 1"),
        ({"currencies": 9}, "currencies", "1 to 8"),
        ({"currencies": 1.5}, "currencies", "whole"),
        ({"splits": 0.5}, "splits", "truncated"),
        ({"typoes": 0.5}, "typoes", "typos"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, float], field: str, expected: str) -> None:
    with pytest.raises(GeneratorInvalid) as raised:
        generate(**{"scenario": "payments", **arguments})  # pyright: ignore[reportArgumentType]
    assert field in raised.value.fields
    assert expected in raised.value.fields[field]
    assert str(arguments[field]) in raised.value.message or field in raised.value.message


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, output, _ = run(
        capsys,
        *("generate", "--scenario", "fx", "--rows", "200", "--seed", "3", "--difficulty", "1", "--late", "0.5"),
        *("--format", "parquet", "--out", str(tmp_path / "out")),
    )
    assert code == 0
    assert "LATE" in output
    made = generate("fx", rows=200, seed=3, difficulty=1, late=0.5)
    assert made.target.equals(pl.read_parquet(tmp_path / "out" / "target.parquet"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"source.parquet", "target.parquet", "truth.csv", "truth.json", "rates.csv", "rules.json"} == names
    told = pl.read_csv(tmp_path / "out" / "truth.csv", schema=made.truth.schema)
    assert told.equals(made.truth)


@pytest.mark.parametrize(
    "arguments",
    [("--scenario", "nothing"), ("--splits", "0.1"), ("--format", "xlsx"), ("--difficulty", "9"), ("--late", "2")],
)
def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, str]
) -> None:
    code, _, errors = run(capsys, "generate", "--out", str(tmp_path / "out"), *arguments)
    assert code == 2
    assert arguments[0].removeprefix("--") in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_no_place_for_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(capsys, "generate", "--rows", "10", "--out", "/proc/nowhere")
    assert (code, error) == (2, "Error: Can't write to /proc/nowhere: No such file or directory\n")
