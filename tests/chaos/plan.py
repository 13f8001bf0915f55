"""What a sitting does, drawn from a seed before anything starts: equal seeds and numbers of faults give equal plans."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """One kind of fault. Those on a line (a connection through a proxy) and those that hold something last for a while."""

    KILL_CHILD = "kill-child"
    KILL_FORKSERVER = "kill-forkserver"
    KILL_WORKER = "kill-worker"
    KILL_API = "kill-api"
    KILL_PREFECT = "kill-prefect"
    FREEZE_CHILD = "freeze-child"
    FILL_DISK = "fill-disk"
    LOCK_DATABASE = "lock-database"
    LOCK_ENGINE_DATABASE = "lock-engine-database"
    CUT_DATABASE = "cut-database"
    DROP_DATABASE = "drop-database"
    DEAFEN_DATABASE = "deafen-database"
    DELAY_DATABASE = "delay-database"
    RESTART_DATABASE = "restart-database"
    CUT_STORAGE = "cut-storage"
    DROP_STORAGE = "drop-storage"
    DEAFEN_STORAGE = "deafen-storage"
    DELAY_STORAGE = "delay-storage"
    RESTART_STORAGE = "restart-storage"


class Moment(StrEnum):
    """What a fault waits for before it strikes."""

    SUBMITTED = "submitted"
    """Its run was asked for: the submission is hit, or the start."""
    STARTED = "started"
    """A step is IN_PROGRESS."""
    COMPARED = "compared"
    """A step has compared its records: publishing and the commit are hit."""
    BETWEEN = "between"
    """A step of a run that goes on has COMPLETED: it must not be executed again."""


DECKS: dict[str, tuple[Act, ...]] = {
    "embedded": (
        Act.KILL_CHILD,
        Act.KILL_CHILD,
        Act.KILL_FORKSERVER,
        Act.KILL_WORKER,
        Act.KILL_API,
        Act.KILL_PREFECT,
        Act.FREEZE_CHILD,
        Act.FILL_DISK,
        Act.LOCK_DATABASE,
        Act.LOCK_ENGINE_DATABASE,
    ),
    "servers": (
        Act.KILL_CHILD,
        Act.KILL_WORKER,
        Act.KILL_API,
        Act.KILL_PREFECT,
        Act.CUT_DATABASE,
        Act.CUT_STORAGE,
        Act.DROP_DATABASE,
        Act.DROP_STORAGE,
        Act.RESTART_DATABASE,
        Act.DEAFEN_DATABASE,
        Act.DEAFEN_STORAGE,
        Act.RESTART_STORAGE,
        Act.DELAY_DATABASE,
        Act.DELAY_STORAGE,
        Act.FREEZE_CHILD,
    ),
}
"""The acts of a set-up. A plan deals whole decks, so that every act comes up before any comes up twice as often."""

STREAMS = ("chain", "breaks", "tolerant", "stopping")
ROUND = 4
"""Faults of one round."""

SHORTEST, LONGEST, FROZEN = 1.0, 6.0, 16.0
"""Seconds that a fault lasts, if it lasts; a process is frozen for longer, so that it is taken for lost and then goes on."""


@dataclass(frozen=True)
class Fault:
    """A run is asked for, then the act strikes `delay` seconds after its moment; the next fault follows `pause` seconds later.

    `seconds` is how long it lasts, where it does; `pick` (0..1) chooses among several processes. With `cancel` the run is
    cancelled that many seconds after it was asked for.
    """

    number: int
    act: Act
    moment: Moment
    delay: float
    seconds: float
    pause: float
    pick: float
    stream: str
    cancel: float | None


@dataclass(frozen=True)
class Round:
    """Faults that strike without waiting for the recovery from the one before; the invariants are checked afterwards."""

    number: int
    setup: str
    faults: tuple[Fault, ...]


def make_plan(seed: int, faults: int, setups: tuple[str, ...] = tuple(DECKS)) -> list[Round]:
    """`faults` in rounds, shared out evenly to the set-ups; the numbers of one go before those of the next."""
    rounds: list[Round] = []
    number = 0
    for place, setup in enumerate(setups):
        share = faults // len(setups) + (place < faults % len(setups))
        # A set-up's plan does not depend on the other ones.
        draw = random.Random(f"{seed}/{setup}")
        dealt = _deal(draw, DECKS[setup])
        while share:
            size = min(ROUND, share)
            share -= size
            drawn = [_fault(draw, number + one, next(dealt)) for one in range(1, size + 1)]
            number += size
            rounds.append(Round(len(rounds) + 1, setup, tuple(drawn)))
    return rounds


def _deal(draw: random.Random, deck: tuple[Act, ...]) -> Iterator[Act]:
    while True:
        yield from draw.sample(deck, len(deck))


def _fault(draw: random.Random, number: int, act: Act) -> Fault:
    moment = draw.choice(list(Moment))
    return Fault(
        number=number,
        act=act,
        moment=moment,
        delay=round(draw.uniform(0, 0.5), 3),
        seconds=round(draw.uniform(SHORTEST, FROZEN if act is Act.FREEZE_CHILD else LONGEST), 1),
        pause=round(draw.choice((0.0, draw.uniform(0, 4))), 1),
        pick=round(draw.random(), 3),
        stream=draw.choice(STREAMS),
        cancel=round(draw.uniform(0.2, 6), 1) if draw.random() < 0.15 else None,
    )
