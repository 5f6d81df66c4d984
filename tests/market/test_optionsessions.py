"""Options on a day: expiries, days to them, lots and charges, by date."""

import datetime as dt

import pytest

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.charges import rates
from dhanfast.market.optionsessions import (
    days_to_expiry,
    exercise_stt,
    option_expiries,
    option_notes,
    option_sessions,
)


@pytest.mark.parametrize(
    ("underlying", "on", "nearest", "following", "monthly"),
    [
        ("BANKNIFTY", "2022-04-20", "2022-04-21", "2022-04-28", "2022-04-28"),
        ("BANKNIFTY", "2022-04-21", "2022-04-21", "2022-04-28", "2022-04-28"),
        ("BANKNIFTY", "2022-04-22", "2022-04-28", "2022-05-05", "2022-04-28"),
        ("BANKNIFTY", "2026-01-22", "2026-01-27", "2026-02-24", "2026-01-27"),
        ("NIFTY", "2026-01-28", "2026-02-03", "2026-02-10", "2026-02-24"),
    ],
)
def test_expiries_by_name(
    underlying: str, on: str, nearest: str, following: str, monthly: str
) -> None:
    found = option_expiries(underlying, dt.date.fromisoformat(on))
    assert [found[name].isoformat() for name in ("nearest", "next", "monthly")] == [
        nearest,
        following,
        monthly,
    ]


def test_days_to_expiry_count_trading_days() -> None:
    """Wednesday 2022-04-13 to Thursday the 21st: the 14th and 15th are holidays, then a weekend."""
    assert days_to_expiry(dt.date(2022, 4, 13), dt.date(2022, 4, 21)) == 4
    assert days_to_expiry(dt.date(2022, 4, 21), dt.date(2022, 4, 21)) == 0
    with pytest.raises(UsageError, match="lies before"):
        days_to_expiry(dt.date(2022, 4, 22), dt.date(2022, 4, 21))


def test_a_day_has_the_lot_of_the_contract_and_the_charges_of_options() -> None:
    day = Calendar.load().day(dt.date(2026, 1, 22))
    assert day is not None
    near, far = option_sessions("BANKNIFTY", day, [dt.date(2026, 1, 27), dt.date(2026, 2, 24)])
    assert (near["lot"], far["lot"], near["tick"]) == (30, 30, 5)
    assert (near["contract"], near["date"]) == (20260127, 20260122)
    assert tuple(near["charges"].item()) == rates("OPT_IDX", day.date).values()
    assert near["expiry_ns"] < far["expiry_ns"] and near["square_off_ns"] == 0
    old = Calendar.load().day(dt.date(2022, 4, 20))
    assert old is not None
    assert option_sessions("BANKNIFTY", old, [dt.date(2022, 4, 21)])[0]["lot"] == 25


def test_stt_on_exercise_by_date() -> None:
    assert exercise_stt("NIFTY", dt.date(2019, 8, 30)) == (1_250_000, 1)
    assert exercise_stt("NIFTY", dt.date(2022, 4, 20)) == (1_250_000, 0)
    assert exercise_stt("BANKNIFTY", dt.date(2026, 4, 1)) == (1_500_000, 0)


def test_what_is_not_an_index_or_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="RELIANCE"):
        option_expiries("RELIANCE", dt.date(2022, 4, 20))
    with pytest.raises(OutOfCalendar):
        option_expiries("BANKNIFTY", dt.date(2031, 1, 1))
    assert any("GST" in note for note in option_notes("BANKNIFTY", [dt.date(2022, 4, 20)]))
