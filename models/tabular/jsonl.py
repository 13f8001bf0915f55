"""JSON lines: one object a line; and the one array of objects that many a `.json` is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import polars as pl

from matching.columns import exactly
from models.errors import FileUnreadable
from models.tabular.grammar import Lines
from models.tabular.survey import BOM
from models.tabular.writers import write_parquet

BATCH = 50_000
ARRAY_LIMIT = 64 << 20
"""Bytes of a JSON array, which is read whole."""

Record = dict[str, str | None]


class _Number(str):
    """A number by its literal."""

    __slots__ = ()


def read_json(path: Path, twin: Path) -> list[str]:
    """Writes the twin of a JSON file, all columns String, and gives its keys in order of first appearance.

    Texts as they are, numbers as they are written (`40.00` stays `40.00`), `true` and `false`; null is null, and so is a key
    that a record lacks; an object or array inside a record becomes JSON text. Blank lines are skipped; of a repeated key the
    last one counts. Raises FileUnreadable, naming the line, or the record where the file is an array.
    """
    parts = _Parts(twin)
    try:
        with path.open("rb") as source:
            if _begins_array(source):
                for number, value in enumerate(_array(source), start=1):
                    parts.add(f"Record {number}", value)
            else:
                lines = Lines(source)
                for line in lines:
                    if text := line.strip():
                        parts.add(f"Line {lines.number}", _parsed(text, f"Line {lines.number}"))
        return parts.finish()
    finally:
        parts.remove()


def _fault(where: str, reason: str) -> NoReturn:
    raise FileUnreadable(f"{where}: {reason}", where=where)


def _begins_array(source: BinaryIO) -> bool:
    """Whether `[` is the first character; leaves the file at its beginning."""
    begins = False
    while chunk := source.read(4096):
        if text := chunk.removeprefix(BOM).lstrip():
            begins = text.startswith(b"[")
            break
    source.seek(0)
    return begins


def _array(source: BinaryIO) -> list[Any]:
    text = source.read(ARRAY_LIMIT + 1).removeprefix(BOM)
    if len(text) > ARRAY_LIMIT:
        _fault("Line 1", f"a JSON array may have {ARRAY_LIMIT:,} bytes; larger tables are uploaded as JSON lines")
    return _parsed(text.strip(), "Line 1")


def _parsed(text: bytes, where: str) -> Any:
    try:
        return _DECODER.decode(text.decode())
    except json.JSONDecodeError as error:
        place = where if error.lineno == 1 else f"Line {error.lineno}"
        raise FileUnreadable(f"{place}: not JSON: {error.msg} at character {error.colno}", where=place) from error
    except (ValueError, RecursionError) as error:
        raise FileUnreadable(f"{where}: not JSON: {error}", where=where) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_refuse_constant)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    return _json_text(value)


def _json_text(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class _Parts:
    """Records on their way to the twin: what they have in common is known only after the last one."""

    def __init__(self, twin: Path) -> None:
        self._twin = twin
        self._directory = twin.with_name(f"{twin.name}.parts")
        self._files: list[Path] = []
        self._keys: dict[str, None] = {}
        self._records: list[Record] = []
        self._places: list[str] = []

    def add(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            _fault(where, "an object is expected")
        record = {key: _text(inner) for key, inner in value.items()}
        if not all(key.strip() for key in record):
            _fault(where, "a key has no name")
        self._keys.update(dict.fromkeys(record))
        self._records.append(record)
        self._places.append(where)
        if len(self._records) == BATCH:
            self._directory.mkdir(exist_ok=True)
            part = self._directory / f"{len(self._files):06}.parquet"
            write_parquet(self._frame(), part)
            self._files.append(part)

    def finish(self) -> list[str]:
        if self._records or self._files:
            if not self._keys:
                _fault(self._places[0] if self._places else "Record 1", "no record has a key")
            frames = [pl.scan_parquet(part, glob=False) for part in self._files]
            if self._records:
                frames.append(self._frame().lazy())
            write_parquet(pl.concat(frames, how="diagonal").select(exactly(*self._keys)), self._twin)
        else:
            write_parquet(pl.DataFrame(), self._twin)
        return list(self._keys)

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _frame(self) -> pl.DataFrame:
        """The records that have been collected, as a frame of all keys so far; they are forgotten here."""
        self._check()
        columns = {key: [record.get(key) for record in self._records] for key in self._keys}
        self._records = []
        self._places = []
        return pl.DataFrame(columns, schema=dict.fromkeys(self._keys, pl.String), strict=True)

    def _check(self) -> None:
        """JSON can escape what no text may hold."""
        for where, record in zip(self._places, self._records, strict=True):
            for text in (*record, *record.values()):
                if text and not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                    _fault(where, "half of a surrogate pair stands alone")
                if text and "\0" in text:
                    _fault(where, "holds a NUL character")
