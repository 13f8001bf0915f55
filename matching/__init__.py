"""Matching: a rule set and two frames in, an outcome out. Pure: no HTTP, no database, no engine, no file system."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matching.outcome import Outcome, Statistics, Totals
    from matching.passes import reconcile
    from matching.plan import required_columns
    from matching.spec import (
        BreakType,
        DateWindowRule,
        ExactRule,
        FieldMapping,
        FieldRule,
        FuzzyRule,
        KeyPair,
        MatchingRule,
        MatchType,
        Pass,
        RangeRule,
        Reason,
        RuleSet,
        Severities,
        Severity,
        TextRule,
        Transform,
        rule_set_of,
    )

__all__ = [
    "BreakType",
    "DateWindowRule",
    "ExactRule",
    "FieldMapping",
    "FieldRule",
    "FuzzyRule",
    "KeyPair",
    "MatchType",
    "MatchingRule",
    "Outcome",
    "Pass",
    "RangeRule",
    "Reason",
    "RuleSet",
    "Severities",
    "Severity",
    "Statistics",
    "TextRule",
    "Totals",
    "Transform",
    "reconcile",
    "required_columns",
    "rule_set_of",
]

_ELSEWHERE = {
    "Outcome": "matching.outcome",
    "Statistics": "matching.outcome",
    "Totals": "matching.outcome",
    "reconcile": "matching.passes",
    "required_columns": "matching.plan",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: who wants the errors only, as the command line does, need not wait for Polars.
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "matching.spec")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
