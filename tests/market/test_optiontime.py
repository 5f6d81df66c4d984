"""When an option ends, and how long that is from a moment."""

from datetime import date

import numpy as np
import pytest

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.calendar import Calendar, midnight_ns
from dhanfast.market.optiontime import ends_on, expiry_ns, trading_years, years_to_expiry

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE


def at(day: date, hour: int, minute: int) -> int:
    return midnight_ns(day) + (hour * 60 + minute) * MINUTE


def test_the_close_of_the_expiry_day_by_its_date() -> None:
    assert expiry_ns(date(2026, 7, 28)) == at(date(2026, 7, 28), 15, 30)
    assert expiry_ns(date(2026, 11, 23)) == at(date(2026, 11, 23), 15, 40)
    assert expiry_ns(date(2026, 7, 28), "BSE_FNO") == at(date(2026, 7, 28), 15, 30)


def test_no_trading_no_expiry() -> None:
    with pytest.raises(OutOfCalendar, match="2026-11-24 is not a trading day"):
        expiry_ns(date(2026, 11, 24))
    with pytest.raises(OutOfCalendar):
        expiry_ns(date(2031, 1, 1))


def test_years_count_every_minute() -> None:
    end = expiry_ns(date(2026, 7, 28))
    assert years_to_expiry(end - 7 * DAY, end) == 7 / 365
    assert years_to_expiry(end - MINUTE, end) == pytest.approx(1 / 525_600, rel=1e-15)
    assert years_to_expiry(end, end) == 0.0 == years_to_expiry(end + DAY, end)
    many = years_to_expiry(np.array([end - DAY, end + DAY]), end)
    np.testing.assert_array_equal(many, [1 / 365, 0.0])


def test_the_trading_clock_counts_sessions_only() -> None:
    friday, tuesday = date(2026, 7, 24), date(2026, 7, 28)
    end = expiry_ns(tuesday)
    assert trading_years(at(friday, 15, 30), end) * 252 == pytest.approx(2.0)
    assert trading_years(at(friday, 9, 15), end) * 252 == pytest.approx(3.0)
    assert trading_years(at(date(2026, 7, 26), 12, 0), end) * 252 == pytest.approx(2.0)
    assert trading_years(end - 75 * MINUTE, end) * 252 == pytest.approx(75 / 375)
    assert trading_years(at(friday, 12, 0), end, night=0.2) * 252 == pytest.approx(
        210 / 375 + 2 + 2 * 0.2
    )
    assert trading_years(end, end) == 0.0
    with pytest.raises(UsageError, match="night is 2"):
        trading_years(end - DAY, end, night=2)


def test_a_full_day_is_one_on_both_sides_of_the_longer_hours() -> None:
    days = [date(2026, 7, 31), date(2026, 8, 3)]
    assert [Calendar.load().day(day) is not None for day in days] == [True, True]
    for day in days:
        end = expiry_ns(day)
        assert trading_years(at(day, 9, 15), end) * 252 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("named", "ended"),
    [
        (date(2023, 6, 29), date(2023, 6, 28)),  # Bakri Id, moved from the 28th
        (date(2021, 11, 4), date(2021, 11, 3)),  # Diwali: its evening session is no expiry
        (date(2026, 1, 27), date(2026, 1, 27)),
        (date(2026, 1, 25), date(2026, 1, 25)),  # a Sunday is a mistake, and stays one
        (date(2099, 1, 1), date(2099, 1, 1)),
    ],
)
def test_a_contract_ends_on_the_trading_day_before_a_holiday(named: date, ended: date) -> None:
    assert ends_on(named) == ended
