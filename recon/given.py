"""What a side of a match may be given as: a frame, a file, a URL, or what an earlier step left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from models.errors import ValidationFailed
from models.fetching import display_url, is_url, name_at

if TYPE_CHECKING:
    import polars as pl

OutputSide = Literal["source", "target"]


@runtime_checkable
class ArrowTable(Protocol):
    """A table of any library that speaks the Arrow C stream interface: pyarrow, pandas, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Table: TypeAlias = "pl.DataFrame | pl.LazyFrame | ArrowTable"


@dataclass(frozen=True)
class StepOutput:
    """The records that an earlier step of the same stream leaves without a partner on one side."""

    step: str
    """The earlier step's name."""
    side: OutputSide

    def __str__(self) -> str:
        return f"unmatched_{self.side} of step '{self.step}'"


@dataclass(frozen=True, eq=False)
class Input:
    """An input with what can't be told from itself. Where neither is needed, give the frame, path or URL as it is.

    `data`: a Polars frame or lazy frame, an Arrow table, a path, or an fsspec URL. `name`: what people see, and the ending that
    says the format where a path or URL has none. `file_id`: its `_recon_file_id`, from 1; by default inputs are numbered in the
    order in which the steps name them, source before target. `storage_options`: of the URL's file system.
    """

    data: Table | str | PathLike[str]
    name: str | None = None
    file_id: int | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __post_init__(self) -> None:
        if self.file_id is not None and self.file_id < 1:
            raise ValidationFailed(f"file_id {self.file_id} is not a number from 1", file_id=self.file_id)
        if not isinstance(self.data, str | PathLike) and not is_table(self.data):
            raise ValidationFailed(
                f"{type(self.data).__name__} is no input; expected: a Polars DataFrame or LazyFrame, an Arrow table, a path, a "
                "URL, or an earlier step's unmatched_source or unmatched_target"
            )

    @property
    def location(self) -> Path | str | None:
        """The absolute path, or the URL as a text; None for a frame."""
        if not isinstance(self.data, str | PathLike):
            return None
        text = fspath(self.data)
        return text if is_url(text) else Path(text).expanduser().absolute()

    @property
    def identity(self) -> object:
        """Equal for what is the same input."""
        return self.location or id(self.data)

    def named(self, default: str) -> str:
        """What people see; `default` for a frame without a name."""
        location = self.location
        if self.name is not None or location is None:
            return self.name or default
        return name_at(location) if isinstance(location, str) else location.name

    def shown(self, default: str) -> str:
        """Where it is from, without secrets."""
        location = self.location
        return self.named(default) if location is None else display_url(str(location))


Given: TypeAlias = "Input | StepOutput | Table | str | PathLike[str]"
GivenInput: TypeAlias = "Input | Table | str | PathLike[str]"


def is_table(given: object) -> bool:
    """Whether it is a frame of some kind."""
    return isinstance(given, ArrowTable) or (type(given).__module__.startswith("polars") and hasattr(given, "collect"))


def input_of(given: GivenInput) -> Input:
    """Raises ValidationFailed on what is no input, saying what is."""
    return given if isinstance(given, Input) else Input(given)
