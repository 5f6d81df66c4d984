"""The generated market: the same for ever, valid bar by bar, linked, and shaped as stated."""

import hashlib
import tracemalloc
from datetime import date
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import generate, instruments
from dhanfast.market.calendar import Calendar
from dhanfast.market.expiries import front_month
from dhanfast.market.generate import generate_bars, generate_ticks

IST_NS = 19_800 * 10**9
DAY_NS = 86_400 * 10**9
MARCH = (date(2024, 3, 1), date(2024, 3, 31))


def bars_of(*span: date, symbol: str = "BANKNIFTY", seed: int = 1, **more: Any) -> Any:
    return np.concatenate(list(generate_bars(symbol, *span, seed=seed, **more)))


# ---- the same for ever -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "interval", "digest"),
    [
        ("IDX", "1m", "8c9032d39df5edb9b79df49f538b0d52011fea0f065dcb8c9afb5d6acb8f815f"),
        ("FUT", "1m", "54a0476595075c8dc6b410492bc9850939d3a6182032608a06b2cceeae8745d4"),
        ("IDX", "5s", "255bcb263c1ab36bfc41da7a1450aeeeeccfe3217e407d765b2f450edbbb5c0f"),
    ],
)
def test_the_bytes_are_pinned(kind: str, interval: str, digest: str) -> None:
    """Another value here changes every run on generated data: say so in CHANGELOG."""
    bars = bars_of(*MARCH, instrument=kind, interval=interval)
    assert hashlib.sha256(bars.tobytes()).hexdigest() == digest


def test_the_bytes_of_ticks_are_pinned() -> None:
    ticks = np.concatenate(
        list(generate_ticks("NIFTY", date(2024, 3, 1), date(2024, 3, 5), seed=9, instrument="FUT"))
    )
    assert (
        hashlib.sha256(ticks.tobytes()).hexdigest()
        == "0387a8c5ff315a15603a69d664ddec938a003bcd99eead075a48281823bb6056"
    )


def test_a_day_is_the_same_whichever_range_asks() -> None:
    month = {bars["start_ns"][0]: bars for bars in generate_bars("NIFTY", *MARCH, seed=4)}
    for bars in generate_bars("NIFTY", date(2024, 3, 13), date(2024, 3, 20), seed=4):
        np.testing.assert_array_equal(bars, month[bars["start_ns"][0]])


@pytest.mark.parametrize("interval", ["1s", "15s", "5m", "1h"])
def test_every_interval_opens_and_closes_the_day_alike(interval: str) -> None:
    minutes = list(generate_bars("BANKNIFTY", *MARCH, seed=2))
    others = list(generate_bars("BANKNIFTY", *MARCH, seed=2, interval=interval))
    for one, other in zip(minutes, others, strict=True):
        assert one["open"][0] == other["open"][0]
        assert one["close"][-1] == other["close"][-1]


def test_longer_bars_are_merged_minutes() -> None:
    minutes = bars_of(date(2024, 3, 4), date(2024, 3, 4), instrument="FUT")
    merged = bars_of(date(2024, 3, 4), date(2024, 3, 4), instrument="FUT", interval="10m")
    assert len(merged) == 38  # the last one covers five minutes
    for number, bar in enumerate(merged):
        part = minutes[10 * number : 10 * number + 10]
        assert bar["start_ns"] == part["start_ns"][0]
        assert (bar["open"], bar["close"]) == (part["open"][0], part["close"][-1])
        assert (bar["high"], bar["low"]) == (part["high"].max(), part["low"].min())
        assert bar["volume"] == part["volume"].sum()


def test_seeds_and_symbols_are_different_markets() -> None:
    day = (date(2024, 3, 4), date(2024, 3, 4))
    seen = {
        bars_of(*day, symbol=symbol, seed=seed)["close"].tobytes()
        for symbol in generate.MARKETS
        for seed in (0, 1, 2**64 - 1)
    }
    assert len(seen) == 3 * len(generate.MARKETS)


# ---- valid bar by bar --------------------------------------------------------------------------


def assert_valid(bars: Any, tick: int) -> None:
    assert bars.dtype == BAR_DTYPE
    for name in ("open", "high", "low", "close"):
        assert np.all(bars[name] % tick == 0) and np.all(bars[name] > 0), name
    assert np.all(bars["high"] >= np.maximum(bars["open"], bars["close"]))
    assert np.all(bars["low"] <= np.minimum(bars["open"], bars["close"]))
    assert np.all(np.diff(bars["start_ns"]) > 0)


