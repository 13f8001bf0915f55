"""The probabilistic kernel: what it learns, how it stays the same, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.assignment import assign
from matching.errors import ColumnNotFound, MatchingError, RuleInvalid
from matching.linkage import Linked, LinkField, LinkMethod, LinkSettings, default_blocking, link
from matching.linkage_blocking import choose_blocking, pair_count, training_rules

needs_splink = pytest.mark.skipif(
    find_spec("splink") is None, reason="needs the extra: pip install 'recon-streams[linkage]'"
)

NAMES = ("given_name", "surname", "address_1", "address_2", "suburb")


def field(name: str, method: LinkMethod = LinkMethod.JARO_WINKLER, **options: Any) -> LinkField:
    return LinkField(name, name, name, method, **options)


PERSON = (
    field("given_name", swapped_with="surname"),
    field("surname", swapped_with="given_name"),
    field("street_number", LinkMethod.EXACT),
    field("address_1"),
    field("address_2"),
    field("suburb"),
    field("postcode", LinkMethod.LEVENSHTEIN),
    field("state", LinkMethod.EXACT),
    field("date_of_birth", LinkMethod.DATE),
    field("soc_sec_id", LinkMethod.LEVENSHTEIN),
)
CROSSED = (
    LinkField("given_as_surname", "given_name", "surname", LinkMethod.BLOCK),
    LinkField("surname_as_given", "surname", "given_name", LinkMethod.BLOCK),
)
RULES = (
    ("soc_sec_id",),
    ("date_of_birth",),
    ("given_name", "surname"),
    ("given_as_surname", "surname_as_given"),
    ("surname", "postcode"),
    ("given_name", "postcode"),
    ("address_1", "street_number"),
    ("address_2", "surname"),
    ("suburb", "surname"),
    ("suburb", "given_name"),
)


def persons(folder: Path, name: str) -> pl.DataFrame:
    born = pl.col("date_of_birth").str.replace(r"^(\d{4})(\d{2})(\d{2})$", "$1-$2-$3")
    return pl.read_csv(folder / f"{name}.csv", infer_schema=False).with_columns(born)


def one_to_one(linked: Linked, source: pl.DataFrame, target: pl.DataFrame) -> list[tuple[int, int]]:
    score = (linked.pairs["weight"].to_numpy() * 1000).astype(np.int64)
    rows = linked.pairs["source"].to_numpy(), linked.pairs["target"].to_numpy()
    best = assign(*rows, score, source_height=source.height, target_height=target.height)
    return list(zip(best.source.tolist(), best.target.tolist(), strict=True))


@needs_splink
@pytest.mark.parametrize(("fields", "rules"), [(PERSON + CROSSED, RULES), (PERSON, ())], ids=["rules", "automatic"])
def test_febrl(shared_data: Path, fields: tuple[LinkField, ...], rules: tuple[tuple[str, ...], ...]) -> None:
    folder = shared_data / "febrl"
    source, target = persons(folder, "source"), persons(folder, "target")
    truth = set(pl.read_csv(folder / "truth.csv", infer_schema=False).rows())
    linked = link(source, target, LinkSettings(fields, rules))
    found = {(source["rec_id"][one], target["rec_id"][other]) for one, other in one_to_one(linked, source, target)}
    assert found <= truth
    assert len(found) >= 0.998 * len(truth)
    assert linked.model is not None
    assert linked.model["prior"] == pytest.approx(5_000 / 25_000_000, rel=0.01)
    assert all(one["trained"] for one in linked.model["fields"])


@needs_splink
def test_febrl_without_the_number_and_half_of_the_partners(shared_data: Path) -> None:
    """Half of the sources have no partner: nobody else's is taken instead."""
    folder = shared_data / "febrl"
    source, target = persons(folder, "source"), persons(folder, "target")
    truth = pl.read_csv(folder / "truth.csv", infer_schema=False)
    kept = truth.sort("source_rec_id")[::2]
    target = target.join(kept, left_on="rec_id", right_on="target_rec_id", how="semi")
    linked = link(source, target, LinkSettings(PERSON[:-1], min_weight=3.0))
    found = {(source["rec_id"][one], target["rec_id"][other]) for one, other in one_to_one(linked, source, target)}
    assert len(found & set(kept.rows())) >= 0.998 * len(found)
    assert len(found & set(kept.rows())) >= 0.99 * kept.height


