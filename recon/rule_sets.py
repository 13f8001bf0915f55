"""Rule sets as a data engineer writes them: in a line, as JSON, or field by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self

from matching import spec
from recon.rule_files import checked
from recon.short_forms import one_pass, read_definition


class RuleSet(spec.RuleSet):
    """How records find their partners and how their values are compared, as POST /rules takes it; see docs/passes.md.

    Field names are snake case in Python and camel case in JSON; either is taken.
    """

    @classmethod
    def of(cls, keys: Iterable[str] | str, compare: Iterable[str] | str = (), *, name: str | None = None) -> Self:
        """One pass: records whose `keys` are equal are partners, and `compare` says what is judged on them.

        A key is a field, or `A=B` where the target calls it otherwise. A comparison is one of: FIELD, A=B (equal texts),
        A=B:0.01 (amounts within a tolerance, inclusive), A=B:1d (dates within days), A=B:~0.9 (similar texts), A=B:contains,
        A=B:starts-with, A=B:ends-with. Raises RuleInvalid.
        """
        return cls.read({"name": name, "passes": [one_pass(_several(keys), _several(compare))]})

    @classmethod
    def read(cls, given: spec.RuleSet | Mapping[str, Any] | str | PathLike[str]) -> Self:
        """A rule set of another kind: a JSON object, or the path of a file that holds one. Raises RuleInvalid."""
        if isinstance(given, cls):
            return given
        if isinstance(given, spec.RuleSet):
            given = given.model_dump(by_alias=True)
        elif isinstance(given, str | PathLike):
            given = read_definition(Path(given))
        return spec.validated(cls, checked(given))

    def definition(self) -> dict[str, Any]:
        """The JSON object that says this rule set, as POST /rules takes it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _several(given: Iterable[str] | str) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def severities_of(given: spec.Severities | Mapping[str, Any] | None) -> spec.Severities | None:
    """Severities, or the JSON object that says them. Raises RuleInvalid."""
    return spec.validated(spec.Severities, given, "Severity map") if isinstance(given, Mapping) else given
