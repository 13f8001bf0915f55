"""The root of the project's one error tree, and the errors of matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ReconError(Exception):
    """Anything the product can say went wrong.

    `code` is stable and UPPER_SNAKE: clients may switch on it. `retryable` is a fact of the class: True only where the same
    attempt may succeed later (something was out of reach). `attributes` hold the offending identifiers, what was expected and
    what is available, JSON-ready. `fields` maps a request's field path to a text when fields are to blame.
    """

    code: str = "RECON_ERROR"
    retryable: bool = False

    def __init__(self, message: str, *, fields: dict[str, str] | None = None, **attributes: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or {}
        self.attributes = attributes

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders (worker, engine): keyword attributes must survive pickling.
        return (_rebuild, (type(self), self.message, self.code, self.fields, self.attributes))


def _rebuild(
    cls: type[ReconError], message: str, code: str, fields: dict[str, str], attributes: dict[str, Any]
) -> ReconError:
    error = cls.__new__(cls)
    ReconError.__init__(error, message, fields=fields, **attributes)
    error.code = code
    return error


class MatchingError(ReconError):
    """A rule set and frames that can't be matched."""

    code = "MATCHING_ERROR"


class KeyFieldRequired(MatchingError):
    """The rule set has no key: nothing says which records belong together."""

    code = "KEY_FIELD_REQUIRED"

    def __init__(self) -> None:
        super().__init__("Rule set must have at least one key field")


class ColumnNotFound(MatchingError):
    """A rule names a column that the input does not have."""

    code = "COLUMN_NOT_FOUND"

    def __init__(self, side: str, missing: Sequence[str], available: Sequence[str]) -> None:
        names = ", ".join(f"'{name}'" for name in missing)
        super().__init__(
            f"Column {names} not found in {side}; available: {', '.join(available) or 'none'}",
            side=side,
            missing=list(missing),
            available=list(available),
        )


class RuleInvalid(MatchingError):
    """A rule set's own content is wrong: an unknown option, a bad bound, a combination that means nothing."""

    code = "RULE_INVALID"


class SearchTooWide(MatchingError):
    """A pass has more candidates than can be held: nearly every record could be the partner of many others."""

    code = "SEARCH_TOO_WIDE"

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(
            f"Pass '{name}' has more than {limit:,} candidates; give it another key or a narrower condition",
            pass_name=name,
            limit=limit,
        )


class RecordUnknown(MatchingError):
    """A record or a match is asked about that is not there."""

    code = "RECORD_UNKNOWN"


class ConservationBroken(MatchingError):
    """An outcome that lost or doubled a row: a defect of the engine, never of the input."""

    code = "CONSERVATION_BROKEN"
