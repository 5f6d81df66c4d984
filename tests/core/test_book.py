"""Order book against a dict, operation by operation, and against recorded depth."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast._core.book import DELTA_DTYPE, LEVEL_DTYPE, Book
from dhanfast._core.types import Side
from dhanfast.errors import BadData, UsageError

DATA = Path(os.environ.get("DHANFAST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
PRICES = st.integers(1, 60)
QTYS = st.one_of(st.just(0), st.integers(1, 1000))
SIDES = st.sampled_from([Side.BUY, Side.SELL])
BIG = 10_000_000_000


def levels(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(rows), dtype=LEVEL_DTYPE)


class SlowSide:
    """Price -> (qty, orders); sorted anew whenever somebody asks."""

    def __init__(self, side: Side, levels_max: int) -> None:
        self.side, self.levels_max = side, levels_max
        self.held: dict[int, tuple[int, int]] = {}
        self.truncated = False

    def best_first(self) -> list[tuple[int, int, int]]:
        prices = sorted(self.held, reverse=self.side == Side.BUY)
        return [(price, *self.held[price]) for price in prices]

    def set(self, price: int, qty: int, orders: int) -> None:
        if qty == 0:
            self.held.pop(price, None)
            return
        self.held[price] = (qty, orders)
        if len(self.held) > self.levels_max:
            del self.held[self.best_first()[-1][0]]
            self.truncated = True

    def replace(self, rows: list[tuple[int, int, int]]) -> None:
        self.held = {price: (qty, orders) for price, qty, orders in rows[: self.levels_max]}
        self.truncated = len(rows) > self.levels_max


class BookMachine(RuleBasedStateMachine):
    """Snapshots and deltas on a book of few levels: it overflows, empties, slides and crosses."""

    @initialize(levels_max=st.sampled_from([1, 2, 3, 5, 20, 40]))
    def start(self, levels_max: int) -> None:
        self.book = Book(levels_max)
        self.sides = {side: SlowSide(side, levels_max) for side in Side}
        self.seq = self.gaps = 0
        self.gap = False

    @rule(side=SIDES, price=PRICES, qty=QTYS, orders=st.integers(0, 9))
    def delta(self, side: Side, price: int, qty: int, orders: int) -> None:
        self.book.delta(side, price, qty, orders)
        self.sides[side].set(price, qty, orders)

    @rule(rows=st.lists(st.tuples(SIDES, PRICES, QTYS), min_size=1, max_size=40))
    def deltas(self, rows: list[tuple[Side, int, int]]) -> None:
        changes = np.zeros(len(rows), dtype=DELTA_DTYPE)
        best = []
        for change, (side, price, qty) in zip(changes, rows, strict=True):
            change["side"], change["price"], change["qty"] = side, price, qty
            self.sides[side].set(price, qty, 0)
            firsts = [self.sides[s].best_first()[:1] for s in (Side.BUY, Side.SELL)]
            best.append([first[0][0] if first else 0 for first in firsts])
        assert self.book.deltas(changes).tolist() == best

    @rule(bids=st.dictionaries(PRICES, st.integers(1, 99)),
          asks=st.dictionaries(PRICES, st.integers(1, 99)), padded=st.booleans())  # fmt: skip
    def snapshot(self, bids: dict[int, int], asks: dict[int, int], padded: bool) -> None:
        rows = {
            Side.BUY: [(p, bids[p], 1) for p in sorted(bids, reverse=True)],
            Side.SELL: [(p, asks[p], 1) for p in sorted(asks)],
        }
        end = [(0, 0, 0), (7, 7, 7)] if padded else []  # what follows an empty entry is not read
        self.seq += 10
        self.gap = False
        self.book.snapshot(*(levels(*rows[s], *end) for s in (Side.BUY, Side.SELL)), seq=self.seq)
        for side in Side:
            self.sides[side].replace(rows[side])

    @rule(previous=st.integers(-3, 3), step=st.integers(-1, 4))
    def message(self, previous: int, step: int) -> None:
        follows, number = max(0, self.seq + previous), max(1, self.seq + step)
        assert self.book.message(follows, number) == (number > self.seq)
        if number > self.seq:
            if self.seq and follows > self.seq:
                self.gap, self.gaps = True, self.gaps + 1
            self.seq = number

    @rule()
    def clear(self) -> None:
        self.book.clear()
        for side in Side:
            self.sides[side].replace([])
        self.seq, self.gap = 0, False

    @rule(side=SIDES, units=st.integers(1, 5000))
    def cost_to_take(self, side: Side, units: int) -> None:
        against = Side.SELL if side == Side.BUY else Side.BUY
        one_by_one = [
            price for price, qty, _ in self.sides[against].best_first() for _ in range(qty)
        ][:units]
        filled, average, worst = self.book.cost_to_take(side, units)
        assert filled == len(one_by_one)
        if one_by_one:
            assert average == pytest.approx(sum(one_by_one) / len(one_by_one), rel=1e-15)
            assert worst == one_by_one[-1]
        else:
            assert math.isnan(average) and worst is None

    @rule(count=st.integers(1, 60))
    def imbalance(self, count: int) -> None:
        bid, ask = (
            sum(qty for _, qty, _ in self.sides[side].best_first()[:count])
            for side in (Side.BUY, Side.SELL)
        )
        got = self.book.imbalance(count)
        assert got == (bid - ask) / (bid + ask) if bid + ask else math.isnan(got)

    @invariant()
    def levels_agree(self) -> None:
        if not hasattr(self, "book"):
            return
        for side in Side:
            assert self.book.levels(side).tolist() == self.sides[side].best_first()
        assert self.book.truncated == tuple(
            self.sides[side].truncated for side in (Side.BUY, Side.SELL)
        )
        assert (self.book.seq, self.book.gap, self.book.gaps) == (self.seq, self.gap, self.gaps)

    @invariant()
    def top_agrees(self) -> None:
        if not hasattr(self, "book"):
            return
        tops = [(self.sides[side].best_first() or [None])[0] for side in (Side.BUY, Side.SELL)]
        assert [self.book.best_bid, self.book.best_ask] == tops
        bid, ask = tops
        if bid is None or ask is None:
            assert self.book.spread is None
            assert math.isnan(self.book.mid) and math.isnan(self.book.microprice)
            assert not self.book.crossed and not self.book.locked
            return
        assert self.book.spread == ask[0] - bid[0]
        assert self.book.mid == (bid[0] + ask[0]) / 2
        micro = (bid[0] * ask[1] + ask[0] * bid[1]) / (bid[1] + ask[1])
        assert self.book.microprice == pytest.approx(micro, rel=1e-15)
        assert (self.book.crossed, self.book.locked) == (bid[0] > ask[0], bid[0] == ask[0])


BookMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBook = BookMachine.TestCase


@pytest.mark.parametrize("depth", [5, 20, 200])
def test_thousands_of_random_deltas_agree_with_the_dict(depth: int) -> None:
    """Long enough for each side to slide to both ends of its buffer many times."""
    rng = np.random.default_rng(depth)
    changes = np.zeros(6_000, dtype=DELTA_DTYPE)
    centre = 10_000 + np.cumsum(rng.integers(-3, 4, len(changes)))
    changes["price"] = centre + rng.normal(0, depth / 2, len(changes)).astype(np.int64)
    changes["qty"] = rng.integers(0, 3, len(changes)) * 25
    changes["side"] = rng.choice([1, -1], len(changes))
    book, sides = Book(depth), {side: SlowSide(side, depth) for side in Side}
    for start in range(0, len(changes), 500):
        book.deltas(changes[start : start + 500])
        for change in changes[start : start + 500].tolist():
            sides[Side(change[3])].set(change[0], change[1], change[2])
        for side in Side:
            assert book.levels(side).tolist() == sides[side].best_first()


def test_many_snapshots_give_the_top_of_each() -> None:
    rng = np.random.default_rng(2)
    bids, asks = np.zeros((50, 20), dtype=LEVEL_DTYPE), np.zeros((50, 20), dtype=LEVEL_DTYPE)
    top = rng.integers(5000, 6000, 50)
    bids["price"], asks["price"] = top[:, None] - np.arange(20), top[:, None] + 1 + np.arange(20)
    bids["qty"] = asks["qty"] = 5
    book = Book(20)
    assert book.snapshots(bids, asks).tolist() == np.column_stack([top, top + 1]).tolist()
    assert book.levels(Side.BUY).tolist() == bids[-1].tolist()
    with pytest.raises(UsageError, match="one shape"):
        book.snapshots(bids, asks[:, :5])


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([(100, 1, 1), (100, 1, 1)], []),
        ([(100, 1, 1), (101, 1, 1)], []),
        ([], [(101, 1, 1), (100, 1, 1)]),
        ([(-5, 1, 1)], []),
        ([], [(-5, 1, 1)]),
        ([(BIG + 1, 1, 1)], []),
        ([], [(5, 1, 1), (BIG + 1, 1, 1)]),
    ],
)
def test_a_bad_snapshot_is_refused_and_changes_nothing(
    bids: list[tuple[int, int, int]], asks: list[tuple[int, int, int]]
) -> None:
    book = Book(5)
    book.snapshot(levels((10, 2, 1)), levels((11, 3, 1)), seq=4)
    with pytest.raises(BadData, match="price"):
        book.snapshot(levels(*bids), levels(*asks), seq=5)
    assert (book.best_bid, book.best_ask, book.seq) == ((10, 2, 1), (11, 3, 1), 4)


def test_other_refusals_name_the_argument() -> None:
    for count in (0, 1025):
        with pytest.raises(UsageError, match=str(count)):
            Book(count)
    book = Book(5)
    for price in (0, -1, BIG + 1):
        with pytest.raises(BadData, match="price"):
            book.delta(Side.BUY, price, 5)
    with pytest.raises(UsageError, match="side"):
        book.delta(0, 100, 5)
    for units in (0, 100_000_001):
        with pytest.raises(UsageError, match="units"):
            book.cost_to_take(Side.BUY, units)
    with pytest.raises(UsageError, match="levels"):
        book.imbalance(0)
    with pytest.raises(UsageError, match="bids"):
        book.snapshot(np.zeros(3), levels())
    for field, value in (("side", 2), ("price", 0)):
        changes = np.zeros(2, dtype=DELTA_DTYPE)
        changes["side"], changes["price"], changes["qty"] = 1, 50, 1
        changes[field][1] = value
        with pytest.raises(BadData, match=r"changes\[1\]"):
            book.deltas(changes)
    assert book.best_bid == (50, 1, 0)


def test_the_largest_cost_is_exact() -> None:
    book = Book(200)
    rows = [(BIG - k, 2**32 - 1, 0) for k in range(200)]
    book.snapshot(levels(*rows), levels())
    assert book.cost_to_take(Side.SELL, 100_000_000) == (100_000_000, float(BIG), BIG)


@pytest.mark.data
@pytest.mark.parametrize("depth", [200, 1024])
def test_recorded_depth_rebuilds_the_recorded_best_prices(depth: int) -> None:
    """Five minutes of depth changes: best bid and ask equal the exchange's own best-price feed."""
    file = DATA / "ticks" / "binance_usdm_BTCUSDT_l2_2024-08-08.parquet"
    if not file.exists():
        pytest.skip(f"recorded depth is not in {DATA}")
    table = pytest.importorskip("pyarrow.parquet").read_table(file)
    event, side = (np.array(table[name].to_pylist()) for name in ("event", "side"))
    price, qty = np.rint(100 * table["price"].to_numpy()), np.rint(1000 * table["qty"].to_numpy())
    number, previous = table["update_id"].to_numpy(), table["prev_update_id"].to_numpy()

    rows = np.flatnonzero(event == "snapshot")
    start = int(number[rows[0]])
    made = np.zeros(len(rows), dtype=LEVEL_DTYPE)
    made["price"], made["qty"] = price[rows], qty[rows]
    book = Book(depth)
    book.snapshot(made[side[rows] == "B"], made[side[rows] == "S"], seq=start)

    rows = np.flatnonzero((event == "depth") & (number > start))
    changes = np.zeros(len(rows), dtype=DELTA_DTYPE)
    changes["price"], changes["qty"] = price[rows], qty[rows]
    changes["side"] = np.where(side[rows] == "B", 1, -1)
    ends = np.flatnonzero(np.diff(number[rows], append=0))
    for end in ends:
        assert book.message(int(previous[rows[end]]), int(number[rows[end]]))
    assert book.gaps == 0
    best = book.deltas(changes)[ends]

    quotes = event == "bbo"
    for column, name in enumerate("BS"):
        chosen = quotes & (side == name)
        _, ours, theirs = np.intersect1d(number[rows][ends], number[chosen], return_indices=True)
        assert len(ours) == 629
        np.testing.assert_array_equal(best[ours, column], price[chosen][theirs])
