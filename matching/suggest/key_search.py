"""Which columns find the partner of a record: the smallest set that is nearly unique and contained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.suggest.joined import Joined, agreement, combined, join
from matching.suggest.overlaps import Overlap, go_together
from matching.suggest.profiles import Kind, Profile, Table
from matching.terms import Cardinality

NEARLY_UNIQUE = 0.97
"""The least share of different values among the records of a side that counts as unique, inclusive."""

_BUT_FOR_DOUBLES = 0.93
"""The same where no value has more than two records: then they are duplicates rather than lines of one thing."""

ENOUGH = 0.45
"""The least confidence of a key that is proposed, inclusive."""

_CONTAINED = 0.25
_SINGLES, _PARTS, _JOINED = 12, 6, 4
_ONE_MORE_COLUMN = 0.05
_LOST = 0.03


@dataclass(frozen=True)
class Measured:
    """How a set of columns does as a key; shares from 0 to 1, of records whose key is filled or of different keys."""

    unique_in_source: float
    unique_in_target: float
    contained: float
    """Of the source's different keys those found in target."""
    covered: float
    """Of the target's different keys those found in source."""
    filled: float
    most_in_source: int
    most_in_target: int
    is_all: bool

    @property
    def containment(self) -> float:
        return 0.75 * max(self.contained, self.covered) + 0.25 * min(self.contained, self.covered)

    @property
    def uniqueness(self) -> float:
        both = self.unique_in_source, self.unique_in_target
        return max(both) if self.is_unique_in_source or self.is_unique_in_target else 0.7 * max(both) + 0.3 * min(both)

    @property
    def is_unique_in_source(self) -> bool:
        return _is_unique(self.unique_in_source, self.most_in_source)

    @property
    def is_unique_in_target(self) -> bool:
        return _is_unique(self.unique_in_target, self.most_in_target)

    @property
    def cardinality(self) -> Cardinality:
        return {
            (True, True): Cardinality.ONE_TO_ONE,
            (True, False): Cardinality.ONE_TO_MANY,
            (False, True): Cardinality.MANY_TO_ONE,
            (False, False): Cardinality.MANY_TO_MANY,
        }[self.is_unique_in_source, self.is_unique_in_target]

    @property
    def fit(self) -> float:
        return self.containment * self.uniqueness * self.filled

    def in_words(self) -> str:
        where = {
            Cardinality.ONE_TO_ONE: "unique on both sides",
            Cardinality.ONE_TO_MANY: f"unique in source, up to {self.most_in_target} records a value in target",
            Cardinality.MANY_TO_ONE: f"up to {self.most_in_source} records a value in source, unique in target",
            Cardinality.MANY_TO_MANY: (
                f"up to {self.most_in_source} records a value in source and {self.most_in_target} in target"
            ),
        }[self.cardinality]
        found = (
            f"{percent(self.contained)} of source values are found in target, "
            f"{percent(self.covered)} of target values in source"
        )
        kind = self.cardinality.value.lower().replace("_", "-")
        blank = f"; {percent(1 - self.filled)} blank" if self.filled < 0.9995 else ""
        return f"{where} ({kind}); {found}{blank}"


def _is_unique(share: float, most: int) -> bool:
    return share >= NEARLY_UNIQUE or (share >= _BUT_FOR_DOUBLES and most <= 2)


@dataclass(frozen=True)
class KeyCandidate:
    """Columns that may make a key, and how sure that is."""

    parts: tuple[Overlap, ...]
    measured: Measured
    confidence: float
    joined: Joined | None = None

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        return tuple(one.fields for one in self.parts)

    @property
    def is_by_amount(self) -> bool:
        """Whether records of one key merely have an amount in common: they are several things, not lines of one."""
        return any(_is_measured(one) for one in self.parts)

    @property
    def cardinality(self) -> Cardinality:
        return Cardinality.ONE_TO_ONE if self.is_by_amount else self.measured.cardinality

    @property
    def is_grouped(self) -> bool:
        return self.cardinality is not Cardinality.ONE_TO_ONE

    def in_words(self) -> str:
        """How it does as a key."""
        said = self.measured.in_words()
        if self.cardinality is self.measured.cardinality:
            return said
        return f"{said}; records of one amount are matched one by one"


def percent(share: float) -> str:
    """A share as people read it; never 100 % or 0 % unless it is."""
    text = f"{100 * share:.1f}"
    if (text == "100.0" and share < 1) or (text == "0.0" and share > 0):
        text = f"{100 * share:.2g}" if share < 0.5 else "almost 100"
    return f"{text.removesuffix('.0')} %"


