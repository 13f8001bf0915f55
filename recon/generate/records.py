"""Two files in the making and the links between their records: order, row numbers, truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs, used_knobs
from recon.generate.money import CODES, decimal_of

TRUTH_SCHEMA = pl.Schema({"source_row": pl.Int64, "target_row": pl.Int64, "group": pl.Int64, "kind": pl.String})


@dataclass
class Side:
    """One file's records before they have row numbers: columns as text, and what the truth needs of them.

    `record` numbers the records within the side; `day` puts them in order; `amount` is in minor units of `currency`, a place
    in `money.CODES`.
    """

    columns: pl.DataFrame
    record: Ints
    day: Ints
    amount: Ints | None = None
    currency: Ints | None = None

    def only(self, kept: Flags) -> Side:
        """The records that are `kept`."""
        amount = None if self.amount is None else self.amount[kept]
        currency = None if self.currency is None else self.currency[kept]
        return Side(self.columns.filter(pl.Series(kept)), self.record[kept], self.day[kept], amount, currency)

    def with_doubles(self, doubled: Flags, first: int, columns: pl.DataFrame | None = None) -> Side:
        """The records that are `doubled` once more, equal in everything or with these columns; their numbers are `first` higher."""
        twins = self.only(doubled)
        amount = None if self.amount is None or twins.amount is None else np.concatenate([self.amount, twins.amount])
        currency = self.currency
        if currency is not None and twins.currency is not None:
            currency = np.concatenate([currency, twins.currency])
        return Side(
            pl.concat([self.columns, twins.columns if columns is None else columns]),
            np.concatenate([self.record, twins.record + first]),
            np.concatenate([self.day, twins.day]),
            amount,
            currency,
        )

    def in_order(self, draws: Draws) -> Side:
        """By day, in random order within it."""
        order = np.lexsort((draws.order("order in the file", len(self.record)), self.day))
        amount = None if self.amount is None else self.amount[order]
        currency = None if self.currency is None else self.currency[order]
        return Side(self.columns[order], self.record[order], self.day[order], amount, currency)


def links(source: Ints | None, target: Ints | None, group: Ints | None, kind: pl.Series | str) -> pl.DataFrame:
    """Links between records, or records without a partner where a side is None; a negative group is none."""
    count = len(source) if source is not None else len(target) if target is not None else 0
    nothing = pl.Series([None], dtype=pl.Int64).gather(np.zeros(count, np.int64))
    kinds = pl.Series([kind], dtype=pl.String).gather(np.zeros(count, np.int64)) if isinstance(kind, str) else kind
    return pl.DataFrame(
        {
            "source": nothing if source is None else pl.Series(source),
            "target": nothing if target is None else pl.Series(target),
            "group": nothing if group is None else pl.Series(group),
            "kind": kinds,
        }
    ).with_columns(pl.when(pl.col("group") >= 0).then(pl.col("group")))


@dataclass(frozen=True)
class Generated:
    """Two files and what is true of them. All columns of the files are texts, as written.

    `truth`: one row per link, then one per record without a partner, with columns `source_row`, `target_row`, `group` (Int64)
    and `kind` (String), by source row and target row, nulls last; rows are numbered from 1. Rows of one group settle each
    other together, or can't be told apart (a DUPLICATE and its twin): a pair within a group is right, whichever it is.

    `groups`: one row per group that settles by sum: `group`, `source_rows`, `target_rows` (Int64), `currency`, `source_sum`,
    `target_sum` (texts), and `difference`, target less source. DUPLICATE rows take no part in it. None elsewhere.

    `tables`: further files by name: `rates` of fx. `faults`: how many records each knob struck, several perhaps the same.
    """

    scenario: str
    seed: int
    rows: int
    difficulty: int
    knobs: Knobs
    source: pl.DataFrame
    target: pl.DataFrame
    truth: pl.DataFrame
    groups: pl.DataFrame | None
    tables: dict[str, pl.DataFrame]
    faults: dict[str, int]
    sums: dict[str, dict[str, str]]
    """By side and currency, of the amounts as written."""
    rules: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """What `truth.json` says: parameters, and counts and sums of what was made."""
        kinds = dict(sorted(self.truth.group_by("kind").len().iter_rows()))
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "rows": self.rows,
            "difficulty": self.difficulty,
            "knobs": used_knobs(self.scenario, self.knobs),
            "source_rows": self.source.height,
            "target_rows": self.target.height,
            "links": int(self.truth.select(pl.col("source_row") + pl.col("target_row")).to_series().count()),
            "groups": self.truth["group"].drop_nulls().n_unique(),
            "kinds": kinds,
            "faults": self.faults,
            "sums": self.sums,
        }

    def write(self, directory: Path, file_format: Literal["csv", "parquet"] = "csv") -> list[Path]:
        """Writes the files and gives their paths; see `recon.generate.writer.write`."""
        from recon.generate.writer import write

        return write(self, directory, file_format)


@dataclass(frozen=True)
class Made:
    """What a scenario makes; `assembled` turns it into numbered rows."""

    source: Side
    target: Side
    links: pl.DataFrame
    faults: dict[str, int]
    settled: bool = False
    """Whether groups settle by sum."""
    tables: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])


def numbered(made: Made, draws: Draws) -> tuple[Side, Side, pl.DataFrame, pl.DataFrame | None]:
    """Both sides in the order of their files, the truth and the groups; see `Generated`."""
    source, target = made.source.in_order(draws), made.target.in_order(draws)
    truth = made.links
    for side, name in ((source, "source"), (target, "target")):
        rows = pl.DataFrame({name: side.record, f"{name}_row": np.arange(1, len(side.record) + 1)})
        truth = truth.join(rows, on=name, how="left", maintain_order="left")
    truth = truth.sort("source_row", "target_row", nulls_last=True)
    first = truth.filter(pl.col("group").is_not_null()).select("group").unique(maintain_order=True)
    numbers = first.with_row_index("number", offset=1).with_columns(pl.col("number").cast(pl.Int64))
    truth = truth.join(numbers, on="group", how="left", maintain_order="left").drop("group")
    truth = truth.rename({"number": "group"}).select(TRUTH_SCHEMA.names())
    return source, target, truth, _groups(truth, source, target) if made.settled else None


def _groups(truth: pl.DataFrame, source: Side, target: Side) -> pl.DataFrame:
    linked = truth.drop_nulls()
    sides: list[pl.DataFrame] = []
    for side, name in ((source, "source"), (target, "target")):
        if side.amount is None or side.currency is None:
            raise TypeError("records that settle by sum have amounts")
        rows = linked.select("group", f"{name}_row").unique(maintain_order=True)
        at = rows[f"{name}_row"].to_numpy() - 1
        rows = rows.with_columns(pl.Series("amount", side.amount[at]), pl.Series("currency", side.currency[at]))
        sums = (pl.len().cast(pl.Int64).alias(f"{name}_rows"), pl.col("amount").sum().alias(f"{name}_sum"))
        sides.append(rows.group_by("group", "currency").agg(*sums))
    both = sides[0].join(sides[1], on=["group", "currency"]).sort("group")
    both = both.with_columns((pl.col("target_sum") - pl.col("source_sum")).alias("difference"))
    return with_money(both, ("source_sum", "target_sum", "difference"))


def with_money(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Amounts in minor units as texts, and the place of a currency as its code."""
    from recon.generate.money import codes, money

    currency = frame["currency"].to_numpy()
    texts = [money(frame[name].to_numpy(), currency).alias(name) for name in columns]
    names = ["group", "source_rows", "target_rows", "currency", *columns]
    return frame.with_columns(*texts, codes(currency).alias("currency")).select(names)


def sums_of(side: Side) -> dict[str, str]:
    """The sum of the amounts by currency, in the order of their codes."""
    if side.amount is None or side.currency is None:
        return {}
    sums = {
        CODES[at]: decimal_of(int(side.amount[side.currency == at].sum()), CODES[at])
        for at in np.unique(side.currency).tolist()
    }
    return {code: str(sums[code]) for code in sorted(sums)}
