"""Back-tests of a rule set: what would change if another version, or other passes, took its place."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.deps import Org, RecordId, Use
from api.envelope import Envelope, PageOf, PagingQuery, Wire, ok, page_of
from api.wire import Given, JsonObject
from matching.backtest import Change
from matching.spec import RuleSet, rule_set_of
from models import files, rules
from models.backtests import run
from models.errors import ValidationFailed

routes = APIRouter(prefix="/rules", tags=["rules"])

GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]

CHANGED = (Change.LOST, Change.RE_PAIRED, Change.WON)


class BacktestRequest(Given):
    """The candidate is a `version` of the rule set, or its current version with other `passes`: one of the two."""

    source_file_id: GivenId
    target_file_id: GivenId
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    passes: list[JsonObject] | None = None


class MatchChanges(Wire):
    """Numbers of matches: same + lost + rePairedOld are the old ones, same + won + rePairedNew the new ones."""

    old: int
    new: int
    same: int
    won: int
    lost: int
    re_paired_old: int
    re_paired_new: int
    re_paired: int


class Counted(Wire):
    total_source_records: int
    total_target_records: int
    matched_records: int
    unmatched_source_records: int
    unmatched_target_records: int
    exception_count: int


class BreakChange(Wire):
    type: str
    field: str | None
    same: int
    gone: int
    new: int


class TotalChange(Wire):
    side: str
    bucket: str
    old: int
    new: int


class MatchChange(Wire):
    """Records are written as file id and row: `12:5, 12:6`."""

    status: Change
    source_old: str | None
    source_new: str | None
    target_old: str | None
    target_new: str | None
    pass_old: str | None
    pass_new: str | None


class Backtest(Wire):
    changes: MatchChanges
    old: Counted
    new: Counted
    breaks: list[BreakChange]
    totals: list[TotalChange]
    matches: PageOf[MatchChange]


@routes.post("/{id}/backtest", response_model=Envelope[Backtest])
def backtest(
    use: Use,
    org: Org,
    id: RecordId,
    body: BacktestRequest,
    paging: PagingQuery,
    status: Annotated[list[Change] | None, Query(description="which matches; by default all that change")] = None,
) -> Response:
    """Matches two files by the rule set as it is and by a candidate; nothing is stored."""
    if (body.version is None) == (body.passes is None):
        raise ValidationFailed(
            "Validation failed", fields={"version": "give either version or passes: the candidate to compare with"}
        )
    with use.database.read() as session:
        newest = rules.get(session, org, id).version
        current = rules.pinned(session, id, newest)
        if body.version is not None and body.version > newest:
            text = f"there is no version {body.version}; the newest one is {newest}"
            raise ValidationFailed("Validation failed", fields={"version": text})
        candidate = _with_passes(current, body) if body.version is None else rules.pinned(session, id, body.version)
        source, target = (files.get(session, org, one) for one in (body.source_file_id, body.target_file_id))
    found = run(
        use.storage,
        (current, candidate),
        (source, target),
        row_limit=use.settings.backtest_rows,
        statuses=status or CHANGED,
        offset=paging.page * paging.size,
        limit=paging.size,
    )
    rows = [MatchChange.model_validate(one) for one in found.rows]
    answer = Backtest(
        changes=MatchChanges.model_validate(found.changes),
        old=Counted.model_validate(found.old),
        new=Counted.model_validate(found.new),
        breaks=[BreakChange.model_validate(one) for one in found.breaks],
        totals=[TotalChange.model_validate(one) for one in found.totals],
        matches=page_of(rows, found.total, paging.page, paging.size),
    )
    return ok(answer, "Rule set back-tested successfully")


def _with_passes(current: RuleSet, body: BacktestRequest) -> RuleSet:
    definition = current.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rule_set_of({**definition, "passes": body.passes})
