"""Session tables: each row against the single rules it joins."""

import subprocess
import sys
import time as stopwatch
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import charges, expiries, instruments, margin
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.sessions import operating_range, session_notes, session_table, ymd

FIRST, LAST = date(2019, 1, 1), date(2026, 12, 29)
CLOCK = {"entry_from": time(9, 20), "entry_until": time(15, 0), "square_off": time(15, 20)}


def utc_ns(day: date, clock: str) -> int:
    """Nanoseconds of a time in Kolkata, by the standard library."""
    hour, minute = map(int, clock.split(":"))
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
    return int((local - timedelta(hours=5, minutes=30)).timestamp()) * 10**9


def row_of(day: date, kind: str = "FUT", **options: object) -> np.void:
    table = session_table("BANKNIFTY", kind, day, day, **options)  # type: ignore[arg-type]
    assert len(table) == 1
    return table[0]


def test_one_row_a_trading_day_in_order() -> None:
    table = session_table("BANKNIFTY", "FUT", date(2022, 1, 1), date(2022, 12, 31), **CLOCK)
    days = Calendar.load().days(date(2022, 1, 1), date(2022, 12, 31))
    assert table.dtype == SESSION_DTYPE
    assert table["date"].tolist() == [ymd(day.date) for day in days]
    assert len(table) == 248
    assert (np.diff(table["open_ns"]) > 0).all()


def test_a_normal_day_in_full() -> None:
    """BANKNIFTY, Monday 2022-01-03: every field by hand from the published facts."""
    day = date(2022, 1, 3)
    row = row_of(day, **CLOCK)
    wanted = {
        "open_ns": utc_ns(day, "09:15"),
        "close_ns": utc_ns(day, "15:30"),
        "open2_ns": 0,
        "close2_ns": 0,
        "entry_from_ns": utc_ns(day, "09:20"),
        "entry_until_ns": utc_ns(day, "15:00"),
        "square_off_ns": utc_ns(day, "15:20"),
        "expiry_ns": utc_ns(date(2022, 1, 27), "15:30"),
        "lot": 25,
        "tick": 5,
        "freeze": 900,
        "band_low": 0,
        "band_high": 0,
        "margin_rate_e9": 165_000_000,
        "basis": 0,
        "contract": 20220127,
        "date": 20220103,
        "flags": 0,
    }
    assert {name: int(row[name]) for name in wanted} == wanted
    assert tuple(int(x) for x in row["charges"]) == (
        2000, 300_000, 20_000, 1000, 1, 20_000, 0, 0, 100_000, 180_000_000, 0, 0,
    )  # fmt: skip


@given(
    st.sampled_from(["BANKNIFTY", "NIFTY"]),
    st.dates(date(2019, 4, 1), date(2026, 11, 1)),
    st.integers(0, 2),
)
@settings(max_examples=25, deadline=None)
def test_rows_agree_with_the_single_rules(underlying: str, first: date, roll_days: int) -> None:
    last = first + timedelta(days=50)
    table = session_table(underlying, "FUT", first, last, roll_days=roll_days)
    days = [day for day in Calendar.load().days(first, last) if day.windows]
    for row, day in zip(table, days, strict=True):
        expiry = expiries.front_month(underlying, day.date, roll_days)
        assert row["contract"] == ymd(expiry)
        assert row["lot"] == instruments.lot(underlying, expiry, "M", day.date)
        assert row["tick"] == instruments.tick("FUT_IDX", day.date, underlying=underlying)
        assert row["margin_rate_e9"] == margin.future_margin_rate(underlying, day.date)
        assert tuple(row["charges"]) == charges.rates("FUT_IDX", day.date).values()
        assert (row["open_ns"], row["close_ns"]) == day.windows[0]
        try:
            assert row["freeze"] == instruments.freeze(underlying, day.date)
        except OutOfCalendar:
            assert row["freeze"] == 0


def test_the_contract_is_traded_through_its_expiry_day() -> None:
    table = session_table("BANKNIFTY", "FUT", date(2022, 1, 26), date(2022, 1, 28))
    assert table["contract"].tolist() == [20220127, 20220224]
    assert table[0]["expiry_ns"] == table[0]["close_ns"]
    rolled = session_table("BANKNIFTY", "FUT", date(2022, 1, 26), date(2022, 1, 28), roll_days=1)
    assert rolled["contract"].tolist() == [20220224, 20220224]


