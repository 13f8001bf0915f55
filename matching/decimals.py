"""Exact decimals in columns of texts: canonical form, rounding, minor units.

A number text has a sign where it is negative, digits, a point and an exponent where there are, as `numbers.read_numbers` gives it.
"""

from __future__ import annotations

from decimal import Context, Decimal

import polars as pl

from matching.transforms import Rounding

WIDTH = 18
"""Up to so many digits on either side of the point go the fast way: as 128-bit integers, in which two of them can be added."""

LARGEST = 2**127 - 1
"""Of a 128-bit integer."""

_EXACT = Context(prec=20_000)
"""Exponents have three digits: no number needs more places than its text has, and some 2,000."""

_NUMBER = "number"

_CANONICAL = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?$"


def places_of(number: pl.Expr) -> pl.Expr:
    """How many digits stand after the point."""
    return (number.str.len_bytes() - number.str.find(".", literal=True) - 1).fill_null(0)


def is_narrow(number: pl.Expr) -> pl.Expr:
    """Whether a number text can go the fast way."""
    whole = number.str.len_bytes() - places_of(number)
    return ~number.str.contains("[eE]") & (places_of(number) <= WIDTH) & (whole <= WIDTH)


def plain_text(number: Decimal) -> str:
    """A number without exponent and without zeros that count for nothing."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if number else "0"


def canonical(numbers: pl.Series) -> pl.Series:
    """Number texts without exponent and without zeros that count for nothing: `1234.5`, `-0.05`, `0`."""
    bare = numbers.str.contains(_CANONICAL) & (numbers != "-0")
    rows = (~bare).arg_true()
    return numbers.clone().scatter(rows, _made_canonical(numbers.gather(rows))) if len(rows) else numbers


def _made_canonical(numbers: pl.Series) -> pl.Series:
    powers = numbers.str.contains("[eE]")
    if powers.any():
        # Few numbers are written with an exponent, so each different one is worked out by itself.
        written = numbers.filter(powers).unique()
        spelt = pl.Series([f"{Decimal(one):f}" for one in written], dtype=pl.String)
        numbers = numbers.replace(written, spelt)
    number = pl.col(_NUMBER)
    parts = number.str.strip_prefix("-").str.splitn(".", 2)
    whole = parts.struct.field("field_0").str.strip_chars_start("0")
    fraction = parts.struct.field("field_1").fill_null("").str.strip_chars_end("0")
    frame = numbers.alias(_NUMBER).to_frame().with_columns(whole.alias("whole"), fraction.alias("fraction"))
    nothing = (pl.col("whole") == "") & (pl.col("fraction") == "")
    return frame.select(
        pl.concat_str(
            pl.when(number.str.starts_with("-") & ~nothing).then(pl.lit("-")).otherwise(pl.lit("")),
            pl.when(pl.col("whole") == "").then(pl.lit("0")).otherwise("whole"),
            pl.when(pl.col("fraction") == "").then(pl.lit("")).otherwise(pl.format(".{}", "fraction")),
        )
    ).to_series()


def negated(numbers: pl.Series) -> pl.Series:
    """Canonical number texts with the other sign."""
    number = pl.col(_NUMBER)
    changed = (
        pl.when(number.str.starts_with("-"))
        .then(number.str.strip_prefix("-"))
        .when(number == "0")
        .then(number)
        .otherwise(pl.format("-{}", number))
    )
    return numbers.alias(_NUMBER).to_frame().select(changed).to_series()


def quotient(dividend: pl.Expr, divisor: pl.Expr, rounding: Rounding) -> pl.Expr:
    """Int128 dividend / divisor, rounded to a whole number. The divisor is above 0, and twice as much still fits."""
    floor, rest = dividend.floordiv(divisor), dividend % divisor
    above, zero = rest > 0, dividend > 0
    twice = rest * pl.lit(2, pl.Int128)
    match rounding:
        case "FLOOR":
            return floor
        case "CEILING":
            up = above
        case "DOWN":
            up = above & ~zero
        case "UP":
            up = above & zero
        case "HALF_EVEN":
            up = (twice > divisor) | ((twice == divisor) & (floor % pl.lit(2, pl.Int128) != 0))
        case "HALF_UP":
            up = (twice > divisor) | ((twice == divisor) & zero)
        case "HALF_DOWN":
            up = (twice > divisor) | ((twice == divisor) & ~zero)
    return floor + up.cast(pl.Int128)


def units_text(units: pl.Expr, places: pl.Expr) -> pl.Expr:
    """Number texts (not canonical) of Int128 units of 10^-places; `places` from 0."""
    digits = units.abs().cast(pl.String).str.zfill(places + 1)
    sign = pl.when(units < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = digits.str.len_bytes() - places
    return pl.concat_str(sign, digits.str.slice(0, whole), pl.lit("."), digits.str.slice(whole))


def rounded(numbers: pl.Series, places: int, rounding: Rounding) -> pl.Series:
    """Canonical number texts rounded to decimal places (below 0: to tens, hundreds), and canonical again."""
    frame = numbers.alias(_NUMBER).to_frame().with_row_index("at")
    number = pl.col(_NUMBER)
    fine = number.is_null() | (places_of(number) <= places)
    done = frame.filter(fine)
    rest = frame.filter(~fine)
    if not rest.height:
        return numbers
    narrow = rest.filter(is_narrow(number))
    scale = int(narrow.select(places_of(number).max()).item() or 0)
    unit = pl.lit(10 ** max(scale - places, 0), pl.Int128)
    units = quotient(number.cast(pl.Decimal(38, scale)).to_physical(), unit, rounding)
    if places < 0:
        units *= pl.lit(10**-places, pl.Int128)
    fast = narrow.select("at", units_text(units, pl.lit(max(places, 0), pl.UInt32)).alias(_NUMBER))
    wide = rest.filter(~is_narrow(number))
    written = wide.get_column(_NUMBER).unique()
    step = Decimal(1).scaleb(-places)
    exact = [f"{Decimal(one).quantize(step, f'ROUND_{rounding}', _EXACT):f}" for one in written]
    slow = wide.with_columns(number.replace(written, pl.Series(exact, dtype=pl.String)))
    changed = pl.concat([fast, slow])
    changed = changed.with_columns(canonical(changed.get_column(_NUMBER)).alias(_NUMBER))
    return pl.concat([done, changed]).sort("at").get_column(_NUMBER)


def whole_units(numbers: pl.Series, places: pl.Series) -> pl.Series:
    """Canonical number texts as whole numbers of units of 10^-places; null where they are not whole, or no places are known."""
    number, wanted = pl.col(_NUMBER), pl.col("places")
    parts = number.str.splitn(".", 2)
    fraction = parts.struct.field("field_1").fill_null("")
    frame = pl.DataFrame([numbers.alias(_NUMBER), places.cast(pl.Int64).alias("places")])
    fits = fraction.str.len_bytes() <= wanted
    text = pl.concat_str(parts.struct.field("field_0"), fraction.str.pad_end(wanted, "0"))
    sign = pl.when(text.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = text.str.strip_prefix("-").str.strip_chars_start("0")
    units = pl.when(digits == "").then(pl.lit("0")).otherwise(sign + digits)
    return frame.select(pl.when(fits).then(units)).to_series()
