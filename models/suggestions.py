"""The answer to "what is this exception, and what could settle it?", worked out from the records that the step compared."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from matching.errors import ReconError
from matching.explain import why_not
from matching.explained import WhyNot
from matching.fields import SideName
from matching.spec import RuleSet
from matching.terms import BreakType
from models import plan
from models.breaks import Break
from models.files import StoredFile
from models.runs import StepRun, StreamRun
from models.storage import Storage
from models.streams import Step
from models.tabular import scan

NEAREST = 3
LONE = (BreakType.MISSING_SOURCE, BreakType.MISSING_TARGET, BreakType.DUPLICATE, BreakType.FORMAT_ERROR)
"""Types of breaks that are about one record, for which the other side is searched."""


@dataclass(frozen=True)
class Question:
    """A break, and what its step compared under which rules; no inputs where they are gone."""

    row: Break
    rule_set: RuleSet | None = None
    source: StoredFile | None = None
    target: StoredFile | None = None


def question(session: Session, storage: Storage, row: Break) -> Question:
    """Everything that `answer` needs of the database."""
    if row.type not in LONE or not row.identities:
        return Question(row)
    step_run = session.get_one(StepRun, row.step_run_id)
    run, step = session.get_one(StreamRun, step_run.run_id), session.get_one(Step, step_run.step_id)
    of_run = select(StepRun.step_order, StepRun.id).where(col(StepRun.run_id) == run.id)
    try:
        rule_set = plan.pinned_rules(session, run, step)
        inputs = plan.resolve(session, storage, run, step, dict(session.exec(of_run).all()))
    except ReconError:
        return Question(row)
    return Question(row, rule_set, inputs["source"].file, inputs["target"].file)


def answer(storage: Storage, asked: Question, row_limit: int) -> str:
    """One or a few sentences. The other side is searched where both inputs together have at most `row_limit` rows."""
    row = asked.row
    said = row.description.rstrip(".")
    if row.key_text:
        said += f" ({row.key_text})"
    if row.field_name is not None and row.source_value != row.target_value:
        said += f": source '{row.source_value or ''}', target '{row.target_value or ''}'"
        said += f", {row.delta} apart" if row.delta else ""
    found = _searched(storage, asked, row_limit)
    if found is None:
        return f"{said}."
    if not found.candidates:
        return f"{said}. Nothing on the other side comes near it."
    near = "; ".join(f"record {one.record}: {one.sentence}" for one in found.candidates)
    return f"{said}. Nearest on the other side: {near}."


def _searched(storage: Storage, asked: Question, row_limit: int) -> WhyNot | None:
    source, target = asked.source, asked.target
    if asked.rule_set is None or source is None or target is None or not source.twin_path or not target.twin_path:
        return None
    if (source.row_count or 0) + (target.row_count or 0) > row_limit:
        return None
    side: SideName = "source" if asked.row.source_identity is not None else "target"
    identity = asked.row.source_identity or asked.row.target_identity
    assert identity is not None  # noqa: S101 - `question` gives no inputs without one
    with storage.guard(source.twin_path), storage.guard(target.twin_path):
        theirs = scan(storage.scan_parquet(target.twin_path), target.id)
        ours = scan(storage.scan_parquet(source.twin_path), source.id)
        return why_not(asked.rule_set, ours, theirs, identity, side=side, nearest=NEAREST)[0]
