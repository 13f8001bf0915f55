"""Plans hang on their seed alone, and deal every kind of fault."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import run
from tests.chaos.journal import Journal
from tests.chaos.plan import DECKS, ROUND, Act, Moment, make_plan


def test_a_seed_always_gives_the_same_plan() -> None:
    assert make_plan(7, 100) == make_plan(7, 100)
    assert make_plan(7, 100) != make_plan(8, 100)


@pytest.mark.parametrize("faults", [1, 20, 25, 200])
def test_there_are_as_many_faults_as_were_asked_for(faults: int) -> None:
    plan = make_plan(1, faults)
    numbers = [fault.number for one in plan for fault in one.faults]
    assert numbers == list(range(1, faults + 1))
    assert max(len(one.faults) for one in plan) <= ROUND
    assert [one.number for one in plan] == list(range(1, len(plan) + 1))


def test_every_act_comes_up_before_any_comes_up_twice_as_often() -> None:
    plan = make_plan(3, 120)
    for setup, deck in DECKS.items():
        acts = Counter(fault.act for one in plan if one.setup == setup for fault in one.faults)
        assert set(acts) == set(deck)
        assert all(acts[act] >= 60 // len(deck) * deck.count(act) for act in acts)
    assert {fault.act for one in plan for fault in one.faults} == set(Act)
    assert {fault.moment for one in plan for fault in one.faults} == set(Moment)


def test_one_set_up_alone_has_its_whole_plan() -> None:
    both = [fault for one in make_plan(5, 40) if one.setup == "embedded" for fault in one.faults]
    alone = [fault for one in make_plan(5, 20, ("embedded",)) for fault in one.faults]
    assert alone == both


def test_a_set_up_that_breaks_down_is_a_violation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(journal: Journal) -> None:
        raise RuntimeError("no stack today")

    monkeypatch.setitem(run.SITES, "embedded", broken)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SystemExit) as left:
        run.main(["--faults", "4", "--setup", "embedded", "--seed", "3", "--output", str(tmp_path)])
    assert left.value.code == 1
    output = capsys.readouterr().out
    assert "seed 3" in output
    assert "violation: embedded broke down: RuntimeError: no stack today" in output
    assert output.splitlines()[-1] == "faults 0 violations 1"
