"""What a CSV file means, character by character: slow, plain, and independent of the reader that it judges."""

from __future__ import annotations

from dataclasses import dataclass

RESERVED = {"_recon_file_id", "_recon_row", "_recon_reason"}


@dataclass(frozen=True)
class Table:
    headers: list[str]
    records: list[dict[str, str]]


@dataclass(frozen=True)
class Fault:
    line: int


class _Failed(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def read(content: bytes) -> Table | Fault:
    try:
        return _read(content)
    except _Failed as failed:
        return Fault(failed.line)


def _physical_lines(content: bytes) -> list[bytes]:
    """Lines with their ends: CR LF, CR or LF."""
    lines: list[bytes] = []
    line = b""
    position = 0
    while position < len(content):
        character = content[position : position + 1]
        if character == b"\r" and content[position + 1 : position + 2] == b"\n":
            character = b"\r\n"
        line += character
        position += len(character)
        if character in (b"\r", b"\n", b"\r\n"):
            lines.append(line)
            line = b""
    return [*lines, line] if line else lines


def _trim(text: str) -> str:
    start, end = 0, len(text)
    while start < end and ord(text[start]) <= 0x20:
        start += 1
    while end > start and ord(text[end - 1]) <= 0x20:
        end -= 1
    return text[start:end]


def _read(content: bytes) -> Table:
    if content[:3] == b"\xef\xbb\xbf":
        content = content[3:]
    headers: list[str] | None = None
    records: list[dict[str, str]] = []
    state = "record"
    cell = ""
    cells: list[str] = []
    began = opened = number = 0

    def end_of_record() -> None:
        nonlocal headers, cells
        cells.append(_trim(cell))
        if headers is None:
            if any(not name or name in RESERVED for name in cells):
                raise _Failed(began)
            headers = cells
        else:
            if len(cells) < len(headers) or any(cells[len(headers) :]):
                raise _Failed(began)
            records.append(dict(zip(headers, cells, strict=False)))
        cells = []

    for number, raw in enumerate(_physical_lines(content), start=1):
        try:
            line = raw.decode("utf-8", errors="strict")
        except UnicodeDecodeError:
            raise _Failed(number) from None
        if "\0" in line:
            raise _Failed(number)
        characters = [*line]
        if len(characters) > 1 and characters[-2:] == ["\r", "\n"]:
            characters[-2:] = ["\r\n"]
        for character in characters:
            is_end = character in ("\n", "\r", "\r\n")
            if state == "record":
                if is_end:
                    continue
                began, cell, state = number, "", "cell"
            if state == "cell":
                # The first character of a cell.
                if character == '"':
                    state, opened = "quoted", number
                    continue
                state = "plain"
            if state == "quoted":
                if character == '"':
                    state = "quote"
                else:
                    cell += character
                continue
            if state == "quote" and character == '"':
                cell += '"'
                state = "quoted"
                continue
            if is_end:
                end_of_record()
                state = "record"
            elif character == ",":
                cells.append(_trim(cell))
                cell, state = "", "cell"
            elif state in ("quote", "closed"):
                if ord(character) > 0x20:
                    raise _Failed(number)
                state = "closed"
            else:
                cell += character
    if state == "quoted":
        raise _Failed(opened)
    if state != "record":
        end_of_record()
    return Table(headers or [], records)
