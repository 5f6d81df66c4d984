"""The contract of the Python door: what callbacks see, when, and what is refused."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.bars import TimeBars
from dhanfast._core.loops import TickLoop
from dhanfast._core.types import TICK_DTYPE, Reason
from dhanfast.errors import StrategyError
from dhanfast.strategies import Context, Market, Strategy
from dhanfast.strategies.plugins import find_strategy

from ..core.stand import DAY, MINUTE, OPEN, bars_of, make, run, sessions

MINUTES = 12


def rising(count: int) -> Any:
    """Bars that rise ten paise a minute, on a tick of five."""
    prices = [(10_000 + 10 * i, 10_010 + 10 * i, 9_990 + 10 * i, 10_005 + 10 * i)
              for i in range(count)]  # fmt: skip
    return bars_of(prices, MINUTES)


def test_on_bar_sees_the_bar_the_time_and_the_position() -> None:
    seen: list[Any] = []

    class Seer(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            seen.append(
                (
                    bar.start_ns,
                    (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.oi),
                    (ctx.now_ns, ctx.position, ctx.bars_held, ctx.can_enter, ctx.session_start),
                )
            )
            if len(seen) == 2:
                ctx.buy()

    bars = rising(14)
    bars["volume"], bars["oi"] = 3, 4
    run(make(Seer(), sessions(2, MINUTES, entry_until=6)), bars)
    for i, (start, prices, state) in enumerate(seen):
        minute = i % MINUTES
        assert start == OPEN + i // MINUTES * DAY + minute * MINUTE
        row = bars[i]
        assert prices == (*(row[n] / 100 for n in ("open", "high", "low", "close")), 3, 4)
        held = 25 if i >= 2 else 0
        assert state == (start + MINUTE, held, max(0, i - 1), minute < 5, minute == 0)


def test_the_time_of_day_is_indian() -> None:
    seen: list[str] = []

    class Clock(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            seen.append(ctx.now.isoformat())

    run(make(Clock(), sessions(1, MINUTES)), rising(2))
    assert seen == ["2022-01-03T09:16:00+05:30", "2022-01-03T09:17:00+05:30"]


def test_on_fill_tells_price_side_and_why() -> None:
    fills: list[Any] = []

    class Filled(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            if ctx.position == 0 and len(fills) == 0:
                ctx.sell(stop=0.20)

        def on_fill(self, ctx: Context, fill: Any) -> None:
            fills.append((fill.time_ns, fill.price, fill.qty, fill.left, Reason(fill.reason)))
            assert ctx.now_ns == fill.time_ns
            assert ctx.position == (-25 if len(fills) == 1 else 0)
            assert np.isnan(ctx.entry_price) == (ctx.position == 0)

    trades, _, _ = run(make(Filled(), sessions(1, MINUTES)), rising(6))
    entered, left = fills
    assert entered == (OPEN + MINUTE, 100.1, -25, 0, Reason.SIGNAL)
    assert left[1:] == (int(trades[0]["exit_value"]) / 2500, 25, 0, Reason.STOP_LOSS)


def test_wishes_outside_on_bar_and_on_tick_are_refused() -> None:
    class Late(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            self.kept, self.bar = ctx, bar
            ctx.buy()

        def on_fill(self, ctx: Context, fill: Any) -> None:
            ctx.exit()

    strategy = Late()
    with pytest.raises(
        StrategyError, match="buy, sell and exit are for on_bar, on_tick and on_chain only"
    ):
        run(make(strategy, sessions(1, MINUTES)), rising(3))
    with pytest.raises(StrategyError, match="on_tick and on_chain only"):
        strategy.kept.sell()


def test_what_is_kept_of_a_callback_does_not_outlive_it() -> None:
    class Keeper(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            self.ctx, self.bar = ctx, bar
            ctx.buy()

    strategy = Keeper()
    run(make(strategy, sessions(1, MINUTES)), rising(3))
    for name in ("start_ns", "open", "high", "low", "close", "volume", "oi"):
        with pytest.raises(StrategyError, match="keep its numbers, not the bar"):
            getattr(strategy.bar, name)
    ctx = strategy.ctx
    assert (ctx.position, ctx.bars_held, ctx.now_ns) == (0, 0, 0)
    assert not ctx.can_enter and not ctx.session_start and np.isnan(ctx.entry_price)


def test_on_fill_cannot_read_a_series_that_may_be_of_a_later_bar() -> None:
    """Bars are evaluated ahead in blocks; a fill in between must not show one."""

    class Peeker(Strategy):
        def on_start(self, m: Market) -> None:
            self.close = m.close

        def on_bar(self, ctx: Context, bar: Any) -> None:
            ctx.buy()

        def on_fill(self, ctx: Context, fill: Any) -> None:
            _ = self.close.value

    with pytest.raises(StrategyError, match="cannot be read in on_fill"):
        run(make(Peeker(), sessions(1, MINUTES)), rising(3))


@pytest.mark.parametrize("wish", [{"stop": -0.5}, {"target": -1.0}])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_negative_distance_is_refused(side: str, wish: dict[str, float]) -> None:
    class Minus(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            getattr(ctx, side)(**wish)

    with pytest.raises(StrategyError, match="distances in rupees from the fill price"):
        run(make(Minus(), sessions(1, MINUTES)), rising(3))


def test_the_last_wish_of_a_callback_counts() -> None:
    class Changing(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            ctx.buy(stop=1.0)
            ctx.sell(target=2.0)

    trades, _, _ = run(make(Changing(), sessions(1, MINUTES)), rising(4))
    assert (int(trades[0]["side"]), int(trades[0]["stop"])) == (-1, 0)
    assert int(trades[0]["target"]) == 10_010 - 200


def test_log_lines_carry_the_time_of_the_event() -> None:
    lines: list[tuple[int, str]] = []

    class Chatty(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            ctx.log(f"close {bar.close:.2f}")

    runner = Chatty().runner(lambda at_ns, text: lines.append((at_ns, text)))
    run(make(runner, sessions(1, MINUTES)), rising(2))
    assert lines == [(OPEN + MINUTE, "close 100.05"), (OPEN + 2 * MINUTE, "close 100.15")]


@pytest.mark.parametrize("name", ["on_order", "on_timer"])
def test_callbacks_of_later_versions_are_refused_by_name(name: str) -> None:
    kind = type("Later", (Strategy,), {"on_bar": lambda s, c, b: None, name: lambda s: None})
    with pytest.raises(StrategyError, match=f"Later.{name}: .* not in this version"):
        kind().runner(lambda at, text: None)


def test_a_strategy_without_callbacks_is_refused() -> None:
    with pytest.raises(StrategyError, match="defines none of on_bar, on_tick and on_chain"):
        type("Idle", (Strategy,), {})().runner(lambda at, text: None)


def test_on_stop_is_called_once_with_the_context() -> None:
    stopped: list[Any] = []

    class Stopping(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            pass

        def on_stop(self, ctx: Context) -> None:
            ctx.log("done")
            stopped.append(ctx.position)

    lines: list[str] = []
    found = find_strategy(Stopping, {})
    runner = found.runner(lambda at_ns, text: lines.append(text), MINUTE)
    found.stopped(runner)
    assert (stopped, lines) == ([0], ["done"])


def test_an_error_in_on_stop_names_the_strategy() -> None:
    class Stopping(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            pass

        def on_stop(self, ctx: Context) -> None:
            raise KeyError("gone")

    found = find_strategy(Stopping, {})
    with pytest.raises(StrategyError, match="Stopping failed in on_stop: KeyError"):
        found.stopped(found.runner(lambda at_ns, text: None, MINUTE))


class Failing(Strategy):
    """Raises what it is told, where it is told."""

    def __init__(self, where: str, error: BaseException, after: int = 0) -> None:
        super().__init__()
        self.where, self.error, self.left = where, error, after

    def on_bar(self, ctx: Context, bar: Any) -> None:
        self.left -= 1
        if self.where == "on_bar" and self.left < 0:
            raise self.error
        if self.where == "on_bar after on_fill" and ctx.position:
            raise ValueError("second")
        if self.left == -1:
            ctx.buy()

    def on_fill(self, ctx: Context, fill: Any) -> None:
        if self.where != "on_bar" and (self.where != "last fill" or ctx.position == 0):
            raise self.error


@pytest.mark.parametrize("where", ["on_bar", "on_fill", "on_bar after on_fill", "last fill"])
@pytest.mark.parametrize("error", [KeyError("first"), SystemExit("first")])
def test_the_first_error_stops_the_run_and_is_the_one_told(
    where: str, error: BaseException
) -> None:
    kernel = make(Failing(where, error), sessions(1, MINUTES))
    with pytest.raises(StrategyError, match=f"{type(error).__name__}: '?first") as caught:
        run(kernel, rising(4))
    assert caught.value.__cause__ is error


def test_ctrl_c_inside_a_callback_stops_the_run_as_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(make(Failing("on_bar", KeyboardInterrupt()), sessions(1, MINUTES)), rising(4))


def ticks_of(prices: list[int], step_ns: int) -> Any:
    """One tick every `step_ns` from the open."""
    rows = np.zeros(len(prices), TICK_DTYPE)
    rows["exch_ns"] = OPEN + np.arange(len(prices)) * step_ns
    rows["recv_ns"] = rows["exch_ns"] + 5_000_000
    rows["price"] = prices
    rows["bid"], rows["ask"] = rows["price"] - 5, rows["price"] + 5
    rows["qty"], rows["volume"] = 1, np.arange(1, len(prices) + 1)
    return rows


def test_on_tick_sees_each_tick_and_may_trade_on_it() -> None:
    seen: list[tuple[Any, ...]] = []

    class Ticker(Strategy):
        def on_start(self, m: Market) -> None:
            self.last = m.close

        def on_tick(self, ctx: Context, tick: Any) -> None:
            self.kept = tick
            seen.append((tick.exch_ns, tick.price, tick.bid, tick.ask, tick.qty, tick.volume,
                         ctx.position, self.last.value))  # fmt: skip
            if len(seen) == 3:
                ctx.buy(stop=0.5)

    ticks = ticks_of([10_000, 10_010, 10_020, 10_030, 10_040, 9_950, 10_000], MINUTE // 2)
    table = sessions(1, MINUTES)
    strategy = Ticker()
    kernel = make(strategy, table)
    loop = TickLoop(kernel, TimeBars(MINUTE, table))
    assert loop.run(ticks.view("u1"))
    loop.close_bars()
    kernel.finish()
    trades, _, _ = kernel.log.drain()
    assert [s[:6] for s in seen] == [
        (t["exch_ns"], t["price"] / 100, t["bid"] / 100, t["ask"] / 100, 1, t["volume"])
        for t in ticks
    ]
    # Bought on the third tick, filled by the fourth; stopped by the sixth.
    assert [s[6] for s in seen] == [0, 0, 0, 25, 25, 0, 0]
    assert int(trades[0]["entry_ns"]) == int(ticks["recv_ns"][3])
    assert int(trades[0]["exit_ns"]) == int(ticks["recv_ns"][5])
    assert Reason(trades[0]["exit_reason"]) is Reason.STOP_LOSS
    # A series is that of the last complete bar: two ticks a minute.
    assert np.isnan([s[7] for s in seen[:2]]).all()
    assert [s[7] for s in seen[2:]] == [100.1, 100.1, 100.3, 100.3, 99.5]
    for name in ("exch_ns", "price", "bid", "ask", "qty", "volume"):
        with pytest.raises(StrategyError, match="keep its numbers, not the tick"):
            getattr(strategy.kept, name)


def test_ticks_that_come_late_or_outside_the_session_are_counted() -> None:
    class Idle(Strategy):
        def on_tick(self, ctx: Context, tick: Any) -> None:
            self.times = [*getattr(self, "times", []), ctx.now_ns]

    ticks = ticks_of([10_000] * 5, MINUTE)
    ticks["exch_ns"] += (
        np.array([-5, 0, 0, -2, MINUTES]) * MINUTE
    )  # pre-open, late, after the close
    ticks["recv_ns"] = 0
    table = sessions(1, MINUTES)
    strategy = Idle()
    loop = TickLoop(make(strategy, table), TimeBars(MINUTE, table))
    loop.run(ticks.view("u1"))
    assert (loop.ticks_seen, loop.ticks_late, loop.ticks_outside) == (5, 1, 2)
    assert strategy.times == [OPEN + MINUTE, OPEN + 2 * MINUTE, OPEN + 2 * MINUTE]


def test_an_error_in_on_tick_stops_the_run() -> None:
    class Bad(Strategy):
        def on_tick(self, ctx: Context, tick: Any) -> None:
            raise ZeroDivisionError("tick")

    table = sessions(1, MINUTES)
    loop = TickLoop(make(Bad(), table), TimeBars(MINUTE, table))
    with pytest.raises(StrategyError, match="ZeroDivisionError: tick"):
        loop.run(ticks_of([10_000] * 3, MINUTE).view("u1"))


def test_on_tick_is_not_called_in_a_run_on_bars() -> None:
    class Both(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            self.bars = getattr(self, "bars", 0) + 1

        def on_tick(self, ctx: Context, tick: Any) -> None:
            raise AssertionError("no ticks here")

    strategy = Both()
    run(make(strategy, sessions(1, MINUTES)), rising(5))
    assert strategy.bars == 5
