"""The probabilistic pass as it is written: which fields are compared, and from which weight on two records are of one thing."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from matching.errors import RuleInvalid
from matching.linkage_model import LinkField, LinkMethod, LinkSettings, model_of
from matching.pairs import FieldPair
from matching.terms import Strict


class LinkageField(FieldPair):
    """One compared pair of fields; see `linkage_model.LinkField`."""

    name: str = ""
    """Unique among the fields; by default the source field."""
    method: LinkMethod = LinkMethod.JARO_WINKLER
    thresholds: tuple[float, ...] | None = None
    term_frequency: bool = False
    swapped_with: str | None = None

    @property
    def own_name(self) -> str:
        return self.name or self.source_field


class Linkage(Strict):
    """Asks for weights that are learned without labels (Fellegi and Sunter); needs the extra `linkage`."""

    fields: tuple[LinkageField, ...] = Field(min_length=1)
    blocking: tuple[tuple[str, ...], ...] = ()
    """Sets of field names: two records are candidates where all of one set are equal. None: chosen from the records."""
    minimum_weight: float = 5.0
    """log2 of the odds from which on a candidate may become a match, inclusive; 0 is even odds, 5 is 32 to 1."""
    prior: float | None = Field(default=None, gt=0, lt=1)
    """The share of all pairs of records that are of one thing. None: learned."""
    seed: int = Field(default=1, ge=0, le=2**31)
    maximum_candidates: int = Field(default=20_000_000, ge=1)
    model: dict[str, Any] | None = None
    """Of an earlier match: then nothing is learned."""

    @property
    def settings(self) -> LinkSettings:
        """The kernel's settings; each field's columns are named by its number. Raises RuleInvalid."""
        return LinkSettings(
            fields=tuple(
                LinkField(
                    name=one.own_name,
                    source=str(number),
                    target=str(number),
                    method=one.method,
                    thresholds=one.thresholds,
                    term_frequency=one.term_frequency,
                    swapped_with=one.swapped_with,
                )
                for number, one in enumerate(self.fields)
            ),
            blocking=self.blocking,
            seed=self.seed,
            min_weight=self.minimum_weight,
            max_candidates=self.maximum_candidates,
            prior=self.prior,
        )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            settings = self.settings
            if self.model is not None:
                model_of(self.model, settings.compared)
        except RuleInvalid as error:
            raise PydanticCustomError("linkage", "{text}", {"text": error.message}) from error
        return self
