"""The kernel against a slow model, and its laws one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.types import OrderFlag, Reason, RejectReason, ReportKind
from dhanfast.errors import BadData, StrategyError
from dhanfast.strategies import Strategy

from .slow_model import SlowModel, days_of
from .stand import DAY, MINUTE, OPEN, TICK, Wisher, bars_of, make, run, sessions

MINUTES = 12
WHY = {
    Reason.STOP_LOSS: "stop",
    Reason.TAKE_PROFIT: "target",
    Reason.EXIT_SIGNAL: "exit",
    Reason.TIME_EXIT: "time",
    Reason.REVERSAL: "reverse",
}

wishes = st.tuples(
    st.sampled_from(["", "", "long", "short", "flat"]),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[tuple[int, int, int, int]], list[Any]]:
    """A walk in ticks with gaps between bars, and a wish for every bar."""
    count = draw(st.integers(2, 3 * MINUTES))
    price, prices = 2_000, []
    for _ in range(count):
        price = max(50, price + draw(st.integers(-30, 30)))
        close = max(50, price + draw(st.integers(-40, 40)))
        high = max(price, close) + draw(st.integers(0, 25))
        low = max(10, min(price, close) - draw(st.integers(0, 25)))
        prices.append(tuple(TICK * x for x in (price, high, low, close)))
        price = close
    return prices, [draw(wishes) for _ in range(count)]


@given(
    market=markets(),
    slip=st.integers(0, 3),
    square_off=st.sampled_from([0, 9]),
    opposite=st.sampled_from(["keep", "close", "reverse"]),
)
def test_trades_agree_with_the_slow_model(
    market: Any, slip: int, square_off: int, opposite: str
) -> None:
    prices, said = market
    # No decision on a session's last bar: its order would find the exchange closed.
    said = [("", 0.0, 0.0) if i % MINUTES == MINUTES - 1 else w for i, w in enumerate(said)]
    days = -(-len(prices) // MINUTES)
    table = sessions(days, MINUTES, square_off=square_off, entry_until=MINUTES - 1)
    kernel = make(
        Wisher(said),
        table,
        slippage_ticks=slip,
        on_opposite={"keep": 0, "close": 1, "reverse": 2}[opposite],
    )
    bars = bars_of(prices, MINUTES)
    trades, _, _ = run(kernel, bars)
    model = SlowModel(
        days_of(table),
        tick=TICK,
        qty=25,
        slippage=slip * TICK,
        interval_ns=MINUTE,
        opposite=opposite,
    )
    expected = model.run(
        [tuple(int(b[n]) for n in ("start_ns", "open", "high", "low", "close")) for b in bars], said
    )
    got = [
        (
            t["side"],
            t["entry_value"] // 25,
            t["entry_ns"],
            t["exit_value"] // 25,
            t["exit_ns"],
            t["stop"],
            t["target"],
            WHY.get(t["exit_reason"], "end"),
        )
        for t in trades
    ]
    told = [
        (t.side, t.entry, t.entry_ns, t.exit, t.exit_ns, t.stop, t.target, t.why) for t in expected
    ]
    assert got[: len(told)] == told
    assert len(got) - len(told) == (model.open is not None)  # closed at the end of the data


@given(market=markets(), cut=st.integers(1, 40))
def test_feeding_in_pieces_changes_nothing(market: Any, cut: int) -> None:
    prices, said = market
    table = sessions(3, MINUTES, square_off=9, entry_until=MINUTES - 1)
    bars = bars_of(prices, MINUTES)
    whole = run(make(Wisher(said), table), bars)
    pieces = make(Wisher(said), table)
    for at in range(0, len(bars), cut):
        assert pieces.run(bars[at : at + cut].view("u1"))
    pieces.finish()
    for one, other in zip(whole, pieces.log.drain(), strict=True):
        assert one.tobytes() == other.tobytes()


@given(market=markets())
def test_equity_is_cash_and_charges_add_up(market: Any) -> None:
    prices, said = market
    table = sessions(3, MINUTES, square_off=9, entry_until=MINUTES - 1)
    rates = table["charges"]
    rates["brokerage_flat"], rates["exchange_rate_e9"] = 2000, 19_000
    rates["stt_sell_e9"], rates["stamp_buy_e9"], rates["gst_rate_e9"] = 100_000, 20_000, 180_000_000
    table["charges"] = rates
    kernel = make(Wisher(said), table)
    trades, orders, equity = run(kernel, bars_of(prices, MINUTES))
    days = kernel.portfolio.bills()
    assert kernel.equity == 10**12 + int(trades["gross"].sum()) - int(days["charges"].sum())
    filled = orders[orders["filled"] > 0]
    bought = int(filled["value"][filled["side"] > 0].sum())
    sold = int(filled["value"][filled["side"] < 0].sum())
    assert int(trades["gross"].sum()) == sold - bought
    assert (equity["time_ns"][1:] > equity["time_ns"][:-1]).all()
    # Unrounded per trade, rounded per day: they differ by less than a rupee and a half a day.
    parts = sum(
        int(trades[n].sum())
        for n in ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
    )
    assert abs(parts / 1e6 - int(days["charges"].sum())) <= 150 * max(len(days), 1)


def test_a_decision_never_meets_a_price_of_its_own_bar() -> None:
    # The signal bar falls to 90 and closes at 100; the next opens at 103.
    prices = [(10000, 10000, 9000, 10000), (10300, 10400, 10200, 10350), (10350,) * 4]
    kernel = make(Wisher([("long", 5.0, 0.0), ("", 0, 0), ("", 0, 0)]), sessions(1, MINUTES))
    trades, _, _ = run(kernel, bars_of(prices, MINUTES))
    assert int(trades[0]["entry_value"]) == 25 * 10300
    assert int(trades[0]["entry_ns"]) == OPEN + MINUTE


def test_stop_comes_before_target_inside_one_bar() -> None:
    prices = [(10000,) * 4, (10000, 11000, 9000, 10500), (10500,) * 4]
    kernel = make(Wisher([("long", 5.0, 5.0), ("", 0, 0), ("", 0, 0)]), sessions(1, MINUTES))
    trades, orders, _ = run(kernel, bars_of(prices, MINUTES))
    assert [Reason(t["exit_reason"]) for t in trades] == [Reason.STOP_LOSS]
    assert int(trades[0]["exit_value"]) == 25 * 9500
    target = orders[(orders["flags"] & OrderFlag.TARGET) > 0]
    assert [ReportKind(row["status"]) for row in target] == [ReportKind.CANCELLED]


def test_a_gap_over_night_takes_the_stop_at_the_open_of_the_next_day() -> None:
    prices = [(10000,) * 4] * MINUTES + [(9000, 9100, 8900, 9000)] * 2
    said = [("long", 5.0, 0.0)] + [("", 0.0, 0.0)] * (MINUTES + 1)
    kernel = make(Wisher(said), sessions(2, MINUTES))
    trades, orders, _ = run(kernel, bars_of(prices, MINUTES))
    assert int(trades[0]["exit_value"]) == 25 * 9000
    assert int(trades[0]["exit_ns"]) == OPEN + DAY
    stops = orders[(orders["flags"] & OrderFlag.STOP) > 0]
    assert [ReportKind(row["status"]) for row in stops] == [ReportKind.EXPIRED, ReportKind.FILLED]


def test_bars_outside_the_session_are_counted_and_unseen() -> None:
    prices = [(10000,) * 4] * 5
    bars = bars_of(prices, MINUTES)
    bars["start_ns"][0] = OPEN - 8 * MINUTE  # pre-open print
    bars["start_ns"][4] = OPEN + MINUTES * MINUTE  # closing print
    strategy = Wisher([("", 0.0, 0.0)] * 3)
    kernel = make(strategy, sessions(1, MINUTES))
    run(kernel, bars)
    assert kernel.bars_outside == 2 and kernel.bars_seen == 3
    assert [seen[0] for seen in strategy.seen] == [int(b) for b in bars["start_ns"][1:4]]


def test_special_sessions_take_no_entries() -> None:
    table = sessions(1, MINUTES, flags=1)
    kernel = make(Wisher([("long", 0.0, 0.0)] * 3), table)
    trades, orders, _ = run(kernel, bars_of([(10000,) * 4] * 3, MINUTES))
    assert len(trades) == len(orders) == 0 and kernel.signals_late == 3


def test_latency_moves_the_fill_into_the_bar_against_the_order() -> None:
    prices = [(10000,) * 4, (10000, 10400, 9900, 10200), (10200,) * 4]
    kernel = make(
        Wisher([("long", 0.0, 0.0), ("", 0, 0), ("", 0, 0)]),
        sessions(1, MINUTES),
        latency_ns=MINUTE // 4,
    )
    trades, _, _ = run(kernel, bars_of(prices, MINUTES))
    assert int(trades[0]["entry_value"]) == 25 * 10100  # a quarter of the way to the high
    assert int(trades[0]["entry_ns"]) == OPEN + MINUTE + MINUTE // 4


def test_a_refused_entry_is_written_down_and_nothing_is_sent() -> None:
    kernel = make(
        Wisher([("long", 0.0, 0.0), ("", 0.0, 0.0)]), sessions(1, MINUTES), gate={"qty_max": 10}
    )
    trades, orders, _ = run(kernel, bars_of([(10000,) * 4] * 2, MINUTES))
    assert len(trades) == 0 and kernel.orders_sent == 0 and kernel.orders_refused == 1
    assert RejectReason(orders[0]["refused"]) is RejectReason.LIMIT_QTY


def test_what_is_open_at_the_end_is_closed_at_the_last_price_and_says_so() -> None:
    kernel = make(Wisher([("long", 0.0, 0.0), ("", 0.0, 0.0)]), sessions(1, MINUTES))
    trades, _, _ = run(kernel, bars_of([(10000,) * 4, (10000, 10200, 9900, 10150)], MINUTES))
    assert Reason(trades[0]["exit_reason"]) is Reason.END_OF_DATA
    assert int(trades[0]["exit_value"]) == 25 * 10150


def test_mae_and_mfe_are_the_extremes_while_held() -> None:
    prices = [(10000,) * 4, (10000, 10100, 9800, 10050), (10050, 10500, 10000, 10400), (10300,) * 4]
    said = [("long", 0.0, 0.0), ("", 0, 0), ("flat", 0, 0), ("", 0, 0)]
    trades, _, _ = run(make(Wisher(said), sessions(1, MINUTES)), bars_of(prices, MINUTES))
    assert (int(trades[0]["mae"]), int(trades[0]["mfe"])) == (-200 * 25, 500 * 25)
    assert int(trades[0]["gross"]) == 300 * 25 and int(trades[0]["bars"]) == 2


def test_signal_bars_of_their_own_meet_finer_bars() -> None:
    """Five-minute decisions on one-minute fills: the entry takes the next minute's open."""
    minutes = 15
    prices = [
        (10000 + 10 * i, 10010 + 10 * i, 9990 + 10 * i, 10005 + 10 * i) for i in range(minutes)
    ]
    fine = bars_of(prices, minutes)
    coarse = fine[::5].copy()
    for i, row in enumerate(coarse):
        part = fine[5 * i : 5 * i + 5]
        row["high"], row["low"], row["close"] = (
            part["high"].max(),
            part["low"].min(),
            part["close"][-1],
        )
    strategy = Wisher([("long", 0.0, 0.0), ("flat", 0.0, 0.0), ("", 0.0, 0.0)])
    kernel = make(strategy, sessions(1, minutes), interval_ns=5 * MINUTE, match_interval_ns=MINUTE)
    trades, _, _ = run(kernel, fine, coarse)
    assert int(trades[0]["entry_value"]) == 25 * int(fine["open"][5])
    assert int(trades[0]["exit_value"]) == 25 * int(fine["open"][10])


