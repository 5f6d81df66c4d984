"""Filters in whole runs: what is counted and written, what passes, what is refused."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.types import TICK_DTYPE, Reason
from dhanfast.engine.filter_settings import Event, FilterSettings, Span, checked_filters
from dhanfast.engine.legs import checked_legs
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings, checked
from dhanfast.engine.tickruns import TickRun, backtest_ticks
from dhanfast.engine.veto_notes import VetoNotes
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.generate import generate_ticks
from dhanfast.reports.rundir import read_run, write_run
from dhanfast.reports.summary import summary
from dhanfast.reports.terminal import summary_text
from tests.core.scripted import Scripted
from tests.engine.conftest import Draw
from tests.engine.live_stage import PRICE, records_of
from tests.engine.test_live_run import Hand

MINUTE = 60_000_000_000
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
LUNCH = FilterSettings(times=("lunch",))


def clock_of(stamps: Any) -> list[dt.time]:
    return [dt.datetime.fromtimestamp(int(one) // 10**9, IST).time() for one in stamps]


def test_off_is_not_there_at_all(draw: Draw) -> None:
    bars = draw("2022-02-01", "2022-02-04")
    plain = backtest("momentum", bars)
    off = backtest("momentum", bars, settings=Settings(filters=FilterSettings()))
    assert plain.digest == off.digest and plain.counters == off.counters
    assert "filters" not in plain.config and plain.vetoes is None
    assert "FILTER" not in summary_text(plain)


def test_no_entry_is_decided_in_lunch_and_the_report_says_what_was_taken_back(
    draw: Draw, tmp_path: Path
) -> None:
    bars = draw("2022-02-01", "2022-02-11")
    settings = Settings(capital=10**10, filters=LUNCH)
    result = backtest("momentum", bars, settings=settings)
    entries = result.orders[result.orders["reason"] == Reason.SIGNAL]
    lunch = [dt.time(12, 0) <= one < dt.time(13, 30) for one in clock_of(entries["created_ns"])]
    assert len(entries) > 20 and not any(lunch)
    counted = result.counters["vetoed_lunch"]
    assert counted == result.counters["entries_vetoed"] > 10
    assert result.vetoes is not None and int(result.vetoes.rows["count"].sum()) == counted
    assert result.config["filters"] == {"times": ["lunch"]}
    text = summary_text(result)
    assert "ENTRIES TAKEN BACK, BY FILTER" in text and f"{counted:,}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert summary(result)["vetoes"] == {"names": ["lunch"], "counts": {"lunch": counted}}
    again = read_run(write_run(result, tmp_path / "run"))
    assert again.vetoes is not None and again.vetoes.names == ("lunch",)
    assert again.vetoes.rows.tobytes() == result.vetoes.rows.tobytes()
    assert again.vetoes.counts == result.vetoes.counts


@pytest.mark.parametrize(
    ("opposite", "ends", "vetoes"),
    [
        ("keep", Reason.TIME_EXIT, 0),
        ("close", Reason.EXIT_SIGNAL, 0),
        ("reverse", Reason.EXIT_SIGNAL, 1),
    ],
)
def test_an_exit_passes_whatever_the_wish_is_called(
    draw: Draw, opposite: str, ends: Reason, vetoes: int
) -> None:
    bars = draw("2022-02-01", "2022-02-01")
    script = [(0, 0.0, 0.0)] * 200
    script[30], script[180] = (1, 0.0, 0.0), (-1, 0.0, 0.0)  # 12:16 is lunch
    settings = Settings(capital=10**10, on_opposite=opposite, filters=LUNCH)
    result = backtest(Scripted(script), bars, settings=settings)
    assert result.trades["exit_reason"].tolist() == [ends]
    assert result.trades["side"].tolist() == [1]
    assert result.counters["entries_vetoed"] == vetoes


def test_on_generated_days_the_filters_are_lookahead_safe(draw: Draw) -> None:
    """What is decided on a bar is the same whether or not later bars are there."""
    bars = draw("2022-02-01", "2022-02-04", kind="FUT")
    told = FilterSettings(volume=1.1, momentum="both", times=("open",))
    settings = Settings(capital=10**10, filters=told)
    whole = backtest("momentum", bars, settings=settings)
    day = bars.bars["start_ns"] // (86_400 * 10**9)
    first = draw.only(bars, day <= np.unique(day)[1])
    part = backtest("momentum", first, settings=settings)
    assert len(part.trades) > 3
    assert part.trades.tobytes() == whole.trades[: len(part.trades)].tobytes()
    until_ns = int(first.bars["start_ns"][-1]) + MINUTE
    rows = whole.vetoes.rows[whole.vetoes.rows["until_ns"] <= until_ns]  # type: ignore[union-attr]
    assert rows.tobytes() == part.vetoes.rows[: len(rows)].tobytes()  # type: ignore[union-attr]


def ticks_of(wide_from: int) -> Any:
    """A minute's tick each second for 30 minutes; the spread is wide from a minute on."""
    day = next(
        iter(
            generate_ticks(
                "BANKNIFTY",
                dt.date(2022, 2, 1),
                dt.date(2022, 2, 1),
                seed=5,
                interval="5s",
                instrument="FUT",
            )
        )
    )
    opens = int(dt.datetime(2022, 2, 1, 9, 15, tzinfo=IST).timestamp()) * 10**9
    ticks = np.zeros(1800, TICK_DTYPE)
    ticks["instrument"] = day["instrument"][0]
    ticks["exch_ns"] = ticks["recv_ns"] = opens + np.arange(1800) * 10**9
    ticks["price"], ticks["qty"] = 38_000_00, 25
    ticks["volume"] = 25 * np.arange(1, 1801)
    ticks["bid"], ticks["ask"] = 37_999_95, 38_000_05
    ticks["ask"][60 * wide_from :] = 38_010_00
    ticks["bid_qty"] = ticks["ask_qty"] = 1000
    return ticks


