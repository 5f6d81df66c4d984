"""Bars against a slow model that keeps every tick, and against a numpy group-by."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.bars import (
    BarBuilder,
    RangeBars,
    TickBars,
    TimeBars,
    VolumeBars,
    boundary_table,
)
from dhanfast._core.types import BAR_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import UsageError

S = 1_000_000_000
MINUTE = 60 * S
DAY = 86_400 * S
OPEN = 1_767_584_700 * S  # 2026-01-05 09:15 IST
# Two days; the second one is split by an outage, and its first part is not a whole number of bars.
SESSIONS = np.array(
    [
        [OPEN, OPEN + 20 * S],
        [OPEN + DAY, OPEN + DAY + 13 * S],
        [OPEN + DAY + 30 * S, OPEN + DAY + 47 * S],
    ]
)
FIELDS = ("start_ns", "open", "high", "low", "close", "volume", "oi", "instrument", "ticks")


def ticks_of(rows: Iterable[tuple[int, int, int, int]]) -> np.ndarray:
    """(time, price, day's volume, last quantity) -> TICK_DTYPE; oi is the row's number."""
    rows = list(rows)
    made = np.zeros(len(rows), dtype=TICK_DTYPE)
    for number, (at, price, volume, qty) in enumerate(rows):
        made[number]["exch_ns"], made[number]["price"] = at, price
        made[number]["volume"], made[number]["qty"], made[number]["oi"] = volume, qty, number
    return made


class SlowBars:
    """Keeps the ticks of the open bar in a list and works every figure out when it closes."""

    def __init__(self, size: int, kind: str = "time", volume: str = "qty", flat: bool = False):
        self.size, self.kind, self.volume, self.flat = size, kind, volume, flat
        self.bars: list[tuple[int, ...]] = []
        self.inside: list[tuple[int, int, int, int]] = []  # time, price, units, oi
        self.start = self.end = 0
        self.floor = 0
        self.session: tuple[int, int] | None = None
        self.total, self.total_day = 0, None
        self.late = self.outside = self.empty = self.back = 0

    def interval(self, at: int) -> tuple[int, int, tuple[int, int]] | None:
        for first, last in SESSIONS.tolist():
            if first <= at < last:
                if self.kind != "time":
                    return at, last, (first, last)
                start = first + (at - first) // self.size * self.size
                return start, min(start + self.size, last), (first, last)
        return None

    def close(self, floor: int) -> None:
        prices = [price for _, price, _, _ in self.inside]
        units = sum(units for _, _, units, _ in self.inside)
        self.bars.append(
            (self.start, prices[0], max(prices), min(prices), prices[-1], units,
             self.inside[-1][3], 0, len(prices))
        )  # fmt: skip
        self.inside, self.floor = [], max(self.floor, floor)

    def pass_time(self, now: int) -> None:
        if self.inside and self.end <= now:
            self.close(self.end)
        while self.flat and not self.inside and self.session and self.floor < self.session[1]:
            end = min(self.floor + self.size, self.session[1])
            if end > now:
                return
            close, oi = self.bars[-1][4], self.bars[-1][6]
            self.bars.append((self.floor, close, close, close, close, 0, oi, 0, 0))
            self.floor = end

    def advance(self, now: int) -> None:
        self.pass_time(now)
        if self.kind == "time" and not self.inside:
            place = self.interval(now)
            self.floor = max(self.floor, place[0] if place else now)

    def units(self, total: int, qty: int, place: tuple[int, int, tuple[int, int]]) -> int:
        if self.volume == "qty":
            return qty
        day = (place[0] + 19_800 * S) // DAY
        if day != self.total_day:
            opening = min(f for f, _ in SESSIONS.tolist() if (f + 19_800 * S) // DAY == day)
            from_start = self.kind == "time" and place[0] == opening
            self.total, self.total_day = (0 if from_start else max(total - qty, 0)), day
        if total < self.total:
            self.back += 1
            return 0
        gained, self.total = total - self.total, total
        return gained

    def tick(self, at: int, price: int, total: int, qty: int, oi: int) -> None:
        self.pass_time(at)
        if price <= 0:
            self.empty += 1
            return
        if at < (self.start if self.inside else self.floor):
            self.late += 1
            return
        if not self.inside:
            place = self.interval(at)
            if place is None:
                self.outside += 1
                return
            self.start, self.end, self.session = place
        else:
            place = (self.start, self.end, self.session or (0, 0))
        self.inside.append((at, price, self.units(total, qty, place), oi))
        prices = [p for _, p, _, _ in self.inside]
        full = {
            "time": False,
            "ticks": len(prices) >= self.size,
            "volume": sum(u for _, _, u, _ in self.inside) >= self.size,
            "range": max(prices) - min(prices) >= self.size,
        }
        if full[self.kind]:
            self.close(at)


TIMES = st.one_of(
    st.integers(-3, 25).map(lambda s: OPEN + s * S),
    st.integers(-3, 50).map(lambda s: OPEN + DAY + s * S),
)
TICKS = st.lists(
    st.tuples(TIMES, st.integers(0, 30), st.integers(0, 400), st.integers(0, 20)), max_size=60
)
RARELY_SORTED = st.booleans()


def both(
    builder: BarBuilder, model: SlowBars, ticks: np.ndarray, advances: dict[int, int]
) -> list[tuple[int, ...]]:
    got = []
    for number, tick in enumerate(ticks):
        if number in advances:
            got += builder.advance(advances[number]).tolist()
            model.advance(advances[number])
        got += builder.update_many(ticks[number : number + 1]).tolist()
        row = [int(tick[f]) for f in ("exch_ns", "price", "volume", "qty", "oi")]
        model.tick(*row)
    return got


@settings(max_examples=150)
@given(
    rows=TICKS,
    in_order=RARELY_SORTED,
    size=st.integers(1, 25),
    volume=st.sampled_from(["qty", "cumulative"]),
    flat=st.booleans(),
    advances=st.dictionaries(st.integers(0, 60), TIMES, max_size=5),
)
def test_time_bars_agree_with_the_slow_model(
    rows: list[tuple[int, int, int, int]], in_order: bool, size: int, volume: str, flat: bool,
    advances: dict[int, int],
) -> None:  # fmt: skip
    ticks = ticks_of(sorted(rows) if in_order else rows)
    bars = TimeBars(size * S, SESSIONS, volume=volume, flat=flat)
    model = SlowBars(size * S, "time", volume, flat)
    assert both(bars, model, ticks, advances) == model.bars
    counters = (bars.late, bars.outside, bars.empty, bars.volume_back)
    assert counters == (model.late, model.outside, model.empty, model.back)
    far = OPEN + 10 * DAY
    seen = len(model.bars)
    model.advance(far)
    assert bars.advance(far).tolist() == model.bars[seen:]


@settings(max_examples=100)
@given(rows=TICKS, in_order=RARELY_SORTED, size=st.integers(1, 60),
       kind=st.sampled_from(["ticks", "volume", "range"]),
       volume=st.sampled_from(["qty", "cumulative"]))  # fmt: skip
def test_event_bars_agree_with_the_slow_model(
    rows: list[tuple[int, int, int, int]], in_order: bool, size: int, kind: str, volume: str
) -> None:
    ticks = ticks_of(sorted(rows) if in_order else rows)
    make = {"ticks": TickBars, "volume": VolumeBars, "range": RangeBars}[kind]
    bars, model = make(size, SESSIONS, volume=volume), SlowBars(size, kind, volume)
    assert both(bars, model, ticks, {}) == model.bars
    assert (bars.late, bars.outside, bars.empty) == (model.late, model.outside, model.empty)
    seen = len(model.bars)
    model.pass_time(OPEN + 10 * DAY)
    assert bars.advance(OPEN + 10 * DAY).tolist() == model.bars[seen:]


@settings(max_examples=60)
@given(rows=TICKS, cut=st.integers(0, 60), size=st.integers(1, 25), flat=st.booleans())
def test_batches_may_be_cut_anywhere(
    rows: list[tuple[int, int, int, int]], cut: int, size: int, flat: bool
) -> None:
    ticks = ticks_of(sorted(rows))
    whole, cuts = (TimeBars(size * S, SESSIONS, flat=flat) for _ in range(2))
    parts = [cuts.update_many(ticks[:cut]), cuts.update_many(ticks[cut:])]
    assert np.concatenate(parts).tolist() == whole.update_many(ticks).tolist()
    assert cuts.flush().tolist() == whole.flush().tolist()
    stepped = TimeBars(size * S, SESSIONS, flat=flat)
    assert stepped.replay(ticks).tolist() == np.concatenate(parts).tolist()


def random_ticks(count: int, sessions: np.ndarray, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, dtype=TICK_DTYPE)
    spans = sessions[:, 1] - sessions[:, 0]
    day = rng.integers(0, len(sessions), count)
    ticks["exch_ns"] = sessions[day, 0] + (rng.random(count) * spans[day]).astype(np.int64)
    ticks.sort(order="exch_ns")
    ticks["price"] = 5_000_000 + np.cumsum(rng.integers(-50, 51, count)) // 5 * 5
    ticks["qty"] = rng.integers(1, 500, count)
    return ticks


def test_time_bars_agree_with_a_numpy_group_by() -> None:
    sessions = np.array([[OPEN + d * DAY, OPEN + d * DAY + 375 * MINUTE] for d in range(5)])
    ticks = random_ticks(40_000, sessions)
    bars = TimeBars(7 * MINUTE, sessions, volume="qty")
    got = np.concatenate([bars.update_many(ticks), bars.advance(OPEN + 9 * DAY)])
    day = np.searchsorted(sessions[:, 0], ticks["exch_ns"], side="right") - 1
    start = ticks["exch_ns"] - (ticks["exch_ns"] - sessions[day, 0]) % (7 * MINUTE)
    starts, first = np.unique(start, return_index=True)
    last = np.append(first[1:], len(ticks)) - 1
    np.testing.assert_array_equal(got["start_ns"], starts)
    np.testing.assert_array_equal(got["open"], ticks["price"][first])
    np.testing.assert_array_equal(got["close"], ticks["price"][last])
    np.testing.assert_array_equal(got["high"], np.maximum.reduceat(ticks["price"], first))
    np.testing.assert_array_equal(got["low"], np.minimum.reduceat(ticks["price"], first))
    np.testing.assert_array_equal(
        got["volume"], np.add.reduceat(ticks["qty"].astype(np.int64), first)
    )
    np.testing.assert_array_equal(got["ticks"], last - first + 1)


def test_a_running_total_is_differenced_not_summed() -> None:
    """The old bot summed the day's total tick by tick: 2,011 for a true 10."""
    rows = [(OPEN + k * S, 100, 1001 + k, 1) for k in range(10)]
    bars = TimeBars(MINUTE, np.array([[OPEN - MINUTE, OPEN + DAY // 4]]))  # joined late: one minute
    bars.update_many(ticks_of(rows))
    current = bars.current
    assert current is not None and current["volume"].tolist() == [10]


def test_a_day_seen_from_its_open_counts_from_zero_and_the_next_day_again() -> None:
    sessions = np.array([[OPEN, OPEN + DAY // 4], [OPEN + DAY, OPEN + DAY + DAY // 4]])
    bars = TimeBars(MINUTE, sessions)
    rows = [(OPEN + S, 100, 500, 5), (OPEN + 2 * S, 101, 520, 20), (OPEN + DAY + S, 99, 30, 30)]
    assert bars.update_many(ticks_of(rows))["volume"].tolist() == [520]
    assert bars.flush()["volume"].tolist() == [30]


def test_time_closes_a_bar_without_a_tick_and_a_straggler_is_late() -> None:
    bars = TimeBars(10 * S, SESSIONS)
    assert len(bars.update_many(ticks_of([(OPEN + S, 100, 0, 1)]))) == 0
    assert len(bars.advance(OPEN + 10 * S - 1)) == 0
    assert bars.advance(OPEN + 10 * S)["start_ns"].tolist() == [OPEN]
    assert len(bars.update_many(ticks_of([(OPEN + 9 * S, 50, 0, 1)]))) == 0
    assert (bars.late, bars.current) == (1, None)
    assert len(bars.advance(OPEN + 10 * S)) == 0


def test_the_last_bar_is_short_and_none_spans_two_sessions() -> None:
    bars = TimeBars(15 * S, SESSIONS)
    rows = [(OPEN + 19 * S, 100, 0, 1), (OPEN + DAY + S, 200, 0, 1)]
    assert bars.update_many(ticks_of(rows))[["start_ns", "close"]].tolist() == [
        (OPEN + 15 * S, 100)
    ]
    assert bars.advance(OPEN + DAY + 13 * S)["start_ns"].tolist() == [OPEN + DAY]


def test_flat_bars_fill_a_gap_of_thousands() -> None:
    sessions = np.array([[OPEN, OPEN + 20_000 * S]])
    bars = TimeBars(S, sessions, flat=True)
    rows = [(OPEN + 5 * S, 100, 0, 1), (OPEN + 15_000 * S, 90, 0, 1)]
    got = bars.update_many(ticks_of(rows))
    np.testing.assert_array_equal(got["start_ns"], OPEN + np.arange(5, 15_000) * S)
    assert (got["close"] == 100).all() and got["ticks"].sum() == 1
    assert len(bars.advance(OPEN + DAY)) == 5_000


def test_another_instruments_ticks_are_left_out() -> None:
    ticks = ticks_of([(OPEN + S, 100, 0, 1), (OPEN + 2 * S, 900, 0, 1)])
    ticks["instrument"] = [4, 5]
    bars = TimeBars(10 * S, SESSIONS, instrument=4)
    bars.update_many(ticks)
    assert bars.foreign == 1
    assert bars.flush()[["high", "instrument"]].tolist() == [(100, 4)]


def test_a_split_session_gives_two_rows_of_the_boundary_table() -> None:
    sessions = np.zeros(2, dtype=SESSION_DTYPE)
    sessions["open_ns"], sessions["close_ns"] = [OPEN + DAY, OPEN], [OPEN + DAY + 9, OPEN + 7]
    sessions["open2_ns"], sessions["close2_ns"] = [0, OPEN + 20], [0, OPEN + 30]
    want = [[OPEN, OPEN + 7], [OPEN + 20, OPEN + 30], [OPEN + DAY, OPEN + DAY + 9]]
    assert boundary_table(sessions).tolist() == want
    assert boundary_table(np.repeat(sessions, 3)).tolist() == want


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (np.zeros((0, 2), dtype=np.int64), "at least one"),
        (np.array([1, 2, 3]), "pairs"),
        (np.array([[0.0, 5.0]]), "float64"),
        (np.array([[5, 5]]), "not after its open"),
        (np.array([[0, 10], [9, 20]]), r"sessions\[1\]"),
        (np.array([[50, 60], [0, 10]]), "sort"),
        (np.array([[-5, 60]]), r"sessions\[0\]"),
    ],
)
def test_a_bad_boundary_table_is_refused(table: np.ndarray, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TimeBars(MINUTE, table)


def test_other_refusals_name_the_argument() -> None:
    for size in (0, -1, 7 * DAY + 1, 1.5, True, None):
        with pytest.raises(UsageError, match="interval_ns"):
            TimeBars(size, SESSIONS)
    for make, name in ((TickBars, "ticks"), (VolumeBars, "units"), (RangeBars, "paise")):
        with pytest.raises(UsageError, match=name):
            make(0, SESSIONS)
    with pytest.raises(UsageError, match="cumulative, qty, none"):
        TimeBars(MINUTE, SESSIONS, volume="total")
    with pytest.raises(UsageError, match="volume bars need"):
        VolumeBars(5, SESSIONS, volume="none")
    with pytest.raises(UsageError, match="instrument"):
        TimeBars(MINUTE, SESSIONS, instrument=2**32)
    with pytest.raises(UsageError, match="ticks must be"):
        TimeBars(MINUTE, SESSIONS).update_many(np.zeros(3, dtype=BAR_DTYPE))
    with pytest.raises(TypeError, match="TimeBars"):
        BarBuilder()
