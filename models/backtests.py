"""Back-tests of rule sets on stored files: bounded, and in the caller's own thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matching.backtest import Change, Changes, backtest
from matching.errors import ReconError
from matching.spec import RuleSet
from models.errors import FileVanished, ValidationFailed
from models.files import StoredFile
from models.storage import Storage
from models.tabular import scan


class BacktestTooLarge(ReconError):
    """The files have more rows than a back-test may read while a client waits."""

    code = "BACKTEST_TOO_LARGE"


@dataclass(frozen=True)
class Backtest:
    """What changes; `rows` are one page of the matches with the statuses that were asked for, of `total`."""

    changes: Changes
    old: dict[str, int]
    new: dict[str, int]
    breaks: list[dict[str, Any]]
    totals: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    total: int


def run(
    storage: Storage,
    rule_sets: tuple[RuleSet, RuleSet],
    inputs: tuple[StoredFile, StoredFile],
    *,
    row_limit: int,
    statuses: Sequence[Change],
    offset: int,
    limit: int,
) -> Backtest:
    """Matches source and target by the old and the new rule set.

    Raises BacktestTooLarge for more than `row_limit` rows in both files together, ValidationFailed, FileVanished and what
    `matching.reconcile` raises.
    """
    rows = sum(one.row_count or 0 for one in inputs)
    if rows > row_limit:
        raise BacktestTooLarge(
            f"The files have {rows:,} rows, and a back-test takes at most {row_limit:,} (RECON_BACKTEST_ROWS); "
            "use `recon backtest` for larger ones",
            rows=rows,
            limit=row_limit,
        )
    source, target = (_twin(storage, one) for one in inputs)
    with storage.guard(source), storage.guard(target):
        frames = scan(storage.scan_parquet(source), inputs[0].id), scan(storage.scan_parquet(target), inputs[1].id)
        found = backtest(*rule_sets, *frames)
    wanted = found.matches.filter(found.matches["status"].is_in([one.value for one in statuses]))
    return Backtest(
        changes=found.changes,
        old=found.old.on_the_wire(),
        new=found.new.on_the_wire(),
        breaks=found.breaks.to_dicts(),
        totals=found.totals.to_dicts(),
        rows=wanted.slice(offset, limit).to_dicts(),
        total=wanted.height,
    )


def _twin(storage: Storage, stored: StoredFile) -> str:
    if stored.twin_path is None:
        raise ValidationFailed("File processing failed. Please check your file and try again.", status=stored.status)
    if not storage.exists(stored.twin_path):
        raise FileVanished(f"The bytes of file {stored.id} '{stored.original_filename}' are missing", file_id=stored.id)
    return stored.twin_path
