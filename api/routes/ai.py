"""Suggestions from the values themselves, on the legacy's routes: no model and no service behind."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from api.deps import Org, Services, Use
from api.envelope import Envelope, Wire, ok
from matching.suggest.domains import detect_domain
from matching.suggest.proposal import GivenMapping, MappingSuggestion, RuleSuggestion, Suggestion, suggest
from matching.terms import LEGACY_MATCH_TYPES, MatchType
from models import files
from models.errors import FileVanished, ValidationFailed
from models.files import FileStatus, StoredFile
from models.streams import Domain

routes = APIRouter(tags=["suggestions"])

LONGEST_NAME = 255
MOST_TEXT = 1 << 20
"""Bytes of a text that its domain is told by."""

GivenId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Compared(Wire):
    source_file_id: GivenId
    target_file_id: GivenId


class MappingsRequest(Compared):
    """`domain` is taken for the sake of clients; the values decide."""

    domain: str | None = None


class ChosenMapping(Wire):
    source_field: str = Field(min_length=1)
    target_field: str = Field(min_length=1)
    is_key: bool | None = None
    is_key_field: bool | None = None

    def given(self) -> GivenMapping:
        is_key = self.is_key if self.is_key is not None else self.is_key_field
        return GivenMapping(self.source_field, self.target_field, bool(is_key))


class RulesRequest(MappingsRequest):
    """Without `mappings` those that are suggested themselves are taken."""

    mappings: list[ChosenMapping] | None = None


class SuggestedMapping(Wire):
    source_field: str
    target_field: str
    confidence: float
    reason: str
    is_key: bool
    suggested_transform: str | None


class SuggestedMappings(Wire):
    mappings: list[SuggestedMapping]
    explanation: str


class SuggestedRule(Wire):
    """A matching rule as POST /rules takes it; `confidence` is the share of joined records that agree under it."""

    name: str
    source_field: str
    target_field: str
    match_type: str
    is_key: bool
    fuzzy_threshold: float | None
    tolerance: float | None
    priority: int
    reason: str
    confidence: float


class SuggestedRules(Wire):
    rules: list[SuggestedRule]
    explanation: str


class DetectedDomain(Wire):
    domain: Domain
    confidence: float


@routes.post("/ai/suggest-mappings", response_model=Envelope[SuggestedMappings])
def mappings(use: Use, org: Org, body: MappingsRequest) -> Response:
    """Which fields of two files say the same, and which of them find the partner of a record."""
    found = _suggestion(use, org, body, None)
    return ok(SuggestedMappings(mappings=[_mapping(one) for one in found.mappings], explanation=found.explanation))


@routes.post("/ai/suggest-rules", response_model=Envelope[SuggestedRules])
def rules(use: Use, org: Org, body: RulesRequest) -> Response:
    """How the fields of two files are to be judged, from the records that their key brings together."""
    found = _suggestion(use, org, body, [one.given() for one in body.mappings or []] or None)
    shown = [_rule(one, number) for number, one in enumerate(found.rules, 1)]
    return ok(SuggestedRules(rules=shown, explanation=found.explanation))


@routes.post("/reconciliations/detect-domain", response_model=Envelope[DetectedDomain])
def domain_of_files(use: Use, org: Org, body: Compared) -> Response:
    """The business that two files are about, told by their names and columns; GENERAL where these don't tell."""
    stored = _stored(use, org, body)
    texts = [text for one in stored for text in (one.original_filename.rpartition(".")[0], *one.columns)]
    return ok(_domain(texts), "Reconciliation domain detected")


@routes.post("/knowledge/detect-domain", response_model=Envelope[DetectedDomain], openapi_extra={
    "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}
})  # fmt: skip
async def domain_of_text(request: Request) -> Response:
    """The business that a text is about; its first mebibyte counts."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk[: MOST_TEXT - len(read)]
    return ok(await run_in_threadpool(_domain, [read.decode("utf-8", "replace")]))


def _domain(texts: list[str]) -> DetectedDomain:
    found, confidence = detect_domain(texts)
    return DetectedDomain(domain=Domain(found), confidence=confidence)


def _stored(use: Services, org: int, body: Compared) -> list[StoredFile]:
    with use.database.read() as session:
        return [files.get(session, org, file_id) for file_id in (body.source_file_id, body.target_file_id)]


def _suggestion(use: Services, org: int, body: Compared, given: list[GivenMapping] | None) -> Suggestion:
    source, target = (_twin(use, one) for one in _stored(use, org, body))
    with use.storage.guard(source), use.storage.guard(target):
        return suggest(use.storage.scan_parquet(source), use.storage.scan_parquet(target), given)


def _twin(use: Services, stored: StoredFile) -> str:
    if stored.status != FileStatus.PROCESSED or stored.twin_path is None:
        raise ValidationFailed("File processing failed. Please check your file and try again.", status=stored.status)
    if not use.storage.exists(stored.twin_path):
        raise FileVanished(f"The bytes of file {stored.id} '{stored.original_filename}' are missing", file_id=stored.id)
    return stored.twin_path


def _mapping(one: MappingSuggestion) -> SuggestedMapping:
    return SuggestedMapping(
        source_field=one.source_field,
        target_field=one.target_field,
        confidence=one.confidence,
        reason=one.reason,
        is_key=one.is_key,
        suggested_transform=", ".join(one.transforms) or None,
    )


def _rule(one: RuleSuggestion, priority: int) -> SuggestedRule:
    """As a rule set without passes can have it."""
    match_type, options, left_out = _legacy(one)
    reason = one.reason + (f". Only a rule set with passes can say that: {left_out}" if left_out else "")
    return SuggestedRule(
        name=f"{one.source_field} {match_type.value}"[:LONGEST_NAME],
        source_field=one.source_field,
        target_field=one.target_field,
        match_type=match_type.value,
        is_key=one.is_key,
        fuzzy_threshold=options.get("fuzzyThreshold"),
        tolerance=None if one.tolerance is None else float(one.tolerance),
        priority=priority,
        reason=reason,
        confidence=one.confidence,
    )


def _legacy(one: RuleSuggestion) -> tuple[MatchType, dict[str, Any], str]:
    """The nearest rule without transforms, its options, and what it can't say."""
    rule = one.rule
    chains = (*rule.source_transforms, *rule.target_transforms, *rule.transforms)
    named = [chain if isinstance(chain, str) else str(chain["type"]) for chain in chains]
    if rule.match_type not in LEGACY_MATCH_TYPES:
        said = " ".join(f"{name} {value}" for name, value in rule.options.items())
        return MatchType.EXACT, {}, f"{rule.match_type.value} {said}"
    # Cells are trimmed, and FUZZY judges lower-case texts: at 1 it is EXACT whatever the case.
    beyond = [name for name in named if name not in ("TRIM", "UPPER")]
    if rule.match_type is MatchType.EXACT and "UPPER" in named and not one.is_key:
        return MatchType.FUZZY, {"fuzzyThreshold": 1.0}, ", ".join(beyond)
    lost = beyond if not one.is_key else named
    return rule.match_type, rule.options, ", ".join(lost)
