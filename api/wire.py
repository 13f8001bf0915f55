"""Types that several routes' bodies share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("Name is required")
    return value


Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(_not_blank)]
"""A name for people; not blank."""
