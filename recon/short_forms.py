"""Rule sets as people give them: keys and comparisons in short, and JSON files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matching.errors import RuleInvalid

COMPARE_FORMS = (
    "FIELD, A=B, A=B:0.01 (amounts), A=B:1d (days), A=B:~0.9 (similar texts), A=B:contains, :starts-with, :ends-with"
)

_NAMED_RULES = {"exact": "EXACT", "contains": "CONTAINS", "starts-with": "STARTS_WITH", "ends-with": "ENDS_WITH"}


def one_pass(keys: Iterable[str], compare: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """A pass in JSON. Raises RuleInvalid, whose message calls them key and compare with `prefix` before it."""
    return {
        "keys": [parse_key(one, f"{prefix}key") for one in keys],
        "comparisons": [parse_compare(one, f"{prefix}compare") for one in compare],
    }


def parse_key(text: str, called: str = "key") -> dict[str, Any]:
    """`A=B`, or `A` for both sides, as a key of a pass. Raises RuleInvalid."""
    source, equals, target = text.partition("=")
    if not source or (equals and not target):
        raise RuleInvalid(f"{called} '{text}' is not understood; expected: A=B, or A for both sides")
    return {"sourceField": source, "targetField": target or source}


def parse_compare(text: str, called: str = "compare") -> dict[str, Any]:
    """One of `COMPARE_FORMS` as a comparison of a pass. Raises RuleInvalid."""
    fields, _, rule = text.rpartition(":") if ":" in text else (text, ":", "exact")
    source, equals, target = fields.partition("=")
    judged = _rule(rule)
    if not source or (equals and not target) or judged is None:
        raise RuleInvalid(f"{called} '{text}' is not understood; expected one of: {COMPARE_FORMS}")
    return {"sourceField": source, "targetField": target or source, **judged}


def _rule(text: str) -> dict[str, Any] | None:
    if text.lower() in _NAMED_RULES:
        return {"matchType": _NAMED_RULES[text.lower()]}
    if re.fullmatch(r"[0-9]{1,7}d", text):
        return {"matchType": "DATE_WINDOW", "daysTolerance": int(text[:-1])}
    if re.fullmatch(r"~([0-9]*\.?[0-9]+)?", text):
        return {"matchType": "FUZZY", **({"fuzzyThreshold": float(text[1:])} if text[1:] else {})}
    if re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        return {"matchType": "RANGE", "tolerance": text}
    return None


def read_definition(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises RuleInvalid."""
    try:
        definition = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RuleInvalid(f"Rule set {path} can't be read: {error.strerror}", path=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise RuleInvalid(f"{path.name} is not JSON: {error}") from error
    if not isinstance(definition, dict):
        raise RuleInvalid(f"{path.name} has no rule set: a JSON object is expected")
    return definition
