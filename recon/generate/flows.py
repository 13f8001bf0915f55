"""Money that one system books and another books once more: amounts, days and what differs between the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from recon.generate import money, texts
from recon.generate.days import DAYS, late, on_or_after, soon
from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs
from recon.generate.pairs import Presence, crowded, kinds, presence, sides_and_links
from recon.generate.records import Made, Side


@dataclass(frozen=True)
class Flow:
    """One entry each: amounts in minor units and days on either side, and what struck it. `record` numbers the entries."""

    record: Ints
    known: Presence
    currency: Ints
    amount: Ints
    day: Ints
    posted: Ints
    """The amount on the target side."""
    posted_currency: Ints
    posted_day: Ints
    refund: Flags
    wrong: Flags
    off: Flags
    late: Flags
    typo: Flags
    in_reference: Flags
    """The misspelling is in the reference: only where amount and date alone tell the partner."""
    short: Flags
    noise: Flags
    dotted: Flags

    def reference(self, draws: Draws, reference: pl.Series) -> pl.Series:
        """The reference as the target writes it, before noise."""
        return texts.truncated(texts.misspelt(draws, "reference typo", reference, self.in_reference), self.short)

    def name(self, draws: Draws, name: pl.Series) -> pl.Series:
        """The name as the target writes it, before noise."""
        return texts.misspelt(draws, "name typo", name, self.typo & ~self.in_reference)

    def made(
        self, source: pl.DataFrame, target: pl.DataFrame, *others: tuple[Flags, str], **tables: pl.DataFrame
    ) -> Made:
        """Both sides and the truth, from the columns of all records; `others` are kinds that go before DATE."""
        moved = self.posted_day != self.day
        kind = kinds(
            len(self.record),
            (self.wrong, "MISMATCH"),
            (self.typo, "TYPO"),
            (self.short, "TRUNCATED"),
            (self.late, "LATE"),
            (self.off, "ROUNDING"),
            (self.refund, "REFUND"),
            *others,
            (moved, "DATE"),
            (self.noise, "NOISE"),
            (self.dotted, "FORMAT"),
        )
        sides = sides_and_links(
            self.known,
            Side(source, self.record, self.day, self.amount, self.currency),
            Side(target, self.record, self.posted_day, self.posted, self.posted_currency),
            kind,
        )
        faults = {
            "typos": self.typo,
            "noise": self.noise,
            "truncated": self.short,
            "formats": self.dotted,
            "lag": self.known.both & moved & ~self.late,
            "late": self.late,
            "missing": ~self.known.both,
            "duplicates": self.known.source_twice | self.known.target_twice,
            "rounding": self.off,
            "mismatch": self.wrong,
            "refunds": self.refund,
        }
        return Made(*sides, {name: int(flags.sum()) for name, flags in faults.items()}, tables=tables)


def flow(
    rows: int,
    knobs: Knobs,
    draws: Draws,
    *,
    business_days: bool = False,
    convert: Callable[[Ints, Ints, Ints], Ints] | None = None,
) -> Flow:
    """Entries of either sign. `business_days`: booked on business days only. `convert`, where the target has euros: amounts (not
    negative), currencies and days to euro cents.
    """
    known = presence(draws, rows, knobs)
    both = known.both
    currency = draws.below("currency", rows, knobs.currencies)
    refund = draws.struck("refunds", rows, knobs.refunds)
    sign = np.where(refund, -1, 1)
    size = money.amounts(draws, "amount", currency)
    day = draws.below("day", rows, DAYS)
    day = on_or_after(day) if business_days else day
    posted_currency = np.zeros(rows, np.int64) if convert else currency
    expected = sign * (convert(size, currency, day) if convert else size)
    wrong = both & draws.struck("mismatch", rows, knobs.mismatch)
    off = both & ~wrong & draws.struck("rounding", rows, knobs.rounding)
    posted = expected + off * money.one_off(draws, "rounding", rows) + wrong * money.mistake(draws, expected)
    posted_late = both & draws.struck("late", rows, knobs.late)
    posted_day = late(draws, soon(draws, day, both & draws.struck("lag", rows, knobs.lag)), posted_late)
    vague = crowded(known, (expected, day), (posted, posted_day), posted_currency)
    typo = both & draws.struck("typos", rows, knobs.typos)
    in_reference = typo & ~vague & ~wrong & ~posted_late
    return Flow(
        record=np.arange(rows, dtype=np.int64),
        known=known,
        currency=currency,
        amount=sign * size,
        day=day,
        posted=posted,
        posted_currency=posted_currency,
        posted_day=posted_day,
        refund=refund,
        wrong=wrong,
        off=off,
        late=posted_late,
        typo=typo,
        in_reference=in_reference,
        short=both & ~in_reference & draws.struck("truncated", rows, knobs.truncated),
        noise=known.target & draws.struck("noise", rows, knobs.noise),
        dotted=known.target & draws.struck("formats", rows, knobs.formats),
    )
