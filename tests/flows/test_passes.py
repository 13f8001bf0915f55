"""Rule sets with passes as steps of a stream, from upload to download."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl

from recon.generate import generate
from tests.parts.rest import Rest, step


def saved(rest: Rest, definition: dict[str, Any]) -> int:
    made = rest.call("POST", "/rules", status=201, json={"name": "passes", **definition})
    assert made["passes"] == definition["passes"]
    return made["id"]


def artifact(rest: Rest, step_run_id: int, kind: str) -> pl.DataFrame:
    content = rest.download(rest.artifacts(step_run_id)[kind]["downloadUrl"], format="parquet")
    return pl.read_parquet(io.BytesIO(content))


def test_olist_orders_settle_by_sum(rest: Rest, shared_data: Path) -> None:
    folder = shared_data / "olist_sample"
    files = [
        rest.upload(name, (folder / name).read_bytes())["id"] for name in ("source_items.csv", "target_payments.csv")
    ]
    amount = {"sourceField": "amount", "matchType": "NUMERIC", "tolerance": "0.05"}
    one = {"keys": [{"sourceField": "order_id"}], "comparisons": [amount], "cardinality": "MANY_TO_MANY"}
    stream = rest.stream([step(1, *files, saved(rest, {"passes": [one]}))])["id"]
    assert not rest.call("POST", f"/streams/{stream}/validate")["errors"]
    run = rest.ended(run_id := rest.run(stream))
    assert run["status"] == "COMPLETED"
    step_run = rest.steps(run_id)[0]
    breaks = artifact(rest, step_run["id"], "EXCEPTIONS")
    assert dict(breaks.group_by("type").len().iter_rows()) == {"TOLERANCE_EXCEEDED": 23}
    assert artifact(rest, step_run["id"], "MATCHED")["match_id"].n_unique() == 10_000


def test_a_second_step_takes_what_the_passes_of_the_first_left(rest: Rest) -> None:
    made = generate("payouts", rows=800, seed=3, difficulty=3)
    files = [
        rest.upload(f"{name}.csv", frame.write_csv())["id"]
        for name, frame in (("transactions", made.source), ("credits", made.target))
    ]
    first, *rest_of_passes = made.rules["passes"]
    rule_sets = [saved(rest, {"passes": [first]}), saved(rest, {"passes": rest_of_passes})]
    left = [("STEP_OUTPUT_UNMATCHED_SOURCE", 1), ("STEP_OUTPUT_UNMATCHED_TARGET", 1)]
    stream = rest.stream([step(1, *files, rule_sets[0]), step(2, left[0], left[1], rule_sets[1])])["id"]
    run = rest.ended(run_id := rest.run(stream))
    assert run["status"] == "COMPLETED", run
    steps = [one["id"] for one in rest.steps(run_id)]
    matches = [artifact(rest, one, "MATCHED") for one in steps]
    unmatched = [artifact(rest, one, "UNMATCHED_SOURCE") for one in steps]
    settled = [set(one["source_row"]) for one in matches]
    assert settled[0]
    assert settled[1]
    assert not settled[0] & settled[1]
    assert settled[0] | settled[1] | set(unmatched[1]["_recon_row"]) == set(range(1, made.source.height + 1))
    group_of = dict(made.truth.drop_nulls("source_row").select("source_row", "group").iter_rows())
    for one in matches:
        groups = one.select("match_id", pl.col("source_row").replace_strict(group_of).alias("group")).unique()
        assert groups.height == groups["match_id"].n_unique()
