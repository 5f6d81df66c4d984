"""What every indicator does alike: steps equal blocks, reset forgets, bad input is refused."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.indicators.cci import Cci, cci
from dhanfast._core.indicators.ema import Ema, ema
from dhanfast._core.indicators.linreg import Linreg, linreg_slope
from dhanfast._core.indicators.macd import Macd, macd
from dhanfast._core.indicators.obv import Obv, obv
from dhanfast._core.indicators.percentile import RollingPercentile, rolling_percentile
from dhanfast._core.indicators.roc import Roc, roc
from dhanfast._core.indicators.rolling import (
    RollingMax,
    RollingMin,
    RollingStd,
    Zscore,
    rolling_max,
    rolling_min,
    rolling_std,
    zscore,
)
from dhanfast._core.indicators.rsi import Rsi, rsi
from dhanfast._core.indicators.sma import Sma, sma
from dhanfast._core.indicators.stochastic import Stochastic, stochastic
from dhanfast._core.indicators.wma import Wma, wma
from dhanfast.errors import BadData, UsageError

# name: make one, the batch function with the same settings, inputs, first index with a value
KINDS: dict[str, tuple[Callable[[], Any], Callable[..., Any], int, int]] = {
    "ema": (lambda: Ema(7), lambda x: ema(x, 7), 1, 6),
    "ema-first": (lambda: Ema(7, "first"), lambda x: ema(x, 7, "first"), 1, 0),
    "sma": (lambda: Sma(7), lambda x: sma(x, 7), 1, 6),
    "sma-1": (lambda: Sma(1), lambda x: sma(x, 1), 1, 0),
    "std": (lambda: RollingStd(7), lambda x: rolling_std(x, 7), 1, 6),
    "std-sample": (lambda: RollingStd(5, 1), lambda x: rolling_std(x, 5, 1), 1, 4),
    "zscore": (lambda: Zscore(7), lambda x: zscore(x, 7), 1, 6),
    "min": (lambda: RollingMin(7), lambda x: rolling_min(x, 7), 1, 6),
    "max": (lambda: RollingMax(7), lambda x: rolling_max(x, 7), 1, 6),
    "percentile": (lambda: RollingPercentile(7, 30), lambda x: rolling_percentile(x, 7, 30), 1, 6),
    "wma": (lambda: Wma(7), lambda x: wma(x, 7), 1, 6),
    "rsi": (lambda: Rsi(7), lambda x: rsi(x, 7), 1, 7),
    "macd": (lambda: Macd(3, 8, 4), lambda x: macd(x, 3, 8, 4), 1, 10),
    "roc": (lambda: Roc(7), lambda x: roc(x, 7), 1, 7),
    "linreg": (lambda: Linreg(7), lambda x: linreg_slope(x, 7), 1, 6),
    "obv": (Obv, obv, 2, 0),
    "cci": (lambda: Cci(7), lambda *x: cci(*x, 7), 3, 6),
    "stochastic": (lambda: Stochastic(5, 3, 2), lambda *x: stochastic(*x, 5, 3, 2), 3, 7),
}
NAMES = list(KINDS)
SAMPLES = np.round(np.random.default_rng(3).normal(200.0, 5.0, (3, 400)) * 20) / 20


def columns(name: str, count: int = 400) -> list[NDArray[np.float64]]:
    inputs = KINDS[name][2]
    if inputs == 3:
        low, close, high = np.sort(SAMPLES[:, :count], axis=0)
        return [high.copy(), low.copy(), close.copy()]
    return [SAMPLES[i, :count].copy() for i in range(inputs)]


def outputs(result: Any) -> list[NDArray[np.float64]]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", NAMES)
def test_steps_equal_the_batch_to_the_last_bit(name: str) -> None:
    make, batch, _, first = KINDS[name]
    one, data = make(), columns(name)
    want = outputs(batch(*data))[0]
    for i, sample in enumerate(zip(*data, strict=True)):
        got = one.update(*sample)
        np.testing.assert_array_equal([got, one.value], [want[i]] * 2)
        assert one.ready == (i >= first) == (not np.isnan(got))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=6), plain=st.booleans())
def test_any_cut_into_blocks_gives_the_same_bits(name: str, cuts: list[int], plain: bool) -> None:
    make, batch, _, _ = KINDS[name]
    one, data = make(), columns(name)
    places = [np.empty(400) for _ in outputs(batch(*data))]
    edges = [0, *sorted(cuts), 400]
    for start, end in pairwise(edges):
        part = [column[start:end] for column in data]
        if plain and end - start < 9:
            for i in range(start, end):
                places[0][i] = one.update(*[column[i] for column in data])
                for extra, field in zip(places[1:], EXTRA.get(name, ()), strict=True):
                    extra[i] = getattr(one, field)
        else:
            one.update_many(*part, *[place[start:end] for place in places])
    for got, want in zip(places, outputs(batch(*data)), strict=True):
        np.testing.assert_array_equal(got, want)


EXTRA = {"macd": ("signal", "hist"), "stochastic": ("d",)}


@pytest.mark.parametrize("name", NAMES)
def test_in_place_gives_the_same(name: str) -> None:
    make, batch, _, _ = KINDS[name]
    data = columns(name)
    want = outputs(batch(*data))[0]
    make().update_many(*data, data[0])
    np.testing.assert_array_equal(data[0], want)


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_everything(name: str) -> None:
    make, batch, _, _ = KINDS[name]
    one, data = make(), columns(name)
    one.update_many(*[column[::-1] * 3 for column in data])
    one.reset()
    assert not one.ready and np.isnan(one.value)
    for got, want in zip(outputs(one.update_many(*data)), outputs(batch(*data)), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_sample_is_refused_and_leaves_no_trace(name: str, bad: float) -> None:
    make, batch, inputs, _ = KINDS[name]
    one, data = make(), columns(name)
    one.update_many(*[column[:100] for column in data])
    for place in range(inputs):
        sample = [200.0] * inputs
        sample[place] = bad
        with pytest.raises(BadData, match="must be finite"):
            one.update(*sample)
        spoilt = [column[100:150].copy() for column in data]
        spoilt[place][49] = bad
        with pytest.raises(BadData, match=r"\[49\] is"):
            one.update_many(*spoilt)
    got = outputs(one.update_many(*[column[100:] for column in data]))[0]
    np.testing.assert_array_equal(got, outputs(batch(*data))[0][100:])


@pytest.mark.parametrize("place", [0, 2047, 2048, 4999])
@pytest.mark.parametrize("name", NAMES)
def test_the_batch_names_the_bad_sample(name: str, place: int) -> None:
    _, batch, inputs, _ = KINDS[name]
    data = [np.linspace(100.0, 200.0, 5000) for _ in range(inputs)]
    assert not np.isnan(outputs(batch(*data))[0][-1])
    data[-1][place] = np.inf
    with pytest.raises(BadData, match=rf"\[{place}\] is inf"):
        batch(*data)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    make, _, inputs, _ = KINDS[name]
    one, data = make(), columns(name)
    read_only = np.empty(400)
    read_only.flags.writeable = False
    wrong: list[Any] = [
        np.empty(399),
        np.empty(400, np.float32),
        np.empty((400, 1)),
        [0.0] * 400,
        np.empty(800)[::2],
        read_only,
    ]
    for out in wrong:
        with pytest.raises(UsageError, match=r"float64|places|contiguous"):
            one.update_many(*data, out)
    long = np.empty(401)
    long[:400] = data[0]
    with pytest.raises(UsageError, match="overlaps"):
        one.update_many(long[:400], *data[1:], long[1:])
    with pytest.raises(BadData, match="one dimension"):
        one.update_many(*[column.reshape(20, 20) for column in data])
    with pytest.raises(BadData, match="sequence of numbers"):
        one.update_many(*[["x"]] * inputs)
    if inputs > 1:
        with pytest.raises(UsageError, match="samples but"):
            one.update_many(data[0][:5], *data[1:])
    assert not one.ready


def test_two_outputs_in_one_place_are_refused() -> None:
    data, out = columns("macd")[0], np.empty(400)
    with pytest.raises(UsageError, match="share memory"):
        Macd().update_many(data, out, out)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_nothing_out(name: str) -> None:
    make, _, inputs, _ = KINDS[name]
    assert [len(out) for out in outputs(make().update_many(*[[]] * inputs))].count(0) > 0


@pytest.mark.parametrize(
    "kind",
    [
        Ema,
        Sma,
        RollingStd,
        Zscore,
        RollingMin,
        RollingMax,
        RollingPercentile,
        Wma,
        Rsi,
        Roc,
        Linreg,
        Cci,
        Stochastic,
        Macd,
    ],
)
@pytest.mark.parametrize("period", [0, -1, 100_001, 2.5, "9", None, 10**30])
def test_periods_out_of_range_are_refused(kind: Callable[..., Any], period: Any) -> None:
    with pytest.raises(UsageError, match=r"samples, got"):
        kind(period)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="fast must be below slow"):
        Macd(26, 12)
    with pytest.raises(UsageError, match=r"2\.\.100000"):
        RollingStd(1, 1)
    with pytest.raises(UsageError, match="ddof"):
        Zscore(5, 2)
    with pytest.raises(UsageError, match=r"2\.\.100000"):
        Linreg(1)
    with pytest.raises(UsageError, match="seed"):
        Ema(5, "last")  # type: ignore[arg-type]
    for percent in (-0.1, 100.1, np.nan):
        with pytest.raises(UsageError, match="percent"):
            RollingPercentile(5, percent)


FUNCTIONS = [
    cci, ema, linreg_slope, macd, obv, roc, rolling_max, rolling_min, rolling_percentile,
    rolling_std, rsi, sma, stochastic, wma, zscore,
]  # fmt: skip


def test_every_public_name_is_documented() -> None:
    """The line that Cython writes itself, the signature, does not count."""
    kinds = {type(make()) for make, _, _, _ in KINDS.values()}
    members = [getattr(kind, n) for kind in kinds for n in dir(kind) if not n.startswith("_")]
    for member in [*kinds, *FUNCTIONS, *members]:
        lines = (member.__doc__ or "").strip().splitlines()
        own = [line for line in lines if line.strip() and f"{member.__name__}(" not in line]
        assert own, f"{member} has no docstring"
