"""Positions are closed on the day they were opened, whatever the length of the bars."""

import datetime as dt
from dataclasses import replace

import pytest

import dhanfast
from dhanfast._core.types import Reason
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.settings import Settings
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Rules, RuleStrategy
from dhanfast.strategies.market import Market

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
MINUTE_NS = 60 * 10**9
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 1, 5)  # no expiry of the monthly future
DAYS = 4


class Always(RuleStrategy):
    """Long whenever it may be."""

    def rules(self, m: Market) -> Rules:
        return Rules(long=m.close > 0)


@pytest.fixture(scope="module")
def bars() -> BarSet:
    return generated_bars("BANKNIFTY", FIRST, LAST, seed=1)


def moment(ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(ns) // 10**9, IST)


@pytest.mark.parametrize("minutes", [1, 5, 15, 25, 60])
@pytest.mark.parametrize("square_off", [dt.time(15, 15), dt.time(15, 28), dt.time(15, 30)])
def test_one_trade_a_day_closed_the_same_day(
    bars: BarSet, minutes: int, square_off: dt.time
) -> None:
    settings = Settings(timeframe_ns=minutes * MINUTE_NS, square_off=square_off)
    result = dhanfast.backtest(Always, bars, settings=settings)
    entered = [moment(trade["entry_ns"]) for trade in result.trades]
    left = [moment(trade["exit_ns"]) for trade in result.trades]
    assert [at.date() for at in entered] == [at.date() for at in left]
    assert len(entered) == DAYS
    assert {int(trade["exit_reason"]) for trade in result.trades} == {int(Reason.TIME_EXIT)}
    assert result.counters["orders_refused"] == 0
    # At the first bar that starts at or after the time, or at the last bar of the day.
    opens = dt.datetime.combine(FIRST, dt.time(9, 15), IST)
    starts = [(opens + dt.timedelta(minutes=m)).time() for m in range(0, 375, minutes)]
    expected = next((at for at in starts if at >= square_off), starts[-1])
    assert {at.time() for at in left} == {expected}


def test_a_day_whose_data_ends_early_is_closed_at_the_next_price(bars: BarSet) -> None:
    """Nothing can be sold when there is no price: the next day's first print closes it."""
    start = bars.bars["start_ns"]
    gone = [dt.datetime.combine(dt.date(2024, 1, day), dt.time(hour), IST)
            for day, hour in ((3, 14), (4, 0))]  # fmt: skip
    first, last = (int(at.timestamp()) * 10**9 for at in gone)
    kept = replace(bars, bars=bars.bars[(start < first) | (start >= last)])
    result = dhanfast.backtest(Always, kept)
    days = [(moment(t["entry_ns"]).day, moment(t["exit_ns"]).day) for t in result.trades]
    assert days == [(2, 2), (3, 4), (4, 4), (5, 5)]
    late = result.trades[1]
    assert moment(late["exit_ns"]).time() == dt.time(9, 15)
    assert int(late["exit_reason"]) == int(Reason.TIME_EXIT)
