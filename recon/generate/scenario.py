"""`generate`: from a scenario's name and a seed to two files and their truth."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from recon.generate.draws import Draws
from recon.generate.knobs import GeneratorInvalid, Knobs, knobs_of, used_knobs
from recon.generate.records import Generated, Made, numbered, sums_of
from recon.generate.rules import rules_of

LARGEST = 100_000_000


def generate(
    scenario: str, *, rows: int = 10_000, seed: int = 7, difficulty: int = 2, **knobs: float | None
) -> Generated:
    """Two files that should agree, made with the truth about every row of either; equal arguments give equal frames.

    `rows` counts orders (payments, invoices), a gateway's transactions (payouts), entries (ledger, fx) or persons (people).
    Keyword arguments named as in `knobs.Knobs` override the shares of the difficulty; None leaves them.
    Raises GeneratorInvalid for arguments out of their bounds and for what `knobs_of` says.
    """
    chosen = knobs_of(scenario, difficulty, knobs)
    if not 1 <= rows <= LARGEST:
        raise GeneratorInvalid(
            f"{rows} rows can't be made; expected: 1 to {LARGEST:,}", fields={"rows": f"1 to {LARGEST:,}"}
        )
    if not 0 <= seed < 2**63:
        raise GeneratorInvalid(
            f"Seed {seed} is out of bounds; expected: 0 to 2^63 - 1", fields={"seed": "0 to 2^63 - 1"}
        )
    draws = Draws(seed, scenario)
    make: Callable[[int, Knobs, Draws], Made] = import_module(f"recon.generate.{scenario}").make
    made = make(rows, chosen, draws)
    source, target, truth, groups = numbered(made, draws)
    return Generated(
        scenario=scenario,
        seed=seed,
        rows=rows,
        difficulty=difficulty,
        knobs=chosen,
        source=source.columns,
        target=target.columns,
        truth=truth,
        groups=groups,
        tables=made.tables,
        faults={name: made.faults[name] for name in used_knobs(scenario, chosen) if name in made.faults},
        sums={"source": sums_of(source), "target": sums_of(target)},
        rules=rules_of(scenario, made.tables),
    )