def made(people: int, seed: int, *, partners: float = 1.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Persons with a number, and the same ones with errors; `number` is the truth."""
    draw = np.random.default_rng(seed)
    words = np.array(["".join(one) for one in draw.choice(list("abcdefghijklmnop"), (people // 3 + 2, 7))])
    truth = pl.DataFrame(
        {
            "number": np.arange(people),
            "name": words[draw.integers(0, len(words), people)],
            "street": words[draw.integers(0, len(words), people)],
            "town": words[draw.integers(0, min(12, len(words)), people)],
            "born": np.datetime64("1950-01-01") + draw.integers(0, 20_000, people),
            "amount": draw.integers(100, 90_000, people),
        }
    ).with_columns(pl.col("born").cast(pl.Date).cast(pl.String), pl.col("amount").cast(pl.String))

    def some(share: float) -> pl.Series:
        return pl.Series(draw.random(people) < share)

    other = truth.with_columns(
        pl.when(some(0.1)).then(pl.col("name").str.slice(1)).otherwise("name").alias("name"),
        pl.when(some(0.1)).then(pl.lit("")).otherwise("street").alias("street"),
        pl.when(some(0.1)).then(pl.col("born").str.replace(r"\d$", "3")).otherwise("born").alias("born"),
    ).filter(some(partners))
    return truth, other[draw.permutation(other.height)]


MADE = (
    field("name", term_frequency=True),
    field("street"),
    field("town", LinkMethod.EXACT),
    field("born", LinkMethod.DATE),
    field("amount", LinkMethod.NUMERIC),
)


def numbered(linked: Linked, source: pl.DataFrame, target: pl.DataFrame) -> pl.DataFrame:
    """The pairs by the rows' own numbers instead of their positions."""
    return linked.pairs.with_columns(
        source["number"].gather(linked.pairs["source"]).alias("source"),
        target["number"].gather(linked.pairs["target"]).alias("target"),
    ).sort("source", "target")


@needs_splink
@pytest.mark.parametrize(("people", "partners"), [(8, 1.0), (60, 0.5), (300, 0.3), (300, 1.0)])
def test_made_records_find_their_partners(people: int, partners: float) -> None:
    source, target = made(people, 5, partners=partners)
    linked = link(source, target, LinkSettings(MADE))
    found = one_to_one(linked, source, target)
    assert all(source["number"][one] == target["number"][other] for one, other in found)
    assert len(found) == target.height
    assert linked.blocking == default_blocking(MADE, source, target)


@needs_splink
def test_the_order_of_rows_counts_for_nothing() -> None:
    source, target = made(250, 1, partners=0.8)
    settings = LinkSettings(MADE, min_weight=-20, max_pairs=20_000)
    first = link(source, target, settings)
    assert first.pairs.height > target.height
    shuffled = source.sample(fraction=1, shuffle=True, seed=3), target.sample(fraction=1, shuffle=True, seed=4)
    second = link(*shuffled, settings)
    assert first.model == second.model
    assert numbered(first, source, target).equals(numbered(second, *shuffled))
    assert first.pairs.equals(link(source, target, settings).pairs)


@needs_splink
@pytest.mark.parametrize(("partners", "max_pairs"), [(0.8, 5_000), (1.0, 5_000), (1.0, 100)])
def test_swapped_sides_give_the_swapped_pairs(partners: float, max_pairs: int) -> None:
    """With few pairs at most, the blocks that teach are sampled too."""
    source, target = made(120, 2, partners=partners)
    settings = LinkSettings(MADE, min_weight=-20, max_pairs=max_pairs)
    straight, swapped = link(source, target, settings), link(target, source, settings)
    assert straight.model == swapped.model
    turned = swapped.pairs.rename({"source": "target", "target": "source"}).select(straight.pairs.columns)
    assert straight.pairs.equals(turned.sort("source", "target"))


def digest(linked: Linked) -> str:
    text = linked.pairs.write_csv() + json.dumps(linked.model)
    return hashlib.sha256(text.encode()).hexdigest()


@needs_splink
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its cores")
def test_threads_and_hash_seeds_count_for_nothing() -> None:
    script = (
        "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])\n"
        "from tests.matching.test_linkage import LinkSettings, MADE, digest, link, made\n"
        "print(digest(link(*made(400, 9), LinkSettings(MADE, min_weight=-20, max_pairs=50_000))))"
    )
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", script, str(cores)],
            env={**os.environ, "PYTHONHASHSEED": str(cores), "POLARS_MAX_THREADS": str(cores)},
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for cores in (1, 2)
    }
    assert len(found) == 1


