"""The acceptance data: same bytes for a seed, every case present, and a truth that adds up and is what the files say."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matching.spec import Severities, rule_set_of
from recon.ecommerce import SMALLEST, generate
from recon.template import rule_sets, severities_of, stream
from recon.truth import SOURCE_FILE, Truth

KEYS = {
    1: ("order_id", "order_line_id"),
    2: ("payment_reference", "order_id"),
    3: ("bank_reference", "payment_reference"),
}
COMPARED = {
    1: ("gross_amount", "currency", "order_status", "order_date"),
    2: ("captured_amount", "capture_status", "settlement_date"),
    3: ("credited_amount", "credit_status", "credit_date"),
}
FILES = ("oms_orders.csv", "marketplace_orders.csv", "gateway_settlements.csv", "bank_credits.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    directory = tmp_path_factory.mktemp("acceptance")
    return directory, generate(directory)


def rows_of(directory: Path, name: str) -> list[dict[str, str]]:
    with (directory / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def agree(field: str, source: str, target: str) -> bool:
    """The template's defaults, said once more and differently from any engine."""
    if field.endswith("_amount"):
        return abs(Decimal(source) - Decimal(target)) <= Decimal("0.01")
    if field.endswith("_date"):
        return abs((date.fromisoformat(source) - date.fromisoformat(target)).days) <= 1
    return source.upper() == target.upper() if field.endswith("_status") else source == target


def test_one_seed_one_set_of_bytes(made: tuple[Path, Truth], tmp_path: Path) -> None:
    def digests(directory: Path) -> list[str]:
        return [hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in (*FILES, "truth.json")]

    generate(tmp_path / "again")
    generate(tmp_path / "other", seed=8)
    assert digests(tmp_path / "again") == digests(made[0])
    assert not set(digests(tmp_path / "other")) & set(digests(made[0]))


def test_size_currencies_and_money(made: tuple[Path, Truth]) -> None:
    directory, truth = made
    orders = rows_of(directory, SOURCE_FILE)
    assert len(orders) >= 10_000
    assert len({row["currency"] for row in orders}) >= 2
    assert all(Decimal(row["gross_amount"]).as_tuple().exponent == -2 for row in orders)
    assert truth.files == {name: len(rows_of(directory, name)) for name in FILES}


def test_an_order_is_in_all_four_files(made: tuple[Path, Truth]) -> None:
    directory, truth = made
    orders = rows_of(directory, SOURCE_FILE)
    for name, row in truth.slices["in all four files"]:
        assert name == SOURCE_FILE
        line = orders[row - 1]
        for order, file in enumerate(FILES[1:], 1):
            key = {name: line[name] for name in KEYS[order]}
            assert any(key.items() <= other.items() for other in rows_of(directory, file))
        break
    split = {orders[row - 1]["order_id"] for _, row in truth.slices["order split over all three"]}
    found = {step.order: {orders[row - 1]["order_id"] for row, _ in step.matched} for step in truth.steps}
    assert split
    assert all(split <= ids for ids in found.values())


def test_every_case_of_the_template_is_there(made: tuple[Path, Truth]) -> None:
    _, truth = made
    names = " ".join(truth.slices)
    for words in (
        "missing on the marketplace only",
        "missing in the gateway after that",
        "missing in the bank after that",
    ):
        assert words in names
    for file in FILES[1:]:
        for case in (
            "amount within the tolerance",
            "amount just beyond the tolerance",
            "duplicate source",
            "duplicate target",
            "date one day off",
            "date more than one day off",
            "key missing",
            "without an order",
        ):
            assert truth.slices[f"{file}: {case}"]
    assert all(truth.slices.values())


def test_each_row_is_in_exactly_one_bucket(made: tuple[Path, Truth]) -> None:
    _, truth = made
    entering = set(range(1, truth.files[SOURCE_FILE] + 1))
    for step in truth.steps:
        sources = Counter([*(source for source, _ in step.matched), *step.unmatched_source])
        targets = Counter([*(target for _, target in step.matched), *step.unmatched_target])
        assert sources == Counter(entering)
        assert targets == Counter(range(1, truth.files[step.target_file] + 1))
        entering = set(step.unmatched_source)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), orders=st.integers(SMALLEST, 2 * SMALLEST))
