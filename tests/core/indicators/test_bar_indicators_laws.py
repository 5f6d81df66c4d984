"""Laws every bar indicator obeys: any split of blocks equals single steps, reset forgets all, an
output may be an input, and refused data leaves no trace."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.indicators.adx import Adx, adx
from dhanfast._core.indicators.atr import Atr, TrueRange, atr, true_range
from dhanfast._core.indicators.bollinger import Bollinger, bollinger
from dhanfast._core.indicators.donchian import Donchian, donchian
from dhanfast._core.indicators.keltner import Keltner, keltner
from dhanfast._core.indicators.opening_range import (
    OpeningMinutes,
    OpeningRange,
    opening_minutes,
    opening_range,
)
from dhanfast._core.indicators.pivots import Pivots, pivots
from dhanfast._core.indicators.realised_volatility import (
    Parkinson,
    RealisedVolatility,
    parkinson,
    realised_volatility,
)
from dhanfast._core.indicators.supertrend import Supertrend, supertrend
from dhanfast._core.indicators.vwap import RollingVwap, Vwap, rolling_vwap, vwap
from dhanfast.errors import BadData, UsageError

Series = NDArray[Any]


class Specimen(NamedTuple):
    make: Callable[[], Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]  # attributes, in the order `update_many` returns arrays
    batch: Callable[..., Any]
    settings: dict[str, Any]


HLC = ("high", "low", "close")
BANDS = ("upper", "middle", "lower")
SPECIMENS = {
    "true_range": Specimen(TrueRange, HLC, ("value",), true_range, {}),
    "atr": Specimen(lambda: Atr(5), HLC, ("value",), atr, {"period": 5}),
    "adx": Specimen(
        lambda: Adx(4), HLC, ("value", "plus_di", "minus_di", "dx"), adx, {"period": 4}
    ),
    "supertrend": Specimen(
        lambda: Supertrend(5, 1.0),
        HLC,
        ("value", "direction"),
        supertrend,
        {"period": 5, "factor": 1.0},
    ),
    "vwap": Specimen(
        lambda: Vwap(2.0),
        (*HLC, "volume", "session_start"),
        ("value", "upper", "lower"),
        vwap,
        {"width": 2.0},
    ),
    "rolling_vwap": Specimen(
        lambda: RollingVwap(7), (*HLC, "volume"), ("value",), rolling_vwap, {"period": 7}
    ),
    "opening_range": Specimen(
        lambda: OpeningRange(3),
        ("high", "low", "session_start"),
        ("high", "low"),
        opening_range,
        {"bars": 3},
    ),
    "opening_minutes": Specimen(
        lambda: OpeningMinutes(4),
        ("high", "low", "since_open_ns", "session_start"),
        ("high", "low"),
        opening_minutes,
        {"minutes": 4},
    ),
    "pivots": Specimen(Pivots, (*HLC, "session_start"), ("value",), pivots, {}),
    "bollinger": Specimen(lambda: Bollinger(6), ("close",), BANDS, bollinger, {"period": 6}),
    "keltner": Specimen(lambda: Keltner(6, 4), HLC, BANDS, keltner, {"period": 6, "atr_period": 4}),
    "donchian": Specimen(lambda: Donchian(6), ("high", "low"), BANDS, donchian, {"period": 6}),
    "realised_volatility": Specimen(
        lambda: RealisedVolatility(5, 252.0),
        ("close",),
        ("value",),
        realised_volatility,
        {"period": 5, "per_year": 252.0},
    ),
    "parkinson": Specimen(
        lambda: Parkinson(5, 252.0),
        ("high", "low"),
        ("value",),
        parkinson,
        {"period": 5, "per_year": 252.0},
    ),
}
NAMES = sorted(SPECIMENS)


def market(seed: int, n: int) -> dict[str, Series]:
    """Bars on a 0.05 grid, with flat stretches, empty volumes and sessions of random length."""
    random = np.random.default_rng(seed)
    close = 300.0 + 0.05 * np.cumsum(random.integers(-3, 4, n) * (random.random(n) < 0.8))
    starts = random.random(n) < 0.08
    since = np.arange(n) - np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    return {
        "high": close + 0.05 * random.integers(0, 6, n),
        "low": close - 0.05 * random.integers(0, 6, n),
        "close": close,
        "volume": (random.integers(0, 4, n) * 25).astype(np.float64),
        "session_start": starts,
        "since_open_ns": (since - 1).astype(np.int64) * 60_000_000_000,
    }


def pick(specimen: Specimen, bars: dict[str, Series], part: slice = slice(None)) -> list[Series]:
    return [bars[name][part] for name in specimen.inputs]


def one_by_one(specimen: Specimen, indicator: Any, bars: dict[str, Series]) -> list[Series]:
    rows = []
    for sample in zip(*(column.tolist() for column in pick(specimen, bars)), strict=True):
        returned = indicator.update(*sample)
        np.testing.assert_equal(returned, indicator.value)
        rows.append([getattr(indicator, name) for name in specimen.outputs])
    return list(np.array(rows).reshape(len(rows), len(specimen.outputs)).T)


def listed(result: Any, count: int) -> list[Series]:
    return [result] if isinstance(result, np.ndarray) else list(result)[:count]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 150), max_size=6))
def test_any_split_into_blocks_gives_the_bits_of_single_steps(
    name: str, seed: int, cuts: list[int]
) -> None:
    specimen = SPECIMENS[name]
    bars = market(seed, 150)
    steps = one_by_one(specimen, specimen.make(), bars)
    blocks = specimen.make()
    edges = [0, *sorted(cuts), 150]
    parts = [
        listed(blocks.update_many(*pick(specimen, bars, slice(a, b))), len(steps))
        for a, b in pairwise(edges)
    ]
    for expected, *got in zip(steps, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(got), expected)


@pytest.mark.parametrize("name", NAMES)
def test_long_blocks_give_the_bits_of_single_steps(name: str) -> None:
    """Longer than any internal chunk, and not a multiple of four."""
    specimen = SPECIMENS[name]
    bars = market(1, 2_603)
    steps = one_by_one(specimen, specimen.make(), bars)
    batch = listed(specimen.batch(*pick(specimen, bars), **specimen.settings), len(steps))
    for got, expected in zip(batch, steps, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert np.isfinite(got).sum() > 100


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_everything(name: str) -> None:
    specimen = SPECIMENS[name]
    used = specimen.make()
    used.update_many(*pick(specimen, market(2, 77)))
    used.reset()
    assert not used.ready
    assert np.isnan(used.value)
    bars = market(3, 90)
    fresh = one_by_one(specimen, specimen.make(), bars)
    for got, expected in zip(one_by_one(specimen, used, bars), fresh, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "pivots"])
def test_outputs_may_be_the_inputs(name: str) -> None:
    specimen = SPECIMENS[name]
    bars = market(4, 1_200)
    expected = listed(specimen.make().update_many(*pick(specimen, bars)), 9)
    columns = [column.copy() for column in pick(specimen, bars)]
    floats = [column for column in columns if column.dtype == np.float64]
    spare = [np.empty(1_200) for _ in specimen.outputs]
    outs = [*reversed(floats), *spare][: len(specimen.outputs)]
    specimen.make().update_many(*columns, *outs)
    for got, series in zip(outs, expected, strict=True):
        np.testing.assert_array_equal(got, series)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "pivots"])
def test_outputs_that_overlap_are_refused(name: str) -> None:
    specimen = SPECIMENS[name]
    bars = market(5, 60)
    room = np.zeros(100)
    source = room[:60]
    source[:] = bars[specimen.inputs[0]]
    columns = [source, *pick(specimen, bars)[1:]]
    with pytest.raises(UsageError, match="overlap"):
        specimen.make().update_many(*columns, room[1:61])
    with pytest.raises(UsageError, match=r"out|upper|line|adx|high_out"):
        specimen.make().update_many(*pick(specimen, bars), np.empty(59))


@pytest.mark.parametrize("name", NAMES)
def test_no_bars_is_no_work(name: str) -> None:
    specimen = SPECIMENS[name]
    for series in listed(specimen.batch(*pick(specimen, market(6, 0)), **specimen.settings), 9):
        assert series.shape == (0,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_wild_price_is_refused_and_leaves_no_trace(name: str, bad: float) -> None:
    specimen = SPECIMENS[name]
    bars = market(7, 80)
    for field in specimen.inputs:
        if bars[field].dtype != np.float64:
            continue
        spoiled = {key: column.copy() for key, column in bars.items()}
        spoiled[field][41] = bad
        said = "values" if name == "bollinger" else field
        indicator = specimen.make()
        indicator.update_many(*pick(specimen, bars, slice(0, 40)))
        with pytest.raises(BadData, match=rf"{said} is .*index 1"):
            indicator.update_many(*pick(specimen, spoiled, slice(40, 80)))
        sample = [column[41].item() for column in pick(specimen, spoiled)]
        with pytest.raises(BadData, match="must be"):
            indicator.update(*sample)
        rest = {key: column[40:] for key, column in bars.items()}
        whole = one_by_one(specimen, specimen.make(), bars)
        for got, expected in zip(one_by_one(specimen, indicator, rest), whole, strict=True):
            np.testing.assert_array_equal(got, expected[40:])


@pytest.mark.parametrize("name", [n for n in NAMES if "high" in SPECIMENS[n].inputs])
def test_high_below_low_is_refused(name: str) -> None:
    specimen = SPECIMENS[name]
    bars = market(8, 30)
    bars["high"][7] = bars["low"][7] - 0.05
    with pytest.raises(BadData, match=r"high .* low .* at index 7"):
        specimen.batch(*pick(specimen, bars), **specimen.settings)
    with pytest.raises(BadData, match="high must not be below low"):
        specimen.make().update(*(column[7].item() for column in pick(specimen, bars)))


@pytest.mark.parametrize("name", [n for n in NAMES if len(SPECIMENS[n].inputs) > 1])
def test_arrays_of_different_lengths_are_refused(name: str) -> None:
    specimen = SPECIMENS[name]
    for place, field in enumerate(specimen.inputs[1:], start=1):
        columns = pick(specimen, market(9, 30))
        columns[place] = columns[place][:-1]
        with pytest.raises(UsageError, match=f"{field} has 29"):
            specimen.batch(*columns, **specimen.settings)


@pytest.mark.parametrize("name", NAMES)
def test_two_dimensions_are_refused(name: str) -> None:
    specimen = SPECIMENS[name]
    columns = [column.reshape(5, 6) for column in pick(specimen, market(10, 30))]
    with pytest.raises(UsageError, match="2 dimensions"):
        specimen.batch(*columns, **specimen.settings)
    with pytest.raises(UsageError, match="cannot be read as numbers"):
        specimen.batch(*(["a"] * 30 for _ in columns), **specimen.settings)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Atr(0), "period"),
        (lambda: Atr(100_001), "period"),
        (lambda: Atr(1.5), "period"),
        (lambda: Adx(1), "period"),
        (lambda: Supertrend(10, 0.0), "factor"),
        (lambda: Supertrend(10, float("nan")), "factor"),
        (lambda: Supertrend(10, "3"), "factor"),
        (lambda: Vwap(-1.0), "width"),
        (lambda: Vwap(1.0, float("inf")), "empty_weight"),
        (lambda: RollingVwap(0), "period"),
        (lambda: RollingVwap(5, -1.0), "empty_weight"),
        (lambda: OpeningRange(0), "bars"),
        (lambda: OpeningMinutes(0), "minutes"),
        (lambda: OpeningMinutes(1441), "minutes"),
        (lambda: OpeningMinutes(5, 0), "bar_minutes"),
        (lambda: Pivots("fibonacci"), "kind"),
        (lambda: Bollinger(1), "period"),
        (lambda: Bollinger(20, -2.0), "width_up"),
        (lambda: Bollinger(20, 2.0, -2.0), "width_down"),
        (lambda: Keltner(0), "period"),
        (lambda: Keltner(20, 0), "atr_period"),
        (lambda: Keltner(20, 10, 0.0), "width"),
        (lambda: Donchian(0), "period"),
        (lambda: RealisedVolatility(1, 252.0), "period"),
        (lambda: RealisedVolatility(20, 0.0), "per_year"),
        (lambda: Parkinson(0, 252.0), "period"),
        (lambda: Parkinson(20, True), "per_year"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(
    make: Callable[[], object], field: str
) -> None:
    with pytest.raises(UsageError, match=field):
        make()


def test_prices_that_have_no_logarithm_are_refused() -> None:
    with pytest.raises(BadData, match=r"close is 0.0 at index 1: must be above zero"):
        realised_volatility([1.0, 0.0, 2.0], 2, 252.0)
    with pytest.raises(BadData, match=r"close is -1.0: must be above zero"):
        RealisedVolatility(2, 252.0).update(-1.0)
    with pytest.raises(BadData, match=r"low is 0.0 at index 0"):
        parkinson([1.0], [0.0], 1, 252.0)
    with pytest.raises(BadData, match=r"low is 0.0: must be above zero"):
        Parkinson(2, 252.0).update(1.0, 0.0)


def test_volumes_below_zero_and_odd_flags_are_refused() -> None:
    price = np.array([2.0, 3.0])
    with pytest.raises(BadData, match=r"volume is -1.0 at index 1: must be zero or more"):
        vwap(price, price, price, [1.0, -1.0])
    with pytest.raises(BadData, match=r"volume is -1.0: must be zero or more"):
        RollingVwap(5).update(2.0, 2.0, 2.0, -1.0)
    with pytest.raises(UsageError, match="session_start has dtype float64"):
        pivots(price, price, price, [1.0, 0.0])
    with pytest.raises(UsageError, match="since_open_ns has dtype float64"):
        opening_minutes(price, price, [0.0, 1.0], [True, False])


def test_lists_and_read_only_arrays_are_welcome() -> None:
    bars = market(11, 40)
    for column in bars.values():
        column.flags.writeable = False
    for specimen in SPECIMENS.values():
        arrays = listed(specimen.batch(*pick(specimen, bars), **specimen.settings), 9)
        lists = [column.tolist() for column in pick(specimen, bars)]
        for got, expected in zip(
            listed(specimen.batch(*lists, **specimen.settings), 9), arrays, strict=True
        ):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_explains_itself(name: str) -> None:
    specimen = SPECIMENS[name]
    kind = type(specimen.make())
    members = [getattr(kind, member) for member in dir(kind) if not member.startswith("_")]
    for item in [kind, specimen.batch, *members]:
        lines = (item.__doc__ or "").splitlines()
        said = [line for line in lines if line.strip() and "(self" not in line]
        assert len(" ".join(said).split()) >= 3, item
