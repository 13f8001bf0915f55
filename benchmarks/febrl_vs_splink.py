"""The probabilistic kernel against Splink called by hand, on the FEBRL person records (5,000 a side, 5,000 true pairs).

Both read the two CSV files, use the same blocking rules and comparisons, learn without labels and write one-to-one pairs. By hand
means as Splink's documentation shows it: the prior from two deterministic rules, u by random sampling of a million pairs, m by
expectation maximisation in two blocks, predict, then the best pair of each record in SQL. Both sides run as a process of their own,
from start to the last byte written, alternating; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

FEBRL = Path(__file__).parents[2] / "shared" / "data" / "febrl"

RULES = (
    ("soc_sec_id",),
    ("date_of_birth",),
    ("given_name", "surname"),
    ("surname", "postcode"),
    ("given_name", "postcode"),
    ("address_1", "street_number"),
    ("address_2", "surname"),
    ("suburb", "surname"),
    ("suburb", "given_name"),
)
SIMILAR = ("given_name", "surname", "address_1", "address_2", "suburb")
EDITED = ("postcode", "soc_sec_id")
BORN_PARTS = r"^(\d{4})(\d{2})(\d{2})$"


def ours(out: Path) -> None:
    import numpy as np
    import polars as pl

    from matching.assignment import assign
    from matching.linkage import LinkField, LinkMethod, LinkSettings, link

    born = pl.col("date_of_birth").str.replace(BORN_PARTS, "$1-$2-$3")
    source, target = (
        pl.read_csv(FEBRL / f"{name}.csv", infer_schema=False).with_columns(born) for name in ("source", "target")
    )
    methods = (
        dict.fromkeys(SIMILAR, LinkMethod.JARO_WINKLER)
        | dict.fromkeys(EDITED, LinkMethod.LEVENSHTEIN)
        | {"date_of_birth": LinkMethod.DATE, "street_number": LinkMethod.EXACT, "state": LinkMethod.EXACT}
    )
    fields = tuple(LinkField(name, name, name, method) for name, method in methods.items())
    pairs = link(source, target, LinkSettings(fields, RULES)).pairs
    score = (pairs["weight"].to_numpy() * 1000).astype(np.int64)
    rows = pairs["source"].to_numpy(), pairs["target"].to_numpy()
    best = assign(*rows, score, source_height=source.height, target_height=target.height)
    pl.DataFrame(
        {"source": source["rec_id"].gather(best.source), "target": target["rec_id"].gather(best.target)}
    ).write_csv(out)


def theirs(out: Path) -> None:
    import duckdb
    import splink.comparison_level_library as cll
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    connection = duckdb.connect()
    for name in ("source", "target"):
        connection.execute(
            f"""CREATE TABLE {name} AS
            SELECT rec_id AS unique_id,
                regexp_replace(nullif(date_of_birth, ''), '{BORN_PARTS}', '\\1-\\2-\\3') AS date_of_birth,
                {", ".join(f"nullif({one}, '') AS {one}" for one in (*SIMILAR, *EDITED, "street_number", "state"))}
            FROM read_csv('{FEBRL / name}.csv', all_varchar = true, header = true)"""
        )
    born = "abs(try_cast(date_of_birth_l AS DATE) - try_cast(date_of_birth_r AS DATE))"
    settings = SettingsCreator(
        link_type="link_only",
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in RULES],
        comparisons=[
            *(cl.JaroWinklerAtThresholds(name, [0.92, 0.8]) for name in SIMILAR),
            *(cl.LevenshteinAtThresholds(name, [1, 2]) for name in EDITED),
            cl.CustomComparison(
                [
                    cll.NullLevel("date_of_birth"),
                    cll.ExactMatchLevel("date_of_birth"),
                    cll.DamerauLevenshteinLevel("date_of_birth", 1),
                    cll.CustomLevel(f"{born} <= 31"),
                    cll.CustomLevel(f"{born} <= 366"),
                    cll.ElseLevel(),
                ],
                output_column_name="date_of_birth",
            ),
            cl.ExactMatch("street_number"),
            cl.ExactMatch("state"),
        ],
    )
    api = DuckDBAPI(connection=connection)
    linker = Linker(
        [api.register("source", dataset_display_name="a"), api.register("target", dataset_display_name="b")], settings
    )
    sure = [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.95)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("soc_sec_id"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("date_of_birth"))
    scored = linker.inference.predict(threshold_match_weight=0)
    connection.execute(
        f"""COPY (
            SELECT unique_id_l AS source, unique_id_r AS target FROM {scored.physical_name}
            QUALIFY row_number() OVER (PARTITION BY unique_id_l ORDER BY match_weight DESC, unique_id_r) = 1
                AND row_number() OVER (PARTITION BY unique_id_r ORDER BY match_weight DESC, unique_id_l) = 1
        ) TO '{out}' (HEADER)"""
    )


def judge(out: Path) -> tuple[float, float]:
    """Precision and recall of the pairs that were written."""
    import polars as pl

    found = set(pl.read_csv(out, infer_schema=False).rows())
    truth = set(pl.read_csv(FEBRL / "truth.csv", infer_schema=False).rows())
    return len(found & truth) / len(found), len(found & truth) / len(truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", nargs=2, metavar=("SIDE", "OUT"))
    options = parser.parse_args()
    if options.run:
        side, out = options.run
        {"ours": ours, "theirs": theirs}[side](Path(out))
        return
    if not FEBRL.is_dir():
        raise SystemExit("needs ../shared/data/febrl beside the project")
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as work:
        outs = {side: Path(work, f"{side}.csv") for side in seconds}
        for _ in range(options.rounds):
            for side, out in outs.items():
                started = perf_counter()
                command = [sys.executable, __file__, "--run", side, str(out)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                seconds[side].append(perf_counter() - started)
        for side, out in outs.items():
            precision, recall = judge(out)
            print(f"{side}: precision {precision:.4f}, recall {recall:.4f}")
            assert precision == 1
            assert recall >= 0.998
    for side, taken in seconds.items():
        print(f"{side}: {statistics.median(taken):.2f} s of {', '.join(f'{one:.2f}' for one in taken)}")
    print(f"ratio febrl_vs_splink {statistics.median(seconds['ours']) / statistics.median(seconds['theirs']):.3f}")


if __name__ == "__main__":
    main()
