"""For each record of one side those of the other that come near it, whether or not the rules would let them match.

A record looks for its near ones in lanes. A lane takes the other side's records of one block (those with an equal key, an equal
text field, a rare word in common, all but a piece of a text), in the order of one measure (an amount, a day), and sees `span`
of them on either side of its own place. So the work per record is bounded by the number of lanes, however large the sides and
the blocks are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.fields import ExactRule, FieldPair, FuzzyRule, KeyPair, NumericRule, RangeRule, SideName, TextRule
from matching.frames import Positions
from matching.linkage_options import LinkageField
from matching.measured import amounts_of, days_of
from matching.measures import DateWindowRule
from matching.plan import PassPlan
from matching.search import Board, equalities
from matching.text_blocks import Block, Integers, piece_blocks, word_block
from matching.texts import Reader, key_values

MOST_LANES = 24
"""Of equal fields and measures; what the last passes would add is left out."""

MOST_MEASURES = 3
MOST_TEXTS = 4

_FEW = 8
"""So many records are each looked for by themselves in a large block, which then need not be sorted."""

_LARGE = 50_000
_EVERY = 100

Floats = npt.NDArray[np.float64]

Columns = tuple[pl.Series, pl.Series]
"""Of source and target, or of the asked side and the other."""


@dataclass(frozen=True)
class Lane:
    """What rows of the asked side see: `other[begin:end]`; `asked` ascends."""

    asked: Integers
    begin: Integers
    end: Integers
    other: Integers


@dataclass
class Fields:
    """What lanes are made of, for all records of both sides of a board; worked out once."""

    board: Board
    passes: Sequence[PassPlan]

    @cached_property
    def equal(self) -> dict[str, Columns]:
        """What keys and EXACT rules compare, by name; nulls and blanks are null."""
        found: dict[str, Columns] = {}
        for pair in self._pairs():
            if isinstance(pair, KeyPair | ExactRule):
                source, target = self.board.comparable(pair)
                found[_name(pair)] = _without_blanks(source), _without_blanks(target)
        return found

    @cached_property
    def measures(self) -> list[tuple[Floats, Floats]]:
        """Amounts first, then days; NaN where there is none."""
        found: dict[str, tuple[bool, tuple[Floats, Floats]]] = {}
        for pair in self._pairs():
            if isinstance(pair, RangeRule | NumericRule | DateWindowRule) and _name(pair) not in found:
                both = (
                    _numbers(pair, "source", self.board.source.reader()),
                    _numbers(pair, "target", self.board.target.reader()),
                )
                found[_name(pair)] = isinstance(pair, DateWindowRule), both
        return [both for _, both in sorted(found.values(), key=lambda one: one[0])][:MOST_MEASURES]

    @cached_property
    def texts(self) -> list[Columns]:
        """What keys and rules on texts compare, in lower case."""
        found: dict[str, Columns] = {}
        for pair in self._pairs():
            if isinstance(pair, KeyPair | ExactRule | FuzzyRule | TextRule | LinkageField) and len(found) < MOST_TEXTS:
                source, target = self.board.comparable(pair)
                if _name(pair) not in found and source.dtype == pl.String:
                    found[_name(pair)] = source.str.to_lowercase(), target.str.to_lowercase()
        return [*found.values()]

    def prepare(self) -> None:
        """Works everything out now, so that questions needn't wait for it."""
        _ = self.equal, self.measures, self.texts

    def equal_sets(self) -> list[tuple[str, ...]]:
        """Names of what is equal in one block: all that a pass wants equal, all but one of it, and each by itself."""
        sets: list[tuple[str, ...]] = []
        for one in self.passes:
            names = tuple(dict.fromkeys(_name(pair) for pair in equalities(one)))
            sets += [names, *(combinations(names, len(names) - 1) if len(names) > 2 else ())]
        sets += [(name,) for name in self.equal]
        return [names for names in dict.fromkeys(sets) if names]

    def _pairs(self) -> Iterator[FieldPair]:
        for one in self.passes:
            yield from one.reads()


