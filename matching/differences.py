"""How far two columns of numbers are apart, exactly, and whether that is allowed."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

import polars as pl

from matching.decimals import LARGEST, is_narrow, places_of, plain_text
from matching.measures import ABSOLUTE, Allowance

FULL_SCORE = 1_000_000
"""The score of equal values; scores are in millionths."""

NEARLY = FULL_SCORE - 1
"""The best score of values that agree and are not equal."""


def differences(
    source: pl.Series, target: pl.Series, tolerance: Decimal | pl.Series | None, allowance: Allowance = ABSOLUTE
) -> pl.DataFrame:
    """`within` Boolean, `delta` String and `score` Int64 of two columns of number texts, in their order.

    `delta` is target minus source, exact, without zeros that count for nothing; `within` is whether it is at most `tolerance` (one
    for all, or number texts per row; null or None: there is none) and the allowance's percentage, or either. `score` is 1,000,000
    for equal numbers, 500,000 at the bound, between them on a line, 0 beyond. Nulls give null.
    """
    frame = pl.DataFrame({"source": source, "target": target}).with_row_index("at")
    if isinstance(tolerance, pl.Series):
        frame = frame.with_columns(tolerance.alias("tolerance"))
    else:
        written = None if tolerance is None else plain_text(tolerance)
        frame = frame.with_columns(pl.lit(written, pl.String).alias("tolerance"))
    measurable = pl.col("source").is_not_null() & pl.col("target").is_not_null()
    frame = frame.with_columns(pl.when(measurable).then(pl.col("source", "target", "tolerance")))
    tolerated = is_narrow(pl.col("tolerance")).fill_null(value=True)
    narrow = is_narrow(pl.col("source")) & is_narrow(pl.col("target")) & tolerated
    # Where the percentage fits in no column type, only pairs that nothing is to be said of go the fast way.
    fits = _part_fits(allowance)
    narrow &= pl.lit(fits)
    frame = frame.with_columns((narrow | pl.col("source").is_null()).alias("narrow"))
    found, rest = _fast_differences(frame.filter("narrow"), allowance if fits else ABSOLUTE)
    wide = pl.concat([frame.filter(~pl.col("narrow")).select(rest.columns), rest])
    if wide.height:
        found = pl.concat([found, _exact_differences(wide, allowance)]).sort("at")
    return found.select("within", "delta", "score")


def _fast_differences(frame: pl.DataFrame, allowance: Allowance) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Results of rows whose numbers fit, and the rows that turn out not to fit once they are multiplied."""
    columns = ["at", "source", "target", "tolerance"]
    scale = frame.select(pl.max_horizontal(places_of(pl.col(name)).max() for name in columns[1:])).item() or 0
    exact = pl.Decimal(38, scale)
    amounts = frame.select(*columns, *(pl.col(name).cast(exact).alias(f"{name}_amount") for name in columns[1:]))
    of_source, of_target = (pl.col(f"{side}_amount").to_physical().abs() for side in ("source", "target"))
    base = {"SOURCE": of_source, "TARGET": of_target, "LARGER": pl.max_horizontal(of_source, of_target)}[allowance.of]
    amounts = amounts.with_columns((pl.col("target_amount") - pl.col("source_amount")).alias("delta"))
    units = amounts.select(
        *columns,
        "delta",
        pl.col("delta").to_physical().abs().alias("gap"),
        base.alias("base"),
        pl.col("tolerance_amount").to_physical().alias("bound"),
    )
    rest = units.clear()
    if allowance.percent is not None:
        part = _part(allowance.percent)
        most = pl.lit(LARGEST // max(part.numerator, part.denominator), pl.Int128)
        fits = ((pl.col("gap") <= most) & (pl.col("base") <= most)).fill_null(value=True)
        units, rest = units.filter(fits), units.filter(~fits)
    within, reach = _bounds(allowance)
    text = pl.col("delta").cast(pl.String)
    gap = pl.col("gap")
    score = (FULL_SCORE - FULL_SCORE // 2 * gap.cast(pl.Float64) / reach).floor().clip(1, NEARLY).cast(pl.Int64)
    found = units.with_columns(within.alias("within")).select(
        "at",
        "within",
        (text.str.strip_chars_end("0").str.strip_suffix(".") if scale else text).alias("delta"),
        (pl.col("within").cast(pl.Int64) * pl.when(gap == 0).then(FULL_SCORE).otherwise(score)).alias("score"),
    )
    return found, rest.select(columns)


def _part_fits(allowance: Allowance) -> bool:
    if allowance.percent is None:
        return True
    part = _part(allowance.percent)
    return max(part.numerator, part.denominator) <= LARGEST


def _part(percent: Decimal) -> Fraction:
    return Fraction(percent) / 100


def _bounds(allowance: Allowance) -> tuple[pl.Expr, pl.Expr]:
    """Whether `gap` is allowed, exactly; and how much is (a float, for the score)."""
    gap, bound, base = pl.col("gap"), pl.col("bound"), pl.col("base")
    if allowance.percent is None:
        return gap <= bound, bound.cast(pl.Float64)
    part = _part(allowance.percent)
    by_part = gap * pl.lit(part.denominator, pl.Int128) <= base * pl.lit(part.numerator, pl.Int128)
    reaches = bound.cast(pl.Float64), base.cast(pl.Float64) * float(part)
    if allowance.both:
        return (gap <= bound).fill_null(value=True) & by_part, pl.min_horizontal(*reaches)
    return (gap <= bound).fill_null(value=False) | by_part, pl.max_horizontal(*reaches)


def _exact_differences(frame: pl.DataFrame, allowance: Allowance) -> pl.DataFrame:
    """The same for numbers that no column type holds: few, so each different pair is worked out by itself."""
    pairs = frame.select("source", "target", "tolerance").unique()
    longest = pairs.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    # Exponents have three digits: no sum needs more places than this.
    context = Context(prec=2 * int(longest) + 2200)
    found: list[tuple[bool, str, int]] = []
    for one, other, tolerance in pairs.iter_rows():
        delta = context.subtract(Decimal(other), Decimal(one))
        reach = _reach(Fraction(one), Fraction(other), tolerance, allowance)
        within = abs(Fraction(delta)) <= reach
        found.append((within, plain_text(delta), _score(abs(Fraction(delta)), reach) if within else 0))
    schema = {"within": pl.Boolean, "delta": pl.String, "score": pl.Int64}
    judged = pl.concat([pairs, pl.DataFrame(found, schema=schema, orient="row")], how="horizontal")
    on = ["source", "target", "tolerance"]
    return frame.join(judged, on=on, nulls_equal=True).select("at", "within", "delta", "score")


def _reach(source: Fraction, target: Fraction, tolerance: str | None, allowance: Allowance) -> Fraction:
    bounds = [] if tolerance is None else [Fraction(tolerance)]
    if allowance.percent is not None:
        base = {"SOURCE": abs(source), "TARGET": abs(target), "LARGER": max(abs(source), abs(target))}[allowance.of]
        bounds.append(base * _part(allowance.percent))
    return min(bounds) if allowance.both else max(bounds)


def _score(gap: Fraction, reach: Fraction) -> int:
    return min(NEARLY, int(FULL_SCORE - FULL_SCORE // 2 * gap / reach)) if gap else FULL_SCORE