@pytest.mark.parametrize(
    "spoil, text",
    [
        (lambda b: b["start_ns"].__setitem__(1, b["start_ns"][0]), "older"),
        (lambda b: b["low"].__setitem__(1, 0), "price"),
        (lambda b: b["high"].__setitem__(1, 1), "price"),
    ],
)
def test_bad_bars_stop_the_run(spoil: Any, text: str) -> None:
    bars = bars_of([(10000,) * 4] * 3, MINUTES)
    spoil(bars)
    with pytest.raises(BadData, match=text):
        make(Wisher([("", 0.0, 0.0)] * 3), sessions(1, MINUTES)).run(bars.view("u1"))


def test_a_strategy_that_raises_stops_the_run_with_its_error() -> None:
    class Broken(Strategy):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            raise ZeroDivisionError("oops")

    with pytest.raises(StrategyError, match="oops") as caught:
        make(Broken(), sessions(1, MINUTES)).run(bars_of([(10000,) * 4], MINUTES).view("u1"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"lots": 0}, "lots"),
        ({"interval_ns": 0}, "interval_ns"),
        ({"on_opposite": 7}, "on_opposite"),
        ({"slippage": -1}, "slippage"),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(Wisher([]), sessions(1, MINUTES), **wrong)


@pytest.mark.parametrize("table", [np.zeros(0), np.zeros(3), sessions(2, 5)[::-1]])
def test_wrong_sessions_are_refused(table: Any) -> None:
    with pytest.raises(ValueError, match="sessions must be"):
        make(Wisher([]), table)