@needs_splink
def test_a_stored_model_scores_as_it_did_and_learns_nothing() -> None:
    source, target = made(200, 3)
    settings = LinkSettings(MADE, min_weight=-5)
    first = link(source, target, settings)
    stored = json.loads(json.dumps(first.model))
    again = link(source, target, settings, model=stored)
    assert again.pairs.equals(first.pairs)
    assert again.model == first.model
    few = link(source[:3], target, settings, model=stored)
    assert few.model == first.model
    changed = {**stored, "prior": stored["prior"] / 2}
    lighter = link(source, target, settings, model=changed).pairs.join(first.pairs, on=["source", "target"])
    assert np.allclose(lighter["weight_right"] - lighter["weight"], 1, atol=0.01)


@needs_splink
def test_a_model_of_other_fields_or_form_is_refused() -> None:
    source, target = made(60, 3)
    stored = link(source, target, LinkSettings(MADE)).model
    assert stored is not None
    with pytest.raises(RuleInvalid, match="other fields or levels"):
        link(source, target, LinkSettings(MADE[1:]), model=stored)
    with pytest.raises(RuleInvalid, match="no linkage model"):
        link(source, target, LinkSettings(MADE), model={"version": 1})
    with pytest.raises(RuleInvalid, match="version 7"):
        link(source, target, LinkSettings(MADE), model={**stored, "version": 7})
    with pytest.raises(RuleInvalid, match="above 0 and at most 1"):
        link(source, target, LinkSettings(MADE), model={**stored, "prior": 0})


@needs_splink
def test_a_pair_is_explained_by_its_fields() -> None:
    source, target = made(200, 4, partners=0.7)
    linked = link(source, target, LinkSettings(MADE, min_weight=-10))
    pairs, model = linked.pairs, linked.model
    assert model is not None
    parts = sum(pairs[f"weight_{one.name}"] for one in MADE)
    assert isinstance(parts, pl.Series)
    assert np.allclose(parts + model["prior_weight"], pairs["weight"], atol=2e-6)
    assert np.allclose(1 / (1 + 2.0 ** -pairs["weight"].to_numpy()), pairs["probability"], atol=1e-9)
    assert pairs["weight"].min() >= -10  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert pairs.filter(pl.col("level_street") == -1)["weight_street"].unique().to_list() == [0]
    for learned in model["fields"]:
        if learned["name"] == "name":
            continue
        weights = {one["level"]: one["weight"] for one in learned["levels"]} | {-1: 0.0}
        expected = pairs[f"level_{learned['name']}"].replace_strict(weights, return_dtype=pl.Float64)
        assert np.allclose(expected, pairs[f"weight_{learned['name']}"], atol=1e-6)
    types = dict(pairs.schema)
    assert types["source"] == types["target"] == pl.UInt32
    assert types["level_name"] == pl.Int8


@needs_splink
def test_rare_values_weigh_more_with_term_frequency() -> None:
    source, target = made(300, 6)
    common = pl.when(pl.col("number") % 3 == 0).then(pl.lit("abcdefg")).otherwise("name").alias("name")
    pairs = link(source.with_columns(common), target.with_columns(common), LinkSettings(MADE)).pairs
    equal = pairs.filter(pl.col("level_name") == 3).with_columns(
        (source["number"].gather(pairs.filter(pl.col("level_name") == 3)["source"]) % 3 == 0).alias("common")
    )
    assert equal.filter("common")["weight_name"].max() < equal.filter(~pl.col("common"))["weight_name"].min()  # pyright: ignore[reportOperatorIssue]


