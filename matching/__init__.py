"""Matching: a rule set and two frames in, an outcome out. Pure: no HTTP, no database, no engine, no file system."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matching.fields import (
        DateWindowRule,
        ExactRule,
        FieldRule,
        FuzzyRule,
        FxRule,
        KeyPair,
        NumericRule,
        OneOfRule,
        RangeRule,
        RegexRule,
        TextRule,
    )
    from matching.outcome import Outcome, Statistics, Totals
    from matching.passes import reconcile
    from matching.plan import required_columns
    from matching.spec import FieldMapping, MatchingRule, Pass, RuleSet, Severities, rule_set_of
    from matching.terms import BreakType, MatchType, Reason, Severity
    from matching.transforms import Transform

__all__ = [
    "BreakType",
    "DateWindowRule",
    "ExactRule",
    "FieldMapping",
    "FieldRule",
    "FuzzyRule",
    "FxRule",
    "KeyPair",
    "MatchType",
    "MatchingRule",
    "NumericRule",
    "OneOfRule",
    "Outcome",
    "Pass",
    "RangeRule",
    "Reason",
    "RegexRule",
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
    **dict.fromkeys(("DateWindowRule", "ExactRule", "FieldRule", "FuzzyRule", "FxRule", "KeyPair"), "matching.fields"),
    **dict.fromkeys(("NumericRule", "OneOfRule", "RangeRule", "RegexRule", "TextRule"), "matching.fields"),
    **dict.fromkeys(("BreakType", "MatchType", "Reason", "Severity"), "matching.terms"),
    "Transform": "matching.transforms",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: who wants the errors only, as the command line does, need not wait for Polars.
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "matching.spec")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
