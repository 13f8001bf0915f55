"""Which pairs of records are worth a comparison: blocks of equal values, and how many candidates they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import polars as pl

PAIRS_PER_RECORD = 20
"""A block of its own may make so many candidates for each record of both sides."""

LARGEST_RULE = 3
"""Fields in one automatic rule: with more, one typing error in any of them loses the pair."""


def pair_count(source: pl.DataFrame, target: pl.DataFrame, columns: Sequence[str]) -> int:
    """How many pairs of rows agree in all `columns`, which both frames have under the same names; null agrees with nothing."""
    counts = [
        side.lazy().select(columns).drop_nulls().group_by(columns).agg(pl.len().cast(pl.UInt64).alias(name))
        for side, name in ((source, "in_source"), (target, "in_target"))
    ]
    both = counts[0].join(counts[1], on=columns)
    return int(both.select((pl.col("in_source") * pl.col("in_target")).sum()).collect().item())


def choose_blocking(
    source: pl.DataFrame, target: pl.DataFrame, columns: Sequence[str], max_candidates: int
) -> tuple[tuple[str, ...], ...]:
    """Rules over `columns` that keep the candidates few and lose as few true pairs as can be, without a look at labels.

    A single column stands where it makes at most `PAIRS_PER_RECORD` candidates a record; columns that are too common stand in
    twos, then in threes, never beside a rule that they only narrow. The fewest candidates come first, as long as the sum over
    all rules stays within `max_candidates`. Where nothing is narrow enough, the narrowest rule of all stands alone, whatever it
    makes; no rule at all means that no two rows agree in any column.
    """
    bound = min(max_candidates, PAIRS_PER_RECORD * (source.height + target.height))
    chosen: list[tuple[str, ...]] = []
    narrowest: tuple[int, tuple[str, ...]] | None = None
    total = 0
    for size in range(1, LARGEST_RULE + 1):
        counted = [(pair_count(source, target, rule), rule) for rule in _rules(columns, size, chosen)]
        for count, rule in sorted(counted, key=lambda one: one[0]):
            if count and (narrowest is None or count < narrowest[0]):
                narrowest = count, rule
            if 0 < count <= bound and total + count <= max_candidates:
                chosen.append(rule)
                total += count
    if not chosen and narrowest is not None:
        chosen.append(narrowest[1])
    return tuple(chosen)


def _rules(columns: Sequence[str], size: int, chosen: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for rule in combinations(columns, size):
        if not any(set(wider) <= set(rule) for wider in chosen):
            yield rule


def training_rules(
    counts: Mapping[tuple[str, ...], int],
    covers: Mapping[tuple[str, ...], frozenset[str]],
    *,
    fewest: int,
    dense: int,
    most: int,
) -> tuple[tuple[str, ...], ...]:
    """Blocks to learn m from, so that each field is outside of at least one of them, and of two where it can be.

    `counts`: the candidates of each rule; `covers`: the fields that a rule leaves free. A block of at most `dense` candidates has
    many true pairs among them: those come first, and of them the ones that leave most fields free. Blocks with fewer than
    `fewest` teach nothing, those with more than `most` cost too much.
    """

    def rank(rule: tuple[str, ...]) -> tuple[bool, int, int, tuple[str, ...]]:
        wide = counts[rule] > dense
        return wide, 0 if wide else -len(covers[rule]), counts[rule], rule

    usable = sorted((rule for rule, count in counts.items() if fewest <= count <= most), key=rank)
    chosen: list[tuple[str, ...]] = []
    seen = dict.fromkeys(sorted({name for rule in usable for name in covers[rule]}), 0)
    for wanted in (1, 2):
        for rule in usable:
            if rule not in chosen and any(seen[name] < wanted for name in covers[rule]):
                chosen.append(rule)
                for name in covers[rule]:
                    seen[name] += 1
    return tuple(chosen)
