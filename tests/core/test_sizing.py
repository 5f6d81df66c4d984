"""Sizes against plain Python: fixed risk, Kelly, volatility, and the limits they are cut to."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.indicators.atr import Atr
from dhanfast._core.risk import Gate
from dhanfast._core.sizing import Sizer, Sizing
from dhanfast._core.types import ORDER_DTYPE, RejectReason
from dhanfast.errors import ConfigError

from .stand import Wisher, bars_of, make, run, sessions

LOT = 25
DAY = sessions(1, 375, lot=LOT)[0]
results = st.lists(st.integers(-4_000, 5_000), max_size=80)


def day(**fields: Any) -> Any:
    return sessions(1, 375, lot=LOT, **fields)[0]


@given(
    equity=st.integers(1, 10**10),
    stop=st.floats(0.05, 2_000),
    risk=st.one_of(st.tuples(st.just("risk"), st.integers(1, 10**9)),
                   st.tuples(st.just("risk_e6"), st.integers(1, 10**6))),
)  # fmt: skip
def test_the_stop_loses_what_it_may_and_one_lot_more_would_lose_more(
    equity: int, stop: float, risk: tuple[str, int]
) -> None:
    sizer = Sizer(Sizing(method="risk", **{risk[0]: risk[1]}))
    units = sizer.entry(DAY, price=10_000, equity=equity, stop=stop)
    money = Fraction(risk[1]) if risk[0] == "risk" else Fraction(risk[1] * equity, 10**6)
    each = Fraction(stop) * 100
    assert units % LOT == 0
    slack = 1 + Fraction(1, 10**7)  # doubles, and 1e-9 of a lot
    assert units == 10**6 * LOT or each * (units + LOT) * slack > money
    assert each * units <= money * slack
    told = sizer.explained
    assert told["lots"] * LOT == units and told["reason"] == ("SIZED" if units else "SMALL")


def slow_kelly(
    closed: list[float], fraction: float, cap: float, least: int
) -> tuple[str, float, float]:
    """(reason, share of equity at stake, average loss)."""
    won, lost = [r for r in closed if r > 0], [-r for r in closed if r <= 0]
    if len(closed) < max(least, 1):
        return "FEW_TRADES", 0, 0
    if not won:
        return "NO_EDGE", 0, 0
    if sum(lost) == 0:
        return "FEW_TRADES", 0, 0
    p, loss = len(won) / len(closed), sum(lost) / len(lost)
    b = sum(won) / len(won) / loss
    edge = p - (1 - p) / b
    if edge <= 0:
        return "NO_EDGE", 0, 0
    variance = p * (1 - p) / len(closed)
    shrink = edge**2 / (edge**2 + ((b + 1) / b) ** 2 * variance)
    return "SIZED", min(fraction * shrink * edge, cap), loss


@given(
    closed=results,
    least=st.integers(1, 40),
    fraction=st.sampled_from([0.25, 0.5, 1.0]),
    cap_e6=st.sampled_from([5_000, 20_000, 1_000_000]),
    stop=st.sampled_from([0.0, 5.0, 60.0]),
    falls_back=st.booleans(),
)
def test_kelly_agrees_with_the_formula(
    closed: list[int], least: int, fraction: float, cap_e6: int, stop: float, falls_back: bool
) -> None:
    sizer = Sizer(Sizing(method="kelly", lots=2, kelly_trades_min=least, kelly_fraction=fraction,
                         kelly_cap_e6=cap_e6, kelly_fall_back=falls_back))  # fmt: skip
    for result in closed:
        sizer.closed(result)
    equity = 10**9
    units = sizer.entry(DAY, price=10_000, equity=equity, stop=stop)
    reason, stake, loss = slow_kelly([float(r) for r in closed], fraction, cap_e6 / 1e6, least)
    if reason != "SIZED":
        assert units == (2 * LOT if falls_back else 0)
        assert sizer.explained["fell_back"] == falls_back
        assert sizer.explained["reason"] == ("SIZED" if falls_back else reason)
        return
    wanted = stake * equity / max(loss, 100 * stop) / LOT
    assert sizer.explained["wanted"] == pytest.approx(wanted)
    assert abs(units / LOT - wanted) < 1 + 1e-6 and units / LOT <= wanted + 1e-6
    assert sizer.explained["stake"] == pytest.approx(stake)


def test_more_trades_of_the_same_edge_shrink_less() -> None:
    found = []
    for times in (1, 4, 40):
        sizer = Sizer(Sizing(method="kelly", kelly_trades_min=1, kelly_cap_e6=1_000_000))
        for result in [300, -100, -100] * 5 * times:
            sizer.closed(result)
        sizer.entry(DAY, price=10_000, equity=10**9)
        found.append(sizer.explained["shrink"])
    assert found[0] < found[1] < found[2] < 1


def test_a_history_counts_as_trades_that_have_closed() -> None:
    told = Sizer(Sizing(method="kelly", trades=40, win_rate=0.5, win=900.0, loss=500.0))
    lived = Sizer(Sizing(method="kelly"))
    for result in [900, -500] * 20:
        lived.closed(result)
    units = [each.entry(DAY, price=10_000, equity=10**9) for each in (told, lived)]
    assert units[0] == units[1] > 0
    assert told.explained == lived.explained


@given(
    closes=st.lists(st.integers(9_000, 11_000), min_size=1, max_size=40),
    first=st.sets(st.integers(0, 39), max_size=3),
    measure=st.sampled_from(["atr", "returns"]),
)
def test_volatility_agrees_with_the_formula(
    closes: list[int], first: set[int], measure: str
) -> None:
    period, target_e6, equity = 5, 10_000, 10**9
    sizer = Sizer(Sizing(method="volatility", target_e6=target_e6, measure=measure, period=period))
    atr, value, squares = Atr(period), math.nan, []
    for i, close in enumerate(closes):
        bar = {"start_ns": i, "open": close, "high": close + 20, "low": close - 15, "close": close}
        sizer.bar(bar, i in first)
        value = atr.update(0.01 * (close + 20), 0.01 * (close - 15), 0.01 * close)
        if i and i not in first:
            squares.append((close / closes[i - 1] - 1) ** 2)
    units = sizer.entry(DAY, price=closes[-1], equity=equity)
    bars = 375
    if measure == "atr":
        sigma = value * math.sqrt(bars) / math.sqrt(8 / math.pi)
    elif len(squares) < period:
        sigma = math.nan
    else:
        variance = sum(squares[:period]) / period
        for square in squares[period:]:
            variance += 2 / (period + 1) * (square - variance)
        sigma = 0.01 * closes[-1] * math.sqrt(variance * bars)
    if not sigma > 0:
        assert units == 0 and sizer.explained["reason"] == "NO_VOLATILITY"
        return
    assert sizer.explained["day_sigma"] == pytest.approx(sigma)
    wanted = target_e6 / 1e6 * equity / (100 * sigma) / LOT
    assert units == LOT * min(10**6, int(wanted + 1e-9))


@given(
    lots=st.integers(1, 400),
    price=st.integers(1, 5_000_000),
    free=st.integers(-(10**9), 10**10),
    rate_e9=st.sampled_from([0, 150_000_000, 1_000_000_000]),
    freeze=st.sampled_from([0, 10 * LOT, 1_801]),
    limits=st.fixed_dictionaries({
        "qty_max": st.sampled_from([0, 30, 5_000]),
        "notional_max": st.sampled_from([0, 10**6, 10**10]),
        "position_max": st.sampled_from([0, 100, 7_777]),
        "margin_check": st.booleans(),
    }),
)  # fmt: skip
def test_what_fits_is_the_most_that_the_gate_lets_through(
    lots: int, price: int, free: int, rate_e9: int, freeze: int, limits: dict[str, Any]
) -> None:
    """The gate itself is the oracle: it takes this size, and refuses one lot more."""
    gate = Gate(instruments=1, **limits)
    session = day(freeze=freeze, margin_rate_e9=rate_e9)
    sizer = Sizer(Sizing(lots=lots, fit=True), gate)
    units = sizer.entry(session, price=price, equity=10**10, margin_free=free)

    def passes(qty: int) -> bool:
        order = {"id": 1, "qty": qty, "side": 1, "kind": 1}
        orders = np.zeros(1, ORDER_DTYPE)
        for name, value in order.items():
            orders[name] = value
        (verdict,) = gate.check_many(orders, mark=price, margin_free=free, session=session)
        return bool(verdict == RejectReason.NONE)

    assert units <= lots * LOT and units % LOT == 0
    if units:
        assert passes(units)
        assert units == lots * LOT or not passes(units + LOT)
        assert (sizer.explained["cut"] == "NOTHING") == (units == lots * LOT)
    else:
        assert not passes(LOT)
        assert sizer.explained["reason"] in ("LIMITS", "MARGIN")


def test_an_entry_without_a_size_is_counted_and_nothing_is_sent() -> None:
    wishes = [("long", 0.0, 0.0), ("long", 500.0, 0.0), ("long", 2.0, 0.0)]
    kernel = make(Wisher(wishes), sessions(1, 12), capital=10**7,
                  sizing=Sizing(method="risk", risk_e6=10_000))  # fmt: skip
    _, orders, _ = run(kernel, bars_of([(2_000, 2_010, 1_990, 2_000)] * 3, 12))
    # 1 % of 1,00,000 is 1,000 rupees: 20 lots of 25 at a stop of 2 rupees, none at 500.
    assert kernel.sizes == {"NO_STOP": 1, "SMALL": 1, "SIZED": 1}
    assert (kernel.signals_unsized, kernel.signals) == (2, 3)
    assert orders["qty"][0] == 500 and kernel.size_explained()["lots"] == 20


def test_kelly_learns_from_the_runs_own_trades_after_charges() -> None:
    wishes = [("long", 0.0, 0.0), ("flat", 0.0, 0.0)] * 4
    prices = [(2_000, 2_000, 2_000, 2_000)] * 2 + [(2_100, 2_100, 2_100, 2_100)]
    prices += [(2_000, 2_000, 2_000, 2_000)] * 5
    table = sessions(1, 12)
    table["charges"]["stt_sell_e9"] = 1_000_000
    kernel = make(Wisher(wishes), table, sizing=Sizing(
        method="kelly", kelly_fall_back=True, kelly_trades_min=3, kelly_cap_e6=1))  # fmt: skip
    trades, _, _ = run(kernel, bars_of(prices, 12))
    told = kernel.size_explained()
    net = [(int(t["gross"]) - t["stt"] / 1e6) / int(t["qty"]) for t in trades]
    assert len(trades) == 4 and told["trades"] == 4
    assert told["win_rate"] == sum(n > 0 for n in net) / 4


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"method": "luck"}, "sizing.method: 'luck'"),
        ({"method": "risk"}, "sizing.risk: say how much"),
        ({"method": "risk", "risk": 5, "risk_e6": 5}, "sizing.risk: say how much"),
        ({"method": "volatility"}, "sizing.volatility: say which"),
        ({"measure": "tea leaves"}, "sizing.measure"),
        ({"lots": 0}, "sizing.lots must be in 1..1000000, was 0"),
        ({"kelly_fraction": 1.5}, "sizing.kelly_fraction"),
        ({"kelly_cap_e6": 0}, "sizing.kelly_cap_e6"),
        ({"trades": 5, "win_rate": 0.5, "win": 3.0}, "sizing.history"),
        ({"trades": 5, "win_rate": 1.5}, "sizing.win_rate"),
        ({"period": 1}, "sizing.period"),
    ],
)
def test_what_cannot_be_a_size_is_refused_by_name(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Sizing(**wrong)
