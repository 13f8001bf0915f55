"""A sitting: rounds of faults on each set-up, the invariants after every round, `faults N violations M` at the end.

Exit code 1 on a violation. What is done hangs on the seed alone; the journal in the output directory says what was hit when.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.chaos.course import Course, Sitting
from tests.chaos.journal import Journal
from tests.chaos.plan import DECKS, Round, make_plan
from tests.chaos.sites import SITES, processes_of
from tests.chaos.watcher import Watcher
from tests.parts.rest import Rest

HOME = Path(".recon-chaos")


def hold(sitting: Sitting, setup: str, rounds: list[Round]) -> None:
    """All rounds of one set-up on one stack."""
    journal, began = sitting.journal, time.monotonic()
    with SITES[setup](journal) as site:
        data_dir = site.stack.data_dir
        journal.note("stack", f"{setup} is up after {time.monotonic() - began:.1f} s on {data_dir}")
        with Watcher(site.database, journal) as watcher, Rest(site.stack.api_url, "none is needed") as rest:
            course = Course(sitting, setup, site, watcher, rest)
            if course.prepare() and all(course.hold(one) for one in rounds):
                course.finish()
        site.database.dispose()
    if left := processes_of(data_dir):
        sitting.violation(f"processes were left when the stack had stopped: {left}")


def summary(sitting: Sitting) -> str:
    """The last words, ending in the line that others read."""
    lines = [f"{count:5}  {act}" for act, count in sorted(sitting.faults.items())]
    if ordered := sorted(sitting.recoveries):
        late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        lines.append(
            f"from the last fault of a round to the end of its runs: median {statistics.median(ordered):.1f} s, "
            f"95 of 100 within {late:.1f} s, longest {ordered[-1]:.1f} s"
        )
    lines += sitting.remarks
    lines += [f"violation: {one}" for one in sitting.violations]
    lines.append(f"faults {sitting.faults.total()} violations {len(sitting.violations)}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Holds a sitting and exits with 1 on a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Streams run while things break.")
    parser.add_argument("--faults", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what the plan is drawn from (default: %(default)s)")
    parser.add_argument("--setup", choices=[*DECKS, "both"], default="both", help="(default: %(default)s)")
    parser.add_argument("--rounds", help="only these of the plan, such as 3,7: to replay a failure")
    parser.add_argument("--output", type=Path, default=HOME, help="journals and logs (default: %(default)s)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    setups = tuple(DECKS) if given.setup == "both" else (given.setup,)
    plan = make_plan(given.seed, given.faults, setups)
    if given.rounds:
        chosen = {int(one) for one in given.rounds.split(",")}
        plan = [one for one in plan if one.number in chosen]
    home = given.output / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seed-{given.seed}"
    with closing(Journal(home)) as journal:
        sitting = Sitting(journal, given.seed)
        journal.note("sitting", f"seed {given.seed}, {given.faults} faults on {', '.join(setups)}; journal in {home}")
        # Side by side: most of a recovery is waiting.
        with ThreadPoolExecutor(len(setups)) as courses:
            held = [courses.submit(_hold, sitting, one, [each for each in plan if each.setup == one]) for one in setups]
            try:
                wait(held)
            except BaseException:
                sitting.over.set()
                raise
        words = summary(sitting)
        (home / "summary.txt").write_text(words + "\n")
        sys.stdout.write(words + "\n")
    sys.exit(1 if sitting.violations else 0)


def _hold(sitting: Sitting, setup: str, rounds: list[Round]) -> None:
    try:
        if rounds:
            hold(sitting, setup, rounds)
    except Exception as error:  # noqa: BLE001 - whatever ends a set-up before its time is a violation
        sitting.violation(f"{setup} broke down: {type(error).__name__}: {error}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