def test_the_last_instant_of_a_contract_follows_the_hours_of_its_expiry_day() -> None:
    row = row_of(date(2026, 8, 3))
    assert row["expiry_ns"] == utc_ns(date(2026, 8, 25), "15:40")
    assert row["close_ns"] == utc_ns(date(2026, 8, 3), "15:40")
    november = row_of(date(2026, 11, 20))
    assert november["contract"] == 20261123


def test_lot_and_tick_change_with_contract_and_date() -> None:
    table = session_table("BANKNIFTY", "FUT", date(2025, 1, 1), date(2025, 12, 31))
    lots = dict(zip(table["contract"].tolist(), table["lot"].tolist(), strict=True))
    assert (lots[20250130], lots[20250227], lots[20250626], lots[20250731]) == (15, 30, 30, 35)
    ticks = dict(zip(table["date"].tolist(), table["tick"].tolist(), strict=True))
    assert (ticks[20250411], ticks[20250415]) == (5, 20)


def test_given_closes_pick_freeze_and_tick_of_the_next_month() -> None:
    levels = {date(2025, 7, 31): 5_600_000, date(2025, 8, 28): 9_900_000, date(2025, 8, 29): 100}
    span = date(2025, 7, 31), date(2025, 9, 1)
    table = session_table("BANKNIFTY", "FUT", *span, levels=levels)
    by_date = dict(zip(table["date"].tolist(), table[["freeze", "tick"]].tolist(), strict=True))
    assert by_date[20250731] == (600, 20)  # no close of June given: the published point
    assert by_date[20250801] == (600, 20)
    assert by_date[20250901] == (8500, 5)  # the last close of August


# ---- special days ------------------------------------------------------------------------------


def test_a_split_day_has_two_windows_and_no_entries() -> None:
    day = date(2024, 3, 2)
    row = row_of(day, **CLOCK)
    assert row["flags"] == 1
    assert (row["open_ns"], row["close_ns"]) == (utc_ns(day, "09:15"), utc_ns(day, "10:00"))
    assert (row["open2_ns"], row["close2_ns"]) == (utc_ns(day, "11:30"), utc_ns(day, "12:30"))
    assert row["entry_from_ns"] == row["entry_until_ns"] == row["open_ns"]
    assert row["square_off_ns"] == utc_ns(day, "12:29")


def test_the_outage_moves_the_square_off_to_the_reopening() -> None:
    day = date(2021, 2, 24)
    row = row_of(day, **CLOCK)
    assert row["flags"] == 0
    assert (row["close_ns"], row["open2_ns"]) == (utc_ns(day, "11:40"), utc_ns(day, "15:45"))
    assert row["square_off_ns"] == utc_ns(day, "15:45")
    assert row["entry_until_ns"] == utc_ns(day, "15:00")
    late = row_of(day, entry_from=time(12, 0))
    assert late["entry_from_ns"] == utc_ns(day, "15:45")
    assert late["entry_until_ns"] == utc_ns(day, "17:00")
    none = row_of(day, entry_from=time(12, 0), entry_until=time(15, 0))
    assert none["entry_from_ns"] == none["entry_until_ns"]


def test_muhurat_evenings_are_marked() -> None:
    day = date(2022, 10, 24)
    row = row_of(day, **CLOCK)
    assert row["flags"] == 1
    assert row["open_ns"] == utc_ns(day, "18:15")
    assert row["entry_from_ns"] == row["entry_until_ns"]
    assert row["open_ns"] <= row["square_off_ns"] < row["close_ns"]


def test_a_budget_saturday_trades_like_any_day() -> None:
    row = row_of(date(2025, 2, 1), **CLOCK)
    assert (row["flags"], row["entry_until_ns"]) == (0, utc_ns(date(2025, 2, 1), "15:00"))


def test_a_day_without_published_hours_has_no_row_and_a_note() -> None:
    span = date(2026, 11, 6), date(2026, 11, 9)
    table = session_table("BANKNIFTY", "FUT", *span)
    assert table["date"].tolist() == [20261106, 20261109]
    assert any("2026-11-08 has no session" in n for n in session_notes("BANKNIFTY", "FUT", *span))


