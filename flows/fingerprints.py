"""What makes a break the same one in a later run: what it says and what its records hold, not where they stand."""

from __future__ import annotations

from hashlib import blake2b

import polars as pl

from matching.identity import FILE_ID, RESERVED, ROW
from matching.outcome import LargeOutcome, Outcome

SAID = ("type", "field", "key", "source_value", "target_value", "source_record", "target_record")
_BETWEEN, _NOTHING = "\x1f", "\x1e"
"""Separators of ASCII: a null is not an empty text, and no value runs into the next one."""


def fingerprinted(outcome: Outcome | LargeOutcome) -> pl.LazyFrame:
    """The breaks of an outcome in their order, with `fingerprint` (String, 32 hexadecimal digits) as last column.

    A break of records without a partner is told by all their values, one of a match by its key, field and both values. Breaks
    that nothing tells apart have the same fingerprint.
    """
    frame = outcome.breaks.lazy()
    for side, unmatched in (("source", outcome.unmatched_source), ("target", outcome.unmatched_target)):
        identity = [f"{side}_file_id", f"{side}_row"]
        records = _records(unmatched.lazy(), f"{side}_record").rename({FILE_ID: identity[0], ROW: identity[1]})
        frame = frame.join(records, on=identity, how="left", maintain_order="left")
    columns = outcome.breaks.lazy().collect_schema().names()
    return frame.select(*columns, fingerprint=_digest(_joined(SAID)))


def _records(unmatched: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Identity, and a digest of all values with their columns' names; the order of columns does not count."""
    schema = unmatched.collect_schema()
    named = sorted(
        one for one, kind in schema.items() if one not in RESERVED and not kind.is_nested() and kind != pl.Binary
    )
    values = pl.concat_str(pl.lit(_BETWEEN.join(named)), *(_text(one) for one in named), separator=_BETWEEN)
    return unmatched.select(FILE_ID, ROW, _digest(values).alias(name))


def _joined(names: tuple[str, ...]) -> pl.Expr:
    return pl.concat_str(*(_text(one) for one in names), separator=_BETWEEN)


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null(_NOTHING)


def _digest(texts: pl.Expr) -> pl.Expr:
    """Polars' own hashes may change from one version to the next; these are kept for years."""
    return texts.map_batches(_digests, return_dtype=pl.String, is_elementwise=True)


def _digests(texts: pl.Series) -> pl.Series:
    return pl.Series([blake2b(one.encode(), digest_size=16).hexdigest() for one in texts], dtype=pl.String)
