"""What a text looks like: the kinds that a schema shows. They never influence matching."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

BLANKS = "".join(map(chr, range(0x21)))
"""The characters that are trimmed: all up to U+0020. A no-break space is not among them."""

_CURRENCY = r"[$€£¥]?-?[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]{2})?"
_NUMBERS = (
    # Whatever has an exponent, a plus, or a point that is not followed by two digits after one to three.
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+",
    r"\+[0-9]+(?:\.[0-9]{2})?",
    r"[-+]?(?:[0-9]{4,}\.[0-9]*|[0-9]{1,3}\.(?:[0-9]?|[0-9]{3,})|\.[0-9]+)",
)
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATES = (
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]"
    r"(?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?(?:Z|[-+][0-2][0-9]:?[0-5][0-9])?)?",
    r"[0-3][0-9]/[0-3][0-9]/[0-9]{4}",
    r"[0-9]{4}/[01][0-9]/[0-3][0-9]",
    r"[0-3][0-9]-[0-3][0-9]-[0-9]{4}",
    _MONTH + r" [0-3][0-9], [0-9]{4}",
    r"[0-3][0-9] " + _MONTH + r" [0-9]{4}",
)


@dataclass(frozen=True)
class Kind:
    """A word for the schema, and a pattern that a text must match, or must not."""

    name: str
    pattern: str
    matches: bool = True

    def fits(self, text: pl.Expr) -> pl.Expr:
        found = text.str.contains(f"^(?:{self.pattern})$")
        return found if self.matches else ~found


_PATTERNED = (
    # One to three digits, and a grouped number, are "currency": the first that fits wins, as it always has.
    Kind("currency", _CURRENCY),
    Kind("percentage", r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)%"),
    Kind("integer", r"-?[0-9]{4,}"),
    Kind("number", "|".join(_NUMBERS)),
    Kind("date", "|".join(_DATES)),
    Kind("email", r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    Kind("boolean", r"(?i:true|false|yes|no)"),
)

TEXT = Kind("text", "|".join(kind.pattern for kind in _PATTERNED), matches=False)

KINDS = (*_PATTERNED, TEXT)
"""Every text without blanks around it is of exactly one kind."""


def kind_index(text: pl.Expr) -> pl.Expr:
    """The position in `KINDS` of each text's kind, as UInt8; null for a null."""
    found = pl.when(text.is_null()).then(None)
    for index, kind in enumerate(_PATTERNED):
        found = found.when(kind.fits(text)).then(index)
    return found.otherwise(len(_PATTERNED)).cast(pl.UInt8)