def find_keys(source: Table, target: Table, pairs: Sequence[Overlap]) -> list[KeyCandidate]:
    """Keys by falling confidence, those too weak to be proposed too. Amounts and dates are keys only where nothing else is."""
    able = [one for one in pairs if not _is_measured(one) and max(one.contained, one.covered) >= _CONTAINED]
    singles = [_candidate([one], _measured(one), None) for one in able if one.source.profile.kind is not Kind.DATE]
    singles = _best(singles)[:_SINGLES]
    rivals = [one for one in singles if one.confidence >= singles[0].confidence - 0.25][:_JOINED]
    if len(rivals) > 1 or any(one.parts[0].chance > 0.2 for one in rivals):
        looked = [_corroborated(source, target, one, pairs) for one in rivals]
        singles = _best([*looked, *(one for one in singles if one not in rivals)])
    if singles and singles[0].measured.cardinality is Cardinality.ONE_TO_ONE and singles[0].confidence >= ENOUGH:
        return singles
    composites = _composites(source, target, _parts(able))
    if all(one.confidence < ENOUGH for one in (*singles, *composites)):
        amounts = [one for one in pairs if _is_measured(one) and one.source.profile.kind is Kind.DECIMAL]
        composites = _composites(source, target, _parts([*able, *amounts]))
    if not singles:
        return _best([_corroborated(source, target, one, pairs) for one in _best(composites)[:1]])
    base = singles[0]
    better = [one for one in composites if _is_better(one, base)]
    if not better:
        return singles
    chosen = _best(better, by_columns=True)[0]
    return [_corroborated(source, target, chosen, pairs), *singles]


def _best(candidates: Sequence[KeyCandidate], *, by_columns: bool = False) -> list[KeyCandidate]:
    def order(one: KeyCandidate) -> tuple[float, float, tuple[tuple[str, str], ...]]:
        penalty = _ONE_MORE_COLUMN * len(one.parts) if by_columns else 0.0
        return (penalty - round(one.confidence, 9), -sum(part.score for part in one.parts), one.fields)

    return sorted(candidates, key=order)


def _is_better(composite: KeyCandidate, base: KeyCandidate) -> bool:
    """Whether further columns earn their place: they tell records apart and lose hardly any partner."""
    if base.confidence < ENOUGH:
        return composite.confidence >= ENOUGH
    one, other = composite.measured, base.measured
    if base.fields[0] not in composite.fields or one.containment < other.containment - _LOST:
        return False
    told_apart = min(one.unique_in_source, one.unique_in_target) - min(other.unique_in_source, other.unique_in_target)
    return told_apart >= _ONE_MORE_COLUMN and composite.confidence >= ENOUGH


def _is_measured(one: Overlap) -> bool:
    return one.source.profile.is_amount or one.target.profile.is_amount


def _candidate(parts: Sequence[Overlap], measured: Measured, agreeing: float | None) -> KeyCandidate:
    chance = float(np.prod([one.chance for one in parts]))
    name = sum(one.name for one in parts) / len(parts)
    by_chance = min(1.0, chance / measured.containment) if measured.containment else 1.0
    beside = max(1 - by_chance, agreeing or 0.0)
    if agreeing is not None and agreeing < 0.1:
        # Records that the key brings together agree in nothing else.
        beside, name = 0.5 * beside, 0.6 * name
    support = 1 - (1 - beside) * (1 - name)
    # A handful of values proves little.
    seen = min(min(one.seen for one in parts), 20) / 20
    return KeyCandidate(tuple(parts), measured, measured.fit * (0.2 + 0.8 * support) * (0.7 + 0.3 * seen))


def _corroborated(source: Table, target: Table, key: KeyCandidate, pairs: Sequence[Overlap]) -> KeyCandidate:
    """The candidate, judged also by whether records that it brings together agree in other columns."""
    joined = bring_together(source, target, key)
    taken = {field for fields in key.fields for field in fields}
    others = [one for one in pairs if not taken & set(one.fields) and one.score >= 0.3]
    others = sorted(others, key=lambda one: (-one.score, one.fields))[:12]
    found = [agreement(joined, one.source.profile, one.target.profile) for one in others]
    lifts = sorted((one.lift for one in found if one.weight >= 0.2), reverse=True)[:3]
    judged = _candidate(key.parts, key.measured, sum(lifts) / len(lifts) if lifts else None)
    return KeyCandidate(judged.parts, judged.measured, judged.confidence, joined)


