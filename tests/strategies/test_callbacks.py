"""The Python door's callbacks as docs/reference/strategy-api.md tells them."""

import datetime as dt
from typing import Any

import pytest

import dhanfast
from dhanfast.engine.generated import generated_bars
from dhanfast.errors import StrategyError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Context, Market, Strategy
from dhanfast.strategies.base import BarView, FillView


class Diary(Strategy):
    """Buys on the first bar it may, leaves ten bars later; writes down what it is told."""

    def on_start(self, m: Market) -> None:
        self.fills: list[tuple[float, int, int]] = []
        self.seen = 0
        self.stopped_with: Any = None

    def on_bar(self, ctx: Context, bar: BarView) -> None:
        self.seen += 1
        if ctx.position == 0 and ctx.can_enter and not self.fills:
            ctx.buy(stop=2000, target=4000)
            ctx.log(f"buy after {bar.close:.2f}")
        elif ctx.position > 0 and ctx.bars_held == 10:
            ctx.exit()

    def on_fill(self, ctx: Context, fill: FillView) -> None:
        self.fills.append((fill.price, fill.qty, fill.left))

    def on_stop(self, ctx: Context) -> None:
        self.stopped_with = (ctx.position, self.seen)
        ctx.log("over")


@pytest.fixture(scope="module")
def bars() -> BarSet:
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 2), seed=1)


def test_every_callback_is_called_as_told(bars: BarSet) -> None:
    diary = Diary()
    result = dhanfast.backtest(diary, bars)
    (trade,) = result.trades
    lot = int(trade["qty"])
    assert diary.fills == [
        (trade["entry_value"] / lot / 100, lot, 0),
        (trade["exit_value"] / lot / 100, -lot, 0),
    ]
    assert trade["bars"] == 10
    assert diary.stopped_with == (0, len(bars.bars))
    # Decided on the bar of 09:19, complete at 09:20.
    first = result.log[0]
    assert first[0] == trade["entry_ns"]
    close = bars.bars["close"][bars.bars["start_ns"] == first[0] - 60 * 10**9][0] / 100
    assert first[1] == f"buy after {close:.2f}"
    assert result.log[1][1] == "over"


class StopsBadly(Diary):
    """Raises at the end."""

    def on_stop(self, ctx: Context) -> None:
        raise RuntimeError("cannot save")


def test_an_error_in_on_stop_ends_the_run(bars: BarSet) -> None:
    with pytest.raises(StrategyError, match=r"on_stop: .*cannot save") as refused:
        dhanfast.backtest(StopsBadly, bars)
    assert isinstance(refused.value.__cause__, RuntimeError)


@pytest.mark.parametrize("name", ["on_order", "on_timer"])
def test_callbacks_of_later_versions_are_refused(bars: BarSet, name: str) -> None:
    kind = type("Early", (Diary,), {name: lambda self, *rest: None})
    with pytest.raises(StrategyError, match=rf"Early\.{name}: .* not in this version"):
        dhanfast.backtest(kind, bars)
