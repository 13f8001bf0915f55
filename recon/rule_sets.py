"""Rule sets as a data engineer writes them: in a line, as JSON, or field by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeAlias

from pydantic_core import to_json

from matching import spec
from recon.rule_files import checked
from recon.short_forms import one_pass, read_definition


class RuleSet:
    """How records find their partners and how their values are compared, as POST /rules takes it; see docs/passes.md.

    Parts are objects (`recon.Pass`, `recon.Severities`, …) or JSON objects, with names in snake or camel case. Raises RuleInvalid,
    whose `fields` map paths such as `passes[0].keys[1]` to texts.
    """

    # No pydantic model: Prefect looks into the models that a task is given, and stumbles over the field `keys` of a pass.
    __slots__ = ("specification",)

    def __init__(
        self,
        passes: Sequence[spec.Pass | Json] = (),
        *,
        name: str | None = None,
        severities: spec.Severities | Json | None = None,
        amount: spec.Amount | Json | None = None,
        potential_matches: spec.PotentialMatches | Json | None = None,
        field_mappings: Sequence[spec.FieldMapping | Json] = (),
        matching_rules: Sequence[spec.MatchingRule | Json] = (),
    ) -> None:
        self.specification = spec.rule_set_of(
            {
                "name": name,
                "passes": list(passes) or None,
                "severities": severities,
                "amount": amount,
                "potentialMatches": potential_matches,
                "fieldMappings": list(field_mappings),
                "matchingRules": list(matching_rules),
            }
        )
        """What matching takes."""

    @classmethod
    def of(cls, keys: Iterable[str] | str, compare: Iterable[str] | str = (), *, name: str | None = None) -> Self:
        """One pass: records whose `keys` are equal are partners, and `compare` says what is judged on them.

        A key is a field, or `A=B` where the target calls it otherwise. A comparison is one of: FIELD, A=B (equal texts),
        A=B:0.01 (amounts within a tolerance, inclusive), A=B:1d (dates within days), A=B:~0.9 (similar texts), A=B:contains,
        A=B:starts-with, A=B:ends-with. Raises RuleInvalid.
        """
        return cls([one_pass(_several(keys), _several(compare))], name=name)

    @classmethod
    def read(cls, given: Rules) -> Self:
        """A rule set of another kind: a JSON object, or the path of a file that holds one. Raises RuleInvalid."""
        if isinstance(given, cls):
            return given
        made = cls()
        if isinstance(given, RuleSet):
            made.specification = given.specification
        elif isinstance(given, spec.RuleSet):
            made.specification = given
        else:
            definition = given if isinstance(given, Mapping) else read_definition(Path(given))
            made.specification = spec.rule_set_of(checked(definition))
        return made

    @property
    def name(self) -> str | None:
        return self.specification.name

    def definition(self) -> dict[str, Any]:
        """The JSON object that says this rule set, as POST /rules takes it."""
        return self.specification.model_dump(mode="json", by_alias=True, exclude_none=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleSet) and other.specification == self.specification

    def __hash__(self) -> int:
        return hash(to_json(self.definition()))

    def __repr__(self) -> str:
        return f"RuleSet.read({self.definition()})"


Json: TypeAlias = Mapping[str, Any]

Rules: TypeAlias = "RuleSet | spec.RuleSet | Json | str | PathLike[str]"
"""What a rule set may be given as."""


def _several(given: Iterable[str] | str) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def severities_of(given: spec.Severities | Mapping[str, Any] | None) -> spec.Severities | None:
    """Severities, or the JSON object that says them. Raises RuleInvalid."""
    return spec.validated(spec.Severities, given, "Severity map") if isinstance(given, Mapping) else given
