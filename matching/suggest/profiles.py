"""What the columns of a table hold: kinds, and the values as comparable texts. Looks at samples only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import polars as pl

from matching.columns import exactly
from matching.dates import read_days
from matching.identity import RESERVED
from matching.numbers import read_numbers
from matching.suggest.column_names import ColumnName, read_names
from matching.texts import rendered

MOST_ROWS = 40_000
"""Of larger tables about so many rows are looked at, and about so many different values of a column."""

_LOOKED_AT = 2_000
"""Different values of a column that its kind is told by."""

_OF_A_KIND = 0.95
"""The share of the values that must be of a kind for the column to be, inclusive."""

_FEW = 256
"""A column with no more different values in a sample of `MOST_ROWS` has few: codes, states, currencies."""

_FORMATS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y",
    "%d-%B-%Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
"""Dates beside ISO's. Where all values fit several, the first of them is taken."""

_PLAIN = r"^-?[0-9]*\.?[0-9]+$"
_WITH_COMMA = r"^-?[0-9]{1,3}(?:\.[0-9]{3})*,[0-9]{1,2}$|^-?[0-9]+,[0-9]{1,2}$"

_ALL_HASHES = 2**64


class Kind(StrEnum):
    """What most values of a column are."""

    EMPTY = "empty"
    INTEGER = "integer"
    """Whole numbers without leading zeros."""
    DECIMAL = "decimal"
    DATE = "date"
    CURRENCY = "currency"
    CODE = "code"
    """Texts of digits with leading zeros, or without white space and with a digit: references, identifiers."""
    TEXT = "text"


@dataclass(frozen=True)
class Profile:
    """One column, as far as a sample tells. `filled` is the share of values that are neither null nor blank."""

    name: ColumnName
    dtype: pl.DataType
    kind: Kind
    filled: float
    is_few: bool
    """Whether it has few different values (at most 256 of 40,000)."""
    date_format: str | None = None
    """Of a DATE; None: ISO."""
    is_dressed: bool = False
    """Whether numbers come with currencies, commas, parentheses."""
    has_comma: bool = False
    """Whether numbers have a comma before the fraction, as in `1.234,56`."""
    is_pointed: bool = False
    """Whether numbers have a fraction."""

    @property
    def field(self) -> str:
        return self.name.name

    @property
    def is_amount(self) -> bool:
        """Whether its values are measured rather than identified by."""
        measured = self.name.means("amount") or self.name.means("fee") or self.name.means("quantity")
        return self.kind is Kind.DECIMAL or (self.kind is Kind.INTEGER and measured)

    def text(self) -> pl.Expr:
        """The values in a form in which values that say the same are equal; null where blank.

        Without white space around, in lower case, without leading zeros; numbers without zeros after the point; dates as ISO days.
        """
        bare = self._bare()
        return pl.when(bare != "").then(self._value(bare))

    def hashed(self) -> pl.Expr:
        """64 bits of `text()`, null where that is null."""
        bare = self._bare()
        value = self._value(bare)
        # Said once where it can be: an expression is worked out as often as it is said.
        return pl.when(value.is_not_null() if self._is_read else bare != "").then(value.hash())

    @property
    def _is_read(self) -> bool:
        """Whether a value may turn out to be none."""
        return self.kind is Kind.DATE or self.is_dressed

    def _bare(self) -> pl.Expr:
        column = exactly(self.field)
        plain = column if isinstance(self.dtype, pl.String) else column.map_batches(rendered, return_dtype=pl.String)
        return plain.str.strip_chars()

    def _value(self, bare: pl.Expr) -> pl.Expr:
        if self.kind is Kind.DATE:
            return bare.map_batches(self._days, return_dtype=pl.String)
        if self.has_comma:
            bare = bare.str.replace_all(r"[.\s]", "").str.replace(",", ".", literal=True)
        elif self.is_dressed:
            bare = bare.map_batches(_numbers, return_dtype=pl.String)
        if self.is_pointed:
            pointed = bare.str.contains(".", literal=True)
            bare = pl.when(pointed).then(bare.str.strip_chars_end("0").str.strip_chars_end(".")).otherwise(bare)
        return (bare if self.is_pointed else bare.str.to_lowercase()).str.strip_chars_start("0")

    @property
    def reading(self) -> tuple[dict[str, Any], ...]:
        """The transforms, as a rule set has them, without which rules can't read the values."""
        if self.date_format is not None:
            return ({"type": "PARSE_DATE", "formats": [self.date_format]},)
        return ({"type": "PARSE_NUMBER", "decimal": ","},) if self.has_comma else ()

    def _days(self, texts: pl.Series) -> pl.Series:
        if self.date_format is not None:
            return texts.str.to_date(self.date_format, strict=False).cast(pl.String)
        return read_days(texts).cast(pl.Date).cast(pl.String)


def _numbers(texts: pl.Series) -> pl.Series:
    return read_numbers(texts, any_comma=False)["number"]


@dataclass(frozen=True)
class Table:
    """One input, with profiles of its columns and a sample of its rows.

    `sample` has the columns as they came; which rows are in it depends on their values alone. `share` is the share of hashes
    that are kept wherever values are sampled: 1 where everything is looked at.
    """

    side: str
    scan: pl.LazyFrame
    height: int
    sample: pl.DataFrame
    share: float
    profiles: tuple[Profile, ...]

    @property
    def bound(self) -> int:
        """Hashes below it are kept."""
        return bound_of(self.share)

    def of(self, field: str) -> Profile:
        return next(one for one in self.profiles if one.field == field)


