"""The CSV grammar, line by line: where Polars' reader may not be trusted, and where a fault must be named.

UTF-8, commas, RFC 4180 quotes with `""` inside them. CR, LF and CRLF end a line; lines without any character are skipped. A
quote opens a quoted value only as the first character of a cell. Characters up to U+0020 around names and values are dropped,
inside the quotes and after them. Every fault is named by its physical line, from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from matching.identity import RESERVED
from models.errors import FileUnreadable
from models.tabular.kinds import BLANKS
from models.tabular.survey import BOM

CHUNK = 1 << 20
RECORD_LIMIT = 64 << 20
"""Bytes of one line or quoted value. A quote left open would otherwise take the rest of the file into memory."""

LINES_AT_ONCE = 4_096

_BLANKS = BLANKS.encode()
_SOUND_CELL = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^",]*+)'
_NEEDS_QUOTES = re.compile(rb'[",\r\n]|^\xef\xbb\xbf')
"""A byte-order mark, too: readers drop it at the beginning of a file."""


def fault(line: int, reason: str) -> NoReturn:
    raise FileUnreadable(f"Line {line}: {reason}", line=line)


class Lines:
    """The physical lines of a file, each with its end, without a byte-order mark.

    `number` and `last` are those of the line last given, `offset` is where in the file it ends. Raises FileUnreadable on a NUL,
    on bytes that are not UTF-8, and on a line beyond RECORD_LIMIT.
    """

    def __init__(self, source: BinaryIO) -> None:
        self.number = 0
        self.offset = 0
        self.last = b""
        self._lines = self._read(source)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> bytes:
        line = next(self._lines)
        self.number += 1
        self.offset += len(line)
        self.last = line
        return line

    def _read(self, source: BinaryIO) -> Iterator[bytes]:
        chunk = source.read(CHUNK)
        rest = b""
        if chunk.startswith(BOM):
            self.offset = len(BOM)
            chunk = chunk[self.offset :] or source.read(CHUNK)
        while chunk:
            # The last line is held back: it may go on, or end in a CR whose LF comes with the next chunk.
            *lines, rest = (rest + chunk).splitlines(keepends=True)
            if len(rest) > RECORD_LIMIT:
                fault(self.number + len(lines) + 1, f"longer than {RECORD_LIMIT:,} bytes")
            yield from self._checked(lines)
            chunk = source.read(CHUNK)
        yield from self._checked([rest] if rest else [])

    def _checked(self, lines: list[bytes]) -> Iterator[bytes]:
        if _is_text(b"".join(lines)):
            yield from lines
            return
        for line in lines:
            if b"\0" in line:
                fault(self.number + 1, "holds a NUL character")
            if not _is_text(line):
                fault(self.number + 1, "not UTF-8")
            yield line


def _is_text(some: bytes) -> bool:
    if b"\0" in some:
        return False
    if some.isascii():
        return True
    try:
        some.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_header(lines: Lines) -> list[str] | None:
    """The names of the first record; None if there is none. Raises FileUnreadable on a blank or reserved name."""
    for line in lines:
        number = lines.number
        if not line.rstrip(b"\r\n"):
            continue
        names = [name.decode() for name in _cells(line, lines)]
        for position, name in enumerate(names, start=1):
            if not name:
                fault(number, f"column {position} of the header has no name")
            if name in RESERVED:
                fault(number, f"column name '{name}' is reserved")
        return names
    return None


def canonical_records(lines: Lines, width: int) -> Iterator[list[bytes]]:
    """The records that are left, in batches, each a line that means the same to every CSV reader.

    Such a line ends in LF and has exactly `width` cells; quotes are where they should be. Cells may still have blanks around
    them. Raises FileUnreadable on a record with too few cells, or with surplus ones that are not empty.
    """
    sound = re.compile(_SOUND_CELL + rb"(?:," + _SOUND_CELL + rb"){%d}" % (width - 1)).fullmatch
    batch: list[bytes] = []
    for line in lines:
        number = lines.number
        body = line.rstrip(b"\r\n")
        if not body:
            continue
        as_it_is = sound(body) if b'"' in line else body.count(b",") == width - 1
        if as_it_is and not body.startswith(BOM):
            batch.append(body + b"\n")
        else:
            batch.append(_canonical(_fitted(_cells(line, lines), width, number)))
        if len(batch) == LINES_AT_ONCE:
            yield batch
            batch = []
    yield batch


def _fitted(cells: list[bytes], width: int, number: int) -> list[bytes]:
    if len(cells) < width or any(cells[width:]):
        fault(number, f"{width} cells expected, as in the header; {len(cells)} found")
    return cells[:width]


def _canonical(cells: list[bytes]) -> bytes:
    if cells == [b""]:
        # An empty line would be no record.
        return b'""\n'
    quoted = (b'"' + cell.replace(b'"', b'""') + b'"' if _NEEDS_QUOTES.search(cell) else cell for cell in cells)
    return b",".join(quoted) + b"\n"


def _cells(line: bytes, lines: Lines) -> list[bytes]:
    """The trimmed cells of the record that begins with `line`; takes further lines while a quote is open."""
    if b'"' not in line:
        return [cell.strip(_BLANKS) for cell in line.rstrip(b"\r\n").split(b",")]
    cells: list[bytes] = []
    at = 0
    body = line.rstrip(b"\r\n")
    while True:
        if body.startswith(b'"', at):
            value, line, at = _quoted(line, at + 1, lines)
            body = line.rstrip(b"\r\n")
            at = _after_blanks(body, at)
            if at < len(body) and body[at] != ord(","):
                fault(lines.number, "text after a closing quote")
        else:
            end = body.find(b",", at)
            end = len(body) if end < 0 else end
            value, at = body[at:end], end
        cells.append(value.strip(_BLANKS))
        if at >= len(body):
            return cells
        at += 1


def _quoted(line: bytes, at: int, lines: Lines) -> tuple[bytes, bytes, int]:
    """The value whose opening quote is before `at`; the line that it ends on, and the position after its closing quote."""
    opened = lines.number
    parts: list[bytes] = []
    size = 0
    while True:
        quote = line.find(b'"', at)
        if quote < 0:
            parts.append(line[at:])
            size += len(line)
            following = next(lines, None)
            if following is None or size > RECORD_LIMIT:
                fault(opened, "a quote is opened here and not closed")
            line, at = following, 0
        elif line.startswith(b'"', quote + 1):
            parts.append(line[at : quote + 1])
            at = quote + 2
        else:
            parts.append(line[at:quote])
            return b"".join(parts), line, quote + 1


def _after_blanks(text: bytes, at: int) -> int:
    return len(text) - len(text[at:].lstrip(_BLANKS))
