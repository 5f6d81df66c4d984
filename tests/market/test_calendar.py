"""Trading days and hours against the published facts, two open libraries and recorded bars."""

import itertools
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.errors import ConfigError, OutOfCalendar, UsageError
from dhanfast.market.calendar import Calendar, each_date, exchange_date, midnight_ns

CALENDAR = Calendar.load()
REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("DHANFAST_DATA", REPOSITORY.parent / "shared" / "data"))
# year: weekday holidays, ordinary days, all trading days (exchange circulars; spec section 9)
COUNTS = {
    2019: (17, 244, 245),
    2020: (12, 250, 252),
    2021: (14, 247, 248),
    2022: (13, 247, 248),
    2023: (15, 245, 246),
    2024: (17, 245, 249),
    2025: (14, 247, 249),
    2026: (16, 245, 247),
}
SPECIAL = {  # the published special sessions of 2019-2026, IST
    "2019-10-27": ("muhurat", "18:15-19:15"),
    "2020-02-01": ("budget", "09:15-15:30"),
    "2020-11-14": ("muhurat", "18:15-19:15"),
    "2021-02-24": ("outage", "09:15-11:40 15:45-17:00"),
    "2021-11-04": ("muhurat", "18:15-19:15"),
    "2022-10-24": ("muhurat", "18:15-19:15"),
    "2023-11-12": ("muhurat", "18:15-19:15"),
    "2024-01-20": ("normal", "09:15-15:30"),
    "2024-03-02": ("drill", "09:15-10:00 11:30-12:30"),
    "2024-05-18": ("drill", "09:15-10:00 11:30-12:30"),
    "2024-11-01": ("muhurat", "18:00-19:00"),
    "2025-02-01": ("budget", "09:15-15:30"),
    "2025-10-21": ("muhurat", "13:45-14:45"),
    "2026-02-01": ("budget", "09:15-15:30"),
}


def ist(time_ns: int) -> str:
    """Hours and minutes in Kolkata, worked out by the standard library."""
    utc = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return (utc + timedelta(hours=5, minutes=30)).strftime("%H:%M")


def hours(day: date, segment: str = "NSE_FNO") -> str:
    found = CALENDAR.day(day, segment)
    assert found is not None
    return " ".join(f"{ist(opens)}-{ist(closes)}" for opens, closes in found.windows)


@pytest.mark.parametrize("year", sorted(COUNTS))
def test_days_of_each_year(year: int) -> None:
    first, last = date(year, 1, 1), date(year, 12, 31)
    days = CALENDAR.days(first, last)
    holidays = sum(CALENDAR.holiday(day) is not None for day in each_date(first, last))
    ordinary = sum(CALENDAR.is_ordinary(day.date) for day in days)
    assert (holidays, ordinary, len(days)) == COUNTS[year]


@pytest.mark.parametrize("text", sorted(SPECIAL))
def test_special_sessions(text: str) -> None:
    day = CALENDAR.day(date.fromisoformat(text))
    assert day is not None
    assert (day.kind, hours(day.date)) == SPECIAL[text]
    assert day.is_special == (day.kind in {"muhurat", "drill"})
    assert hours(day.date, "NSE_INDEX") == SPECIAL[text][1]


def test_no_other_day_of_2019_to_2026_has_odd_hours() -> None:
    for day in CALENDAR.days(date(2019, 1, 1), date(2026, 12, 31)):
        if str(day.date) in SPECIAL or day.date == date(2026, 11, 8):
            continue
        closes = "15:40" if day.date >= date(2026, 8, 3) else "15:30"
        assert (day.kind, hours(day.date)) == ("normal", f"09:15-{closes}"), day
        assert day.date.weekday() < 5


def test_hours_change_on_2026_08_03() -> None:
    assert hours(date(2026, 7, 31)) == "09:15-15:30"
    assert hours(date(2026, 8, 3)) == "09:15-15:40"
    assert hours(date(2026, 8, 3), "BSE_FNO") == "09:15-15:40"
    assert hours(date(2026, 8, 3), "NSE_INDEX") == "09:15-15:15"
    assert hours(date(2026, 8, 3), "NSE_EQ_CASH_ONLY") == "09:15-15:30"
    before, after = (CALENDAR.day(date(2026, m, d), "NSE_EQ") for m, d in ((7, 31), (8, 3)))
    assert before is not None and before.auction is None
    assert after is not None and after.auction is not None
    assert [ist(end) for end in after.auction] == ["15:15", "15:35"]


