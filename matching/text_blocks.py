"""Blocks of texts that are alike: a rare word in common, or all but one of six pieces.

Of two texts that differ by one character (another one, one more, one less), all pieces are the same but one: so such a pair is in
one block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import polars as pl

from matching.keys import group_numbers

WORDS = 3
"""Of each text, so many of the words that are rarest on the other side."""

MOST_WITH_WORD = 5_000
"""A word that more records have is no help; nor is one that is so frequent in a sample."""

_SAMPLE = 20_000
_FEW_WORDS = 200
_FEW_PIECES = 9
"""Up to so many different pieces are looked for one by one, before texts are taken apart."""

_SHORTEST = 4
_PIECES = 6
_WORD = r"[\p{L}\p{N}]+"

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Which records share something: rows of each side with a number, equal where they do. A row may be in it more than once."""

    asked: Integers
    asked_number: Integers
    other: Integers
    other_number: Integers


def word_block(asked: pl.Series, other: pl.Series) -> Block:
    """Records by their rarest common words; both columns are String, in lower case."""
    own = _words(asked, _rows(asked))
    step = max(1, len(other) // _SAMPLE)
    sample = _words(other.gather_every(step), _rows(other.gather_every(step)))
    often = sample.group_by("word").len().filter(pl.col("len") * step > MOST_WITH_WORD)["word"]
    own = own.filter(~pl.col("word").is_in(often.implode()))
    wanted = own["word"].unique()
    rows = _rows(other)
    if len(wanted) <= _FEW_WORDS:
        holds = other.str.contains_any(wanted.implode()).fill_null(value=False)
        other, rows = other.filter(holds), rows.filter(holds)
    theirs = _words(other, rows).filter(pl.col("word").is_in(wanted.implode()))
    counts = theirs.group_by("word").len().filter(pl.col("len") <= MOST_WITH_WORD)
    rare = own.join(counts, on="word").sort("row", "len", "word").group_by("row", maintain_order=True).head(WORDS)
    theirs = theirs.filter(pl.col("word").is_in(rare["word"].unique().implode()))
    return _block(rare["word"], rare["row"], theirs["word"], theirs["row"])


def piece_blocks(asked: pl.Series, other: pl.Series) -> list[Block]:
    """Records by all of the other side's text but its first piece, its second, and so on."""
    length = pl.col("text").str.len_chars().cast(pl.Int64)
    texts = pl.DataFrame({"row": _rows(asked), "text": asked}).with_columns(length.alias("length"))
    texts = texts.filter(pl.col("length") >= _SHORTEST)
    # The other text may be as long, one shorter or one longer.
    own = pl.concat([texts.with_columns(length=pl.col("length") + more) for more in (-1, 0, 1)]).sort("row", "length")
    found: list[Block] = []
    for number in range(_PIECES):
        begin, end = (pl.col("length") * one // _PIECES for one in (number, number + 1))
        head, tail = pl.col("text").str.head(begin), pl.col("text").str.tail(pl.col("length") - end)
        at_asked = own.with_columns(head=head, tail=tail)
        pieces = at_asked.select("head", "tail").unique()
        rows = _rows(other)
        if pieces.height <= _FEW_PIECES:
            rows = rows.filter(_has_pieces(other, pieces))
        rest = pl.concat_str(head, pl.lit("\0"), tail, pl.lit("\0"), "length").alias("rest")
        asked_for = at_asked.select("row", rest)
        at_other = pl.DataFrame({"row": rows, "text": other.gather(rows)}).with_columns(length.alias("length"))
        at_other = at_other.filter(pl.col("length") >= _SHORTEST - 1).select("row", rest)
        at_other = at_other.filter(pl.col("rest").is_in(asked_for["rest"].unique().implode()))
        found.append(_block(asked_for["rest"], asked_for["row"], at_other["rest"], at_other["row"]))
    return found


def _has_pieces(texts: pl.Series, pieces: pl.DataFrame) -> pl.Series:
    """Whether a text begins and ends with one of some pairs of pieces; the longer piece is looked for first."""
    text = pl.col("text").str
    conditions = [
        text.ends_with(tail) & text.starts_with(head)
        if len(tail) > len(head)
        else text.starts_with(head) & text.ends_with(tail)
        for head, tail in pieces.iter_rows()
    ]
    found = reduce(lambda one, other: one | other, conditions, pl.lit(value=False))
    return pl.DataFrame({"text": texts}).select(pl.col("text").is_not_null() & found).to_series()


def _rows(texts: pl.Series) -> pl.Series:
    return pl.int_range(len(texts), dtype=pl.Int64, eager=True)


def _words(texts: pl.Series, rows: pl.Series) -> pl.DataFrame:
    frame = pl.DataFrame({"row": rows, "word": texts}).drop_nulls()
    return frame.with_columns(pl.col("word").str.extract_all(_WORD).list.unique()).explode("word").drop_nulls()


def _block(asked: pl.Series, asked_rows: pl.Series, other: pl.Series, other_rows: pl.Series) -> Block:
    numbers = group_numbers([asked], [other], len(asked_rows))
    return Block(asked_rows.to_numpy(), numbers[0], other_rows.to_numpy(), numbers[1])
