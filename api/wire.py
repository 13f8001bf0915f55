"""Types that several routes' bodies share: what is accepted is what any database keeps and gives back as it was."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, StringConstraints

from api.envelope import Wire

DEEPEST = 64
"""Levels of nesting in JSON whose shape is the client's own."""


class Given(Wire):
    """A request's JSON object; fields go by their camelCase names alone."""

    model_config = ConfigDict(populate_by_name=False)


def _keepable(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair stands alone; send both halves or none") from None
    return value


def keepable_json(value: Any) -> Any:
    """The value, if every database keeps it. Raises ValueError on NULs, halves of surrogate pairs, numbers that are none,
    and nesting beyond DEEPEST."""
    level = [value]
    for _ in range(DEEPEST):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, str):
                _keepable(one)
            elif isinstance(one, float) and not math.isfinite(one):
                raise ValueError(f"{one} is no JSON number; a finite one is needed")
            elif isinstance(one, dict):
                inside += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                inside += one
        if not inside:
            return value
        level = inside
    raise ValueError(f"nested deeper than {DEEPEST} levels")


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("Name is required")
    return value


Text = Annotated[str, AfterValidator(_keepable)]
"""A text as given."""

JsonObject = Annotated[dict[str, Any], AfterValidator(keepable_json)]
"""A JSON object of the client's own, kept as given."""

Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(_keepable), AfterValidator(_not_blank)]
"""A name for people; not blank."""
