"""How the values of mapped columns differ on records that belong together, and the rule that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from matching.suggest.joined import Joined, measured, similarities
from matching.suggest.key_search import percent
from matching.suggest.profiles import Kind, Profile
from matching.terms import MatchType

ENOUGH = 0.5
"""The least share of pairs that must agree under a rule that is proposed, inclusive."""

_CHAINS: tuple[tuple[str, ...], ...] = (
    (),
    ("TRIM",),
    ("UPPER",),
    ("TRIM", "UPPER"),
    ("STRIP_LEADING_ZEROS",),
    ("TRIM", "UPPER", "STRIP_LEADING_ZEROS"),
)
"""Chains of transforms, the plainest first."""

_UNIT = Decimal("0.01")
_SMALL = 5 * _UNIT
"""Differences up to here are roundings, larger ones are breaks. Inclusive."""

_LONGEST_WINDOW = 31
_MOST_WORDS = 50
_LOOKED_AT = 5_000


@dataclass(frozen=True)
class FoundRule:
    """A field rule as a rule set has it, with the share of `pairs` that agree under it."""

    match_type: MatchType
    agreeing: float
    pairs: int
    reason: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    transforms: tuple[Any, ...] = ()
    source_transforms: tuple[Any, ...] = ()
    target_transforms: tuple[Any, ...] = ()

    def wire(self) -> dict[str, Any]:
        """What it says in a pass, without its fields."""
        chains = {
            "transforms": self.transforms,
            "sourceTransforms": self.source_transforms,
            "targetTransforms": self.target_transforms,
        }
        written = {name: list(chain) for name, chain in chains.items() if chain}
        return {"matchType": self.match_type.value, **self.options, **written}


def sureness(agreeing: float, pairs: int, *, is_all: bool) -> float:
    """A share as confidence: 1 only where all of at least 20 pairs agree and all records were looked at."""
    if agreeing == 1 and pairs >= 20 and is_all:
        return 1.0
    return round(min(0.99, (agreeing * pairs + 1) / (pairs + 2)), 4)


def find_rule(joined: Joined, source: Profile, target: Profile) -> FoundRule | None:
    """The strictest rule under which the pairs of two columns agree but for what looks like breaks; None where none fits."""
    if source.kind is Kind.DATE and target.kind is Kind.DATE:
        found = _window(joined, source, target)
    elif measured(source, target):
        found = _range(joined, source, target)
    else:
        found = _of_texts(joined, source, target)
    return found if found is not None and found.agreeing >= ENOUGH else None


def key_chain(joined: Joined, source: Profile, target: Profile) -> tuple[tuple[str, ...], float]:
    """The plainest chain of transforms under which the values of a key's column are equal, and for what share of pairs."""
    return _plainest(joined.texts(source, target))


def _window(joined: Joined, source: Profile, target: Profile) -> FoundRule | None:
    days = joined.days(source, target)
    if not len(days):
        return None
    apart = days.abs().to_numpy()
    rare, usual = (int(np.quantile(apart, share, method="higher")) for share in (0.99, 0.95))
    # A window that a few outliers alone ask for is none.
    window = rare if rare <= 3 * max(usual, 1) else usual
    if window > _LONGEST_WINDOW:
        # Then dates are wrong rather than late: the shortest window in which about as many agree.
        shares = [float((apart <= days).mean()) for days in range(_LONGEST_WINDOW + 1)]
        window = next(days for days, share in enumerate(shares) if share >= shares[-1] - 0.01)
    agreeing = float((apart <= window).mean())
    if float((apart == 0).mean()) == 1:
        reason = f"the same day on all {len(days):,} pairs"
    elif window == 0:
        reason = f"the same day on {percent(agreeing)} of {len(days):,} pairs"
    else:
        inside = days.filter(days.abs() <= window)
        reason = (
            f"the same day on {percent(float((apart == 0).mean()))} of {len(days):,} pairs, {_span(inside)} on "
            f"{percent(agreeing)}"
        )
    return FoundRule(
        MatchType.DATE_WINDOW,
        agreeing,
        len(days),
        reason,
        {"daysTolerance": window},
        source_transforms=source.reading,
        target_transforms=target.reading,
    )


def _span(days: pl.Series) -> str:
    low, high = (int(one) for one in (days.to_numpy().min(), days.to_numpy().max()))
    return f"target {low:+d} to {high:+d} days" if low != high else f"target {low:+d} days"


