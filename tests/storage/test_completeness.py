"""Completeness against a plain count of the minutes that a day should have."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.market.calendar import Calendar, midnight_ns
from dhanfast.storage.completeness import (
    DayReport,
    examine,
    expected_steps,
    gap_text,
    missing_days,
)
from dhanfast.storage.downloads import BASE, DownloadFolder, Line, Series

from .download_bars import CALL, INDEX, MINUTE

MONDAY = date(2022, 6, 6)


def minutes(day: date, at: list[int], oi: int = 0) -> dict[str, Any]:
    """Bars at minutes after 09:15."""
    found = {name: np.full(len(at), 100, np.int64) for name in BASE}
    starts = [midnight_ns(day) + (555 + minute) * MINUTE for minute in at]
    return found | {"start_ns": np.array(starts, np.int64), "oi": np.full(len(at), oi, np.int64)}


def reported(place: Path, line: Line, columns: dict[str, Any], *days: date) -> list[DayReport]:
    """What is said of one piece."""
    folder = DownloadFolder(place)
    with folder.changing("dhan", False):
        folder.keep(Series(line), days[0], days[-1], columns, 1)
    (report,) = examine(folder)
    return list(report.days)


@pytest.mark.parametrize(
    ("day", "hours", "interval_s", "count", "first", "last"),
    [
        (date(2022, 6, 6), "NSE_FNO", 60, 375, "09:15", "15:29"),
        (date(2022, 6, 6), "NSE_FNO", 300, 75, "09:15", "15:25"),
        (date(2022, 6, 6), "NSE_INDEX", 1500, 15, "09:15", "15:05"),
        (date(2022, 6, 6), "NSE_FNO", 3600, 7, "09:15", "15:15"),  # the last one is short
        (date(2025, 10, 21), "NSE_FNO", 60, 60, "13:45", "14:44"),  # muhurat in the afternoon
        (date(2022, 10, 24), "NSE_FNO", 60, 60, "18:15", "19:14"),  # muhurat in the evening
        (date(2024, 3, 2), "NSE_EQ", 60, 105, "09:15", "12:29"),  # drill on a Saturday: two parts
    ],
)
def test_expected_minutes_of_days(
    day: date, hours: str, interval_s: int, count: int, first: str, last: str
) -> None:
    trading = Calendar.load().day(day, hours)
    assert trading is not None
    steps = expected_steps(trading, interval_s)
    texts = [gap_text(np.array([step]), MINUTE) for step in (steps[0], steps[-1])]
    assert (len(steps), *texts) == (count, first, last)


@settings(max_examples=20, deadline=None)
@given(held=st.sets(st.integers(-10, 400), max_size=420))
def test_a_day_is_counted_as_a_plain_set_counts(
    held: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("out")
    (day,) = reported(place, INDEX, minutes(MONDAY, sorted(held)), MONDAY)
    inside = held & set(range(375))
    status = "whole" if len(inside) == 375 else "short" if inside else "absent"
    assert (day.expected, day.held, day.outside) == (375, len(inside), len(held - inside))
    assert (day.status, day.missing) == (status, 375 - len(inside))
    assert day.is_bad == (status != "whole")


def test_gaps_are_named(tmp_path: Path) -> None:
    held = [at for at in range(375) if at not in (53, 54, 55, 287)]
    (day,) = reported(tmp_path / "out", INDEX, minutes(MONDAY, held), MONDAY)
    assert day.gaps == "10:08 to 10:10, 14:02"
    assert gap_text(np.arange(0, 40, 2) * MINUTE, MINUTE).endswith("and 14 more gaps")


def test_days_of_all_kinds(tmp_path: Path) -> None:
    """Friday whole, a bar on a Saturday, Diwali's Monday without its evening, a holiday."""
    friday, holiday = date(2022, 10, 21), date(2022, 10, 26)
    saturday = friday + timedelta(days=1)
    parts = [minutes(friday, list(range(375))), minutes(saturday, [3]),
             minutes(date(2022, 10, 25), [0, 1])]  # fmt: skip
    columns = {name: np.concatenate([part[name] for part in parts]) for name in BASE}
    days = reported(tmp_path / "out", INDEX, columns, friday, holiday)
    assert [(one.day[8:], one.status, one.kind, one.is_bad) for one in days] == [
        ("21", "whole", "normal", False), ("22", "closed", "", True),
        ("24", "absent", "muhurat", False), ("25", "short", "normal", True),
    ]  # fmt: skip
    folder = DownloadFolder(tmp_path / "out")
    again = missing_days(folder, folder.series()["NIFTY_1m"], Calendar.load())
    assert again == {date(2022, 10, 25)}
    (beyond,) = examine(folder, first=date(2022, 10, 20), last=date(2022, 10, 28))
    assert [one.day[8:] for one in beyond.days if one.status == "unasked"] == ["20", "27", "28"]
    assert beyond.bad == 2 and examine(folder, symbol="BANK") == []


def test_an_open_interest_of_zero_is_told(tmp_path: Path) -> None:
    zero = {"strike": np.full(2, 1), "spot": np.full(2, 1), "iv": np.zeros(2)}
    (dead,) = reported(tmp_path / "a", CALL, minutes(MONDAY, [0, 1]) | zero, MONDAY)
    (live,) = reported(tmp_path / "b", CALL, minutes(MONDAY, [0, 1], 5) | zero, MONDAY)
    (index,) = reported(tmp_path / "c", INDEX, minutes(MONDAY, [0, 1]), MONDAY)
    assert (dead.no_interest, live.no_interest, index.no_interest) == (True, False, False)


def test_days_and_contracts_that_end(tmp_path: Path) -> None:
    daily = msgspec.structs.replace(INDEX, interval_s=86_400, file="NIFTY_1d")
    columns = minutes(MONDAY, [-555]) | {"volume": np.ones(1, np.int64)}
    days = reported(tmp_path / "a", daily, columns, MONDAY, MONDAY + timedelta(days=1))
    assert [(one.status, one.expected, one.held) for one in days] == [("whole", 1, 1),
                                                                    ("absent", 1, 0)]  # fmt: skip
    ends = msgspec.structs.replace(INDEX, kind="FUTURE", expiry=str(MONDAY))
    days = reported(tmp_path / "b", ends, minutes(MONDAY, [0]), MONDAY, MONDAY + timedelta(days=3))
    assert [one.day for one in days] == [str(MONDAY)]  # nothing is expected after the expiry


def test_years_that_no_table_knows(tmp_path: Path) -> None:
    day = date(2001, 3, 5)
    (report,) = reported(tmp_path / "out", INDEX, minutes(day, [0]), day)
    assert (report.status, report.outside, report.is_bad) == ("unknown", 1, False)