def bound_of(share: float) -> int:
    """The hash below which a share of all hashes lies."""
    return min(int(share * _ALL_HASHES), _ALL_HASHES - 1)


def read_tables(source: pl.LazyFrame, target: pl.LazyFrame) -> tuple[Table, Table]:
    """Both inputs. Identity columns and columns of nested or binary values are left out."""
    scans = [_plain_columns(one) for one in (source, target)]
    heights = [int(one.select(pl.len()).collect().item()) if one.collect_schema() else 0 for one in scans]
    share = min(1.0, MOST_ROWS / max(*heights, 1))
    one, other = (
        _read(side, scan, height, share)
        for side, scan, height in zip(("source", "target"), scans, heights, strict=True)
    )
    return one, other


def _plain_columns(frame: pl.LazyFrame) -> pl.LazyFrame:
    kept = [
        name
        for name, dtype in frame.collect_schema().items()
        if name not in RESERVED and not dtype.is_nested() and not isinstance(dtype, (pl.Binary, pl.Object, pl.Null))
    ]
    return frame.select(exactly(*kept))


def _read(side: str, scan: pl.LazyFrame, height: int, share: float) -> Table:
    sampled = scan
    if share < 1:
        sampled = scan.filter(pl.struct(pl.all()).hash() < bound_of(share))
    sample = sampled.collect(engine="streaming")
    names = read_names(sample.columns)
    profiles = [_profile(name, sample.get_column(name.name)) for name in names]
    return Table(side, scan, height, sample, share, tuple(profiles))


def _profile(name: ColumnName, column: pl.Series) -> Profile:
    texts = rendered(column).alias("text").str.strip_chars()
    texts = texts.filter(texts != "")
    filled = len(texts) / max(len(column), 1)
    unique = texts.unique()
    # Which of them are looked at must not depend on their order.
    some = unique.gather(unique.hash().arg_sort().head(_LOOKED_AT)) if len(unique) > _LOOKED_AT else unique
    few = len(unique) <= max(min(_FEW, len(texts) // 4), 4)
    kind = _kind(column.dtype, some)
    date_format = _date_format(some) if kind is Kind.DATE and isinstance(column.dtype, pl.String) else None
    has_comma = kind is Kind.DECIMAL and _share(some.str.contains(_WITH_COMMA)) >= _OF_A_KIND
    dressed = kind is Kind.DECIMAL and not has_comma and _share(some.str.contains(_PLAIN)) < 1
    pointed = kind is Kind.DECIMAL or (kind is Kind.INTEGER and bool(some.str.contains(".", literal=True).any()))
    return Profile(name, column.dtype, kind, filled, few, date_format, dressed, has_comma, pointed)


def _kind(dtype: pl.DataType, texts: pl.Series) -> Kind:
    if not len(texts):
        return Kind.EMPTY
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return Kind.DATE
    if isinstance(dtype, (pl.Boolean, pl.Time, pl.Duration)):
        return Kind.TEXT
    if _is_iso(texts) or _date_format(texts) is not None:
        return Kind.DATE
    if _share(texts.str.contains(r"^-?[0-9]+(?:\.0+)?$")) >= _OF_A_KIND:
        padded = texts.str.contains(r"^0[0-9]").any()
        return Kind.CODE if padded else Kind.INTEGER
    if _share(texts.str.contains(_PLAIN) | texts.str.contains(_WITH_COMMA)) >= _OF_A_KIND:
        return Kind.DECIMAL
    if _share(texts.str.contains("[0-9]")) >= _OF_A_KIND and _share(_numbers(texts).is_not_null()) >= _OF_A_KIND:
        return Kind.DECIMAL
    if _share(_is_currency(texts)) >= _OF_A_KIND:
        return Kind.CURRENCY
    coded = texts.str.contains(r"^\S*[0-9]\S*$")
    return Kind.CODE if _share(coded) >= _OF_A_KIND else Kind.TEXT


def _is_iso(texts: pl.Series) -> bool:
    return _share(_looks_dated(texts)) >= _OF_A_KIND and _share(read_days(texts).is_not_null()) >= _OF_A_KIND


def _date_format(texts: pl.Series) -> str | None:
    """None also for ISO dates."""
    if _is_iso(texts) or _share(texts.str.contains(r"[0-9][/. ,-]")) < _OF_A_KIND:
        return None
    return next((one for one in _FORMATS if _share(_fits(texts, one)) >= _OF_A_KIND), None)


def _share(holds: pl.Series) -> float:
    return float(holds.sum()) / len(holds)


def _looks_dated(texts: pl.Series) -> pl.Series:
    """Years from 1800 to 2199 only: eight digits are often something else."""
    return texts.str.contains(r"^(?:1[89]|2[01])[0-9]{2}-?[0-9]{2}-?[0-9]{2}(?:$|[Tt ])")


def _fits(texts: pl.Series, date_format: str) -> pl.Series:
    return texts.str.to_date(date_format, strict=False).is_not_null()


def _is_currency(texts: pl.Series) -> pl.Series:
    """A known code or symbol is what makes `1 EUR` a number with a currency."""
    return read_numbers("1 " + texts, any_comma=False)["currency"].is_not_null()
