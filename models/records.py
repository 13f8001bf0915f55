"""Whole records by their identity, read from the files they came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlmodel import Session, col, select

from matching.identity import RESERVED, ROW
from models.errors import FileVanished
from models.files import StoredFile
from models.storage import Storage
from models.tabular import records, scan

Identity = tuple[int, int]
"""File id and row number."""


def lookup(session: Session, storage: Storage, identities: Iterable[Identity]) -> dict[Identity, dict[str, Any]]:
    """The records (column -> JSON scalar) of some identities; those whose file is gone are left out."""
    rows_by_file: dict[int, list[int]] = defaultdict(list)
    for file_id, row in set(identities):
        rows_by_file[file_id].append(row)
    found: dict[Identity, dict[str, Any]] = {}
    chosen = select(StoredFile).where(col(StoredFile.id).in_(list(rows_by_file)))
    for stored in session.exec(chosen).all():
        if stored.twin_path is None:
            continue
        try:
            with storage.guard(stored.twin_path):
                frame = scan(storage.scan_parquet(stored.twin_path), stored.id)
                read = records(frame, rows_by_file[stored.id], file_id=stored.id)
        except FileVanished:
            continue
        for record in read:
            identity = (stored.id, int(record[ROW]))
            found[identity] = {name: value for name, value in record.items() if name not in RESERVED}
    return found