LEVELS: list[tuple[LinkMethod, tuple[float, ...] | None, list[tuple[Any, Any, int]]]] = [
    (LinkMethod.EXACT, None, [("a", "a", 1), ("a", "A", 0), ("a", "", -1), (None, "a", -1)]),
    (
        LinkMethod.JARO_WINKLER,
        (0.9, 0.7),
        [("martha", "martha", 3), ("martha", "marhta", 2), ("dixon", "dicksonx", 1), ("abc", "xyz", 0)],
    ),
    (
        LinkMethod.LEVENSHTEIN,
        None,
        [("1234", "1234", 3), ("1234", "1235", 2), ("1234", "1243", 1), ("1234", "4321", 0)],
    ),
    (
        LinkMethod.DATE,
        (5, 31),
        [
            ("2026-01-01", "2026-01-01", 4),
            ("2026-01-12", "2026-01-21", 3),
            ("2026-01-28", "2026-02-02", 2),
            ("2026-01-28", "2026-02-03", 1),
            ("2026-01-14", "2026-02-23", 0),
            ("no date", "2026-01-01", 0),
            ("2026-13-01", "2026-12-01", 3),
        ],
    ),
    (
        LinkMethod.NUMERIC,
        None,
        [
            ("100", "100.00", 3),
            ("100", "99", 2),
            ("100", "98.99", 1),
            ("-100", "-90", 1),
            ("100", "89.99", 0),
            ("100", "-100", 0),
            ("x", "1", -1),
        ],
    ),
]


@needs_splink
@pytest.mark.parametrize(("method", "thresholds", "cases"), LEVELS, ids=[one[0] for one in LEVELS])
def test_levels_and_their_inclusive_bounds(
    method: LinkMethod, thresholds: tuple[float, ...] | None, cases: list[tuple[Any, Any, int]]
) -> None:
    keys = [str(number) for number in range(len(cases))]
    source = pl.DataFrame(
        {"key": keys, "own": [one for one, _, _ in cases]}, schema={"key": pl.String, "own": pl.String}
    )
    target = pl.DataFrame(
        {"key": keys, "its": [one for _, one, _ in cases]}, schema={"key": pl.String, "its": pl.String}
    )
    fields = field("key", LinkMethod.BLOCK), LinkField("value", "own", "its", method, thresholds)
    pairs = link(source, target, LinkSettings(fields, (("key",),), min_weight=-1000)).pairs
    assert pairs["source"].to_list() == pairs["target"].to_list()
    assert dict(zip(pairs["source"], pairs["level_value"], strict=True)) == {
        number: level for number, (_, _, level) in enumerate(cases)
    }


@needs_splink
def test_swapped_values_are_a_level_of_their_own() -> None:
    source = pl.DataFrame({"key": ["1", "2"], "given": ["ann", "bob"], "family": ["lee", "ray"]})
    target = pl.DataFrame({"key": ["1", "2"], "given": ["lee", "bob"], "family": ["ann", "may"]})
    fields = (
        field("key", LinkMethod.BLOCK),
        field("given", swapped_with="family"),
        field("family", swapped_with="given"),
    )
    pairs = link(source, target, LinkSettings(fields, (("key",),), min_weight=-1000)).pairs
    assert pairs["level_given"].to_list() == [3, 4]
    assert pairs["level_family"].to_list() == [3, 0]


@needs_splink
def test_times_and_numbers_are_read_as_they_are() -> None:
    source = pl.DataFrame({"key": [7], "day": [datetime(2026, 1, 1, 9)], "sum": [1.5]})  # noqa: DTZ001
    target = pl.DataFrame({"key": [7], "day": ["2026-01-01"], "sum": ["1.50"]})
    fields = field("key", LinkMethod.BLOCK), field("day", LinkMethod.DATE), field("sum", LinkMethod.NUMERIC)
    pairs = link(source, target, LinkSettings(fields, (("key",),), min_weight=-1000)).pairs
    assert pairs.select("level_day", "level_sum").rows() == [(4, 3)]


