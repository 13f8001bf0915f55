"""A look at the bytes of a CSV file: may Polars' reader be trusted with it?

Counts and neighbours, vectorised, in windows, on all threads: it costs a fraction of reading the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

WINDOW = 1 << 20
BOM = b"\xef\xbb\xbf"
LF, CR, SPACE, QUOTE, COMMA = 10, 13, 32, 34, 44

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.intp]
NOWHERE: Positions = np.empty(0, np.intp)


@dataclass(frozen=True)
class Survey:
    """What the records of a file (the header left out) are made of.

    `commas` and `lines` count bytes, those inside quotes too; a last line without an end counts. `blanks` says whether cells
    may begin or end with characters up to U+0020.
    """

    lines: int
    commas: int
    quotes: bool
    blanks: bool


@dataclass(frozen=True)
class _Window:
    lines: int
    commas: int
    quotes: int
    controls: bool
    blanks: tuple[bool, bool]
    """Whether a space or a line's end stands at the edge of a cell, if the window begins outside of quotes, and inside."""
    regular: tuple[bool, bool]
    """Whether every quote is where it must be, in the same two cases."""
    plain: bool
    """No NUL, no empty line, no CR without its LF."""


def survey(path: Path, start: int) -> Survey | None:
    """Surveys the file from the byte `start`, which begins a record.

    None unless every quote opens or closes a whole cell or is one of a pair inside one, no line is empty, every CR is followed
    by an LF, and there is no NUL: then only the number of cells per record and the encoding are left to check.
    """
    lines = commas = quotes = 0
    blanks = False
    inside = 0
    size = path.stat().st_size
    with path.open("rb") as source:
        if os.pread(source.fileno(), len(BOM), start) == BOM:
            # Polars drops it, wherever it begins to read.
            return None
        for window in _windows(source.fileno(), start, size):
            if not (window.plain and window.regular[inside]):
                return None
            lines += window.lines
            commas += window.commas
            quotes += window.quotes
            blanks |= window.controls or window.blanks[inside]
            inside ^= window.quotes & 1
    return None if inside else Survey(lines, commas, quotes > 0, blanks)


def _windows(descriptor: int, start: int, size: int) -> Iterator[_Window]:
    starts = range(start, size, WINDOW)
    if len(starts) < 2:
        yield from (_look(descriptor, size, at) for at in starts)
        return
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        pending = pool.map(partial(_look, descriptor, size), starts)
        try:
            yield from pending
        finally:
            pool.shutdown(cancel_futures=True)


def _look(descriptor: int, size: int, at: int) -> _Window:
    length = min(WINDOW, size - at)
    # One byte on each side as well: what stands beside a quote or a space matters. After the end there is an LF.
    raw = os.pread(descriptor, length + 2, at - 1)
    around: Bytes = np.frombuffer(raw if len(raw) == length + 2 else raw + b"\n", np.uint8)
    window = around[1:-1]
    line_ends = np.flatnonzero(window == LF) + 1
    # What may well not be there at all is sought in a faster way first.
    returns = np.flatnonzero(window == CR) + 1 if b"\r" in raw else NOWHERE
    quotes = np.flatnonzero(window == QUOTE) + 1 if b'"' in raw else NOWHERE
    controls = int(np.count_nonzero(window < SPACE)) - len(line_ends) - len(returns)
    empty = bool((around[line_ends - 1] == LF).any() or (around[returns - 1] == LF).any())
    lone = bool((around[returns + 1] != LF).any())
    last = at + length == size and window[-1] != LF
    return _Window(
        lines=len(line_ends) + int(last),
        commas=int(np.count_nonzero(window == COMMA)),
        quotes=len(quotes),
        controls=controls > 0,
        blanks=_blanks(around, quotes),
        regular=_regular(around, quotes),
        plain=not (empty or lone or (controls and bool((window == 0).any()))),
    )


def _regular(around: Bytes, quotes: Positions) -> tuple[bool, bool]:
    before, after = around[quotes - 1], around[quotes + 1]
    opens = (before == COMMA) | (before == LF) | (before == QUOTE)
    closes = (after == COMMA) | (after == LF) | (after == CR) | (after == QUOTE)
    return (
        bool(opens[0::2].all() and closes[1::2].all()),
        bool(opens[1::2].all() and closes[0::2].all()),
    )


def _blanks(around: Bytes, quotes: Positions) -> tuple[bool, bool]:
    spaces = np.flatnonzero(around[1:-1] == SPACE) + 1
    before, after = around[spaces - 1], around[spaces + 1]
    beside = spaces[(before == COMMA) | (after == COMMA) | (before == LF) | (after == LF) | (after == CR)]
    # A comma or a line's end inside of quotes is no edge of a cell; what is inside next to a quote is.
    parity = np.searchsorted(quotes, beside) & 1
    follows, precedes = around[quotes + 1] <= SPACE, around[quotes - 1] <= SPACE
    return (
        bool((parity == 0).any() or follows[0::2].any() or precedes[1::2].any()),
        bool((parity == 1).any() or follows[1::2].any() or precedes[0::2].any()),
    )
