"""Sizes as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_size(text: str) -> int:
    """Bytes: `6GB`, `512MiB`, `1.5g`, `1000000`. Raises ValueError."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?I?)B?\s*", text.upper())
    if found is None or found[2] not in _UNITS or not (size := int(float(found[1]) * _UNITS[found[2]])):
        raise ValueError(f"'{text}' is no size; expected e.g. 6GB, 512MiB or a number of bytes")
    return size