def test_hours_of_history() -> None:
    assert hours(date(2009, 12, 31)) == "09:55-15:30"
    assert hours(date(2010, 1, 4)) == "09:00-15:30"
    assert hours(date(2010, 10, 15)) == "09:00-15:30"
    assert hours(date(2010, 10, 18)) == "09:15-15:30"
    assert hours(date(2009, 5, 18)) == "09:55-09:56 11:55-11:56"
    assert CALENDAR.confidence(date(2009, 5, 18)) == "B"


def test_a_minute_of_a_known_day_in_utc() -> None:
    day = CALENDAR.day(date(2022, 1, 3))
    assert day is not None
    assert day.open_ns == int(datetime(2022, 1, 3, 3, 45, tzinfo=UTC).timestamp()) * 10**9
    assert day.close_ns == int(datetime(2022, 1, 3, 10, 0, tzinfo=UTC).timestamp()) * 10**9


def test_hours_that_were_never_published_are_not_invented() -> None:
    day = CALENDAR.day(date(2026, 11, 8))
    assert day is not None and day.kind == "muhurat" and day.windows == ()
    with pytest.raises(OutOfCalendar, match="hours of 2026-11-08"):
        _ = day.open_ns
    with pytest.raises(OutOfCalendar, match=r"special_days\.csv"):
        _ = day.close_ns


def test_closed_days() -> None:
    assert CALENDAR.day(date(2024, 1, 22)) is None
    assert CALENDAR.holiday(date(2024, 1, 22)) == "Special holiday (Ayodhya)"
    assert CALENDAR.day(date(2024, 1, 21)) is None
    assert CALENDAR.holiday(date(2024, 1, 21)) is None
    assert CALENDAR.is_trading_day(date(2024, 1, 20))
    assert not CALENDAR.is_ordinary(date(2024, 1, 20))
    assert CALENDAR.holiday(date(2021, 11, 4)) == "Diwali (muhurat evening only)"


def test_stepping_over_holidays() -> None:
    assert CALENDAR.previous_trading_day(date(2024, 1, 22)) == date(2024, 1, 20)
    assert CALENDAR.previous_trading_day(date(2024, 1, 22), ordinary=True) == date(2024, 1, 19)
    assert CALENDAR.next_trading_day(date(2024, 1, 20)) == date(2024, 1, 23)
    assert CALENDAR.next_trading_day(date(2021, 11, 3)) == date(2021, 11, 4)
    assert CALENDAR.next_trading_day(date(2021, 11, 3), ordinary=True) == date(2021, 11, 8)
    with pytest.raises(OutOfCalendar):
        CALENDAR.next_trading_day(date(2026, 12, 31))


@given(st.dates(date(2009, 1, 10), date(2026, 12, 20)))
@settings(max_examples=150)
def test_next_and_previous_agree_with_a_walk(day: date) -> None:
    walk = [day + timedelta(n) for n in range(1, 12)]
    back = [day - timedelta(n) for n in range(1, 10)]
    assert CALENDAR.next_trading_day(day) == next(d for d in walk if CALENDAR.day(d))
    assert CALENDAR.previous_trading_day(day) == next(d for d in back if CALENDAR.day(d))


@given(st.dates(date(2009, 1, 1), date(2026, 12, 31)), st.integers(0, 86_400 * 10**9 - 1))
@settings(max_examples=100)
def test_every_instant_of_a_date_in_kolkata_is_on_that_date(day: date, after: int) -> None:
    assert exchange_date(midnight_ns(day) + after) == day


def test_windows_are_ordered_and_apart() -> None:
    windows = CALENDAR.windows(date(2009, 1, 1), date(2026, 12, 31))
    assert len(windows) > 4300
    for (opens, closes), (following, _) in itertools.pairwise(windows):
        assert opens < closes < following


@pytest.mark.parametrize("day", [date(2008, 12, 31), date(2027, 1, 1)])
def test_dates_outside_are_refused(day: date) -> None:
    assert not CALENDAR.covers(day)
    for ask in (CALENDAR.day, CALENDAR.is_trading_day, CALENDAR.holiday, CALENDAR.confidence):
        with pytest.raises(OutOfCalendar, match=f"{day} is outside .* 2009-01-01 to 2026-12-31"):
            ask(day)
    with pytest.raises(OutOfCalendar):
        CALENDAR.days(day, day)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'NSE_FNO'"):
        CALENDAR.day(date(2024, 1, 1), "NSE_FO")
    with pytest.raises(UsageError, match=r"day must be a datetime\.date"):
        CALENDAR.day(datetime(2024, 1, 1))


