from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.dates import read_days

EPOCH = date(1970, 1, 1)


def read(text: str | None) -> date | None:
    days = read_days(pl.Series([text], dtype=pl.String)).item()
    return None if days is None else EPOCH + timedelta(days=days)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-31", date(2026, 1, 31)),
        ("20260131", date(2026, 1, 31)),
        ("2026-01-31T23:59", date(2026, 1, 31)),
        ("2026-01-31 23:59:60.123456789", date(2026, 1, 31)),
        ("2026-01-31T23:59:59,5Z", date(2026, 1, 31)),
        ("2026-01-31T23:30-02:00", date(2026, 2, 1)),
        ("2026-01-31T01:30+02", date(2026, 1, 30)),
        ("2026-01-31 01:30 +0200", date(2026, 1, 30)),
        ("2024-02-29", date(2024, 2, 29)),
        ("0001-01-01", date(1, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
    ],
)
def test_iso_dates_and_date_times(text: str, day: date) -> None:
    assert read(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "2026-02-29", "2026-13-01", "2026-1-5", " 2026-01-31", "2026-01-31 ", "0000-01-01", "00000101", "12026-01-31",
        "2026-01-31T24:00", "2026-01-31T23:60", "2026-01-31T", "2026-01-31Z", "2026-01-31T10", "01/31/2026", "+2026-01-31",
        "20260231", "2026-01", "２０２６-01-31", None,
    ],
)  # fmt: skip
def test_texts_that_are_no_dates(text: str | None) -> None:
    assert read(text) is None


offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.lists(
        st.dates().map(lambda day: (day.isoformat(), day))
        | st.dates().map(lambda day: (day.isoformat().replace("-", ""), day))
        | st.datetimes().map(lambda moment: (moment.isoformat(), moment.date()))
        | st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=offsets).map(  # noqa: DTZ001
            lambda moment: (moment.isoformat(), moment.astimezone(UTC).date())
        )
    )
)
def test_every_iso_text_is_its_day(written: list[tuple[str, date]]) -> None:
    days = read_days(pl.Series([text for text, _ in written], dtype=pl.String)).to_list()
    assert days == [(day - EPOCH).days for _, day in written]
