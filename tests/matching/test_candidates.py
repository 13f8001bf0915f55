from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.candidates import pair_by_key
from matching.keys import key_hash
from matching.links import MATCHED_CODE, REASON_CODES
from matching.terms import Reason

Keys = list[tuple[str | None, str | None]]

keys = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "", " ", None]), st.sampled_from(["1", "2", None])), max_size=25
)
unique_keys = st.lists(st.tuples(st.text("abc", max_size=3), st.text("12", max_size=3)), unique=True, max_size=25)


def columns(rows: Keys) -> list[pl.Series]:
    return [pl.Series([row[at] for row in rows], dtype=pl.String) for at in (0, 1)]


def naive(source: Keys, target: Keys, *, set_aside: bool) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    def blank(key: tuple[str | None, ...]) -> bool:
        return set_aside and any(part is None or not part.strip() for part in key)

    pairs: list[tuple[int, int]] = []
    free = set(range(len(target)))
    for at, key in enumerate(source):
        partner = next((other for other in sorted(free) if target[other] == key and not blank(key)), None)
        if partner is not None:
            free.remove(partner)
            pairs.append((at, partner))

    def codes(own: Keys, other: Keys, taken: set[int]) -> list[int]:
        found: list[int] = []
        for at, key in enumerate(own):
            if at in taken:
                found.append(MATCHED_CODE)
            elif blank(key):
                found.append(REASON_CODES[Reason.NULL_KEY])
            else:
                found.append(REASON_CODES[Reason.DUPLICATE if key in other else Reason.MISSING])
        return found

    return pairs, codes(source, target, {one for one, _ in pairs}), codes(target, source, {other for _, other in pairs})


@settings(max_examples=150)
@given(keys | unique_keys, keys | unique_keys, st.booleans(), st.sampled_from([1, 2, 4, 64]))
def test_hash_collisions_neither_make_nor_hide_a_match(source: Keys, target: Keys, set_aside: bool, bits: int) -> None:
    found = pair_by_key(columns(source), columns(target), set_aside_blanks=set_aside, hash_bits=bits)
    pairs, source_codes, target_codes = naive(source, target, set_aside=set_aside)
    assert list(zip(found.source.tolist(), found.target.tolist(), strict=True)) == pairs
    assert found.source_codes.tolist() == source_codes
    assert found.target_codes.tolist() == target_codes


@pytest.mark.parametrize("bits", [1, 3])
def test_few_bits_do_collide(bits: int) -> None:
    """Else the test above would prove nothing."""
    rows: Keys = [(str(number), "x") for number in range(100)]
    assert key_hash(columns(rows), bits).n_unique() == 2**bits
    assert key_hash(columns(rows)).n_unique() == 100
