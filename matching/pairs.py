"""Pairs of fields, one of each side, and the transforms that their values go through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from matching.terms import Strict
from matching.transforms import Transform, fields_read

SideName = Literal["source", "target"]


class FieldPair(Strict):
    """A source field and a target field (by default of the same name).

    Each side's value goes through that side's own transforms first, then through those of both.
    """

    source_field: str = Field(min_length=1)
    target_field: str = Field(default="", validate_default=False)
    source_transforms: tuple[Transform, ...] = ()
    target_transforms: tuple[Transform, ...] = ()
    transforms: tuple[Transform, ...] = ()

    def field_of(self, side: SideName) -> str:
        """The field that is compared on a side."""
        return self.source_field if side == "source" else self.target_field

    def chain_of(self, side: SideName) -> tuple[Transform, ...]:
        """All that a side's values go through, in order."""
        own = self.source_transforms if side == "source" else self.target_transforms
        return (*own, *self.transforms)

    @property
    def source_fields(self) -> tuple[str, ...]:
        """Every source column that is read, each once, the compared one first."""
        return self._fields_of("source")

    @property
    def target_fields(self) -> tuple[str, ...]:
        """Every target column that is read, each once, the compared one first."""
        return self._fields_of("target")

    def _fields_of(self, side: SideName) -> tuple[str, ...]:
        beside = (name for transform in self.chain_of(side) for name in fields_read(transform))
        return tuple(dict.fromkeys((self.field_of(side), *beside, *self._also_read(side))))

    def _also_read(self, side: SideName) -> tuple[str, ...]:
        """What a rule reads on a side besides the compared field and what transforms read."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _same_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not (value.get("targetField") or value.get("target_field")):
            name = value.get("sourceField", value.get("source_field"))
            if isinstance(name, str):
                return {**{key: one for key, one in value.items() if key != "target_field"}, "targetField": name}
        return value
