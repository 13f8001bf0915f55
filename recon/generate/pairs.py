"""What befalls records that have at most one partner: which side knows them, which are doubled, who could be mistaken for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs
from recon.generate.records import Side, links

_APART = 100_000
"""More days than there are, so that an amount and a day are one number."""


@dataclass(frozen=True)
class Presence:
    """Which sides know a record, and which side has it twice; only records that both know are doubled."""

    source: Flags
    target: Flags
    source_twice: Flags
    target_twice: Flags

    @property
    def both(self) -> Flags:
        return self.source & self.target


def presence(draws: Draws, count: int, knobs: Knobs) -> Presence:
    missing, doubled = draws.uniform("missing", count), draws.uniform("duplicates", count)
    # Halves that don't overlap at 1, and that grow with the share.
    on_source = np.where(missing < 0.5, 2 * missing, 2) < knobs.missing
    on_target = np.where(missing >= 0.5, 2 * missing - 1, 2) < knobs.missing
    both = ~(on_source | on_target)
    source_twice = both & (np.where(doubled < 0.5, 2 * doubled, 2) < knobs.duplicates)
    target_twice = both & (np.where(doubled >= 0.5, 2 * doubled - 1, 2) < knobs.duplicates)
    return Presence(~on_source, ~on_target, source_twice, target_twice)


def sides_and_links(
    known: Presence, source: Side, target: Side, kind: pl.Series, *, target_twins: pl.DataFrame | None = None
) -> tuple[Side, Side, pl.DataFrame]:
    """The records that each side has, from sides that have all of them, and their links; `kind` is that of a link.

    A doubled record, its twin and its partner are one group. Twins are equal in everything, or those of the
    target as `target_twins` says, one row for each, in order.
    """
    record = np.arange(len(known.source), dtype=np.int64)
    first = len(record)
    twice = known.source_twice | known.target_twice
    both = known.both
    group = np.where(twice, record, -1)
    twins = record[known.source_twice], record[known.target_twice]
    truth = pl.concat(
        [
            links(record[both], record[both], group[both], kind.filter(pl.Series(both))),
            links(record[~known.target], None, None, "MISSING_TARGET"),
            links(None, record[~known.source], None, "MISSING_SOURCE"),
            links(twins[0] + first, None, twins[0], "DUPLICATE"),
            links(None, twins[1] + first, twins[1], "DUPLICATE"),
        ]
    )
    source_twice, target_twice = known.source_twice[known.source], known.target_twice[known.target]
    return (
        source.only(known.source).with_doubles(source_twice, first),
        target.only(known.target).with_doubles(target_twice, first, target_twins),
        truth,
    )


def crowded(known: Presence, source: tuple[Ints, Ints], target: tuple[Ints, Ints], currency: Ints) -> Flags:
    """Records for which amount and date alone allow another partner, or one where there is none.

    `source` and `target` are the amounts and days of the records on either side. A pair is allowed where the amounts are no
    more than one minor unit and the days no more than three apart, in one currency. Such a record, and whoever it could be
    taken for, needs a text that tells.
    """
    on_source, on_target = (amount_and_day(currency, *side) for side in (source, target))
    partner = known.both & (abs(source[0] - target[0]) <= 1) & (abs(source[1] - target[1]) <= 3)
    for_source = near(on_source, on_target[known.target]) > partner
    for_target = near(on_target, on_source[known.source]) > partner
    return (known.source & for_source) | (known.target & for_target)


def amount_and_day(currency: Ints, amount: Ints, day: Ints) -> Ints:
    """Currency, amount and day as one number, in that order."""
    return (amount + currency * 2**40) * _APART + day


def near(own: Ints, others: Ints) -> Ints:
    """How many of the others are no more than one minor unit and three days away, in the same currency."""
    in_order, order = np.sort(others), np.argsort(own)
    asked = own[order]
    counted = np.zeros(len(own), np.int64)
    for step in (-_APART, 0, _APART):
        lowest, highest = asked + step - 3, asked + step + 3
        counted += np.searchsorted(in_order, highest, "right") - np.searchsorted(in_order, lowest, "left")
    result = np.empty_like(counted)
    result[order] = counted
    return result


def kinds(rows: int, *conditions: tuple[Flags, str], otherwise: str = "EXACT") -> pl.Series:
    """The first kind whose condition holds, for each row."""
    names: Sequence[str] = [*(name for _, name in conditions), otherwise]
    chosen = np.full(rows, len(conditions), np.int64)
    for number, (flags, _) in reversed(list(enumerate(conditions))):
        chosen[flags] = number
    return pl.Series(names, dtype=pl.String).gather(chosen)
