"""The OpenAPI document: published as it is, complete, and its examples are answers."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from api.app import create_app
from api.examples import REQUESTS, RESPONSES
from api.openapi import CONFLICTING, NAMES, REFERRING, THROTTLED
from api.routes.runs import ArtifactDetail, CanceledRun, RunDetail, StepRunDetail
from api.routes.streams import RunCreated, RunRequest, StreamDetail, StreamRequest, StreamSummary, Validation
from models.settings import Settings
from recon.published import DOCUMENT, openapi_text

SHAPES: dict[str, type[BaseModel]] = {
    "createStream": StreamSummary,
    "getStream": StreamDetail,
    "validateStream": Validation,
    "createStreamRun": RunCreated,
    "getStreamRun": RunDetail,
    "listStreamRunSteps": StepRunDetail,
    "listStepRunArtifacts": ArtifactDetail,
    "cancelStreamRun": CanceledRun,
}


def operations() -> dict[str, dict[str, Any]]:
    """By method and path below `/api/v1`."""
    paths = create_app(Settings(streams_enabled=True)).openapi()["paths"]
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": one
        for path, all_ in paths.items()
        for method, one in all_.items()
    }


def test_the_published_document_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == openapi_text(), "run `make openapi`"


def test_every_operation_has_a_name_of_its_own_a_tag_and_its_errors() -> None:
    found = operations()
    names = [one["operationId"] for one in found.values()]
    assert len(set(names)) == len(names)
    for route, one in found.items():
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one["operationId"]), route
        assert len(one["tags"]) == 1, route
        assert {"403", "503"} <= set(one["responses"]), route
        assert not {"422", "4XX", "500"} & set(one["responses"]), route
        assert ("404" in one["responses"]) >= ("{" in route), route
    for table in (NAMES, REFERRING, CONFLICTING, THROTTLED):
        assert set(table) <= set(found)


def test_the_examples_are_requests_and_answers() -> None:
    found = {one["operationId"]: one for one in operations().values()}
    assert set(SHAPES) == set(RESPONSES)
    for name, shape in SHAPES.items():
        shown = RESPONSES[name]
        for one in shown if isinstance(shown, list) else [shown]:
            given = shape.model_validate(one).model_dump(mode="json", by_alias=True, exclude_unset=True)
            assert given == one
            if shape is not Validation:
                assert set(one) == {field.alias for field in shape.model_fields.values()}
        (answer,) = (of for status, of in found[name]["responses"].items() if status.startswith("2"))
        assert answer["content"]["application/json"]["example"]["data"] == shown
    for name, shape in {"createStream": StreamRequest, "createStreamRun": RunRequest}.items():
        assert (
            shape.model_validate(REQUESTS[name]).model_dump(mode="json", by_alias=True, exclude_unset=True)
            == REQUESTS[name]
        )
