"""Every basic operation against numpy, on columns with holes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast.strategies import Market

from .probe import columns_of, stamped

Column = NDArray[np.float64]
NAN = float("nan")


def two(m: Market) -> tuple[Any, Any, Any]:
    """Three series with holes: made of a bar's free fields, unknown where volume or oi say so."""
    return m.open + 0.0 / m.volume, m.close + 0.0 / m.oi, m.high - m.low + 0.0 / (m.volume - m.oi)


def arrays(bars: NDArray[Any]) -> tuple[Column, Column, Column]:
    """The same three by numpy."""
    high, low = bars["high"] / 100.0, bars["low"] / 100.0
    a = np.where(bars["volume"] == 0, NAN, bars["open"] / 100.0)
    b = np.where(bars["oi"] == 0, NAN, bars["close"] / 100.0)
    c = np.where(bars["volume"] == bars["oi"], NAN, high - low)
    return a, b, c


def _divided(a: Column, b: Column) -> Column:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b == 0, NAN, a / b)


def _true(x: Column) -> NDArray[np.bool_]:
    return ~np.isnan(x) & (x != 0)


def _shifted(x: Column, n: int) -> Column:
    return np.concatenate((np.full(min(n, len(x)), NAN), x[: max(len(x) - n, 0)]))


def _crossed(a: Column, b: Column) -> Column:
    return ((a > b) & (_shifted(a, 1) <= _shifted(b, 1))).astype(float)


def _not(x: Column) -> Column:
    return np.where(np.isnan(x), NAN, (x == 0).astype(float))


OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Column]]] = {
    "add": (lambda a, b, c: a + b, lambda a, b, c: a + b),
    "add number": (lambda a, b, c: 2.5 + a, lambda a, b, c: 2.5 + a),
    "sub": (lambda a, b, c: a - b, lambda a, b, c: a - b),
    "sub from number": (lambda a, b, c: 7 - a, lambda a, b, c: 7 - a),
    "mul": (lambda a, b, c: a * b, lambda a, b, c: a * b),
    "mul number": (lambda a, b, c: 3 * a, lambda a, b, c: 3 * a),
    "div": (lambda a, b, c: a / b, lambda a, b, c: _divided(a, b)),
    "div a number": (lambda a, b, c: 1.0 / a, lambda a, b, c: _divided(np.ones(len(a)), a)),
    "neg": (lambda a, b, c: -a, lambda a, b, c: 0.0 - a),
    "abs": (lambda a, b, c: abs(a), lambda a, b, c: np.abs(a)),
    "lt": (lambda a, b, c: a < b, lambda a, b, c: (a < b) * 1.0),
    "le": (lambda a, b, c: a <= b, lambda a, b, c: (a <= b) * 1.0),
    "gt": (lambda a, b, c: a > b, lambda a, b, c: (a > b) * 1.0),
    "ge": (lambda a, b, c: a >= b, lambda a, b, c: (a >= b) * 1.0),
    "gt number": (
        lambda a, b, c: 3 > a,  # noqa: SIM300
        lambda a, b, c: (a < 3) * 1.0,
    ),
    "eq": (lambda a, b, c: a.equals(b), lambda a, b, c: (a == b) * 1.0),
    "and": (lambda a, b, c: a & c, lambda a, b, c: (_true(a) & _true(c)) * 1.0),
    "or": (lambda a, b, c: a | c, lambda a, b, c: (_true(a) | _true(c)) * 1.0),
    "and number": (lambda a, b, c: 1 & a, lambda a, b, c: _true(a) * 1.0),
    "or number": (lambda a, b, c: 0.0 | a, lambda a, b, c: _true(a) * 1.0),
    "not": (lambda a, b, c: ~a, lambda a, b, c: _not(a)),
    "min": (lambda a, b, c: a.at_most(b), lambda a, b, c: np.minimum(a, b)),
    "max": (lambda a, b, c: a.at_least(b), lambda a, b, c: np.maximum(a, b)),
    "where": (
        lambda a, b, c: c.where(a, b),
        lambda a, b, c: np.where(np.isnan(c), NAN, np.where(c != 0, a, b)),
    ),
    "shift 1": (lambda a, b, c: a.shift(), lambda a, b, c: _shifted(a, 1)),
    "shift 7": (lambda a, b, c: a.shift(7), lambda a, b, c: _shifted(a, 7)),
    "shift 300": (lambda a, b, c: a.shift(300), lambda a, b, c: _shifted(a, 300)),
    "cross above": (lambda a, b, c: a.crosses_above(b), lambda a, b, c: _crossed(a, b)),
    "cross below": (lambda a, b, c: a.crosses_below(b), lambda a, b, c: _crossed(b, a)),
    "cross a number": (
        lambda a, b, c: a.crosses_above(0),
        lambda a, b, c: _crossed(a, np.zeros(len(a))),
    ),
}

