"""Amounts in texts: what number a text says, in which currency, and how far two of them are apart, exactly."""

from __future__ import annotations

from decimal import Context, Decimal

import polars as pl

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"
_GROUPED = r"^[^0-9.,]*[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]*)?[^0-9.,]*$"
"""Commas between thousands (or, as in India, hundreds above them), before the point."""

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD
TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
"""Currencies of ISO 4217, with a few that old files still have."""

_SYMBOLS = {
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS",
    "₫": "VND", "₴": "UAH", "₦": "NGN", "₱": "PHP", "฿": "THB", "₡": "CRC", "₲": "PYG", "₵": "GHS", "₸": "KZT",
    "₭": "LAK", "₮": "MNT", "₾": "GEL", "₼": "AZN",
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD",
    "R$": "BRL", "NT$": "TWD", "MX$": "MXN", "CN¥": "CNY", "RMB": "CNY", "JP¥": "JPY",
}  # fmt: skip
"""Symbols stand for the currency that they mean most often."""

_CURRENCIES = {"": "", **{code: code for code in _CODES.split()}, **_SYMBOLS}


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

_WIDTH = 18
"""Up to so many digits on either side of the point go the fast way; two such numbers and their difference fit 38 digits."""


def read_numbers(texts: pl.Series, *, any_comma: bool) -> pl.DataFrame:
    """The number in each text: `number` String (sign, digits, point, exponent) and `currency` String, in the texts' order.

    Both are null where a text is no number; `currency` is also null where none is given. White space and apostrophes don't
    count, nor do commas between thousands (with `any_comma`, wherever they are); a percent sign does nothing; parentheses and
    a leading or trailing minus are signs, one at most. Letters other than one currency make it no number.
    """
    plain = texts.str.contains(_PLAIN)
    if plain.all():
        return pl.DataFrame({"number": texts, "currency": pl.repeat(None, len(texts), dtype=pl.String, eager=True)})
    other = texts.filter(~plain).unique()
    frame = pl.DataFrame({"text": texts}).join(_dressed(other, any_comma), on="text", how="left", maintain_order="left")
    is_plain = pl.lit(plain)
    return frame.select(pl.when(is_plain).then("text").otherwise("number").alias("number"), "currency")


def _dressed(texts: pl.Series, any_comma: bool) -> pl.DataFrame:
    """`text`, `number` and `currency` of texts that are more than digits and a point."""
    bare = pl.col("text").str.replace_all(r"[\s'’]", "").str.replace_all("−", "-", literal=True)
    well_grouped = (
        pl.lit(value=True) if any_comma else ~bare.str.contains(",", literal=True) | bare.str.contains(_GROUPED)
    )
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
        .then(pl.col("token").replace(_SYMBOLS))
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


def differences(source: pl.Series, target: pl.Series, tolerance: Decimal) -> pl.DataFrame:
    """`within` Boolean and `delta` String (target minus source, exact, no trailing zeros) of two columns of number texts.

    `within` is whether they are at most `tolerance` apart. Nulls give null.
    """
    frame = pl.DataFrame({"source": source, "target": target}).with_row_index("at")
    measurable = pl.col("source").is_not_null() & pl.col("target").is_not_null()
    frame = frame.with_columns(pl.when(measurable).then(pl.col("source", "target")))
    narrow = _is_narrow(pl.col("source")) & _is_narrow(pl.col("target")) & _narrow_decimal(tolerance)
    frame = frame.with_columns((narrow | pl.col("source").is_null()).alias("narrow"))
    found = _fast_differences(frame.filter("narrow"), tolerance)
    wide = frame.filter(~pl.col("narrow"))
    if wide.height:
        found = pl.concat([found, _exact_differences(wide, tolerance)]).sort("at")
    return found.select("within", "delta")


def _decimals(number: pl.Expr) -> pl.Expr:
    return (
        pl.when(number.str.contains(".", literal=True))
        .then(number.str.len_bytes() - number.str.find(".", literal=True) - 1)
        .otherwise(0)
    )


def _is_narrow(number: pl.Expr) -> pl.Expr:
    whole = number.str.len_bytes() - _decimals(number)
    return ~number.str.contains("[eE]") & (_decimals(number) <= _WIDTH) & (whole <= _WIDTH)


def _narrow_decimal(number: Decimal) -> bool:
    return -_exponent(number) <= _WIDTH and abs(number) < 10**_WIDTH


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _fast_differences(frame: pl.DataFrame, tolerance: Decimal) -> pl.DataFrame:
    if not _narrow_decimal(tolerance):
        # Then nothing but nulls comes this way.
        return frame.select("at", pl.lit(None, pl.Boolean).alias("within"), pl.lit(None, pl.String).alias("delta"))
    places = frame.select(
        pl.max_horizontal(_decimals(pl.col("source")).max(), _decimals(pl.col("target")).max())
    ).item()
    scale = max(places or 0, -_exponent(tolerance), 0)
    exact = pl.Decimal(38, scale)
    delta = pl.col("target").cast(exact) - pl.col("source").cast(exact)
    bound = pl.lit(tolerance, dtype=exact)
    text = pl.col("delta").cast(pl.String)
    return frame.select("at", delta.alias("delta")).select(
        "at",
        ((pl.col("delta") <= bound) & (pl.col("delta") >= -bound)).alias("within"),
        (text.str.replace(r"\.?0+$", "") if scale else text).alias("delta"),
    )


def _exact_differences(frame: pl.DataFrame, tolerance: Decimal) -> pl.DataFrame:
    """The same for numbers that no column type holds: few, so each different pair is worked out by itself."""
    pairs = frame.select("source", "target").unique()
    longest = pairs.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    # Exponents have three digits: no sum needs more places than this.
    context = Context(prec=2 * int(longest) + 2200 + len(tolerance.as_tuple().digits))
    within: list[bool] = []
    deltas: list[str] = []
    for source, target in pairs.iter_rows():
        delta = context.subtract(Decimal(target), Decimal(source))
        within.append(context.compare(context.abs(delta), tolerance) <= 0)
        text = f"{delta:f}"
        deltas.append((text.rstrip("0").rstrip(".") if "." in text else text) if delta else "0")
    judged = pairs.with_columns(pl.Series("within", within), pl.Series("delta", deltas))
    return frame.join(judged, on=["source", "target"]).select("at", "within", "delta")
