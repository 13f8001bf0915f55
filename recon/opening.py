"""Inputs opened for matching: numbered, brought here where they are elsewhere, and read as an upload is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from matching.identity import FILE_ID, REASON, RESERVED, ROW
from models.errors import FileUnreadable, ValidationFailed
from models.fetching import fetch
from models.settings import Settings
from models.tabular import scan
from models.tabular.typed import first_line, plain_table, refuse_nul
from models.tabular.writers import write_parquet
from recon.given import Input
from recon.inputs import open_input


class Inputs:
    """The inputs of a run. Work files go to `folder`, a directory that is there as long as the frames are read."""

    def __init__(self, inputs: Iterable[tuple[str, Input]], folder: Path, settings: Settings, held_csv: int) -> None:
        """`inputs` are in the order of their numbers, each with what it is called if it has no name. Raises ValidationFailed."""
        self._folder = folder
        self._settings = settings
        self._held_csv = held_csv
        self._ids: dict[object, int] = {}
        self._names: dict[int, str] = {}
        self._opened: dict[int, pl.LazyFrame] = {}
        given = list(inputs)
        taken = {one.file_id for _, one in given if one.file_id is not None}
        numbers = (number for number in range(1, len(given) + len(taken) + 1) if number not in taken)
        for default, one in given:
            known = self._ids.get(one.identity)
            file_id = one.file_id or known or next(numbers)
            if (known or file_id) != file_id or (known is None and file_id in self._names):
                raise ValidationFailed(
                    f"file_id {file_id} is given to '{one.named(default)}' and to '{self._names.get(file_id, default)}'; "
                    "each input has one of its own",
                    file_id=file_id,
                )
            self._ids[one.identity] = file_id
            self._names.setdefault(file_id, one.named(default))

    @property
    def names(self) -> dict[int, str]:
        """What people call the inputs, by their `_recon_file_id`."""
        return dict(sorted(self._names.items()))

    def open(self, given: Input) -> pl.LazyFrame:
        """The input's columns, then `_recon_file_id` and `_recon_row` (Int64), in file order; read once, however often asked for.

        A table that has these two columns (what an earlier match left) keeps them. Raises FileUnreadable, naming the input, and
        what `models.fetching.fetch` raises.
        """
        file_id = self._ids[given.identity]
        if file_id not in self._opened:
            self._opened[file_id] = self._read(given, file_id)
        return self._opened[file_id]

    def _read(self, given: Input, file_id: int) -> pl.LazyFrame:
        twin = self._folder / f"input-{file_id}.parquet"
        if given.location is None:
            return read_table(given.data, self._names[file_id], file_id, twin)
        return open_input(
            local_file(given, self._folder / f"input-{file_id}", self._settings), file_id, twin, self._held_csv
        )


def local_file(given: Input, folder: Path, settings: Settings) -> Path:
    """A file on this machine whose name ends as its format does; what is at a URL is fetched into `folder`."""
    location, name = given.location, given.named("")
    if isinstance(location, Path):
        if not location.is_file():
            raise FileUnreadable(f"There is no file {location}", filename=name)
        if location.suffix or given.name is None:
            return location
        folder.mkdir(exist_ok=True)
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(location)
        return link
    folder.mkdir(exist_ok=True)
    fetch(str(location), folder / name, {**_own_options(str(location), settings), **given.storage_options})
    return folder / name


def _own_options(url: str, settings: Settings) -> Mapping[str, Any]:
    """`s3://` is the S3 server of the settings, where they name one."""
    if not url.startswith(("s3://", "s3a://")) or settings.storage_access_key is None:
        return {}
    secret = settings.storage_secret_key
    return {
        "key": settings.storage_access_key.get_secret_value(),
        "secret": secret.get_secret_value() if secret else None,
        "endpoint_url": settings.storage_endpoint_url,
        "client_kwargs": {"region_name": settings.storage_region},
    }


def table_of(data: Any) -> pl.LazyFrame:
    """A frame of any kind as Polars has it. Raises FileUnreadable."""
    if isinstance(data, pl.LazyFrame):
        return data
    if isinstance(data, pl.DataFrame):
        return data.lazy()
    return pl.DataFrame(data).lazy()


def read_table(data: Any, name: str, file_id: int, twin: Path) -> pl.LazyFrame:
    """A frame as its Parquet would be read after an upload. What is lazy is computed once, to `twin`. Raises FileUnreadable."""
    try:
        frame = table_of(data)
        names = frame.collect_schema().names()
        identity = {FILE_ID, ROW} <= {*names}
        reserved = [one for one in names if one in RESERVED and not identity]
        if reserved:
            raise FileUnreadable(
                f"Column name '{reserved[0]}' is reserved; identity is both {FILE_ID} and {ROW}", column=reserved[0]
            )
        plain = plain_table(frame.drop(REASON, strict=False))
        if isinstance(data, pl.LazyFrame):
            write_parquet(plain, twin)
            plain = pl.scan_parquet(twin, glob=False)
        refuse_nul(plain)
        return scan(plain, file_id)
    except (FileUnreadable, pl.exceptions.PolarsError, TypeError) as error:
        text = error.message if isinstance(error, FileUnreadable) else first_line(error)
        raise FileUnreadable(f"{name}: {text}", filename=name) from error