def test_the_files_say_what_the_truth_says(tmp_path: Path, seed: int, orders: int) -> None:
    truth = generate(tmp_path, seed=seed, orders=orders)
    source_rows = rows_of(tmp_path, SOURCE_FILE)
    for step in truth.steps:
        keys, target_rows = KEYS[step.order], rows_of(tmp_path, step.target_file)

        def key(row: dict[str, str], keys: tuple[str, ...] = keys) -> tuple[str, ...]:
            return tuple(row[name] for name in keys)

        for (source, target), fields in step.matched.items():
            one, other = source_rows[source - 1], target_rows[target - 1]
            assert key(one) == key(other)
            assert all(key(one))
            differing = {name for name in COMPARED[step.order] if not agree(name, one[name], other[name])}
            assert differing == set(fields)
        entering = {source for source, _ in step.matched} | set(step.unmatched_source)
        source_keys = Counter(key(source_rows[row - 1]) for row in entering)
        target_keys = Counter(key(row) for row in target_rows)
        matched_keys = Counter(key(source_rows[source - 1]) for source, _ in step.matched)
        sides = (
            (step.unmatched_source, source_rows, source_keys, target_keys),
            (step.unmatched_target, target_rows, target_keys, source_keys),
        )
        for unmatched, rows, own, others in sides:
            for row, (reason, blank_key) in unmatched.items():
                mine = key(rows[row - 1])
                if not all(mine):
                    assert (reason, blank_key) == ("NULL_KEY", keys[mine.index("")])
                elif reason == "DUPLICATE":
                    assert own[mine] > others[mine] == matched_keys[mine] > 0
                else:
                    assert (reason, others[mine]) == ("MISSING", 0)


def test_of_equal_keys_the_first_rows_of_the_file_are_paired(made: tuple[Path, Truth]) -> None:
    directory, truth = made
    for step in truth.steps:
        names = KEYS[step.order]
        sides = (
            (rows_of(directory, SOURCE_FILE), step.unmatched_source, [source for source, _ in step.matched]),
            (rows_of(directory, step.target_file), step.unmatched_target, [target for _, target in step.matched]),
        )
        for rows, unmatched, matched in sides:
            last = {tuple(rows[row - 1][name] for name in names): row for row in sorted(matched)}
            doubles = [row for row, why in unmatched.items() if why.reason == "DUPLICATE"]
            assert doubles
            assert all(last[tuple(rows[row - 1][name] for name in names)] < row for row in doubles)


def test_breaks_carry_the_templates_severities(made: tuple[Path, Truth]) -> None:
    _, truth = made
    found = {(step.order, one.type, one.field): one.severity for step in truth.steps for one in step.breaks}
    assert found[1, "MISSING_TARGET", None] == found[2, "MISSING_TARGET", None] == "HIGH"
    assert found[3, "MISSING_TARGET", None] == "CRITICAL"
    assert found[1, "VALUE_MISMATCH", "gross_amount"] == found[1, "VALUE_MISMATCH", "currency"] == "HIGH"
    assert found[2, "VALUE_MISMATCH", "capture_status"] == found[3, "VALUE_MISMATCH", "credit_date"] == "MEDIUM"
    assert {found[order, "DUPLICATE", None] for order in (1, 2, 3)} == {"MEDIUM"}


def test_the_truth_file_repeats_the_truth(made: tuple[Path, Truth]) -> None:
    directory, truth = made
    content = json.loads((directory / "truth.json").read_text())
    assert content["files"] == truth.files
    for step, written in zip(truth.steps, content["steps"], strict=True):
        assert {(source, target): tuple(fields) for source, target, fields in written["matched"]} == step.matched
        assert {row: tuple(why) for row, *why in written["unmatchedSource"]} == step.unmatched_source
        assert {row: tuple(why) for row, *why in written["unmatchedTarget"]} == step.unmatched_target
        assert Counter(tuple(one) for one in written["breaks"]) == step.breaks


def test_too_few_orders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(SMALLEST)):
        generate(tmp_path, orders=SMALLEST - 1)


def test_the_rule_sets_are_rule_sets_and_say_the_templates_table() -> None:
    for order, definition in enumerate(rule_sets(), 1):
        rules = rule_set_of(definition)
        assert rules.passes
        assert tuple(key.source_field for key in rules.passes[0].keys) == KEYS[order]
        assert {rule.source_field for rule in rules.passes[0].comparisons} == set(COMPARED[order])


def test_a_steps_severities_are_its_rule_sets_with_its_own_on_top() -> None:
    definition = stream("any", 1, (2, 3, 4), (5, 6, 7))
    for order, (step, rules) in enumerate(zip(definition["steps"], rule_sets(), strict=True), 1):
        of_rules = rule_set_of(rules).severities
        assert of_rules
        together = of_rules.overridden_by(Severities.model_validate(step["config"]["severities"]))
        by_type = together.model_dump(by_alias=True, exclude_none=True)
        assert severities_of(order) == by_type.pop("fields") | by_type
