"""Reconciliation data with its truth, from a seed: `generate("payouts", rows=10_000, difficulty=3)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.generate.records import Generated
    from recon.generate.scenario import generate

__all__ = ["Generated", "generate"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `recon --help` need not wait for Polars.
    if name == "generate":
        from recon.generate.scenario import generate

        return generate
    if name == "Generated":
        from recon.generate.records import Generated

        return Generated
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
