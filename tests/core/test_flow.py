"""The native tick stream against the plain model, to the bit; its batches, books and refusals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.flow import TickFlow
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE, DepthFlag, DepthOp, Side
from dhanfast._core.walk import second_shares
from tests.core.flow_model import as_rows, model_ticks, small_day


def drawn(day: dict[str, Any], batch: int = 10_000, room: int = 0) -> tuple[Any, Any]:
    """All records and all rows of a day."""
    flow = TickFlow(**day)
    ticks, rows = [np.empty(0, TICK_DTYPE)], [np.empty(0, DEPTH_DTYPE)]
    while True:
        out = np.empty(batch, TICK_DTYPE)
        depth = np.empty(max(room, flow.rows_max), DEPTH_DTYPE) if flow.rows_max else None
        used, many = flow.fill(out, depth)
        if not used:
            assert many == 0
            return np.concatenate(ticks), np.concatenate(rows)
        ticks.append(out[:used])
        if depth is not None:
            rows.append(depth[:many])


counts = st.lists(st.integers(1, 300), min_size=1, max_size=7)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), minutes=st.integers(1, 5), counts=counts, repeat=st.booleans())
def test_the_stream_equals_the_plain_model_to_the_bit(
    seed: int, minutes: int, counts: list[int], repeat: bool
) -> None:
    day = small_day(seed, minutes, counts, repeat_last=repeat)
    ticks, _ = drawn(day)
    assert as_rows(ticks) == model_ticks(day)
    assert np.bincount(ticks["instrument"], minlength=len(counts)).tolist() == counts
    assert not ticks["flags"].any()


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 400), levels=st.sampled_from([0, 5, 20]))
def test_batches_do_not_change_the_bytes(seed: int, batch: int, levels: int) -> None:
    day = small_day(seed, 3, [40, 200, 90, 120], depth_levels=levels)
    one, rows = drawn(day, room=100_000)
    other, again = drawn(day, batch=batch, room=2 * batch)
    assert one.tobytes() == other.tobytes() and rows.tobytes() == again.tobytes()
    assert one.tobytes() == drawn(small_day(seed, 3, [40, 200, 90, 120]))[0].tobytes()


def test_a_lane_without_weight_is_silent() -> None:
    """An index that is broadcast for two of four minutes has no record after them."""
    day = small_day(3, 4, [500, 500])
    day["weights"][0] = [250.0, 251.0, 0.0, 0.0]
    ticks, _ = drawn(day)
    index = ticks[ticks["instrument"] == 0]
    assert len(index) == 500 and index["exch_ns"].max() < day["minutes"][2]
    assert ticks["exch_ns"].max() >= day["minutes"][3]


# ---- books -------------------------------------------------------------------------------------


def play(rows: Any, levels: int) -> Any:
    """Apply messages to dictionaries; yields (instrument, recv_ns, bids, asks) after each."""
    books: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
    for row in rows:
        name = int(row["instrument"])
        sides = books.setdefault(name, ({}, {}))
        side = sides[0 if row["side"] == Side.BUY else 1]
        price, qty = int(row["price"]), int(row["qty"])
        if row["op"] == DepthOp.CLEAR:
            assert not side and price == 0 and qty == 0
        elif qty == 0:
            assert row["op"] == DepthOp.SET and row["orders"] == 0
            del side[price]  # raises when it deletes what is not there
        else:
            old = side.get(price)
            assert old != qty, "a row that changes nothing"
            side[price] = qty
            assert row["orders"] >= 1 and qty >= row["orders"]
        bids, asks = sides
        assert not bids or not asks or max(bids) < min(asks), "a prefix is crossed"
        if row["flags"] & DepthFlag.LAST:
            assert len(bids) <= levels and len(asks) == levels
            yield name, int(row["recv_ns"]), bids, asks


@pytest.mark.parametrize("levels", [1, 5, 20, 200])
def test_the_top_of_every_book_is_the_quote(levels: int) -> None:
    day = small_day(11, 4, [50, 900, 400, 400, 300, 300], depth_levels=levels)
    ticks, rows = drawn(day, room=4096)
    played = {(name, recv): (max(bids), bids[max(bids)], min(asks), asks[min(asks)])
              for name, recv, bids, asks in play(rows, levels)}  # fmt: skip
    top: dict[int, tuple[int, int, int, int]] = {}
    for tick in ticks[ticks["instrument"] > 0]:
        name = int(tick["instrument"])
        top[name] = played.pop((name, int(tick["recv_ns"])), top.get(name))
        assert top[name] == tuple(int(tick[k]) for k in ("bid", "bid_qty", "ask", "ask_qty"))
    assert not played, "a message without a record"


def test_a_book_begins_with_a_snapshot_and_goes_on_with_changes() -> None:
    day = small_day(5, 3, [30, 500, 500, 500], depth_levels=5)
    ticks, rows = drawn(day, room=4096)
    assert set(np.unique(rows["instrument"])) == {1, 2, 3}  # an index has no book
    last = (rows["flags"] & DepthFlag.LAST) > 0
    message = np.concatenate([[0], np.cumsum(last)[:-1]])
    np.testing.assert_array_equal(rows["seq"], message + 1)
    assert last[-1] and np.all(np.diff(rows["recv_ns"]) >= 0)
    for name in (1, 2, 3):
        mine = rows[rows["instrument"] == name]
        full = mine["seq"] == mine["seq"][0]
        np.testing.assert_array_equal((mine["flags"] & DepthFlag.SNAPSHOT) > 0, full)
        assert (mine[full]["op"] == DepthOp.CLEAR).sum() == 2 and full.sum() == 12
        assert not (mine[~full]["op"] == DepthOp.CLEAR).any()
        assert mine["exch_ns"][0] == ticks["exch_ns"][ticks["instrument"] == name][0]


# ---- shares of seconds -------------------------------------------------------------------------


def test_seconds_share_their_minute_and_move_with_the_price() -> None:
    levels = np.concatenate([[0.0], np.random.default_rng(4).normal(0, 1, 24_000).cumsum()]) + 1e5
    shares = second_shares(1, 2, levels)
    np.testing.assert_allclose(shares.reshape(-1, 60).sum(axis=1), 1.0, rtol=1e-12)
    assert shares.min() > 0
    assert np.corrcoef(np.abs(np.diff(levels)), shares)[0, 1] > 0.3
    assert np.corrcoef(shares[1:], shares[:-1])[0, 1] > 0.3  # busy seconds come together
    still = second_shares(1, 2, np.full(61, 1e5))
    assert still.min() > 0 and abs(still.sum() - 1) < 1e-12


@pytest.mark.parametrize("count", [0, 1, 60, 62])
def test_seconds_must_be_whole_minutes(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} levels"):
        second_shares(1, 1, np.ones(count))


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lanes", np.zeros(2), "lanes: 2 of float64"),
        ("weights", np.ones((2, 3)), r"weights: float64\(2, 3\)"),
        ("weights", np.full((2, 2), np.nan), "weights: every value"),
        ("weights", np.full((2, 2), -1.0), "weights: every value"),
        ("odds", np.zeros((2, 2)), "odds: float64"),
        ("wide", np.zeros(3, np.uint16), "wide: uint16"),
        ("minutes", np.array([60, 0]) * 10**9, "minutes: give the starts"),
        ("minutes", np.array([1, 2]) * 10**9, "minutes: give the starts"),
        ("minutes", np.array([1, 10**6]) * 10**9, "longer than nine hours"),
        ("index", np.ones(120), "index: float64"),
        ("future", np.zeros(121), "future: every level must be positive"),
        ("index", np.full(121, 1e13), "index: every level must be positive and below"),
        ("forward_ratio", -1.0, "forward_ratio is -1.0"),
        ("forward_ratio", float("nan"), "forward_ratio is nan"),
        ("discount", 0.0, "discount is 0.0"),
        ("heat", np.full(120, np.inf), "heat: every value"),
        ("depth_levels", 201, "depth_levels is 201"),
        ("depth_levels", -1, "depth_levels is -1"),
    ],
)
def test_a_day_that_does_not_fit_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TickFlow(**small_day(1, 2, [5, 5]) | {name: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 4), ("count", 0), ("count", -3), ("tick", 0), ("lot", 0), ("strike", 0.0),
        ("strike", float("nan")), ("volatility", -0.1), ("volatility", float("nan")), ("spread", 0),
        ("oi", -1), ("oi", 2**40), ("size", 5000), ("trade", 5000), ("gap", 5000),
    ],
)  # fmt: skip
def test_an_instrument_that_cannot_be_is_refused(field: str, value: Any) -> None:
    day = small_day(1, 2, [5, 5, 5])
    day["lanes"][field][2] = value
    with pytest.raises(ValueError, match=rf"lanes\[2\]: {field} is"):
        TickFlow(**day)


def test_arrays_of_a_batch_are_checked() -> None:
    flow, books = TickFlow(**small_day(1, 2, [5])), TickFlow(**small_day(1, 2, [5], depth_levels=5))
    ticks, depth = np.empty(4, TICK_DTYPE), np.empty(200, DEPTH_DTYPE)
    assert (flow.rows_max, books.rows_max) == (0, 28)
    for run, message in (
        (lambda: flow.fill(np.empty(4)), "ticks: 4 of float64"),
        (lambda: flow.fill(ticks[:0]), "ticks: 0 of"),
        (lambda: flow.fill(ticks, depth), "depth: 0 levels"),
        (lambda: books.fill(ticks), "depth: 5 levels"),
        (lambda: books.fill(ticks, depth[:27]), "room for 28 rows"),
        (lambda: books.fill(ticks, np.empty(200)), "room for 28 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
    with pytest.raises(OverflowError):
        TickFlow(**small_day(1, 2, [5]) | {"seed": -1})
