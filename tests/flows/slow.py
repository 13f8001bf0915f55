"""Rows and rules that take as long to match as a test needs: every text is compared with every other one."""

from __future__ import annotations

import random
from typing import Any

SLOW_PASS: list[dict[str, Any]] = [
    {
        "keys": [{"sourceField": "k"}],
        "conditions": [{"sourceField": "name", "matchType": "FUZZY", "fuzzyThreshold": 0.99}],
    }
]


def slow_rows(seed: int, rows: int = 1500, letters: int = 200) -> str:
    """CSV with columns `k`, the same everywhere, and `name`; about ten seconds of work against another such file."""
    chosen = random.Random(seed)
    lines = (f"x,{''.join(chosen.choices('abcdefgh', k=letters))}" for _ in range(rows))
    return "\n".join(["k,name", *lines]) + "\n"