@pytest.mark.parametrize("symbol", sorted(generate.MARKETS))
def test_index_bars_are_valid(symbol: str) -> None:
    bars = bars_of(date(2023, 1, 2), date(2023, 3, 31), symbol=symbol)
    assert_valid(bars, 5)
    assert not bars["volume"].any() and not bars["oi"].any()


@pytest.mark.parametrize("span", [(date(2021, 2, 22), date(2021, 2, 26)),
                                  (date(2022, 10, 20), date(2022, 10, 28)),
                                  (date(2024, 2, 28), date(2024, 3, 4)),
                                  (date(2026, 7, 30), date(2026, 8, 5)),
                                  (date(2009, 6, 1), date(2009, 6, 5))])  # fmt: skip
def test_bars_fill_the_hours_of_the_calendar(span: tuple[date, date]) -> None:
    """Outage, muhurat, a drill with two windows, new hours of 2026, the hours of 2009."""
    got = bars_of(*span)["start_ns"].tolist()
    want = []
    for day in Calendar.load().days(*span, "NSE_INDEX"):
        for start, end in day.windows:
            want += list(range(start, end, 60 * 10**9))
    assert got == want


def test_the_future_trades_lots_on_its_tick_through_roll_and_lot_change() -> None:
    span = (date(2023, 7, 3), date(2023, 8, 31))
    whole = bars_of(*span, instrument="FUT")
    tick = instruments.tick("FUT_IDX", span[0], level=4_000_000)
    assert_valid(whole, tick)
    for bars in generate_bars("BANKNIFTY", *span, seed=1, instrument="FUT"):
        day = date.fromordinal(int((bars["start_ns"][0] + IST_NS) // DAY_NS) + 719_163)
        lot = instruments.lot("BANKNIFTY", front_month("BANKNIFTY", day), "M", day)
        assert np.all(bars["volume"] % lot == 0)
        assert np.all(bars["volume"] >= 0) and bars["volume"].sum() > 100_000


def test_the_future_follows_its_index_with_carry() -> None:
    span = (date(2024, 1, 1), date(2024, 6, 28))
    index, future = bars_of(*span), bars_of(*span, instrument="FUT")
    np.testing.assert_array_equal(index["start_ns"], future["start_ns"])
    days = (index["start_ns"] + IST_NS) // DAY_NS
    left = np.array([
        (front_month("BANKNIFTY", date.fromordinal(day + 719_163)).toordinal() - 719_163) - day
        for day in days.tolist()
    ])  # fmt: skip
    basis = future["close"] / index["close"] - 1 - generate.CARRY_YEARLY * left / 365
    assert abs(basis.mean()) < 4 * generate.BASIS / np.sqrt(len(set(days.tolist())))
    assert basis.std() == pytest.approx(generate.BASIS, rel=0.15)
    within = np.concatenate([basis[days == day] for day in np.unique(days)])
    kept = np.corrcoef(within[1:], within[:-1])[0, 1]
    assert kept == pytest.approx(generate.BASIS_KEEP, abs=0.02)
    moves = np.corrcoef(np.diff(np.log(index["close"])), np.diff(np.log(future["close"])))[0, 1]
    assert moves > 0.95


@pytest.mark.parametrize("kind", generate.INSTRUMENTS)
def test_ticks_are_in_order_and_follow_the_bars(kind: str) -> None:
    span = (date(2024, 3, 4), date(2024, 3, 6))
    days = list(generate_ticks("BANKNIFTY", *span, seed=3, instrument=kind))
    seconds = list(generate_bars("BANKNIFTY", *span, seed=3, instrument=kind, interval="1s"))
    for ticks, bars in zip(days, seconds, strict=True):
        assert ticks.dtype == TICK_DTYPE and len(ticks) == 22_500
        assert np.all(np.diff(ticks["exch_ns"]) > 0) and np.all(np.diff(ticks["recv_ns"]) > 0)
        late = ticks["recv_ns"] - ticks["exch_ns"]
        assert late.min() >= 8_000_000 and late.max() < 26_000_000
        np.testing.assert_array_equal(ticks["price"], bars["close"])
        assert np.all(ticks["exch_ns"] >= bars["start_ns"])
        assert np.all(ticks["exch_ns"] < bars["start_ns"] + 10**9)
        if kind == "IDX":
            assert not ticks["volume"].any() and not ticks["bid"].any()
            continue
        np.testing.assert_array_equal(np.diff(ticks["volume"].astype(np.int64)), bars["volume"][1:])
        assert np.all(ticks["bid"] <= ticks["price"]) and np.all(ticks["ask"] >= ticks["price"])
        assert np.all(ticks["ask"] > ticks["bid"])
        assert np.all(ticks["bid_qty"] > 0) and np.all(ticks["ask_qty"] > 0)


def test_volume_of_ticks_goes_on_over_a_break_in_the_day() -> None:
    (ticks,) = generate_ticks(
        "BANKNIFTY", date(2021, 2, 24), date(2021, 2, 24), seed=3, instrument="FUT", interval="1m"
    )
    assert np.diff(ticks["exch_ns"]).max() > 3_600 * 10**9
    assert np.all(np.diff(ticks["volume"].astype(np.int64)) >= 0)


def test_memory_does_not_grow_with_the_range() -> None:
    def peak(last: date) -> int:
        tracemalloc.start()
        count = sum(
            len(bars)
            for bars in generate_bars("NIFTY", date(2024, 1, 1), last, seed=1, interval="5s")
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count > 50_000
        return used

    peak(date(2024, 12, 31))  # fills the caches of calendar and tables
    assert peak(date(2024, 12, 31)) < 1.2 * peak(date(2024, 1, 31))


# ---- shaped as stated --------------------------------------------------------------------------


def shape_of(start_ns: Any, opens: Any, closes: Any) -> dict[str, float]:
    """The statistics of docs/reference/generator.md, from whole days of 375 minutes."""
    days = (start_ns + IST_NS) // DAY_NS
    minute = (start_ns + IST_NS) % DAY_NS // (60 * 10**9)
    keep = (minute >= 555) & (minute < 930)
    days, opens, closes = days[keep], opens[keep], closes[keep]
    whole = np.isin(days, [day for day, n in zip(*np.unique(days, return_counts=True), strict=True)
                           if n == 375])  # fmt: skip
    opens, closes = opens[whole].reshape(-1, 375), closes[whole].reshape(-1, 375)
    before = np.concatenate([opens[:, :1], closes[:, :-1]], axis=1)
    moves = np.log(closes / before)
    rms = np.sqrt((moves**2).mean(axis=0)) * 1e4
    volatility = np.sqrt((moves**2).sum(axis=1))
    gaps = np.log(opens[1:, 0] / closes[:-1, -1])
    log_vol = np.log(volatility)
    clear = moves / np.sqrt((np.clip(moves, -0.004, 0.004) ** 2).mean(axis=0))
    size = np.abs(clear / clear.std(axis=1, keepdims=True))[:, 1:]
    size = size - size.mean()

    def band(a: int, b: int) -> float:
        return float(np.sqrt((rms[a:b] ** 2).mean()))

    return {
        "minute_bp": float(moves.std() * 1e4),
        "first_minute_bp": band(0, 1),
        "opening_bp": band(2, 15),
        "noon_bp": band(135, 195),
        "late_bp": band(285, 360),
        "kurtosis": float((moves**4).mean() / (moves**2).mean() ** 2),
        "gap_bp": float(gaps.std() * 1e4),
        "gap_kurtosis": float(((gaps - gaps.mean()) ** 4).mean() / gaps.var() ** 2),
        "day_bp": float(volatility.mean() * 1e4),
        "day_log_spread": float(log_vol.std()),
        "day_memory": float(np.corrcoef(log_vol[1:], log_vol[:-1])[0, 1]),
        "minute_memory": float((size[:, 1:] * size[:, :-1]).mean() / (size**2).mean()),
        "minute_return_memory": float(
            (moves[:, 2:] * moves[:, 1:-1]).mean() / (moves[:, 1:] ** 2).mean()
        ),
    }


# What BANKNIFTY of 2021 and 2022 shows, and how far the mean of four generated markets of the same
# two years may lie from it. Kurtoses of two years differ between markets by half.
TARGETS = {
    "minute_bp": (5.64, 0.10), "first_minute_bp": (27.8, 0.20), "opening_bp": (8.8, 0.12),
    "noon_bp": (4.51, 0.12), "late_bp": (5.77, 0.12), "kurtosis": (15.9, 0.45),
    "gap_bp": (81.3, 0.15), "gap_kurtosis": (9.9, 0.50), "day_bp": (103.0, 0.10),
    "day_log_spread": (0.342, 0.25), "day_memory": (0.732, 0.20), "minute_memory": (0.103, 0.35),
}  # fmt: skip


@pytest.mark.slow  # years of minutes: many minutes long in the traced build
def test_the_shape_is_that_of_the_stated_targets() -> None:
    span = (date(2021, 1, 1), date(2022, 12, 31))
    shapes = []
    for seed in (1, 2, 3, 4):
        bars = bars_of(*span, seed=seed)
        shapes.append(shape_of(bars["start_ns"], bars["open"], bars["close"]))
    for name, (target, room) in TARGETS.items():
        mean = np.mean([shape[name] for shape in shapes])
        assert abs(mean / target - 1) < room, f"{name}: generated {mean:.3f}, target {target}"
    assert abs(np.mean([shape["minute_return_memory"] for shape in shapes])) < 0.02


@pytest.mark.data
def test_the_targets_are_those_of_the_records(data_dir: Any) -> None:
    import pyarrow.parquet as pq

    tables = [
        pq.read_table(data_dir / "index_1m" / f"BANKNIFTY_1m_{year}.parquet", use_threads=False)
        for year in (2021, 2022)
    ]
    columns = [
        np.concatenate([table.column(name).to_numpy() for table in tables])
        for name in ("ts", "open", "close")
    ]
    shape = shape_of(*columns)
    for name, (target, _) in TARGETS.items():
        assert shape[name] == pytest.approx(target, rel=0.01), name


def test_volume_has_the_shape_of_the_day() -> None:
    bars = bars_of(date(2023, 1, 2), date(2023, 6, 30), instrument="FUT")
    minute = (bars["start_ns"] + IST_NS) % DAY_NS // (60 * 10**9) - 555
    mean = np.bincount(minute, weights=bars["volume"], minlength=375)[:375]
    mean /= mean.mean()
    assert mean[0] > 4 and mean[2:15].mean() > 1.7
    assert 0.5 < mean[135:195].mean() < 0.9 < mean[345:360].mean()


@pytest.mark.slow  # as above
def test_levels_stay_near_their_trend_for_eighteen_years() -> None:
    for seed in (1, 2, 3):
        closes = np.array([
            bars["close"][-1]
            for bars in generate_bars(
                "NIFTY", date(2009, 1, 1), date(2026, 12, 31), seed=seed, interval="6h")
        ])  # fmt: skip
        assert len(closes) > 4000
        trend = np.linspace(300_000, 2_650_000, len(closes))
        assert (closes / trend).min() > 0.5 and (closes / trend).max() < 2


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbol": "BANKNFTY"}, "BANKNIFTY"),
        ({"instrument": "OPT"}, "instrument"),
        ({"interval": "7s"}, "does not divide a minute"),
        ({"interval": "90s"}, "does not divide a minute"),
        ({"interval": "0m"}, "not a duration"),
        ({"interval": "1d"}, "not a duration"),
        ({"interval": ""}, "not a duration"),
        ({"interval": "7h"}, "up to 6h"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "2\\*\\*64 - 1"),
        ({"seed": True}, "seed is True"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"first": date(2024, 3, 5), "last": date(2024, 3, 4)}, "swap them"),
        ({"first": "2024-03-05"}, "first"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"symbol": "BANKNIFTY", "first": MARCH[0], "last": MARCH[1], "seed": 1}
    for call in (generate_bars, generate_ticks):
        with pytest.raises(UsageError, match=message):
            call(**(given | change))


def test_ticks_longer_than_a_minute_are_refused() -> None:
    with pytest.raises(UsageError, match="too long for ticks"):
        generate_ticks("NIFTY", *MARCH, seed=1, interval="5m")


@pytest.mark.parametrize("span", [(date(2008, 12, 31), date(2009, 1, 5)),
                                  (date(2026, 12, 1), date(2027, 1, 4))])  # fmt: skip
def test_dates_outside_the_calendar_are_refused(span: tuple[date, date]) -> None:
    with pytest.raises(OutOfCalendar):
        generate_bars("NIFTY", *span, seed=1)


def test_a_future_without_a_lot_in_the_tables_is_refused() -> None:
    with pytest.raises(OutOfCalendar):
        list(
            generate_bars("BANKNIFTY", date(2015, 1, 1), date(2015, 1, 9), seed=1, instrument="FUT")
        )


def test_a_range_without_trading_days_is_empty() -> None:
    assert list(generate_bars("NIFTY", date(2024, 3, 9), date(2024, 3, 10), seed=1)) == []
