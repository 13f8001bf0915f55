"""Amounts in texts: what number a text says, and in which currency."""

from __future__ import annotations

import polars as pl

from matching.currencies import CODES, SYMBOLS
from matching.notation import POINT, NumberStyle

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"
_GROUPED = r"^[^0-9.,]*[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]*)?[^0-9.,]*$"
"""Commas between thousands (or, as in India, hundreds above them), before the point."""

_CURRENCIES = {"": "", **{code: code for code in CODES}, **SYMBOLS}


def _shapes() -> dict[str, int]:
    """What may stand around a number: `#` the number, `¤` a currency; and the sign that it gives."""
    shapes: dict[str, int] = {}
    for number in ("#", "#%"):
        for text in (number, f"¤{number}", f"{number}¤"):
            shapes |= {text: 1, f"+{text}": 1, f"{text}+": 1, f"-{text}": -1, f"{text}-": -1, f"({text})": -1}
        shapes |= {f"¤+{number}": 1, f"{number}+¤": 1, f"¤-{number}": -1, f"{number}-¤": -1}
        shapes |= {f"¤({number})": -1, f"({number})¤": -1}
    return shapes


_SHAPES = _shapes()


def read_numbers(texts: pl.Series, *, any_comma: bool = False, style: NumberStyle = POINT) -> pl.DataFrame:
    """The number in each text: `number` String (sign, digits, point, exponent) and `currency` String, in the texts' order.

    Both are null where a text is no number; `currency` is also null where none is given. White space and apostrophes don't
    count, nor do commas between thousands (with `any_comma`, wherever they are); a percent sign does nothing; parentheses and
    a leading or trailing minus are signs, one at most. Letters other than one currency make it no number. In a `style` with a
    decimal comma, point and comma change places.
    """
    if style.decimal == ",":
        texts = texts.str.replace_many([".", ","], [",", "."])
    plain = texts.str.contains(_PLAIN)
    if plain.all():
        return pl.DataFrame({"number": texts, "currency": pl.repeat(None, len(texts), dtype=pl.String, eager=True)})
    other = texts.filter(~plain).unique()
    frame = pl.DataFrame({"text": texts}).join(
        _dressed(other, any_comma, style.grouping), on="text", how="left", maintain_order="left"
    )
    is_plain = pl.lit(plain)
    return frame.select(pl.when(is_plain).then("text").otherwise("number").alias("number"), "currency")


def _dressed(texts: pl.Series, any_comma: bool, grouping: bool) -> pl.DataFrame:
    """`text`, `number` and `currency` of texts that are more than digits and a point."""
    bare = pl.col("text").str.replace_all(r"[\s'’]", "").str.replace_all("−", "-", literal=True)
    well_grouped = ~bare.str.contains(",", literal=True)
    if any_comma:
        well_grouped = pl.lit(value=True)
    elif grouping:
        well_grouped |= bare.str.contains(_GROUPED)
    frame = pl.DataFrame({"text": texts}).with_columns(
        pl.when(well_grouped).then(bare.str.replace_all(",", "", literal=True)).alias("bare")
    )
    frame = frame.with_columns(
        pl.col("bare").str.extract(f"({_NUMBER})").alias("digits"),
        pl.col("bare").str.replace(_NUMBER, "#").str.to_uppercase().alias("around"),
    )
    # Few texts stand around numbers, however many numbers there are.
    around = frame.select(pl.col("around").unique()).with_columns(
        pl.col("around").str.extract(r"([A-Z]{0,3}\p{Sc}|[A-Z]{3})").fill_null("").alias("token"),
        pl.col("around").str.replace(r"[A-Z]{0,3}\p{Sc}|[A-Z]{3}", "¤").alias("shape"),
    )
    around = around.with_columns(
        pl.when(pl.col("token").str.contains(r"^\p{Sc}$"))
        .then(pl.col("token").replace(SYMBOLS))
        .otherwise(pl.col("token").replace_strict(_CURRENCIES, default=None))
        .alias("currency"),
        pl.col("shape").replace_strict(_SHAPES, default=None, return_dtype=pl.Int8).alias("sign"),
    )
    sign = pl.when(pl.col("sign") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    known = pl.col("sign").is_not_null() & pl.col("currency").is_not_null() & pl.col("digits").is_not_null()
    return frame.join(around, on="around", how="left").select(
        "text",
        pl.when(known).then(sign + pl.col("digits")).alias("number"),
        pl.when(known & (pl.col("currency") != "")).then("currency").alias("currency"),
    )
