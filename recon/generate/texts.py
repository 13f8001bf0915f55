"""Names, references with check digits, and what happens to texts on their way: misspellings, case, white space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from recon.generate.draws import Draws, Flags, Ints

GIVEN = (
    *("Aino", "Amélie", "Anna", "Björn", "Carlos", "Chloé", "Daniel", "Elif", "Émile", "Eva", "Fatima", "François"),
    *("Giulia", "Grace", "Günther", "Hanna", "Henrik", "Inês", "Ivana", "Jakub", "Jean", "João", "Jonas", "José"),
    *("Jürgen", "Katarzyna", "Lars", "Léa", "Lucía", "Luís", "Magdaléna", "Marek", "Maria", "Márton", "Mette", "Milan"),
    *("Nadia", "Noah", "Olivia", "Ömer", "Paolo", "Pénélope", "Peter", "Raúl", "René", "Rosa", "Samuel", "Sofía"),
    *("Søren", "Stefan", "Thérèse", "Tomáš", "Ursula", "Vera", "Víctor", "Walter", "Yusuf", "Zoë", "Zuzana", "Åse"),
)
SURNAMES = (
    *(
        "Abel",
        "Almeida",
        "Andersen",
        "Bauer",
        "Becker",
        "Bergström",
        "Bianchi",
        "Castro",
        "Çelik",
        "Costa",
        "Dąbrowski",
    ),
    *("Dubois", "Durand", "Dvořák", "Eriksson", "Esposito", "Fernández", "Fischer", "Fontaine", "Garcia", "González"),
    *(
        "Hansen",
        "Hoffmann",
        "Horváth",
        "Ibáñez",
        "Jansen",
        "Jørgensen",
        "Kaya",
        "Keller",
        "Klein",
        "Kovács",
        "Kowalski",
    ),
    *("Lefèvre", "Lindqvist", "López", "Mäkinen", "Martin", "Martínez", "Meyer", "Moreau", "Müller", "Muñoz", "Nagy"),
    *(
        "Németh",
        "Nguyen",
        "Nielsen",
        "Novák",
        "Núñez",
        "Öztürk",
        "Pérez",
        "Petit",
        "Popescu",
        "Ramos",
        "Ricci",
        "Rossi",
    ),
    *("Santos", "Schäfer", "Schmidt", "Silva", "Smith", "Sørensen", "Şahin", "Svoboda", "Taylor", "Tóth", "Van Dijk"),
    *("Virtanen", "Wagner", "Weber", "Wiśniewski", "Yılmaz", "Zieliński", "Żak", "O'Brien", "D'Angelo", "Saint-Clair"),
)
_TRADES = (
    "Bakery",
    "Books",
    "Coffee",
    "Design",
    "Flowers",
    "Garage",
    "Garden",
    "Hotel",
    "Music",
    "Shoes",
    "Sports",
    "Wine",
)
_FORMS = ("GmbH", "Ltd", "S.A.", "B.V.", "AB", "S.r.l.", "Oy", "SAS")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SCANNED = {
    "0": "O",
    "O": "0",
    "1": "l",
    "l": "1",
    "I": "l",
    "5": "S",
    "S": "5",
    "8": "B",
    "B": "8",
    "2": "Z",
    "Z": "2",
    "6": "G",
    "G": "6",
    "m": "rn",
    "e": "c",
    "c": "e",
    "u": "v",
    "v": "u",
    "é": "e",
    "ü": "u",
    "ö": "o",
    "ø": "o",
}
"""What a scanner reads instead."""


def people(draws: Draws, name: str, count: int) -> pl.Series:
    """`Zoë Lindqvist`."""
    return draws.pick(f"{name} given", count, GIVEN) + " " + draws.pick(f"{name} surname", count, SURNAMES)


def companies(draws: Draws, name: str, count: int) -> pl.Series:
    """`Lindqvist Coffee AB`."""
    surnames, trades = draws.pick(f"{name} surname", count, SURNAMES), draws.pick(f"{name} trade", count, _TRADES)
    return surnames + " " + trades + " " + draws.pick(f"{name} form", count, _FORMS)


def references(draws: Draws, count: int, prefix: str) -> pl.Series:
    """Unique references such as `ORD-00471108234`, given the prefix `ORD-00`: a serial number in no order and two check digits.

    The numbers of one file are equally long and start with no zero; the serial has seven digits, more above 9,000,000. The
    check digits are those of ISO 7064 mod 97-10: one misspelt digit, or two neighbours swapped, never gives another
    valid reference.
    """
    least = 10 ** max(6, len(str((count - 1) // 9)))
    # 6,700,417 is a prime that divides no 9 * 10^k: its multiples go through all of them, in no visible order.
    first = int(draws.below("first reference", 1, 9_000_000)[0])
    serial = least + (np.arange(count, dtype=np.int64) * 6_700_417 + first) % (9 * least)
    checked = serial * 100 + (98 - serial * 100 % 97)
    return pl.Series([prefix], dtype=pl.String).gather(np.zeros(count, np.int64)) + pl.Series(checked).cast(pl.String)


def misspelt(draws: Draws, name: str, text: pl.Series, struck: Flags) -> pl.Series:
    """One edit where `struck`: a letter put in, left out or mistaken, two swapped, or what a scanner takes one for.

    Each place is as likely. A struck text of
    two characters or more is never left as it was.
    """
    rows = np.flatnonzero(struck)
    if not len(rows):
        return text
    word = draws.raw(name, len(text))[rows]
    frame = pl.DataFrame(
        {
            "text": text.gather(rows),
            "luck": (word >> np.uint64(32)).astype(np.float64) * 2.0**-32,
            "edit": _below(word, 5),
            "letter": pl.Series(list(_LETTERS)).gather(_below(word >> np.uint64(16), len(_LETTERS))),
        }
    )
    whole, length = pl.col("text"), pl.col("text").str.len_chars().cast(pl.Int64)
    at = (pl.col("luck") * (length - 1)).floor().cast(pl.Int64)
    before, one = whole.str.slice(0, at), whole.str.slice(at, 1)
    following, rest = whole.str.slice(at + 1, 1), whole.str.slice(at + 1)
    scanned = one.replace(_SCANNED)
    edits = (
        before + pl.col("letter") + whole.str.slice(at),
        before + rest,
        before + following + one + whole.str.slice(at + 2),
        before + scanned + rest,
    )
    chosen = pl.when(pl.col("edit") == 0).then(edits[0])
    for number, edit in enumerate(edits[1:], 1):
        chosen = chosen.when(pl.col("edit") == number).then(edit)
    frame = frame.select("text", chosen.otherwise(before + pl.col("letter") + rest).alias("new"), edits[1].alias("cut"))
    changed = pl.when(pl.col("new") == pl.col("text")).then(pl.col("cut")).otherwise(pl.col("new"))
    return put(text, struck, frame.select(changed).to_series())


def _below(word: npt.NDArray[np.uint64], bound: int) -> Ints:
    """Whole numbers below a small bound, from the last 16 bits of each word."""
    return ((word & np.uint64(0xFFFF)).astype(np.int64) * bound) >> 16


def noisy(draws: Draws, name: str, text: pl.Series, struck: Flags) -> pl.Series:
    """Upper or lower case, or white space doubled, before or after, where `struck`; trimmed and in one case it is the same."""
    if not struck.any():
        return text
    kind = pl.Series("kind", draws.below(name, len(text), 5))
    frame = pl.DataFrame({"text": text.rename("text"), "kind": kind})
    whole = pl.col("text")
    doubled = whole.str.replace(" ", "  ", literal=True)
    new = (
        pl.when(pl.col("kind") == 0)
        .then(whole.str.to_uppercase())
        .when(pl.col("kind") == 1)
        .then(whole.str.to_lowercase())
        .when(pl.col("kind") == 2)
        .then(whole + " ")
        .when(pl.col("kind") == 3)
        .then("  " + whole)
        .otherwise(doubled + " ")
    )
    return frame.select(new).to_series().zip_with(pl.Series(struck), text)


def truncated(text: pl.Series, struck: Flags) -> pl.Series:
    """References without what precedes their first digit that is not zero, where `struck`."""
    if not struck.any():
        return text
    return text.str.replace(r"^[^1-9]*", "").zip_with(pl.Series(struck), text)


def put(text: pl.Series, struck: Flags, new: pl.Series) -> pl.Series:
    """`text` with `new`, which has one value for each True of `struck`, in these places."""
    if not struck.any():
        return text
    place = np.cumsum(struck) - 1
    return new.gather(np.maximum(place, 0).astype(np.int64)).zip_with(pl.Series(struck), text)


def serials(draws: Draws, prefix: str, count: int) -> pl.Series:
    """A file's own identifiers, in no order: `PAY0000417`. Unique."""
    numbers = pl.Series(draws.order(f"{prefix} serial", count) + 1).cast(pl.String).str.zfill(max(7, len(str(count))))
    return pl.Series([prefix], dtype=pl.String).gather(np.zeros(count, np.int64)) + numbers


def filled(draws: Draws, name: str, forms: tuple[str, ...], names: pl.Series, references: pl.Series) -> pl.Series:
    """Free text: one of the forms each, with the name for `{n}` and the reference for `{r}`."""
    form = draws.below(name, len(names), len(forms))
    frame = pl.DataFrame({"n": names, "r": references, "form": form})
    text = pl.when(False).then(pl.lit(""))
    for number, one in enumerate(forms):
        whole = pl.format(
            one.replace("{n}", "{}").replace("{r}", "{}"), *sorted(("n", "r"), key=lambda c: one.index("{" + c))
        )
        text = text.when(pl.col("form") == number).then(whole)
    return frame.select(text.alias("text")).to_series()