def _range(joined: Joined, source: Profile, target: Profile) -> FoundRule | None:
    both = joined.amounts(source, target)
    if not both.height:
        return None
    one, other = pl.col("source"), pl.col("target")
    plain, turned = both.select((one == other).mean().alias("plain"), (one == -other).mean().alias("turned")).row(0)
    is_turned = turned > plain and turned >= ENOUGH
    apart = both.select((other + one if is_turned else other - one).abs()).to_series()
    small = apart.filter((apart > 0) & (apart <= _SMALL))
    tolerance = Decimal(0)
    if len(small) >= max(2, both.height // 1000):
        narrow = float((small <= _UNIT).sum()) / len(small)
        tolerance = _UNIT if narrow >= 0.75 else _percentile(small)
    within = float((apart <= tolerance).sum()) / both.height
    equal = float((apart == 0).sum()) / both.height
    what, pairs = ("sums equal", "groups") if joined.is_grouped else ("equal", "pairs")
    reason = f"{what} on all {both.height:,} {pairs}"
    if equal < 1:
        reason = f"{what} on {percent(equal)} of {both.height:,} {pairs}"
    if tolerance:
        reason += f", within {tolerance} on {percent(within)}"
    return FoundRule(
        MatchType.RANGE,
        within,
        both.height,
        reason + (", with the opposite sign" if is_turned else ""),
        {"tolerance": f"{tolerance:f}"},
        source_transforms=source.reading,
        target_transforms=(*target.reading, *(("NEGATE",) if is_turned else ())),
    )


def _percentile(apart: pl.Series) -> Decimal:
    """The 99th, one that occurs."""
    found = apart.sort().gather([max(0, -(-99 * len(apart) // 100) - 1)]).item()
    return Decimal(str(found)).normalize()


def _plainest(both: pl.DataFrame) -> tuple[tuple[str, ...], float]:
    if not both.height:
        return (), 0.0
    shares: list[float] = []
    for chain in _CHAINS:
        one, other = (_changed(pl.col(name), chain) for name in ("source", "target"))
        shares.append(float(both.select((one == other).sum()).item()) / both.height)
    best = max(shares)
    chosen = next(number for number, share in enumerate(shares) if share >= best - 0.001)
    return _CHAINS[chosen], shares[chosen]


def _changed(text: pl.Expr, chain: Sequence[str]) -> pl.Expr:
    for one in chain:
        if one == "TRIM":
            text = text.str.strip_chars()
        elif one == "UPPER":
            text = text.str.to_uppercase()
        else:
            text = text.str.replace(r"^0+([0-9])", "$1")
    return text


def _of_texts(joined: Joined, source: Profile, target: Profile) -> FoundRule | None:
    both = joined.texts(source, target)
    if not both.height:
        return None
    chain, equal = _plainest(both)
    said = f" after {', '.join(chain)}" if chain else ""
    pairs = f"{both.height:,} pairs"
    reason = f"equal on all {pairs}{said}" if equal == 1 else f"equal on {percent(equal)} of {pairs}{said}"
    exact = FoundRule(MatchType.EXACT, equal, both.height, reason, transforms=chain)
    if equal >= 0.995:
        return exact
    if source.is_few and target.is_few:
        return exact if equal >= ENOUGH else _by_table(both)
    return _similar(both, exact, source, target) or _containing(both, exact) or exact


def _by_table(both: pl.DataFrame) -> FoundRule | None:
    """Both sides have a word of their own for the same."""
    words = both.select(pl.all().str.strip_chars()).group_by("source", "target").len()
    usual = words.sort("source", "len", "target", descending=[False, True, False]).unique("source", keep="first")
    table = dict(sorted(usual.select("source", "target").iter_rows()))
    agreeing = float(usual["len"].sum()) / both.height
    if agreeing < 0.9 or len(table) > _MOST_WORDS or len(set(table.values())) < 2:
        return None
    return FoundRule(
        MatchType.EXACT,
        agreeing,
        both.height,
        f"each source value has one word in target on {percent(agreeing)} of {both.height:,} pairs",
        source_transforms=("TRIM", {"type": "MAP", "table": table}),
        target_transforms=("TRIM",),
    )


def _similar(both: pl.DataFrame, exact: FoundRule, source: Profile, target: Profile) -> FoundRule | None:
    """FUZZY, where texts that differ are mostly much the same, and the threshold keeps strangers apart."""
    if Kind.TEXT not in (source.kind, target.kind):
        return None
    one, other = (_changed(pl.col(name), exact.transforms) for name in ("source", "target"))
    both = both.select(one.alias("source"), other.alias("target"))
    differing = both.filter(pl.col("source") != pl.col("target")).head(_LOOKED_AT)
    alike = similarities(differing["source"], differing["target"])
    near = alike.filter(alike >= 0.6)
    if len(near) < 0.3 * len(alike):
        return None
    some = both.head(_LOOKED_AT)
    moved = some["target"].gather((np.arange(some.height) + some.height // 2) % some.height)
    strangers = similarities(some["source"], moved).filter(some["source"] != moved)
    lowest = np.floor(np.quantile(near.to_numpy(), 0.1) * 20) / 20
    for step in range(8):
        threshold = round(min(float(lowest) + 0.05 * step, 0.95), 2)
        if not len(strangers) or float((strangers >= threshold).sum()) / len(strangers) <= 0.02:
            break
    else:
        return None
    passing = float((alike >= threshold).sum()) / len(alike)
    agreeing = exact.agreeing + (1 - exact.agreeing) * passing
    return FoundRule(
        MatchType.FUZZY,
        agreeing,
        exact.pairs,
        f"{exact.reason}; similar by {threshold} or more on {percent(agreeing)}",
        {"fuzzyThreshold": threshold},
        transforms=exact.transforms,
    )


def _containing(both: pl.DataFrame, exact: FoundRule) -> FoundRule | None:
    """CONTAINS, where one text is part of the other, as a reference in a description."""
    lowered = both.select(pl.all().str.to_lowercase())
    one, other = pl.col("source"), pl.col("target")
    part = one.str.contains(other, literal=True) | other.str.contains(one, literal=True)
    agreeing = float(lowered.select(part.sum()).item()) / both.height
    if agreeing < max(0.8, exact.agreeing + 0.1):
        return None
    reason = f"one contains the other on {percent(agreeing)} of {both.height:,} pairs"
    return FoundRule(MatchType.CONTAINS, agreeing, both.height, reason)