# ---- times of day ------------------------------------------------------------------------------


def test_without_times_the_whole_day_is_open_and_positions_are_carried() -> None:
    row = row_of(date(2022, 1, 3))
    assert row["entry_from_ns"] == row["open_ns"]
    assert row["entry_until_ns"] == row["close_ns"]
    assert row["square_off_ns"] == 0


def test_times_outside_the_day_are_clipped() -> None:
    day = date(2022, 1, 3)
    row = row_of(day, entry_from=time(8, 0), square_off=time(23, 0))
    assert row["entry_from_ns"] == utc_ns(day, "09:15")
    assert row["square_off_ns"] == utc_ns(day, "15:29")
    assert row["entry_until_ns"] == row["square_off_ns"]
    later = row_of(date(2026, 8, 3), square_off=time(15, 35))
    assert later["square_off_ns"] == utc_ns(date(2026, 8, 3), "15:35")


minutes = st.integers(0, 24 * 60 - 1).map(lambda m: time(m // 60, m % 60))
SPECIAL_DAYS = [date(2021, 2, 24), date(2024, 3, 2), date(2022, 10, 24), date(2022, 1, 3)]


@given(st.sampled_from(SPECIAL_DAYS), st.tuples(minutes, minutes, minutes).map(sorted))
@settings(max_examples=150, deadline=None)
def test_clipped_times_lie_inside_the_windows(day: date, clock: list[time]) -> None:
    entry_from, entry_until, square_off = clock
    if entry_from == entry_until:
        return
    options = {"entry_from": entry_from, "entry_until": entry_until, "square_off": square_off}
    row = row_of(day, **options)
    found = Calendar.load().day(day)
    assert isinstance(found, TradingDay)
    assert any(opens <= row["square_off_ns"] < closes for opens, closes in found.windows)
    assert found.open_ns <= row["entry_from_ns"] <= row["entry_until_ns"] <= row["square_off_ns"]
    wanted = utc_ns(day, f"{square_off:%H:%M}")
    if any(opens <= wanted < closes - 60 * 10**9 for opens, closes in found.windows):
        assert row["square_off_ns"] == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entry_from": time(15, 0), "entry_until": time(9, 30)}, "entry_from 15:00:00 must be"),
        ({"entry_from": time(10, 0), "entry_until": time(10, 0)}, "entry_from 10:00:00 must be"),
        ({"entry_until": time(15, 25), "square_off": time(15, 20)}, "entry_until 15:25:00 must"),
        ({"square_off": time(15, 20, tzinfo=UTC)}, "square_off must be .* without a zone"),
        ({"square_off": "15:20"}, "square_off must be"),
        ({"broker": "zero"}, "broker 'zero'"),
        ({"band": {date(2022, 1, 3): (5, 4)}}, "band of 2022-01-03"),
        ({"roll_days": -1}, "roll_days"),
    ],
)
def test_options_that_contradict_themselves_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        row_of(date(2022, 1, 3), **options)


def test_bad_arguments_are_refused() -> None:
    day = date(2022, 1, 3)
    with pytest.raises(UsageError, match="kind 'CE'"):
        session_table("BANKNIFTY", "CE", day, day)
    with pytest.raises(UsageError, match="did you mean 'BANKNIFTY'"):
        session_table("BANKNIFY", "FUT", day, day)
    with pytest.raises(UsageError, match="swap them"):
        session_table("BANKNIFTY", "FUT", day, date(2022, 1, 2))
    with pytest.raises(OutOfCalendar, match="2027"):
        session_table("BANKNIFTY", "FUT", day, date(2027, 1, 4))
    with pytest.raises(OutOfCalendar, match="2018"):
        session_table("BANKNIFTY", "FUT", date(2018, 6, 1), date(2018, 6, 30))
    with pytest.raises(OutOfCalendar, match="no monthly expiry known on or after 2026-12-30"):
        session_table("BANKNIFTY", "FUT", date(2026, 12, 28), date(2026, 12, 31))
    with pytest.raises(UsageError, match="kind"):
        session_notes("BANKNIFTY", "CE", day, day)


