"""Persons in two registers, as record linkage knows them: names, birth dates, addresses, with misspellings and gaps."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from recon.generate import texts
from recon.generate.draws import Draws, Flags, Ints
from recon.generate.knobs import Knobs
from recon.generate.pairs import kinds, presence, sides_and_links
from recon.generate.records import Made, Side

_STREETS = (
    *(
        "Rua Augusta",
        "Långgatan",
        "Hauptstraße",
        "Rue Émile Zola",
        "Calle Mayor",
        "Via Roma",
        "High Street",
        "Kirkevej",
    ),
    *("Bahnhofstraße", "Avenida São João", "Rynek Główny", "Mlýnská", "Kossuth Lajos utca", "Çiçek Sokak", "Mill Lane"),
)
_TOWNS = (
    *("Aarhus", "Białystok", "Brno", "Córdoba", "Düsseldorf", "Eskişehir", "Évora", "Győr", "Jyväskylä", "Kraków"),
    *("León", "Linköping", "Lyon", "Málaga", "Modena", "Münster", "Nîmes", "Oxford", "São Tomé", "Zürich"),
)
_FIRST_BIRTH = date(1935, 1, 1)
_BIRTHS = 26_000
_POSTCODES = 90_000
# Coprime to their product: its multiples go through all births and postcodes before a pair comes back.
_STRIDE = 1_103_515_247
_FIELDS = ("given_name", "surname", "birth_date", "street", "postcode", "town", "email", "tax_id")
# Which fields can be struck, by place: of persons who keep their tax identifier, and of those who keep birth date and postcode.
_BUT_TAX_ID = np.array([1, 2, 0, 4, 6, 3, 5], np.int64)
_BUT_BIRTH = np.array([0, 3, 7, 1, 6, 5], np.int64)


def make(rows: int, knobs: Knobs, draws: Draws) -> Made:
    """Both sides: `person_id` (each register's own), `given_name`, `surname`, `birth_date`, `street`, `postcode`, `town`, `email`,
    `tax_id`. Here a share of `typos` is one of persons, of whom one to three fields are misspelt.

    Nobody shares a tax identifier, or birth date and postcode together, with anybody, and of the two at least one is
    as it was. A doubled person of the target side has misspellings of its own.
    """
    known = presence(draws, rows, knobs)
    register = _register(draws, rows)
    spellings, typo, blank, noise, dotted = _as_known(draws, register, knobs, "target")
    day = draws.order("register", rows)
    record = np.arange(rows, dtype=np.int64)
    identifiers = texts.serials(draws, "B", 2 * rows)
    source = _with_identifier(register, texts.serials(draws, "A", rows))
    target = _with_identifier(spellings, identifiers[:rows])
    again = register.filter(pl.Series(known.target_twice))
    twins = _with_identifier(_as_known(draws, again, knobs, "twin")[0], identifiers[rows : rows + again.height])
    kind = kinds(rows, (typo, "TYPO"), (blank, "BLANK"), (noise, "NOISE"), (dotted, "FORMAT"))
    other = Side(target, record, draws.order("other register", rows))
    made = sides_and_links(known, Side(source, record, day), other, kind, target_twins=twins)
    found = known.target
    faults = {
        "typos": typo & found,
        "blanks": blank & found,
        "noise": noise & found,
        "formats": dotted & found,
        "missing": ~known.both,
        "duplicates": known.source_twice | known.target_twice,
    }
    return Made(*made, {name: int(flags.sum()) for name, flags in faults.items()})


def _with_identifier(persons: pl.DataFrame, identifier: pl.Series) -> pl.DataFrame:
    return persons.select(identifier.alias("person_id"), *_FIELDS)


def _register(draws: Draws, rows: int) -> pl.DataFrame:
    place = (np.arange(rows, dtype=np.int64) * _STRIDE + int(draws.below("first person", 1, 2**31)[0])) % (
        _BIRTHS * _POSTCODES
    )
    births = pl.Series([(_FIRST_BIRTH + timedelta(days=one)).isoformat() for one in range(_BIRTHS)])
    given, surname = draws.pick("given", rows, texts.GIVEN), draws.pick("surname", rows, texts.SURNAMES)
    houses = pl.Series(draws.between("house", rows, 1, 180)).cast(pl.String)
    year = pl.Series(draws.between("joined", rows, 10, 9_999)).cast(pl.String)
    plain = (given + "." + surname).str.normalize("NFKD").str.to_lowercase().str.replace_all(r"[^a-z.]", "")
    return pl.DataFrame(
        {
            "given_name": given,
            "surname": surname,
            "birth_date": births.gather(place % _BIRTHS),
            "street": draws.pick("street", rows, _STREETS) + " " + houses,
            "postcode": pl.Series(10_000 + place // _BIRTHS).cast(pl.String),
            "town": draws.pick("town", rows, _TOWNS),
            "email": plain + year + "@example.org",
            "tax_id": texts.references(draws, rows, ""),
        }
    )


def _as_known(
    draws: Draws, register: pl.DataFrame, knobs: Knobs, side: str
) -> tuple[pl.DataFrame, Flags, Flags, Flags, Flags]:
    """The persons as another register writes them, and whom typos, blanks, noise and another date format struck."""
    rows = register.height
    typo = draws.struck(f"{side} typos", rows, knobs.typos)
    blank = draws.struck(f"{side} blanks", rows, knobs.blanks)
    noise = draws.struck(f"{side} noise", rows, knobs.noise)
    dotted = draws.struck(f"{side} formats", rows, knobs.formats)
    # Tax identifier or birth date and postcode: one of the two stays whole. No field is struck twice.
    keeps_tax_id = draws.struck(f"{side} proof", rows, 0.5)
    first = draws.below(f"{side} fields", rows, 2 * 3 * 7)

    def field(number: int) -> Ints:
        return np.where(keeps_tax_id, _BUT_TAX_ID[(first + number) % 7], _BUT_BIRTH[(first + number) % 6])

    columns: dict[str, pl.Series] = {name: register[name] for name in _FIELDS}
    for number, chance in enumerate((1.0, 0.5, 0.25)):
        again = typo & draws.struck(f"{side} typo {number}", rows, chance)
        for at, name in enumerate(_FIELDS):
            columns[name] = texts.misspelt(
                draws, f"{side} {name} {number}", columns[name], again & (field(number) == at)
            )
    swapped = columns["birth_date"].str.replace(r"^(\d{4})-(\d\d)-(\d\d)$", "$3.$2.$1")
    columns["birth_date"] = swapped.zip_with(pl.Series(dotted), columns["birth_date"])
    for name in ("given_name", "surname", "street", "town"):
        columns[name] = texts.noisy(draws, f"{side} {name} noise", columns[name], noise)
    for number, chance in ((3, 1.0), (4, 0.5)):
        empty = blank & draws.struck(f"{side} blank {number}", rows, chance)
        for at, name in enumerate(_FIELDS):
            columns[name] = columns[name].zip_with(
                pl.Series(~(empty & (field(number) == at))), pl.Series([None], dtype=pl.String)
            )
    return pl.DataFrame(columns), typo, blank, noise, dotted
