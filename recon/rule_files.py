"""Rule sets in JSON: as `POST /rules` takes them and `GET /rules/{id}` gives them, and nothing misspelt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matching.errors import RuleInvalid
from recon.short_forms import read_definition

if TYPE_CHECKING:
    from pydantic import BaseModel

    from matching import RuleSet

_ABOUT_RULE_SETS = (
    "id",
    "description",
    "version",
    "isAiGenerated",
    "active",
    "isActive",
    "metadata",
    "createdAt",
    "updatedAt",
)
_ABOUT_MAPPINGS = ("id", "isKeyField", "transform", "transformConfig", "confidence")
_ABOUT_RULES = ("id", "description", "isActive", "threshold", "config")
"""What the server says beside what matching needs to know."""


def read_rule_set(path: Path) -> RuleSet:
    """The rule set in a JSON file. Raises RuleInvalid."""
    from matching import rule_set_of

    return rule_set_of(checked(read_definition(path)))


def checked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule set's JSON object says to matching. Raises RuleInvalid for names that nobody knows."""
    from matching import FieldMapping, MatchingRule, RuleSet

    _refuse_unknown("", definition, RuleSet, _ABOUT_RULE_SETS)
    said = {name: value for name, value in definition.items() if value is not None}
    for name, model, about in (
        ("fieldMappings", FieldMapping, _ABOUT_MAPPINGS),
        ("matchingRules", MatchingRule, _ABOUT_RULES),
    ):
        parts: Any = said.get(name)
        if isinstance(parts, list | tuple):
            said[name] = [
                _part(f"{name}[{number}]", one, model, about) if isinstance(one, Mapping) else one
                for number, one in enumerate(parts)
            ]
    return said


def _refuse_unknown(path: str, given: Mapping[str, Any], model: type[BaseModel], about: Sequence[str]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    unknown = ", ".join(f"'{name}'" for name in given if name not in {*names, *about, *model.model_fields})
    if unknown:
        text = f"unknown option {unknown}; available: {', '.join(names)}"
        raise RuleInvalid(f"Rule set is not valid: {f'{path}: ' if path else ''}{text}", fields={path: text})


def _part(path: str, given: Mapping[str, Any], model: type[BaseModel], about: Sequence[str]) -> dict[str, Any]:
    """A mapping or rule, with the server's other names for the same taken where the first ones are not given."""
    _refuse_unknown(path, given, model, about)
    said = {name: value for name, value in given.items() if value is not None}
    by_type = {"FUZZY": "fuzzyThreshold", "RANGE": "tolerance"}
    for other, name in (
        ("isKeyField", "isKey"),
        ("isActive", "active"),
        ("threshold", by_type.get(str(said.get("matchType")), "threshold")),
    ):
        if other in said:
            said.setdefault(name, said[other])
    return said