def test_a_spread_that_is_wide_or_unknown_keeps_entries_out() -> None:
    script = [(1, 0.0, 0.0) if at % 2 == 0 else (2, 0.0, 0.0) for at in range(30)]
    counts = []
    for told in (FilterSettings(spread_ticks=3), FilterSettings(spread_bps=1), FilterSettings()):
        result = backtest_ticks(
            Scripted(script),
            [ticks_of(15)],
            symbol="BANKNIFTY",
            settings=Settings(capital=10**10, filters=told),
        )
        counts.append((len(result.trades), result.counters.get("vetoed_spread", 0)))
    # Entries are asked for at 9:16, 9:18 ...; from 9:20 on they are allowed. The tick of 9:30:00 is
    # the first wide one, and what is decided at 9:30 is decided before it.
    assert counts[0] == counts[1] == (6, 7) and counts[2] == (13, 0)
    unknown = ticks_of(15)
    unknown["bid"] = unknown["ask"] = 0
    result = backtest_ticks(
        Scripted(script),
        [unknown],
        symbol="BANKNIFTY",
        settings=Settings(capital=10**10, filters=FilterSettings(spread_bps=1)),
    )
    assert (len(result.trades), result.counters["vetoed_spread"]) == (0, 13)


def test_windows_reach_into_sessions_that_come_later() -> None:
    """Ticks over a month's end: the second month's sessions are asked for on the way."""
    ticks = list(
        generate_ticks(
            "BANKNIFTY",
            dt.date(2022, 2, 25),
            dt.date(2022, 3, 2),
            seed=5,
            interval="30s",
            instrument="FUT",
        )
    )
    result = backtest_ticks(
        Scripted([(1, 0.0, 0.0), (2, 0.0, 0.0)] * 1500),
        ticks,
        symbol="BANKNIFTY",
        settings=Settings(capital=10**10, filters=LUNCH),
    )
    entries = result.orders[result.orders["reason"] == Reason.SIGNAL]
    days = {one // 100 for one in (int(row["date"]) for row in result.days)}
    assert days == {202202, 202203}
    assert not any(dt.time(12) <= one < dt.time(13, 30) for one in clock_of(entries["created_ns"]))
    march = (
        result.vetoes.rows["from_ns"]
        >= int(  # type: ignore[union-attr]
            dt.datetime(2022, 3, 1, tzinfo=IST).timestamp()
        )
        * 10**9
    )
    assert march.any()


def test_a_restart_repeats_what_was_taken_back(tmp_path: Path) -> None:
    settings = Settings(filters=FilterSettings(momentum="roc", momentum_bars=2))
    script = {1: "buy", 3: "sell", 5: "buy", 7: "sell"}
    hand = Hand(tmp_path, script, settings=settings)
    noted: list[dict[str, Any]] = []
    notes = VetoNotes(hand.run, lambda **words: noted.append(words))
    notes.look()
    for price in (PRICE, PRICE, PRICE - 1000, PRICE - 1000, PRICE + 500, PRICE + 500, PRICE, PRICE):
        hand.minute(price)
        notes.look()
    assert hand.run.decisions.vetoed["momentum"] >= 1
    assert [one["filter"] for one in noted][:1] == ["momentum"]
    hand.run.journal.close()
    old = records_of(hand.path)
    again = Hand(tmp_path, script, settings=settings)
    again.run.journal.append_record(Kind.RESUME, b"{}", hand.now, vital=True)
    again.run.recover(old, hand.now)
    assert again.run.decisions.vetoed == hand.run.decisions.vetoed
    assert again.run.rows_so_far()[1].tobytes() == hand.run.rows_so_far()[1].tobytes()
    quiet: list[dict[str, Any]] = []
    VetoNotes(again.run, lambda **words: quiet.append(words)).look()
    assert quiet == []  # the journal has them


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("filters.volume: .* has no volume", FilterSettings(volume=1.5)),
        ("filters.oi: .* has no open interest", FilterSettings(oi_bars=5)),
        ("filters.spread: .* has no bid and ask", FilterSettings(spread_ticks=2)),
    ],
)
def test_data_that_a_filter_cannot_see_is_refused_by_name(
    draw: Draw, words: str, told: FilterSettings
) -> None:
    bars = draw("2022-02-01", "2022-02-01")
    bars = replace(bars, bars=bars.bars.copy())
    bars.bars["volume"] = bars.bars["oi"] = 0
    with pytest.raises((BadData, ConfigError), match=words):
        backtest("momentum", bars, settings=Settings(filters=told))
    with pytest.raises((BadData, ConfigError), match=words):
        TickRun("momentum", symbol="BANKNIFTY", kind="IDX", settings=Settings(filters=told))