@needs_splink
def test_nothing_is_printed_and_no_file_is_left(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(0):
        link(*made(100, 8), LinkSettings(MADE))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert [one for one in caplog.records if one.name.startswith("splink")] == []


def test_without_splink_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(MatchingError, match=r"pip install 'recon-streams\[linkage\]'") as raised:
        link(*made(30, 1), LinkSettings(MADE))
    assert raised.value.code == "LINKAGE_UNAVAILABLE"


@pytest.mark.parametrize("heights", [(0, 0), (0, 5), (5, 0)])
def test_no_rows_give_no_pairs(heights: tuple[int, int]) -> None:
    source, target = made(5, 1)
    linked = link(source[: heights[0]], target[: heights[1]], LinkSettings(MADE))
    assert linked.pairs.is_empty()
    assert linked.model is None
    assert linked.candidates == 0
    assert linked.pairs.columns[:6] == ["source", "target", "weight", "probability", "weight_name", "level_name"]


def test_a_missing_column_is_named_with_those_there_are() -> None:
    source, target = made(5, 1)
    with pytest.raises(ColumnNotFound, match="Column 'town' not found in target; available: number, name"):
        link(source, target.drop("town"), LinkSettings(MADE))


def test_too_many_candidates_are_refused_with_the_widest_block() -> None:
    source, target = made(200, 1)
    settings = LinkSettings(MADE, (("town",), ("name", "town")), max_candidates=1_000)
    with pytest.raises(MatchingError, match="its widest block, on town, has"):
        link(source, target, settings)
    automatic = LinkSettings((field("town"),), max_candidates=1_000)
    with pytest.raises(MatchingError, match="its widest block, on town, has"):
        link(source, target, automatic)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LinkSettings(()), "at least one compared field"),
        (lambda: LinkSettings((field("a", LinkMethod.BLOCK),)), "at least one compared field"),
        (lambda: LinkSettings((field("a"), field("a"))), "'a' must have a name that no other field has"),
        (lambda: LinkSettings((field("a"),), (("b",),)), "no field 'b'; available: a"),
        (lambda: LinkSettings((field("a"),), ((),)), "at least one field"),
        (lambda: LinkSettings((field("a", swapped_with="b"),)), "no field 'b'; available: a"),
        (lambda: LinkSettings((field("a", swapped_with="a"),)), "another compared field"),
        (lambda: LinkSettings((field("a"),), prior=1.0), "prior must be above 0 and below 1"),
        (lambda: LinkSettings((field("a"),), max_pairs=1), "max_pairs must be 100 or more, not 1"),
        (lambda: field("a", LinkMethod.EXACT, thresholds=(1,)), "EXACT takes no thresholds"),
        (lambda: field("a", thresholds=(0.8, 0.9)), "from the closest to the furthest"),
        (lambda: field("a", LinkMethod.DATE, thresholds=(9, 3)), "from the closest to the furthest"),
        (lambda: field("a", thresholds=(1.5,)), "0 to 1"),
        (lambda: field("a", LinkMethod.BLOCK, term_frequency=True), "BLOCK compares nothing"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Any, text: str) -> None:
    with pytest.raises(RuleInvalid, match=text):
        make()


VALUES = st.lists(st.tuples(*[st.sampled_from(["x", "y", "z", None])] * 3), max_size=12)


def frame(rows: Sequence[tuple[str | None, ...]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict.fromkeys("abc", pl.String), orient="row")


@given(VALUES, VALUES, st.lists(st.sampled_from([0, 1, 2]), min_size=1, unique=True))
def test_pairs_are_counted_as_one_by_one(
    source: list[tuple[str | None, ...]], target: list[tuple[str | None, ...]], rule: list[int]
) -> None:
    equal = sum(all(one[at] is not None and one[at] == other[at] for at in rule) for one in source for other in target)
    assert pair_count(frame(source), frame(target), ["abc"[at] for at in rule]) == equal


@given(VALUES, VALUES, st.integers(min_value=1, max_value=60))
def test_automatic_blocks_stay_within_their_bound(
    source: list[tuple[str | None, ...]], target: list[tuple[str | None, ...]], most: int
) -> None:
    sides = frame(source), frame(target)
    rules = choose_blocking(*sides, list("abc"), most)
    assert len(rules) == 1 or sum(pair_count(*sides, rule) for rule in rules) <= most
    assert bool(rules) == any(pair_count(*sides, [name]) for name in "abc")
    assert not any(set(one) < set(other) for one in rules for other in rules)
    assert rules == choose_blocking(sides[1], sides[0], list("abc"), most)


def test_training_blocks_leave_every_field_free_twice_where_they_can() -> None:
    counts = {("a",): 100, ("b",): 200, ("c",): 300, ("a", "b"): 5}
    covers = {rule: frozenset("abc") - set(rule) for rule in counts}
    assert training_rules(counts, covers, fewest=10, dense=0, most=1_000) == (("a",), ("b",), ("c",))
    assert training_rules(counts, covers, fewest=1, dense=0, most=250) == (("a", "b"), ("a",), ("b",))
    assert training_rules(counts, covers, fewest=1, dense=150, most=1_000) == (("a",), ("b",), ("c",))
    assert training_rules(counts, covers, fewest=500, dense=0, most=1_000) == ()