small = st.integers(-300, 300)


@st.composite
def loose_bars(draw: st.DrawFn) -> NDArray[Any]:
    """Bars whose open and close go where they like, also below zero: only low <= high is needed."""
    count = draw(st.integers(1, 40))
    # Now and then longer than a block of the program, by repeating.
    times = draw(st.sampled_from([1, 1, 1, 9]))
    rows = stamped(count * times)
    for name, values in (
        ("open", small),
        ("close", small),
        ("volume", st.integers(0, 2)),
        ("oi", st.integers(0, 2)),
        ("low", st.integers(1, 3)),
    ):
        rows[name] = np.tile(draw(st.lists(values, min_size=count, max_size=count)), times)
    rows["high"] = rows["low"] + np.tile(
        draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), times
    )
    return rows


@given(bars=loose_bars())
@settings(max_examples=40)
def test_every_operation_agrees_with_numpy(bars: NDArray[Any]) -> None:
    got = columns_of(lambda m: [make(*two(m)) for make, _ in OPERATIONS.values()], bars)
    for (name, (_, oracle)), column in zip(OPERATIONS.items(), got, strict=True):
        np.testing.assert_array_equal(column, oracle(*arrays(bars)), err_msg=name)


def test_fields_are_the_bars_own_in_rupees_and_ist() -> None:
    bars = stamped(200)
    bars["open"], bars["high"], bars["low"], bars["close"] = 10005, 10110, 9990, 10100
    bars["volume"], bars["oi"] = np.arange(200), 7
    names = ("open", "high", "low", "close", "volume", "oi")
    got = columns_of(
        lambda m: [
            *(getattr(m, name) for name in names),
            m.weekday,
            m.session_start,
            m.bar_of_session,
            m.typical,
            m.constant(4.5),
        ],
        bars,
    )
    at = np.arange(200)
    for column, expected in zip(
        got,
        [
            100.05 + 0 * at,
            101.1 + 0 * at,
            99.9 + 0 * at,
            101.0 + 0 * at,
            at,
            7 + 0 * at,
            at // 75,  # the first session is a Monday
            at % 75 == 0,
            at % 75,
            (101.1 + 99.9 + 101.0) / 3 + 0 * at,
            4.5 + 0 * at,
        ],
        strict=True,
    ):
        np.testing.assert_array_equal(column, np.asarray(expected, float))


def test_between_holds_the_start_and_not_the_end() -> None:
    """Sessions of the stand begin at 09:15."""
    (got,) = columns_of(lambda m: [m.between("09:20", "09:30")], _flat(75))
    np.testing.assert_array_equal(np.flatnonzero(got), np.arange(5, 15))


def test_a_comparison_with_an_unknown_value_is_false_and_its_inverse_true() -> None:
    """What the reference says of `~`: compare the other way round instead of inverting."""
    less, inverted, unknown = columns_of(
        lambda m: [
            m.close.shift(3) < 5,
            ~(m.close.shift(3) < 5),
            ~m.close.shift(3),
        ],
        _flat(5),
    )
    assert less.tolist() == [0, 0, 0, 0, 0] and inverted.tolist() == [1, 1, 1, 1, 1]
    assert np.isnan(unknown[:3]).all() and unknown[3:].tolist() == [0, 0]


@pytest.mark.parametrize("bars", [0, -1, 100_001])
def test_a_shift_into_the_future_is_refused(bars: int) -> None:
    with pytest.raises(ValueError, match=f"1..100000, was {bars}"):
        columns_of(lambda m: [m.close.shift(bars)], _flat(1))


def _flat(count: int) -> NDArray[Any]:
    bars = stamped(count)
    for name in ("open", "high", "low", "close"):
        bars[name] = 10_000
    return bars
