"""Dual read: whether a legacy reconciliation and its stream run say the same."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from api.deps import Org, RecordId, Use
from api.envelope import Envelope, Wire, ok
from models import parity

routes = APIRouter(prefix="/reconciliations", tags=["reconciliations"])


class ComparedFigure(Wire):
    name: str
    legacy: Any
    stream: Any
    equal: bool


class ParityReport(Wire):
    """`differences` names the figures that are not equal; `clean` says that there are none."""

    reconciliation_id: int
    run_id: int
    step_run_id: int
    clean: bool
    differences: list[str]
    compared: list[ComparedFigure]


@routes.get("/{id}/parity", response_model=Envelope[ParityReport])
def report(use: Use, org: Org, id: RecordId) -> Response:
    """The reconciliation's figures beside those counted from its run's artifacts."""
    with use.database.read() as session:
        found = parity.compare(session, use.storage, org, id)
    return ok(ParityReport.model_validate(found))