def rows(text: str) -> tuple[dict[str, str], ...]:
    from dhanfast.market.tables import parse

    return parse(text, "made_up")


@pytest.mark.parametrize(
    ("years", "holidays", "message"),
    [
        ("2019,0\n2021,0", "", "gap"),
        ("2019,2", "2019-03-04,Holi", "1 holidays of 2019"),
        ("2019,1", "2019-03-03,Sunday", "is a weekend"),
        ("2019,0", "2020-03-03,Tuesday", "does not list"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(
    years: str, holidays: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Calendar(rows(f"year,weekday_holidays\n{years}"), rows(f"date,name\n{holidays}"), (), ())


def test_load_reads_once() -> None:
    assert Calendar.load() is CALENDAR


# ---- independent witnesses ---------------------------------------------------------------------


def weekdays_closed(open_days: set[date], year: int) -> set[date]:
    return {
        day
        for day in each_date(date(year, 1, 1), date(year, 12, 31))
        if day.weekday() < 5 and day not in open_days
    }


# Where a library is wrong or follows another convention, with the reason.
MUHURAT_WEEKDAYS = {  # counted as sessions by one library and as holidays by the other
    date(2010, 11, 5), date(2011, 10, 26), date(2012, 11, 13), date(2014, 10, 23),
    date(2015, 11, 11), date(2017, 10, 19), date(2018, 11, 7), date(2021, 11, 4),
    date(2022, 10, 24), date(2024, 11, 1), date(2025, 10, 21),
}  # fmt: skip
KNOWN_ERRORS = {
    "XBOM": {date(2013, 11, 14), date(2013, 11, 15)},  # Muharram was moved to the 15th
    "NSE": set[date](),
}
OLDER_ERRORS = {  # versions before 2026 lack or invent these
    date(2020, 7, 31), date(2020, 5, 25), date(2024, 1, 22), date(2024, 11, 20), date(2026, 1, 15),
}  # fmt: skip


@pytest.mark.parametrize("name", ["XBOM", "NSE"])
def test_weekday_holidays_agree_with_an_open_library(name: str) -> None:
    if name == "XBOM":
        library = pytest.importorskip("exchange_calendars", reason="exchange_calendars not there")
        schedule = library.get_calendar("XBOM", start="2009-01-01", end="2026-12-31").sessions
    else:
        library = pytest.importorskip("pandas_market_calendars", reason="library not there")
        schedule = library.get_calendar("NSE").valid_days("2009-01-01", "2026-12-31")
    open_days = {stamp.date() for stamp in schedule}
    allowed = MUHURAT_WEEKDAYS | KNOWN_ERRORS[name] | OLDER_ERRORS
    for year in range(2009, 2027):
        first, last = date(year, 1, 1), date(year, 12, 31)
        ours = {day for day in each_date(first, last) if CALENDAR.holiday(day) is not None}
        assert ours ^ weekdays_closed(open_days, year) <= allowed, year


# Days that recordings lack though the exchange was open (the recordings' own gaps).
LOST_2009 = {
    date(2009, 4, 20), date(2009, 7, 13), date(2009, 10, 17),
    *each_date(date(2009, 12, 7), date(2009, 12, 18)),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("NIFTY_1m_2009", LOST_2009),
        ("NIFTY_1m_2021", set()),
        ("NIFTY_1m_2022", set()),
        ("BANKNIFTY_1m_2023-01", set()),
        ("BANKNIFTY_1m_2023-04_2023-05", set()),
    ],
)
def test_recorded_days_are_the_trading_days(name: str, lost: set[date]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / "index_1m" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"recorded data not found at {path}; set DHANFAST_DATA")
    stamps = parquet.read_table(path, columns=["ts"])["ts"].to_numpy()
    seen = {exchange_date(int(ns)) for ns in stamps}
    days = CALENDAR.days(min(seen), max(seen), "NSE_INDEX")
    assert {day.date for day in days} - seen == {day for day in lost if CALENDAR.day(day)}
    assert seen <= {day.date for day in days}
    for day in days:  # the first bar inside is near the open and the last near the close
        inside = stamps[(stamps >= day.open_ns) & (stamps < day.close_ns)]
        if day.date in seen and len(inside) > 300:
            assert inside.min() - day.open_ns <= 600 * 10**9
            assert day.close_ns - inside.max() <= 120 * 10**9
