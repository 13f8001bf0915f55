"""Breaks that come again: a later run's break takes over what people did with the same one before."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models.breaks import Break
from models.runs import StreamRun
from models.streams import Step, Stream

CARRIED = (
    "status",
    "resolution",
    "resolved_by",
    "resolved_at",
    "acknowledged_at",
    "reviewed_at",
    "ignored_at",
    "assignee",
    "due_at",
    "ai_suggestion",
    "first_seen_at",
)
"""Columns whose values a break takes over."""


def series_of(session: Session, run: StreamRun, step: Step) -> str:
    """What is reconciled again and again: a stream's step; for reconciliations that stand alone, their rule set."""
    stream = session.get_one(Stream, run.stream_id)
    return f"rules {step.rule_set_id}" if stream.implicit else f"stream {stream.id} step {step.step_order}"


def take_over(session: Session, step_run_id: int, series: str) -> None:
    """Gives the breaks of a step run what the newest earlier break with the same series and fingerprint has."""
    first = session.exec(select(Break.id).where(col(Break.step_run_id) == step_run_id).order_by(col(Break.id))).first()
    if first is None:
        return
    before = aliased(Break)
    earlier = (
        select(col(before.id))
        .where(
            col(before.series) == series,
            col(before.fingerprint) == col(Break.fingerprint),
            col(before.id) < first,
        )
        .order_by(col(before.id).desc())
        .limit(1)
        .correlate(Break)
        .scalar_subquery()
    )
    mine = col(Break.step_run_id) == step_run_id
    session.execute(
        update(Break).where(mine).values(carried_from=earlier), execution_options={"synchronize_session": False}
    )
    session.execute(
        update(Break)
        .where(mine, col(Break.carried_from) == col(before.id))
        .values({name: getattr(before, name) for name in CARRIED}),
        execution_options={"synchronize_session": False},
    )
