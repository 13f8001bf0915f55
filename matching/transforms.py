"""Changes of a value's text before it is compared."""

from __future__ import annotations

from enum import StrEnum


class Transform(StrEnum):
    """A change of a value's text before it is compared; the reported values stay as they were."""

    TRIM = "TRIM"
    """Drops white space (Unicode's) at both ends."""
    UPPER = "UPPER"
    """Unicode upper case."""
