"""The artifacts of a match as files in a directory or at a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from matching.errors import ReconError

if TYPE_CHECKING:
    import polars as pl

    from matching import Outcome
    from matching.outcome import LargeOutcome

UNMATCHED_SOURCE, UNMATCHED_TARGET, EXCEPTIONS, MATCHED = (
    "unmatched_source",
    "unmatched_target",
    "exceptions",
    "matched",
)
ARTIFACTS = (MATCHED, UNMATCHED_SOURCE, UNMATCHED_TARGET, EXCEPTIONS)
"""Their names as files are called by them. All are written as Parquet, all but `matched` as CSV too."""


class OutUnusable(ReconError):
    """A file or directory that is asked for can't be made or written to."""

    code = "OUT_UNUSABLE"

    def __init__(self, out: Path | None, error: OSError) -> None:
        super().__init__(f"Can't write to {out}: {error.strerror}", path=str(out))


def frames_of(outcome: Outcome | LargeOutcome) -> dict[str, pl.DataFrame | pl.LazyFrame]:
    """What an outcome leaves, by artifact; lazy where it is too large to be held."""
    return {
        MATCHED: outcome.matches,
        UNMATCHED_SOURCE: outcome.unmatched_source,
        UNMATCHED_TARGET: outcome.unmatched_target,
        EXCEPTIONS: outcome.breaks,
    }


def made_directory(out: Path) -> Path:
    """The directory, made if need be. Raises OutUnusable."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutUnusable(out, error) from error
    return out


def write_artifacts(outcome: Outcome | LargeOutcome, out: str | PathLike[str]) -> None:
    """Writes every artifact into a directory or below a URL, all of them or none; those of an earlier match are replaced."""
    with placed(out) as folder:
        write_outcome(outcome, folder)


def write_outcome(outcome: Outcome | LargeOutcome, folder: Path) -> None:
    """Writes every artifact into an empty directory."""
    from polars import LazyFrame

    # What is large is written one by one: each has buffers of its own.
    write_frames(frames_of(outcome), folder, 1 if isinstance(outcome.matches, LazyFrame) else 2)


@contextmanager
def placed(out: str | PathLike[str]) -> Iterator[Path]:
    """An empty directory; what is in it at the end goes to the directory or below the URL `out`, if no exception comes.

    Raises OutUnusable, or what the storage at the URL raises.
    """
    place = fspath(out)
    with TemporaryDirectory(
        prefix=".recon-match-", dir=None if "://" in place else made_directory(Path(place))
    ) as work:
        yield Path(work)
        files = sorted(path for path in Path(work).rglob("*") if path.is_file())
        if "://" in place:
            _upload(files, Path(work), place)
            return
        for path in files:
            target = Path(place, path.relative_to(work))
            made_directory(target.parent)
            path.replace(target)


def _upload(files: Sequence[Path], folder: Path, url: str) -> None:
    from models.settings import Settings
    from models.storage import Storage

    storage = Storage.from_settings(Settings().model_copy(update={"storage_url": url}))
    for path in files:
        storage.put_file(path, path.relative_to(folder).as_posix())


def write_frames(frames: Mapping[str, pl.DataFrame | pl.LazyFrame], folder: Path, at_once: int) -> None:
    """Writes frames into a folder under their names, in the bytes of the artifacts of those names."""
    from models.tabular import write_csv, write_parquet

    with ThreadPoolExecutor(at_once) as threads:
        writing = [threads.submit(write_parquet, frame, folder / f"{name}.parquet") for name, frame in frames.items()]
        for name, frame in frames.items():
            if name != MATCHED:
                writing.append(threads.submit(write_csv, frame, folder / f"{name}.csv"))
        for one in writing:
            one.result()