def bring_together(source: Table, target: Table, key: KeyCandidate) -> Joined:
    """The records that a key finds for each other."""
    if key.joined is not None:
        return key.joined
    profiles = [(one.source.profile, one.target.profile) for one in key.parts]
    return join(source, target, profiles, is_grouped=key.is_grouped)


def given_key(source: Table, target: Table, parts: Sequence[Overlap], pairs: Sequence[Overlap]) -> KeyCandidate:
    """Columns that somebody chose as a key, however they do as one."""
    sets = [tuple(range(len(parts)))]
    candidates = _of_sets(source, target, parts, sets)
    return _corroborated(source, target, candidates[0], pairs)


def _measured(one: Overlap) -> Measured:
    """From all values of both columns, not only from those that every pair of columns was compared by."""
    share = min(one.source.share, one.target.share)
    source, target = one.source, one.target
    sides = [(side.hashes[: side.below(share)], side.counts[: side.below(share)]) for side in (source, target)]
    filled = (source.profile.filled + target.profile.filled) / 2
    is_all = share == 1 and source.is_all and target.is_all
    return _measure(sides[0], sides[1], filled, is_all)


Keys = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Different keys as ascending hashes, and how many records have each."""


def _measure(source: Keys, target: Keys, filled: float, is_all: bool) -> Measured:
    shared = len(np.intersect1d(source[0], target[0], assume_unique=True))
    return Measured(
        unique_in_source=len(source[0]) / max(int(source[1].sum()), 1),
        unique_in_target=len(target[0]) / max(int(target[1].sum()), 1),
        contained=shared / max(len(source[0]), 1),
        covered=shared / max(len(target[0]), 1),
        filled=filled,
        most_in_source=int(source[1].max(initial=0)),
        most_in_target=int(target[1].max(initial=0)),
        is_all=is_all,
    )


def _parts(pairs: Sequence[Overlap]) -> list[Overlap]:
    """Pairs that may be parts of a key, each column in one."""
    taken: set[tuple[str, str]] = set()
    parts: list[Overlap] = []
    for one in sorted(pairs, key=lambda one: (-one.score, one.fields)):
        sides = {("source", one.fields[0]), ("target", one.fields[1])}
        profiles = one.source.profile, one.target.profile
        usable = min(profile.filled for profile in profiles) >= 0.5 and one.score >= 0.35 and go_together(*profiles)
        if usable and not taken & sides and min(one.source.distinct, one.target.distinct) > 1:
            taken |= sides
            parts.append(one)
    return parts[:_PARTS]


def _composites(source: Table, target: Table, parts: Sequence[Overlap]) -> list[KeyCandidate]:
    sets = [one for size in (2, 3) for one in combinations(range(len(parts)), size)]
    return _of_sets(source, target, parts, sets) if sets else []


def _of_sets(
    source: Table, target: Table, parts: Sequence[Overlap], sets: Sequence[tuple[int, ...]]
) -> list[KeyCandidate]:
    sides = [
        _keys(source, [one.source.profile for one in parts], sets),
        _keys(target, [one.target.profile for one in parts], sets),
    ]
    candidates: list[KeyCandidate] = []
    for number, chosen in enumerate(sets):
        (one, filled), (other, also_filled) = (side[number] for side in sides)
        measured = _measure(one, other, (filled + also_filled) / 2, source.share == 1)
        candidates.append(_candidate([parts[part] for part in chosen], measured, None))
    return candidates


def _keys(table: Table, profiles: Sequence[Profile], sets: Sequence[tuple[int, ...]]) -> list[tuple[Keys, float]]:
    """The sampled keys of each set of columns, and the share of records where all of them are filled. One look at the table."""
    scan = table.sample.lazy() if table.share == 1 else table.scan
    hashed = scan.select(one.hashed().alias(str(number)) for number, one in enumerate(profiles))
    together = hashed.select(
        combined([pl.col(str(part)) for part in chosen]).alias(str(number)) for number, chosen in enumerate(sets)
    )
    kept = together.select(
        *(pl.col(str(number)).filter(pl.col(str(number)) < table.bound).implode() for number in range(len(sets))),
        *(pl.col(str(number)).is_not_null().mean().alias(f"filled {number}") for number in range(len(sets))),
    ).collect(engine="streaming")
    found: list[tuple[Keys, float]] = []
    for number in range(len(sets)):
        hashes, counts = np.unique(kept[str(number)].explode().drop_nulls().to_numpy(), return_counts=True)
        found.append(((hashes, counts.astype(np.int64)), float(kept[f"filled {number}"].item() or 0.0)))
    return found
