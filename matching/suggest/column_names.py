"""Column names: which words they hold, what those words mean, and how alike two names are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_MEANINGS: dict[str, tuple[str, ...]] = {
    "amount": ("amt", "value", "total", "gross", "net", "sum", "price", "credited", "captured", "charge"),
    "fee": ("fees", "commission", "freight", "shipping"),
    "date": ("day", "dt", "posted", "booked", "timestamp", "ts", "datetime", "time", "dated", "booking", "posting"),
    "id": ("ids", "identifier", "ref", "refs", "reference", "number", "num", "no", "nr", "code", "key", "uid", "uuid"),
    "customer": ("cust", "client", "payer", "buyer", "purchaser", "debtor", "consumer"),
    "supplier": ("vendor", "seller", "payee", "creditor", "merchant", "beneficiary"),
    "currency": ("ccy", "curr", "cur", "iso4217"),
    "status": ("state", "stage"),
    "type": ("kind", "category", "class", "method"),
    "description": ("desc", "text", "memo", "narrative", "details", "remark", "remarks", "note", "notes", "purpose"),
    "quantity": ("qty", "count", "units", "pieces"),
    "name": ("nm", "title"),
    "payment": ("pay", "pmt", "payout", "paid"),
    "transaction": ("txn", "trx", "tx", "trans"),
    "account": ("acct", "acc", "iban"),
    "order": ("ord", "po", "purchase"),
    "invoice": ("inv", "bill"),
    "line": ("item", "position", "seq", "sequence", "sequential"),
    "product": ("sku", "article", "material", "isin", "instrument", "security"),
    "address": ("addr", "street"),
    "city": ("town", "suburb"),
    "postcode": ("zip", "zipcode", "postal"),
    "country": ("cntry", "nation"),
    "phone": ("tel", "telephone", "mobile"),
    "email": ("mail",),
    "first": ("given", "forename"),
    "last": ("surname", "family"),
    "birth": ("born", "dob"),
}

_CANONICAL = {word: meaning for meaning, words in _MEANINGS.items() for word in (meaning, *words)}

_COMMON = {"id", "date", "amount", "name", "type", "status", "description"}
"""Meanings that many columns of a table share: alone they say less than the words beside them."""

_EMPTY = {
    "a", "an", "by", "col", "column", "data", "f", "field", "for", "from", "in", "of", "on", "source", "src", "target", "tgt",
    "the", "to", "unnamed", "val", "var", "x", "y", "z",
}  # fmt: skip
"""Words that say nothing about a column's content."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")


@dataclass(frozen=True)
class ColumnName:
    """A name with its words as meanings, in order; `is_empty` where it says nothing (`col_a`, `field_3`)."""

    name: str
    words: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.words

    def means(self, meaning: str) -> bool:
        return meaning in self.words


def read_names(names: Sequence[str]) -> list[ColumnName]:
    """The names of one table's columns; a first word that at least three quarters of them share (`oms_…`) is dropped."""
    words = [[str(one).lower() for one in _WORD.findall(name)] for name in names]
    firsts = Counter(one[0] for one in words if len(one) > 1)
    prefix = next(
        (word for word, count in firsts.most_common(1) if len(names) > 2 and count >= 0.75 * len(names)), None
    )
    read: list[ColumnName] = []
    for name, own in zip(names, words, strict=True):
        kept = own[1:] if len(own) > 1 and own[0] == prefix else own
        read.append(ColumnName(name, tuple(_CANONICAL.get(one, one) for one in kept if not _says_nothing(one))))
    return read


def _says_nothing(word: str) -> bool:
    return word in _EMPTY or word.isdigit() or len(word) == 1


def likeness(source: ColumnName, target: ColumnName) -> float:
    """0 to 1: 1 for one name but for case and separators; otherwise the weighted share of words that both have."""
    if _squashed(source.name) == _squashed(target.name):
        return 1.0
    if source.is_empty or target.is_empty:
        return 0.0
    if _is_initials(source, target) or _is_initials(target, source):
        return 0.8
    left_over = list(target.words)
    shared = 0.0
    for word in source.words:
        partner = next((one for one in left_over if _same_word(word, one)), None)
        if partner is not None:
            left_over.remove(partner)
            shared += _weight(word)
    every = sum(map(_weight, source.words)) + sum(map(_weight, target.words))
    # Not quite 1: two names that mean the same are still two names.
    return 0.95 * 2 * shared / every


def _squashed(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _weight(word: str) -> float:
    return 0.5 if word in _COMMON else 1.0


def _same_word(one: str, other: str) -> bool:
    """The same, or an abbreviation of at least three letters."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= 3 and long.startswith(short))


def _is_initials(one: ColumnName, other: ColumnName) -> bool:
    """`dob` and `date_of_birth`."""
    initials = "".join(word[0] for word in re.split(r"[\W_]+", other.name.lower()) if word)
    return len(initials) >= 3 and _squashed(one.name) == initials