def lanes_of(
    fields: Fields, asked: SideName, asked_rows: Positions, other_rows: Positions, span: int, text_span: int
) -> Iterator[Lane]:
    """The lanes between some records of the asked side and some of the other; rows of lanes are places in these two.

    Equal fields go first, then measures, then blocks of alike texts, for which `text_span` is.
    """
    if not len(asked_rows) or not len(other_rows):
        return
    turn = 1 if asked == "source" else -1
    measures = [(both[::turn][0][asked_rows], both[::turn][1][other_rows]) for both in fields.measures]
    yield from islice(_equal_lanes(fields, turn, asked_rows, other_rows, measures, span), MOST_LANES)
    for texts in fields.texts:
        one, other = _some(texts, turn, asked_rows, other_rows)
        for block in piece_blocks(one, other):
            yield _lane(block, measures[0] if measures else None, text_span)
        yield _lane(word_block(one, other), measures[0] if measures else None, text_span)


def _equal_lanes(
    fields: Fields,
    turn: int,
    asked_rows: Positions,
    other_rows: Positions,
    measures: Sequence[tuple[Floats, Floats]],
    span: int,
) -> Iterator[Lane]:
    indices = {name: _indexed(*_some(both, turn, asked_rows, other_rows)) for name, both in fields.equal.items()}
    for names in fields.equal_sets():
        block = _same([indices[name] for name in names])
        yield from (_lane(block, one, span) for one in measures or [None])
    if measures:
        everywhere = _same([(np.zeros(len(asked_rows), np.int64), np.zeros(len(other_rows), np.int64))])
        yield _lane(everywhere, measures[0], span)
    for one in measures:
        others = [other for other in measures if other is not one]
        if others:
            block = _same([_indexed(*(pl.Series(values).fill_nan(None) for values in one))])
            yield from (_lane(block, other, span) for other in others)


def _some(both: Columns, turn: int, asked_rows: Positions, other_rows: Positions) -> Columns:
    """The asked side's column and the other's, each at its rows."""
    one, other = both if turn > 0 else (both[1], both[0])
    return one.gather(asked_rows), other if len(other) == len(other_rows) else other.gather(other_rows)


def near_rows(lanes: Sequence[Lane], begin: int, end: int, other_height: int) -> tuple[Integers, Integers]:
    """Each pair once that the asked rows from `begin` to `end` (exclusive) see, by asked row, then other row."""
    codes: list[Integers] = [np.empty(0, dtype=np.int64)]
    for lane in lanes:
        some = slice(*np.searchsorted(lane.asked, [begin, end]))
        counts = lane.end[some] - lane.begin[some]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        within = np.arange(total, dtype=np.int64) - np.repeat(ends - counts, counts)
        seen = lane.other[np.repeat(lane.begin[some], counts) + within]
        codes.append(np.repeat(lane.asked[some], counts) * other_height + seen)
    every = np.unique(np.concatenate(codes))
    return every // other_height, every % other_height


def _indexed(asked: pl.Series, other: pl.Series) -> tuple[Integers, Integers]:
    """Each value's number among the asked ones; -1 for null, and for what nobody asks for."""
    known = asked.drop_nulls().unique()
    numbers = pl.int_range(len(known), dtype=pl.Int64, eager=True)
    found = [
        one.replace_strict(known, numbers, default=-1, return_dtype=pl.Int64).fill_null(-1) for one in (asked, other)
    ]
    return found[0].to_numpy(), found[1].to_numpy()


