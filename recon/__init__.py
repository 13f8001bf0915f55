"""What a data engineer imports: streams as code, and one match as a function or a Prefect task.

from recon import RuleSet, Step, Stream, reconcile
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matching import (
        DateWindowRule,
        ExactRule,
        FieldMapping,
        FuzzyRule,
        FxRule,
        KeyPair,
        MatchingRule,
        NumericRule,
        OneOfRule,
        Pass,
        RangeRule,
        RegexRule,
        Severities,
        TextRule,
    )
    from matching.errors import ReconError
    from recon.client import Client
    from recon.definition import Step, Stream
    from recon.deploying import Deployment
    from recon.given import Input, StepOutput
    from recon.results import RunFailed, StepNotCompleted, StepResult, StreamResult
    from recon.rule_sets import RuleSet
    from recon.tasks import reconcile

__all__ = [
    "Client",
    "DateWindowRule",
    "Deployment",
    "ExactRule",
    "FieldMapping",
    "FuzzyRule",
    "FxRule",
    "Input",
    "KeyPair",
    "MatchingRule",
    "NumericRule",
    "OneOfRule",
    "Pass",
    "RangeRule",
    "ReconError",
    "RegexRule",
    "RuleSet",
    "RunFailed",
    "Severities",
    "Step",
    "StepNotCompleted",
    "StepOutput",
    "StepResult",
    "Stream",
    "StreamResult",
    "TextRule",
    "reconcile",
]

_ELSEWHERE = {
    "Client": "recon.client",
    "Deployment": "recon.deploying",
    "ReconError": "matching.errors",
    "RuleSet": "recon.rule_sets",
    "reconcile": "recon.tasks",
    **dict.fromkeys(("Input", "StepOutput"), "recon.given"),
    **dict.fromkeys(("RunFailed", "StepNotCompleted", "StepResult", "StreamResult"), "recon.results"),
    **dict.fromkeys(("Step", "Stream"), "recon.definition"),
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command line waits for none of it, and only `reconcile` needs Prefect.
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "matching")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