@pytest.mark.parametrize("stop, target", [(float("nan"), 5.0), (5.0, float("nan"))])
def test_never_in_without_the_stop_that_was_asked_for(stop: float, target: float) -> None:
    kernel = make(Wisher([("long", stop, target), ("long", 5.0, 5.0)]), sessions(1, MINUTES))
    run(kernel, bars_of([(10000,) * 4] * 2, MINUTES))
    assert (kernel.signals, kernel.signals_unready, kernel.orders_sent) == (2, 1, 1)


def test_a_cancel_that_loses_against_the_fill_leaves_a_position_that_is_closed() -> None:
    """Latency of a bar and a half: the exit wish cancels an entry that fills on its way. The wish
    holds: what the entry brought leaves at once, not at the square-off time."""
    said = [("long", 0.0, 0.0), ("flat", 0.0, 0.0)] + [("", 0.0, 0.0)] * 10
    kernel = make(Wisher(said), sessions(1, MINUTES, square_off=8), latency_ns=MINUTE * 3 // 2)
    trades, orders, _ = run(kernel, bars_of([(10000,) * 4] * MINUTES, MINUTES))
    assert [Reason(trade["exit_reason"]) for trade in trades] == [Reason.EXIT_SIGNAL]
    assert [ReportKind(row["status"]) for row in orders] == [ReportKind.FILLED] * 2
    assert kernel.portfolio.position(0)["qty"] == 0
