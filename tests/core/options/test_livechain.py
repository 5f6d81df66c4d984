"""A chain that follows ticks is, after each of them, the chain solved anew."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import UsageError
from dhanfast.options import LiveChain
from tests.options.made import EXPIRY, RATE, chain

ROWS = chain(tick=0.05)
END = options.expiry_ns(EXPIRY)
COLUMNS = ("call", "put", "call_oi", "put_oi", "call_volume", "put_volume")


def live(rows: options.Snapshot = ROWS, **words: Any) -> LiveChain:
    made = LiveChain(rows.strike, END, RATE, **words)
    made.load(rows.at_ns, **{name: getattr(rows, name) for name in COLUMNS})
    return made


def same(one: float, other: float) -> bool:
    return one == pytest.approx(other, rel=1e-9, abs=1e-12, nan_ok=True)


def agrees(made: LiveChain, rows: options.Snapshot, near: int = 5) -> None:
    """Every figure against `solve_chain` of the same columns."""
    try:
        found = options.solve_chain(rows, RATE)
    except options_errors():
        assert math.isnan(made.figures.forward) and made.figures.money is None
        assert math.isnan(made.figures.at_money) and math.isnan(made.figures.gamma_exposure)
        return
    now = made.figures
    assert now.forward == found.forward and now.years == found.years and now.money == found.money
    assert same(now.straddle, found.straddle()) and same(now.max_pain, found.max_pain())
    assert same(now.at_money, found.at_money_volatility())
    assert same(now.ratio_oi, found.put_call_ratio())
    assert same(now.ratio_volume, found.put_call_ratio("volume"))
    assert same(now.ratio_oi_near, found.put_call_ratio(near=near))
    assert same(now.ratio_volume_near, found.put_call_ratio("volume", near))
    assert now.gamma_exposure == pytest.approx(float(found.gamma_exposure().sum()), rel=1e-9)
    np.testing.assert_allclose(made.volatility, found.volatility, rtol=1e-9)
    np.testing.assert_allclose(made.call_delta, found.call.delta, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(made.gamma, found.call.gamma, rtol=1e-8)
    np.testing.assert_allclose(made.vega, found.call.vega, rtol=1e-8)


def options_errors() -> tuple[type[Exception], ...]:
    from dhanfast.errors import BadData

    return (BadData,)


def test_a_loaded_chain() -> None:
    made = live()
    agrees(made, ROWS)
    skew = options.solve_chain(ROWS, RATE).skew()
    assert made.figures.risk_reversal == pytest.approx(skew.risk_reversal, rel=1e-9)
    assert made.figures.butterfly == pytest.approx(skew.butterfly, rel=1e-6)
    np.testing.assert_array_equal(made.strike, ROWS.strike)
    assert (made.ticks, made.dropped) == (0, 0)


TICKS = st.lists(
    st.tuples(
        st.integers(0, len(ROWS) - 1), st.booleans(),
        st.one_of(st.just(0.0), st.floats(0.9, 1.1)), st.integers(-1, 10**6),
        st.integers(-1, 10**6), st.integers(0, 10**11),
    ), min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(ticks=TICKS)
def test_ticks_one_by_one(ticks: list[tuple[int, bool, float, int, int, int]]) -> None:
    """Prices move within a tenth or end; open interest and volume come or stay away."""
    made = live()
    columns = {name: getattr(ROWS, name).copy() for name in COLUMNS}
    now = ROWS.at_ns
    for place, put, factor, oi, volume, later in ticks:
        now += later
        side = "put" if put else "call"
        price = round(getattr(ROWS, side)[place] * factor, 2)
        columns[side][place] = price if price > 0.0 else np.nan
        if oi >= 0:
            columns[f"{side}_oi"][place] = oi
        if volume >= 0:
            columns[f"{side}_volume"][place] = volume
        assert made.follow([place], [put], [price], [oi], [volume], [now]) == 1
        rows = options.snapshot(now, "NIFTY", EXPIRY, ROWS.strike, **columns)
        agrees(made, rows)
    assert made.ticks == len(ticks) and made.figures.at_ns == now


def test_a_stream_of_ticks_is_its_last_columns() -> None:
    """Ten thousand ticks in one call, against the columns they leave behind."""
    random = np.random.default_rng(3)
    count = 10_000
    place, put = random.integers(0, len(ROWS), count), random.integers(0, 2, count)
    base = np.where(put == 1, ROWS.put[place], ROWS.call[place])
    price = np.maximum(np.round(base * (1 + random.normal(0, 0.002, count)) * 20) / 20, 0.05)
    oi = 65 * random.integers(0, 10_000, count)
    now = ROWS.at_ns + np.arange(count) * 10**6
    made = live()
    assert made.follow(place, put, price, oi, np.full(count, -1), now) == count
    columns = {name: getattr(ROWS, name).copy() for name in COLUMNS}
    for i in range(count):
        side = "put" if put[i] else "call"
        columns[side][place[i]], columns[f"{side}_oi"][place[i]] = price[i], oi[i]
    agrees(made, options.snapshot(int(now[-1]), "NIFTY", EXPIRY, ROWS.strike, **columns))


def test_what_is_not_wanted_is_not_there() -> None:
    bare = live(wanted=()).figures
    assert bare.forward == live().figures.forward and bare.straddle > 0.0
    for name in ("at_money", "risk_reversal", "gamma_exposure", "max_pain", "ratio_oi"):
        assert math.isnan(getattr(bare, name))
    volatility = live(wanted=("volatility",)).figures
    assert volatility.at_money > 0.0 and math.isnan(volatility.gamma_exposure)
    assert not math.isnan(live(wanted=("exposure",)).figures.at_money)


def test_a_window_around_the_money() -> None:
    made, whole = live(window=6), live()
    money = whole.figures.money
    assert money is not None
    inside = slice(money - 6, money + 7)
    np.testing.assert_array_equal(made.volatility[inside], whole.volatility[inside])
    assert np.isnan(made.volatility[: money - 6]).all()
    assert np.isnan(made.gamma[money + 7 :]).all()
    assert made.figures.at_money == whole.figures.at_money
    moved = chain(forward=26_000.0, tick=0.05)
    made.load(moved.at_ns, **{name: getattr(moved, name) for name in COLUMNS})
    now = made.figures.money
    assert now is not None and now > money + 6
    assert np.isnan(made.volatility[inside][: now - money - 6]).all()  # what it left behind


def test_ticks_that_cannot_be_are_dropped_and_counted() -> None:
    made = live()
    before = made.figures
    now = ROWS.at_ns
    assert made.follow([-1, len(ROWS), 3], [0, 0, 1], [1.0] * 3, [-1] * 3, [-1] * 3,
                       [now, now, now - 1]) == 0  # fmt: skip
    assert (made.ticks, made.dropped) == (0, 3) and made.figures == before


def test_over_is_over() -> None:
    made = live()
    made.follow([0], [0], [2_000.0], [-1], [-1], [END + 1])
    now = made.figures
    assert now.years == 0.0 and math.isnan(now.at_money) and np.isnan(made.volatility).all()
    assert now.ratio_oi > 0.0


def test_an_empty_chain_says_nothing() -> None:
    made = LiveChain(ROWS.strike, END)
    assert made.figures.at_ns == 0 and made.figures.money is None
    made.follow([3], [0], [50.0], [10], [10], [ROWS.at_ns])
    assert math.isnan(made.figures.forward) and math.isnan(made.figures.straddle)
    assert made.figures.ratio_oi == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strike": []}, "shape"),
        ({"strike": [2.0, 1.0]}, "does not ascend"),
        ({"strike": [0.0, 1.0]}, "does not ascend"),
        ({"strike": np.arange(1.0, 1_026.0)}, "1 to 1024"),
        ({"rate": 5.25}, "rate 5.25"),
        ({"expiry_ns": 0}, "expiry_ns 0"),
        ({"wanted": ("vega",)}, "'vega': give some of volatility, exposure"),
        ({"near": -1}, "near -1"),
        ({"window": 0}, "window 0"),
        ({"nearest": 32}, "nearest 32"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    given = {"strike": [100.0, 110.0], "expiry_ns": END} | change
    with pytest.raises(UsageError, match=message):
        LiveChain(**given)


def test_columns_and_ticks_refused() -> None:
    made = live()
    n = len(ROWS)
    for words, message in (
        ({"oi": np.zeros(n)}, "no column 'oi'"),
        ({"call": np.zeros(n - 1)}, "shape"),
        ({"call": np.full(n, -1.0)}, "numbers from 0"),
    ):
        with pytest.raises(UsageError, match=message):
            made.load(ROWS.at_ns, **words)
    with pytest.raises(UsageError, match="the chain is at"):
        made.load(ROWS.at_ns - 1)
    with pytest.raises(UsageError, match="2 numbers in a column, 1 in place"):
        made.follow([0], [0], [1.0, 2.0], [0], [0], [ROWS.at_ns])
    agrees(made, ROWS)
