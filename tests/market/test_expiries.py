"""Expiry dates against the published lists: every monthly and every shifted weekly of 2019-2026."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import expiries as module
from dhanfast.market.calendar import Calendar
from dhanfast.market.expiries import cycle_of, expiries, expiry_table, front_month, monthly_expiry

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("DHANFAST_DATA", REPOSITORY.parent / "shared" / "data"))
FIRST, LAST = date(2019, 1, 1), date(2026, 12, 31)

# `*` = moved by a holiday. From circulars; the November 2026 monthly is a Monday.
BANKNIFTY_MONTHLY = """
2019 01-31 02-28 03-28 04-25 05-30 06-27 07-25 08-29 09-26 10-31 11-28 12-26
2020 01-30 02-27 03-26 04-30 05-28 06-25 07-30 08-27 09-24 10-29 11-26 12-31
2021 01-28 02-25 03-25 04-29 05-27 06-24 07-29 08-26 09-30 10-28 11-25 12-30
2022 01-27 02-24 03-31 04-28 05-26 06-30 07-28 08-25 09-29 10-27 11-24 12-29
2023 01-25* 02-23 03-29* 04-27 05-25 06-28* 07-27 08-31 09-28 10-26 11-30 12-28
2024 01-25 02-29 03-27 04-24 05-29 06-26 07-31 08-28 09-25 10-30 11-27 12-24*
2025 01-30 02-27 03-27 04-24 05-29 06-26 07-31 08-28 09-30 10-28 11-25 12-30
2026 01-27 02-24 03-30* 04-28 05-26 06-30 07-28 08-25 09-29 10-27 11-23* 12-29
"""
NIFTY_MONTHLY = BANKNIFTY_MONTHLY.replace(
    "2024 01-25 02-29 03-27 04-24 05-29 06-26 07-31 08-28 09-25 10-30 11-27 12-24*",
    "2024 01-25 02-29 03-28 04-25 05-30 06-27 07-25 08-29 09-26 10-31 11-28 12-26",
)
# nominal>actual of every weekly (and monthly, M) that a holiday moved.
THURSDAYS = """2019-03-21>03-20 2019-08-15>08-14 2020-04-02>04-01 2021-03-11>03-10
  2021-05-13>05-12 2021-08-19>08-18 2021-11-04>11-03 2022-04-14>04-13 2023-01-26>01-25(M)
  2023-03-30>03-29(M) 2023-06-29>06-28(M)"""
BANKNIFTY_SHIFTS = (
    THURSDAYS
    + """ 2024-04-17>04-16 2024-05-01>04-30 2024-07-17>07-16 2024-10-02>10-01
  2024-12-25>12-24(M) 2026-03-31>03-30(M) 2026-11-24>11-23(M)"""
)
NIFTY_SHIFTS = (
    THURSDAYS
    + """ 2024-04-11>04-10 2024-08-15>08-14 2025-04-10>04-09 2025-05-01>04-30
  2025-10-21>10-20 2026-03-03>03-02 2026-03-31>03-30(M) 2026-04-14>04-13
  2026-10-20>10-19 2026-11-10>11-09 2026-11-24>11-23(M)"""
)


@pytest.mark.parametrize(
    ("underlying", "table"), [("BANKNIFTY", BANKNIFTY_MONTHLY), ("NIFTY", NIFTY_MONTHLY)]
)
def test_every_monthly(underlying: str, table: str) -> None:
    for line in table.strip().splitlines():
        year, *days = line.split()
        span = date(int(year), 1, 1), date(int(year), 12, 31)
        found = [
            f"{e.date:%m-%d}{'*' if e.is_shifted else ''}"
            for e in expiry_table(underlying, "M", *span)
        ]
        assert found == days, year


@pytest.mark.parametrize(
    ("underlying", "shifts"), [("BANKNIFTY", BANKNIFTY_SHIFTS), ("NIFTY", NIFTY_SHIFTS)]
)
def test_every_shifted_expiry(underlying: str, shifts: str) -> None:
    found = [
        f"{e.nominal}>{e.date:%m-%d}{'(M)' if e.cycle == 'M' else ''}"
        for e in expiry_table(underlying, "ALL", FIRST, LAST)
        if e.is_shifted
    ]
    assert found == shifts.split()


def test_weekday_regimes_of_the_weeklies() -> None:
    names = ["Mon", "Tue", "Wed", "Thu", "Fri"]

    def regime(underlying: str, first: date, last: date) -> set[str]:
        table = expiry_table(underlying, "W", first, last)
        return {names[e.nominal.weekday()] for e in table}

    assert regime("BANKNIFTY", date(2019, 1, 1), date(2023, 8, 31)) == {"Thu"}
    assert regime("BANKNIFTY", date(2023, 9, 1), date(2024, 12, 31)) == {"Wed"}
    assert regime("NIFTY", date(2019, 3, 1), date(2025, 8, 31)) == {"Thu"}
    assert regime("NIFTY", date(2025, 9, 1), LAST) == {"Tue"}
    assert regime("FINNIFTY", date(2021, 2, 1), date(2021, 10, 14)) == {"Thu"}
    assert regime("FINNIFTY", date(2021, 10, 15), LAST) == {"Tue"}
    assert regime("SENSEX", date(2023, 5, 19), date(2025, 1, 3)) == {"Fri"}
    assert regime("SENSEX", date(2025, 1, 4), date(2025, 8, 31)) == {"Tue"}
    assert regime("SENSEX", date(2025, 9, 1), LAST) == {"Thu"}


def test_where_weeklies_begin_and_end() -> None:
    assert expiries("BANKNIFTY", "W", date(2023, 8, 20), date(2023, 9, 30)) == [
        date(2023, 8, 24),
        date(2023, 9, 6),
        date(2023, 9, 13),
        date(2023, 9, 20),  # none on the 27th: the week of the monthly on the 28th
    ]
    assert expiries("BANKNIFTY", "W", date(2024, 11, 1), LAST) == [
        date(2024, 11, 6),
        date(2024, 11, 13),
    ]
    assert expiries("FINNIFTY", "W", date(2024, 11, 1), LAST)[-1] == date(2024, 11, 19)
    assert expiries("NIFTY", "W", date(2025, 8, 20), date(2025, 9, 20)) == [
        date(2025, 8, 21),
        date(2025, 9, 2),
        date(2025, 9, 9),
        date(2025, 9, 16),
    ]
    assert expiries("NIFTY", "W", FIRST, date(2019, 2, 28)) == [
        date(2019, 2, 14),
        date(2019, 2, 21),
    ]


def test_monthlies_of_the_other_indexes() -> None:
    def months(underlying: str, first: date, last: date) -> list[str]:
        return [f"{day:%y-%m-%d}" for day in expiries(underlying, "M", first, last)]

    spring = date(2025, 1, 1), date(2025, 2, 28)
    assert months("FINNIFTY", date(2024, 12, 1), date(2024, 12, 31)) == ["24-12-31"]
    assert months("MIDCPNIFTY", date(2024, 12, 1), date(2024, 12, 31)) == ["24-12-30"]
    assert months("NIFTYNXT50", date(2024, 5, 1), date(2024, 6, 30)) == ["24-05-31", "24-06-28"]
    for underlying in ("FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "STOCK"):
        assert months(underlying, *spring) == ["25-01-30", "25-02-27"]
    assert months("SENSEX", date(2024, 12, 1), date(2025, 1, 31)) == ["24-12-27", "25-01-28"]
    assert months("BANKEX", date(2025, 8, 1), date(2025, 9, 30)) == ["25-08-26", "25-09-25"]
    assert months("STOCK", date(2025, 8, 1), date(2025, 9, 30)) == ["25-08-28", "25-09-30"]


def test_quarterlies_are_the_monthlies_of_four_months() -> None:
    assert expiries("NIFTY", "Q", date(2026, 1, 1), LAST) == [
        date(2026, 3, 30),
        date(2026, 6, 30),
        date(2026, 9, 29),
        date(2026, 12, 29),
    ]


def test_nothing_expires_before_a_launch() -> None:
    assert expiries("FINNIFTY", "ALL", FIRST, date(2020, 12, 31)) == []


@given(st.sampled_from(["BANKNIFTY", "NIFTY", "FINNIFTY", "SENSEX"]), st.dates(FIRST, LAST))
@settings(max_examples=60, deadline=None)
def test_every_expiry_is_an_ordinary_trading_day_near_its_nominal(name: str, day: date) -> None:
    until = min(day + timedelta(days=60), LAST)
    table = expiry_table(name, "ALL", day, until)
    assert [e.date for e in table] == sorted({e.date for e in table})
    for expiry in table:
        assert Calendar.load().is_ordinary(expiry.date)
        assert timedelta(0) <= expiry.nominal - expiry.date <= timedelta(days=4)
        between = expiry.date + timedelta(days=1)
        while between <= expiry.nominal:
            assert not Calendar.load().is_ordinary(between)
            between += timedelta(days=1)


@given(st.dates(date(2019, 1, 1), date(2026, 12, 20)), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_front_month_agrees_with_a_walk(on: date, roll_days: int) -> None:
    calendar = Calendar.load()
    monthlies = expiries("BANKNIFTY", "M", FIRST, LAST)
    for expiry in monthlies:
        leave = expiry
        for _ in range(roll_days):
            leave = calendar.previous_trading_day(leave, ordinary=True)
        if on <= leave:
            assert front_month("BANKNIFTY", on, roll_days) == expiry
            break


def test_front_month_trades_through_its_expiry_day() -> None:
    assert front_month("BANKNIFTY", date(2022, 1, 27)) == date(2022, 1, 27)
    assert front_month("BANKNIFTY", date(2022, 1, 28)) == date(2022, 2, 24)
    assert front_month("BANKNIFTY", date(2022, 1, 27), roll_days=1) == date(2022, 2, 24)
    assert front_month("BANKNIFTY", date(2022, 1, 25), roll_days=1) == date(2022, 1, 27)


def test_cycle_and_month_of_a_contract() -> None:
    assert cycle_of("BANKNIFTY", date(2022, 1, 27)) == "M"
    assert cycle_of("BANKNIFTY", date(2022, 1, 20)) == "W"
    assert monthly_expiry("BANKNIFTY", 2026, 11) == date(2026, 11, 23)
    with pytest.raises(UsageError, match="no contract that expires on 2022-01-21"):
        cycle_of("BANKNIFTY", date(2022, 1, 21))
    with pytest.raises(OutOfCalendar, match="2027-01"):
        monthly_expiry("BANKNIFTY", 2027, 1)


@pytest.mark.parametrize("underlying", ["MIDCPNIFTY", "BANKEX"])
@pytest.mark.parametrize("nominal", [date(2024, 1, 22), date(2024, 5, 20)])
def test_an_expiry_that_only_a_circular_can_tell_is_refused(underlying: str, nominal: date) -> None:
    with pytest.raises(OutOfCalendar, match=rf"{nominal} was moved.*expiry_exceptions\.csv"):
        expiries(underlying, "W", nominal - timedelta(days=10), nominal)
    assert expiries(underlying, "M", nominal - timedelta(days=10), nominal) == []
    later = nominal + timedelta(days=1), nominal + timedelta(days=20)
    assert len(expiries(underlying, "W", *later)) >= 1


def test_a_special_weekend_before_a_moved_expiry_needs_an_exception() -> None:
    row = {"confidence": "A", "source": "S1"}
    with pytest.raises(OutOfCalendar, match="special session on 2024-05-18"):
        module._settle("BANKNIFTY", "W", date(2024, 5, 20), row)


def test_an_exception_row_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"actual": "2024-05-17", "confidence": "B", "source": "S1"}
    key = ("MIDCPNIFTY", "W", date(2024, 5, 20))
    monkeypatch.setattr(module, "_exceptions", lambda: {key: row})
    found = expiries("MIDCPNIFTY", "W", date(2024, 5, 16), date(2024, 5, 21))
    assert found == [date(2024, 5, 17)]


@pytest.mark.parametrize("day", [date(2018, 12, 31), date(2027, 1, 1)])
def test_dates_outside_the_rules_are_refused(day: date) -> None:
    with pytest.raises(OutOfCalendar, match=f"{day} is outside the expiry rules"):
        expiries("NIFTY", "M", day, day)
    with pytest.raises(OutOfCalendar):
        front_month("NIFTY", day)


def test_no_contract_is_invented_after_the_last() -> None:
    with pytest.raises(OutOfCalendar, match="no monthly expiry known on or after 2026-12-30"):
        front_month("BANKNIFTY", date(2026, 12, 30))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'BANKNIFTY'"):
        expiries("BANKNIFTI", "M", FIRST, LAST)
    with pytest.raises(UsageError, match="cycle 'X'"):
        expiries("NIFTY", "X", FIRST, LAST)
    with pytest.raises(UsageError, match="swap them"):
        expiries("NIFTY", "M", LAST, FIRST)
    with pytest.raises(UsageError, match="roll_days"):
        front_month("NIFTY", FIRST, roll_days=-1)


@pytest.mark.data
def test_expiries_are_those_of_a_bhavcopy() -> None:
    """Every index contract the exchange traded on 2025-11-14, near enough to be in the tables.

    The file still shows 2026-03-31: that day became a holiday later.
    """
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / "options" / "nse_fo_bhavcopy_2025-11-14.parquet"
    if not path.exists():
        pytest.skip(f"recorded data not found at {path}; set DHANFAST_DATA")
    table = parquet.read_table(path, columns=["underlying", "kind", "expiry"]).to_pylist()
    end = date(2026, 2, 28)
    for underlying in ("BANKNIFTY", "NIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50"):
        futures = {
            row["expiry"]
            for row in table
            if row["underlying"] == underlying and row["kind"] == "FUTIDX"
        }
        options = {
            row["expiry"]
            for row in table
            if row["underlying"] == underlying and row["kind"] == "OPTIDX" and row["expiry"] <= end
        }
        ours = expiries(underlying, "ALL", date(2025, 11, 14), end)
        assert len(futures) in (2, 3)
        assert futures <= set(expiries(underlying, "M", date(2025, 11, 14), end))
        assert options <= set(ours)
        assert min(options) == min(ours)