def test_a_span_without_trading_is_empty() -> None:
    assert len(session_table("BANKNIFTY", "FUT", date(2022, 1, 1), date(2022, 1, 2))) == 0


# ---- the index, bands, notes -------------------------------------------------------------------


def test_the_index_has_windows_but_no_contract() -> None:
    row = row_of(date(2022, 1, 3), kind="IDX")
    assert (row["lot"], row["tick"], row["contract"], row["expiry_ns"]) == (1, 1, 0, 0)
    assert tuple(row["charges"]) == (0,) * 12
    august = row_of(date(2026, 8, 3), kind="IDX")
    assert august["close_ns"] == utc_ns(date(2026, 8, 3), "15:15")
    history = session_table("NIFTY", "IDX", date(2009, 1, 1), date(2009, 12, 31))
    assert len(history) == 243
    assert session_notes("NIFTY", "IDX", date(2022, 1, 1), date(2022, 2, 1)) == ()


def test_bands_are_set_where_given() -> None:
    day = date(2022, 1, 3)
    band = {day: operating_range("BANKNIFTY", day, 3_548_170)}
    assert band[day] == (3_193_355, 3_902_985)  # 35481.70 +- 10 %, inside, on 0.05
    table = session_table("BANKNIFTY", "FUT", day, date(2022, 1, 4), band=band)
    assert table["band_low"].tolist() == [3_193_355, 0]
    assert table["band_high"].tolist() == [3_902_985, 0]


@given(st.integers(100_000, 9_000_000), st.sampled_from([date(2022, 1, 3), date(2024, 3, 2)]))
@settings(max_examples=100, deadline=None)
def test_the_operating_range_is_the_widest_on_the_tick(base: int, day: date) -> None:
    percent = 5 if day == date(2024, 3, 2) else 10
    low, high = operating_range("BANKNIFTY", day, base)
    assert low % 5 == high % 5 == 0
    assert 0 <= 100 * low - base * (100 - percent) < 500
    assert 0 <= base * (100 + percent) - 100 * high < 500


def test_the_operating_range_of_a_closed_day_is_refused() -> None:
    with pytest.raises(OutOfCalendar, match="2022-01-01 is not a trading day"):
        operating_range("BANKNIFTY", date(2022, 1, 1), 100)
    with pytest.raises(UsageError, match="base_price"):
        operating_range("BANKNIFTY", date(2022, 1, 3), 0)


def test_notes_say_what_is_uncertain() -> None:
    notes = session_notes("BANKNIFTY", "FUT", date(2020, 1, 1), date(2021, 12, 31))
    text = "\n".join(notes)
    assert "state-wise before 2020-07" in text
    assert "margin of BANKNIFTY futures is approximated at 9.00 % to 24.10 %" in text
    assert "freeze quantity of BANKNIFTY is not known before" in text
    assert len(notes) == len(set(notes))


def test_bse_futures_pay_bse_rates() -> None:
    table = session_table("SENSEX", "FUT", date(2025, 1, 6), date(2025, 2, 10))
    assert table["charges"]["exchange_rate_e9"].tolist() == [0] * len(table)
    assert set(table["lot"].tolist()) == {10, 20}
    with pytest.raises(OutOfCalendar, match="BSE_FUT_IDX"):
        session_table("SENSEX", "FUT", date(2024, 1, 2), date(2024, 1, 3))


# ---- cost --------------------------------------------------------------------------------------


def test_a_year_is_built_quickly() -> None:
    """Bar: 30 ms a year; the best of five runs, to keep other work on the machine out of it."""
    session_table("NIFTY", "FUT", date(2023, 1, 1), date(2023, 12, 31))
    best = min(timed_year() for _ in range(5))
    assert best < 0.030


def timed_year() -> float:
    begin = stopwatch.perf_counter()
    session_table("BANKNIFTY", "FUT", date(2022, 1, 1), date(2022, 12, 31), **CLOCK)
    return stopwatch.perf_counter() - begin


def test_only_sessions_loads_numpy() -> None:
    code = (
        "import sys; from dhanfast.market import calendar, charges, expiries, instruments, margin;"
        "calendar.Calendar.load(); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
