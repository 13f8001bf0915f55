"""Several pieces of work at once. What they give does not depend on it: none sees another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import polars as pl

Result = TypeVar("Result")


def at_once(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """What the calls return, in their order. Column operations release Python's lock, so that they do run side by side.

    Of several that fail, the first one's error is raised, when all have ended.
    """
    waiting = list(calls)
    if len(waiting) < 2 or pl.thread_pool_size() < 2:
        return [one() for one in waiting]
    with ThreadPoolExecutor(min(len(waiting), pl.thread_pool_size())) as pool:
        return [one.result() for one in [pool.submit(call) for call in waiting]]
