"""Verify: made-up days whose defects are known, and recorded files whose defects are listed."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.storage.bars import ReadOptions
from dhanfast.storage.catalog import Catalog
from dhanfast.storage.importing import ImportOptions, import_files
from dhanfast.storage.verify import MEANING, NOTES, Finding, Verified, verify_source

Make = Callable[..., Path]


def clock(day: str, at: str) -> datetime:
    """An IST clock reading as UTC, by hand and not by the code under test."""
    return datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=UTC) - timedelta(minutes=330)


def minutes(day: str, first: str = "09:15", count: int = 375, step: int = 1) -> list[int]:
    """UTC seconds of bars from a time on."""
    start = int(clock(day, first).timestamp())
    return [start + 60 * step * n for n in range(count)]


@pytest.fixture
def file_of(tmp_path: Path) -> Make:
    """A maker of CSV files from stamps; every price is 100.05."""

    def make(*parts: list[int], price: str = "100.05") -> Path:
        path = tmp_path / "made.csv"
        rows = [f"{ts},{price},{price},{price},{price}" for part in parts for ts in part]
        path.write_text("\n".join(["ts,open,high,low,close", *rows]))
        return path

    return make


def check(path: Path, stamp: str = "start") -> Verified:
    (found,) = verify_source(path, options=ReadOptions(stamp=stamp), symbol="NIFTY")
    return found


def brief(found: Verified) -> list[tuple[str, str, str, int]]:
    return [(one.kind, one.first, one.last, one.count) for one in found.findings]


def test_full_days_are_clean(file_of: Make) -> None:
    found = check(file_of(*(minutes(day) for day in ("2022-01-03", "2022-01-04", "2022-01-05"))))
    assert (found.rows, found.days, found.defects, found.findings) == (1125, 3, 0, ())


def test_missing_minutes_and_a_short_day(file_of: Make) -> None:
    one = minutes("2022-01-03")
    two = minutes("2022-01-04")
    del one[100:103], one[200]
    del two[50:70]
    found = check(file_of(one, two))
    assert brief(found) == [
        ("missing-minutes", "2022-01-03", "2022-01-03", 4),
        ("short-day", "2022-01-04", "2022-01-04", 20),
    ]
    assert found.findings[0].detail == "absent: 10:55 to 10:57, 12:38"
    assert found.findings[1].detail == "absent: 10:05 to 10:24"


def test_missing_days_run_by_run(file_of: Make) -> None:
    days = ("2022-01-03", "2022-01-05", "2022-01-12", "2022-01-25", "2022-01-27")
    found = check(file_of(*(minutes(day) for day in days)))
    assert brief(found) == [  # 6 to 11 January has a weekend inside; the 26th is Republic Day
        ("missing-day", "2022-01-04", "2022-01-04", 1),
        ("missing-day", "2022-01-06", "2022-01-11", 4),
        ("missing-day", "2022-01-13", "2022-01-24", 8),
    ]


def test_bars_on_closed_days(file_of: Make) -> None:
    found = check(file_of(*(minutes(f"2022-01-{day}") for day in (25, 26, 27, 28, 29))))
    assert brief(found) == [
        ("not-a-trading-day", "2022-01-26", "2022-01-26", 375),
        ("not-a-trading-day", "2022-01-29", "2022-01-29", 375),
    ]
    assert [one.detail for one in found.findings] == ["a holiday", "a Saturday"]


def test_prints_around_the_session_are_notes(file_of: Make) -> None:
    found = check(file_of(minutes("2022-01-03", "09:07", 1), minutes("2022-01-03", count=377)))
    assert brief(found) == [
        ("pre-open", "2022-01-03", "2022-01-03", 1),
        ("closing", "2022-01-03", "2022-01-03", 2),
    ]
    assert found.defects == 0 and found.findings[1].detail == "on 1 day, 15:30 to 15:31"


def test_a_wrong_zone_is_seen(file_of: Make) -> None:
    shifted = [ts - 19_800 for ts in minutes("2022-01-03")]
    kinds = {one.kind for one in check(file_of(shifted)).findings if one.level == "defect"}
    assert kinds == {"outside-hours", "short-day"}


def test_end_stamps_are_seen_and_cured(file_of: Make) -> None:
    days = [minutes(f"2022-01-0{day}", "09:16") for day in (3, 4, 5, 6)]
    path = file_of(*days)
    assert ("end-stamped", "2022-01-03", "2022-01-06", 4) in brief(check(path))
    assert brief(check(path, stamp="end")) == []


def test_bars_off_their_step(file_of: Make) -> None:
    bars = minutes("2022-01-03", step=15, count=25)
    bars[3] += 60
    assert brief(check(file_of(bars))) == [("off-step", "2022-01-03", "2022-01-03", 1)]


def test_seconds_are_checked_by_the_minute(file_of: Make) -> None:
    start = minutes("2022-01-03", count=1)[0]
    seconds = [start + n for n in range(0, 375 * 60, 5) if not 6000 <= n < 6120]
    found = check(file_of(seconds))
    assert found.timeframe == "5s"
    assert brief(found) == [("missing-minutes", "2022-01-03", "2022-01-03", 2)]
    assert found.findings[0].detail == "absent: 10:55 to 10:56"


def test_the_outage_and_the_evening_session_are_the_exchange_s(file_of: Make) -> None:
    morning, evening = minutes("2021-02-24", count=145), minutes("2021-02-24", "15:45", 75)
    found = check(file_of(morning, evening))
    assert brief(found) == [("halt", "2021-02-24", "2021-02-24", 220)] and not found.defects
    found = check(file_of(minutes("2021-11-04", "18:07", 1), minutes("2021-11-04", "18:15", 60)))
    assert brief(found) == [("special-session", "2021-11-04", "2021-11-04", 60)]
    assert found.findings[0].detail == "muhurat; 1 prints before, 0 after"
    found = check(file_of(minutes("2021-11-03"), minutes("2021-11-08")))
    assert brief(found) == [("special-absent", "2021-11-04", "2021-11-04", 1)]


def test_bad_rows_are_findings_and_their_minutes_are_there(file_of: Make) -> None:
    path = file_of(minutes("2022-01-03"))
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace(",100.05", ",0", 1)  # open of 09:19
    lines[6] = lines[6].replace(",100.05", ",nan", 1)
    lines.insert(9, lines[8])
    lines.append(lines[100])
    path.write_text("\n".join(lines))
    found = check(path)
    assert {(one.kind, one.count) for one in found.findings} == {
        ("not-positive", 1), ("not-finite", 1), ("duplicate", 2)}  # fmt: skip
    texts = [one.detail for one in found.findings]
    assert "line 6: open: '0' is not a positive price" in texts
    assert "line 7: open: 'nan' is not a finite number" in texts


def test_out_of_order_rows_are_found(file_of: Make) -> None:
    bars = minutes("2022-01-03")
    bars[10], bars[11] = bars[11], bars[10]
    found = check(file_of(bars))
    assert brief(found) == [("out-of-order", "2022-01-03", "2022-01-03", 1)]


def test_daily_bars_are_checked_by_date(file_of: Make) -> None:
    days = [f"2022-01-{day:02d}" for day in (3, 4, 5, 6, 7, 10, 12)]
    found = check(file_of([minutes(day, "00:00", 1)[0] for day in days]))
    assert found.timeframe == "1d"
    assert brief(found) == [("missing-day", "2022-01-11", "2022-01-11", 1)]


def test_dates_beyond_the_calendar_are_said(file_of: Make) -> None:
    found = check(file_of(minutes("2005-01-03"), minutes("2005-01-04")))
    assert brief(found) == [("calendar", "2005-01-03", "2005-01-04", 2)]
    assert "no calendar" in found.findings[0].detail


def test_rounded_prices_are_noted(file_of: Make) -> None:
    days = [minutes(f"2022-01-0{day}") for day in (3, 4, 5)]
    assert brief(check(file_of(*days, price="100"))) == [
        ("whole-rupees", "2022-01-03", "2022-01-05", 1125)
    ]


def test_one_bar_and_unknown_sources(file_of: Make, tmp_path: Path) -> None:
    assert brief(check(file_of(minutes("2022-01-03", count=1))))[0][0] == "no-interval"
    with pytest.raises(UsageError, match="no such file"):
        verify_source(tmp_path / "absent.csv")
    with pytest.raises(UsageError, match="segment"):
        verify_source(file_of(minutes("2022-01-03")), symbol="X", segment="MCX")


def test_every_note_has_a_meaning() -> None:
    assert set(MEANING) >= NOTES
    assert {Finding(kind, "", "", 1, "").level for kind in MEANING} == {"note", "defect"}


@pytest.mark.parametrize("day", [date(2026, 8, 4), date(2026, 11, 8)])
def test_auctions_and_hours_not_published(file_of: Make, day: date) -> None:
    trading = Calendar.load().day(day, "NSE_INDEX")
    assert trading is not None
    found = check(file_of(minutes(str(day), "09:15", 380)))
    kinds = [one.kind for one in found.findings if one.kind != "calendar"]
    assert kinds == (["auction"] if trading.windows else [])
    notes = [one.detail for one in found.findings if one.kind == "calendar"]
    assert any("hours unknown" in note for note in notes) == (not trading.windows)


# What the README of the recorded data lists, and what a plain count of its minutes shows besides:
# (kind, first, last, count) of every defect, and of the notes that name a day.
GAPS_2021 = [
    ("missing-minutes", "2021-11-01", "2021-11-01", 4),
    ("short-day", "2021-07-23", "2021-07-23", 41),
]
OPENING_2009 = 37  # days of October to December without their 09:55 minute
RECORDED: dict[str, list[tuple[str, str, str, int]]] = {
    "BANKNIFTY_1m_2021": GAPS_2021,
    "NIFTY_1m_2021": GAPS_2021,
    "BANKNIFTY_1m_2022": [("short-day", "2022-01-21", "2022-01-21", 13),
                          ("short-day", "2022-03-07", "2022-03-07", 77)],
    "NIFTY_1m_2022": [("short-day", "2022-01-21", "2022-01-21", 13),
                      ("short-day", "2022-03-07", "2022-03-07", 40)],
    "BANKNIFTY_1m_2023-01": [],
    "NIFTY_1m_2023-01": [],
    "BANKNIFTY_1m_2023-04_2023-05": [],
    "INDIAVIX_1m_2023-04_2023-05": [],
    "NIFTY_1m_2009": [("missing-day", "2009-04-20", "2009-04-20", 1),
                      ("missing-day", "2009-07-13", "2009-07-13", 1),
                      ("missing-day", "2009-12-07", "2009-12-18", 10),
                      ("short-day", "2009-01-23", "2009-01-23", 10)],
}  # fmt: skip
DAYS_TOLD: dict[str, set[tuple[str, str]]] = {
    "2021": {("halt", "2021-02-24"), ("special-session", "2021-11-04")},
    "2022": {("special-session", "2022-10-24")},
    "2009": {("halt", "2009-05-18"), ("special-absent", "2009-10-17")},
}


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_the_listed_defects_are_found_and_no_others(recorded: Path, name: str) -> None:
    (found,) = verify_source(recorded / "index_1m" / f"{name}.parquet")
    defects = [
        (one.kind, one.first, one.last, one.count)
        for one in found.findings
        if one.level == "defect" and one.detail != "absent: 09:55"
    ]
    assert sorted(defects) == sorted(RECORDED[name])
    opening = [one for one in found.findings if one.detail == "absent: 09:55"]
    assert len(opening) == (OPENING_2009 if "2009" in name else 0)
    year = name.rpartition("_")[2]
    told = {(one.kind, one.first) for one in found.findings
            if one.kind in ("halt", "special-session", "special-absent")}  # fmt: skip
    assert told == DAYS_TOLD.get(year, set())


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_prints_and_gaps_agree_with_a_plain_count(recorded: Path, name: str) -> None:
    import pyarrow.parquet as pq

    path = recorded / "index_1m" / f"{name}.parquet"
    (found,) = verify_source(path)
    stamps = [datetime.fromtimestamp(ns // 10**9, UTC) + timedelta(minutes=330)
              for ns in pq.read_table(path)["ts"].to_pylist()]  # fmt: skip
    odd = {date(2021, 2, 24), date(2021, 11, 4), date(2022, 10, 24), date(2009, 5, 18)}
    opens, length = ("09:55", 335) if "2009" in name else ("09:15", 375)
    plain = [at for at in stamps if at.date() not in odd]
    early = [at for at in plain if f"{at:%H:%M}" < opens]
    late = [at for at in plain if f"{at:%H:%M}" >= "15:30"]
    absent = len({at.date() for at in plain}) * length - (len(plain) - len(early) - len(late))
    counts = {kind: sum(one.count for one in found.findings if one.kind == kind)
              for kind in ("pre-open", "closing", "missing-minutes", "short-day")}  # fmt: skip
    assert counts["pre-open"] == len(early) and counts["closing"] == len(late)
    assert counts["missing-minutes"] + counts["short-day"] == absent


@pytest.mark.data
def test_december_2009_is_told_as_rounded(recorded: Path) -> None:
    (found,) = verify_source(recorded / "index_1m" / "NIFTY_1m_2009.parquet")
    rounded = [one for one in found.findings if one.kind == "whole-rupees"]
    assert [one.first[:7] for one in rounded] == ["2009-12"]
    assert rounded[0].detail.startswith("65 %")


@pytest.mark.data
def test_the_fifteen_minute_file_has_626_bars_outside_their_range(recorded: Path) -> None:
    (found,) = verify_source(recorded / "index_15m" / "BANKNIFTY_15m_2018_2022.parquet")
    cells = sum(one.count for one in found.findings if one.kind == "outside-range")
    assert cells == 629  # three of the 626 bars have both ends outside
    kinds = {one.kind for one in found.findings if one.level == "defect"}
    assert kinds == {"outside-range", "missing-day"}


@pytest.mark.data
def test_twelve_stocks_in_one_file_are_clean(recorded: Path) -> None:
    path = recorded / "equity_1m" / "bank_stocks_1m_2023-04_2023-05.parquet"
    found = verify_source(path, segment="NSE_EQ")
    assert len(found) == 12
    assert {one.rows for one in found} == {375 * 29}
    assert not any(one.defects for one in found)
    with pytest.raises(BadData, match="not 'NIFTY'"):
        verify_source(path, symbol="NIFTY")


def test_the_plain_calendar_of_these_tests_is_ist() -> None:
    assert np.datetime64(minutes("2022-01-03")[0], "s") == np.datetime64("2022-01-03T03:45")


def test_a_catalog_is_checked_series_by_series(file_of: Make, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    path = file_of(minutes("2022-01-03"), minutes("2022-01-04", count=300))
    for symbol in ("NIFTY", "BANKNIFTY"):
        import_files(catalog, [path], ImportOptions(symbol=symbol), ManualClock())
    both = verify_source(catalog.root)
    assert [one.source for one in both] == ["BANKNIFTY/1m", "NIFTY/1m"]
    assert [brief(one) for one in both] == [[("short-day", "2022-01-04", "2022-01-04", 75)]] * 2
    (one,) = verify_source(catalog.root, symbol="NIFTY")
    assert one.symbol == "NIFTY"
    with pytest.raises(UsageError, match="has no SENSEX"):
        verify_source(catalog.root, symbol="SENSEX")


def test_a_damaged_catalog_is_not_called_clean(file_of: Make, tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    import_files(
        catalog, [file_of(minutes("2022-01-03"))], ImportOptions(symbol="N"), ManualClock()
    )
    (path,) = (catalog.root / "N/1m").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(BadData, match="damaged"):
        verify_source(catalog.root)


def test_prices_off_the_paisa_are_noted(file_of: Make) -> None:
    found = check(file_of(minutes("2022-01-03"), price="100.0512"))
    assert brief(found) == [("off-grid", "2022-01-03", "2022-01-03", 375)]