def _same(indices: Sequence[tuple[Integers, Integers]]) -> Block:
    """Rows with the same numbers, one by one."""
    rows = [np.flatnonzero(np.logical_and.reduce([one >= 0 for one in side])) for side in zip(*indices, strict=True)]
    numbers = [np.zeros(len(one), dtype=np.int64) for one in rows]
    most = 1
    for index in indices:
        count = int(index[0].max()) + 1
        if most * count >= 2**62:
            numbers = np.split(np.unique(np.concatenate(numbers), return_inverse=True)[1], [len(numbers[0])])
            most = int(max(one.max(initial=0) for one in numbers)) + 1
        numbers = [one * count + side[row] for one, side, row in zip(numbers, index, rows, strict=True)]
        most *= count
    return Block(rows[0], numbers[0], rows[1], numbers[1])


def _lane(block: Block, measure: tuple[Floats, Floats] | None, span: int) -> Lane:
    if measure is None:
        return _ordered(block, np.zeros(len(block.asked)), np.zeros(len(block.other)), 2 * span)
    own, theirs = measure[0][block.asked], measure[1][block.other]
    known, there = ~np.isnan(own), ~np.isnan(theirs)
    if not (known.all() and there.all()):
        block = Block(block.asked[known], block.asked_number[known], block.other[there], block.other_number[there])
        own, theirs = own[known], theirs[there]
    return _ordered(block, own, theirs, span)


def _ordered(block: Block, asked_at: Floats, other_at: Floats, span: int) -> Lane:
    """Each asked row sees `span` rows before its place and `span` from it on; rows at one place are in order of identity."""
    if len(block.asked) <= _FEW and len(block.other) > _LARGE:
        near = _around(block, asked_at, other_at, span)
        block = Block(block.asked, block.asked_number, block.other[near], block.other_number[near])
        other_at = other_at[near]
    numbers, place = np.unique(block.other_number, return_inverse=True)
    values, rank = np.unique(other_at, return_inverse=True)
    most = len(values) + 1
    code = place * most + rank
    # Rows ascend already, and the sort is stable.
    order = np.argsort(code, kind="stable")
    code = code[order]
    at = np.searchsorted(numbers, block.asked_number)
    known = at < len(numbers)
    known[known] = numbers[at[known]] == block.asked_number[known]
    first = at * most
    begin, end = np.searchsorted(code, first), np.searchsorted(code, np.where(known, first + most, first))
    own = np.searchsorted(code, first + np.searchsorted(values, asked_at))
    lowest, highest = np.maximum(begin, own - span), np.minimum(end, own + span)
    return Lane(block.asked, lowest.astype(np.int64), np.maximum(lowest, highest).astype(np.int64), block.other[order])


def _around(block: Block, asked_at: Floats, other_at: Floats, span: int) -> npt.NDArray[np.bool_]:
    """Rows that may be among the nearest `span` of one of a few asked rows on either side: between rows of a sample."""
    near = np.zeros(len(block.other), dtype=np.bool_)
    for number, at in zip(block.asked_number, asked_at, strict=True):
        inside = block.other_number == number
        sample = np.sort(other_at[inside][::_EVERY])
        place = int(np.searchsorted(sample, at))
        low = sample[place - span - 1] if place > span else -np.inf
        high = sample[place + span] if place + span < len(sample) else np.inf
        near |= inside & (other_at >= low) & (other_at <= high)
    return near


def _name(pair: FieldPair) -> str:
    return repr((pair.source_field, pair.target_field, pair.chain_of("source"), pair.chain_of("target")))


def _without_blanks(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    blank = ((column < "!") | (column >= "\x80")).arg_true()
    blank = blank.filter(column.gather(blank).str.strip_chars() == "")
    return column.scatter(blank, None) if len(blank) else column


def _numbers(rule: RangeRule | NumericRule | DateWindowRule, side: SideName, read: Reader) -> Floats:
    texts = key_values(rule, side, read)
    if isinstance(rule, DateWindowRule):
        numbers = days_of(rule, side, texts).cast(pl.Float64)
    else:
        numbers = amounts_of(rule, side, texts, read)["number"].cast(pl.Float64, strict=False)
    return numbers.fill_null(float("nan")).to_numpy()