def test_legs_take_filters_of_time_alone() -> None:
    assert checked_legs(Settings(filters=LUNCH)).filters == LUNCH
    with pytest.raises(ConfigError, match=r"filters\.volume\.times: a legs run does not follow it"):
        checked_legs(Settings(filters=replace(LUNCH, volume=2.0)))


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("brunch", lambda: FilterSettings(times=("brunch",))),
        ("each name once", lambda: FilterSettings(times=("open", "open"))),
        ("filters.open must be above 0", lambda: FilterSettings(open_ns=0)),
        ("filters.close must be", lambda: FilterSettings(close_ns=7 * 3600 * 10**9)),
        ("before filters.lunch_until", lambda: FilterSettings(lunch_from=dt.time(14))),
        ("names that differ", lambda: FilterSettings(windows=(Span.parse("a 10:00-11:00"),) * 2)),
        (
            "at most 8",
            lambda: FilterSettings(
                windows=tuple(Span.parse(f"w{at} 10:00-11:00") for at in range(9))
            ),
        ),
        ("expiry_day", lambda: FilterSettings(expiry="daily")),
        ("filters.expiry_from must be none", lambda: FilterSettings(expiry_from=dt.time(12))),
        ("momentum.by", lambda: FilterSettings(momentum="macd")),
        ("volume.bars must be in 1..10000", lambda: FilterSettings(volume_bars=0)),
        ("momentum.adx must be in 0..100", lambda: FilterSettings(adx=101.0)),
        ("spread.bps must be in", lambda: FilterSettings(spread_bps=-1.0)),
        ("a name and two times", lambda: Span.parse("10:00-11:00")),
        ("is a filter already", lambda: Span.parse("lunch 10:00-11:00")),
        ("end after it begins", lambda: Span.parse("tea 11:00-10:00")),
        ("does not exist", lambda: Span.parse("tea 25:00-26:00")),
        ("a date and a name", lambda: Event.parse("budget")),
        ("is no date", lambda: Event.parse("2026-02-30 budget")),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, made: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match=words):
        told = made()
        checked(Settings(filters=told))
        checked_filters(told)


def test_texts_come_back_as_they_were_written() -> None:
    for text in ("2026-02-01 budget", "2026-02-06 policy 09:45-10:45"):
        assert str(Event.parse(text)) == text
    assert str(Span.parse("fixing 11:30-12:00")) == "fixing 11:30-12:00"
