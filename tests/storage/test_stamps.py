"""Instants as people read them."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.app.control_text import _hour
from dhanfast.storage.stamps import ist_text

S = 1_000_000_000
NINE = int(dt.datetime(2025, 11, 17, 3, 30, tzinfo=dt.UTC).timestamp()) * S  # 09:00 IST


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "09:00"), (S, "09:00:01"), (60 * S, "09:01"), (S // 2, "09:00:00.5"),
        (60 * S + 1, "09:01:00.000000001"), (75 * S + 250_000_000, "09:01:15.25"),
    ],
)  # fmt: skip
def test_a_whole_minute_alone_is_written_without_seconds(ns: int, text: str) -> None:
    assert ist_text(NINE + ns) == f"2025-11-17 {text}"


@given(ns=st.integers(0, 86_399 * S))
def test_an_hour_always_has_seconds(ns: int) -> None:
    shown = dt.datetime.fromtimestamp((NINE + ns) // S + 19_800, dt.UTC)
    assert _hour(NINE + ns) == f"{shown:%H:%M:%S}"
    assert dt.datetime.fromisoformat(ist_text(NINE + ns)[:26]).minute == shown.minute


def test_no_time_is_a_dash() -> None:
    assert _hour(0) == "-"
