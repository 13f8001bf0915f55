"""Amounts in another currency, by a table of dated rates."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

import polars as pl

from matching.currencies import MINOR_UNITS
from matching.dates import read_days
from matching.decimals import LARGEST, canonical, is_narrow, places_of, quotient, units_text
from matching.measures import FxRule

_OTHER_PLACES = 8
"""Decimal places of currencies that ISO 4217 doesn't know."""

_EXACT = Context(prec=20_000)

_PAIR = ["from", "to"]


def converted(
    rule: FxRule, amounts: pl.Series, source_currency: pl.Series, target_currency: pl.Series, days: pl.Series
) -> pl.DataFrame:
    """`number` String, the source's amounts in the target's currency, and `rated` Boolean, whether there was a rate.

    `amounts` are number texts, `days` days since 1970-01-01, both in the order of the currencies. What is in the target's currency
    already stays as it is; other amounts are rounded to the target currency's minor units.
    """
    frame = pl.DataFrame(
        {"number": amounts, "from": source_currency, "to": target_currency, "day": days.cast(pl.Int32)}
    ).with_row_index("at")
    same = (pl.col("from") == pl.col("to")).fill_null(value=False)
    kept = frame.filter(same).select("at", "number", pl.lit(value=True).alias("rated"))
    asked = frame.filter(~same)
    needed = asked.select(*_PAIR, "day").unique().drop_nulls()
    factors = _factors(rule, needed)
    asked = asked.join(factors, on=[*_PAIR, "day"], how="left", maintain_order="left")
    known = pl.col("over").is_not_null() & pl.col("number").is_not_null()
    rest = asked.filter(~known).select(
        "at", pl.lit(None, pl.String).alias("number"), pl.col("over").is_not_null().alias("rated")
    )
    moved = _multiplied(asked.filter(known), rule)
    return pl.concat([kept, rest, moved]).sort("at").select("number", "rated")


def _factors(rule: FxRule, needed: pl.DataFrame) -> pl.DataFrame:
    """Per pair of currencies and day that there is a rate for: what to multiply by, `over` / `under` (texts of whole numbers)."""
    given = pl.DataFrame(
        {
            "from": [one.from_ for one in rule.rates],
            "to": [one.to for one in rule.rates],
            "since": read_days(pl.Series([one.date for one in rule.rates], dtype=pl.String)),
            "over": [str(Fraction(one.rate).numerator) for one in rule.rates],
            "under": [str(Fraction(one.rate).denominator) for one in rule.rates],
        }
    )
    turned = given.select(
        pl.col("to").alias("from"),
        pl.col("from").alias("to"),
        "since",
        pl.col("under").alias("over"),
        pl.col("over").alias("under"),
    )
    found: list[pl.DataFrame] = []
    for table in (given, turned):
        dated = needed.sort("day").join_asof(
            table.sort("since"),
            left_on="day",
            right_on="since",
            by=_PAIR,
            strategy="backward",
            tolerance=rule.max_age_days,
            check_sortedness=False,
        )
        found.append(dated.filter(pl.col("over").is_not_null()))
        needed = dated.filter(pl.col("over").is_null()).select(*_PAIR, "day")
    return pl.concat(found).select(*_PAIR, "day", "over", "under")


def _multiplied(frame: pl.DataFrame, rule: FxRule) -> pl.DataFrame:
    """`at`, `number` and `rated` of amounts that there is a rate for."""
    places = pl.col("to").replace_strict(MINOR_UNITS, default=_OTHER_PLACES, return_dtype=pl.Int64)
    frame = frame.select("at", canonical(frame["number"]).alias("number"), "over", "under", places.alias("places"))
    narrow = is_narrow(pl.col("number"))
    scale = frame.filter(narrow).select(places_of(pl.col("number")).max()).item() or 0
    ratios = _ratios(frame.select("over", "under", "places").unique(), int(scale))
    frame = frame.join(ratios, on=["over", "under", "places"], how="left")
    amount = pl.when(narrow).then(pl.col("number")).cast(pl.Decimal(38, scale)).to_physical()
    frame = frame.with_columns(amount.alias("amount"))
    fits = (pl.col("amount").abs() <= pl.col("most")).fill_null(value=False)
    units = quotient(pl.col("amount") * pl.col("times"), pl.col("by"), rule.rounding)
    fast = frame.filter(fits).select("at", units_text(units, pl.col("places")).alias("number"))
    wide = frame.filter(~fits)
    slow = wide.join(_exactly_multiplied(wide, rule), on=["number", "over", "under", "places"]).select(
        "at", pl.col("product").alias("number")
    )
    found = pl.concat([fast, slow])
    return found.select("at", canonical(found["number"]).alias("number"), pl.lit(value=True).alias("rated"))


def _ratios(factors: pl.DataFrame, scale: int) -> pl.DataFrame:
    """What units of 10^-scale are multiplied `times` and divided `by` (Int128), and up to which amount (`most`) that fits."""
    times, by, most = list[int](), list[int](), list[int]()
    for over, under, places in factors.iter_rows():
        ratio = Fraction(int(over), int(under)) * Fraction(10) ** (places - scale)
        small = ratio.numerator <= LARGEST and 2 * ratio.denominator <= LARGEST
        times.append(ratio.numerator if small else 0)
        by.append(ratio.denominator if small else 1)
        most.append(LARGEST // ratio.numerator if small else -1)
    columns = {"times": times, "by": by, "most": most}
    return factors.with_columns(pl.Series(name, values, dtype=pl.Int128) for name, values in columns.items())


def _exactly_multiplied(frame: pl.DataFrame, rule: FxRule) -> pl.DataFrame:
    """The same for what fits in no column type: few, so each different product is worked out by itself."""
    asked = frame.select("number", "over", "under", "places").unique()
    products: list[str] = []
    for number, over, under, places in asked.iter_rows():
        exact = Fraction(number) * Fraction(int(over), int(under)) * 10**places
        units = round(exact)
        if rule.rounding == "HALF_UP" and exact - units in (Fraction(1, 2), Fraction(-1, 2)):
            units = int(exact + (Fraction(1, 2) if exact > 0 else Fraction(-1, 2)))
        products.append(f"{_EXACT.scaleb(Decimal(units), -places):f}")
    return asked.with_columns(pl.Series("product", products, dtype=pl.String))
