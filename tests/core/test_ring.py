"""Ring against a deque, one operation at a time and with two real threads."""

import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dhanfast._core.ring import Ring
from dhanfast._core.types import BAR_DTYPE, EVENT_DTYPE, ORDER_DTYPE, TICK_DTYPE, EventKind
from dhanfast.errors import RingFull, UsageError

CAPACITY = 8


def events(first: int, count: int) -> np.ndarray:
    """Events whose payload starts with a running number, so that order and loss show."""
    made = np.zeros(count, dtype=EVENT_DTYPE)
    made["kind"] = EventKind.TIMER
    made["size"] = 8
    numbers = np.arange(first, first + count, dtype=np.uint64)
    made["payload"][:, :8] = numbers.view(np.uint8).reshape(-1, 8)
    return made


def numbers_of(taken: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(taken["payload"][:, :8]).view(np.uint64).ravel()


class RingMachine(RuleBasedStateMachine):
    """Every put and take is mirrored on a deque of (number, sequence)."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(CAPACITY, source=7)
        self.model: deque[tuple[int, int]] = deque()
        self.number = self.sequence = self.stored = self.dropped = self.high = 0

    @rule()
    def put(self) -> None:
        if len(self.model) == CAPACITY:
            with pytest.raises(RingFull):
                self.ring.put(events(self.number, 1))
            self.dropped += 1
        else:
            self.ring.put(events(self.number, 1))
            self.model.append((self.number, self.sequence))
            self.stored += 1
        self.number += 1
        self.sequence += 1  # a dropped event uses its number: the gap is the loss

    @rule(count=st.integers(0, 2 * CAPACITY))
    def put_many(self, count: int) -> None:
        room = CAPACITY - len(self.model)
        assert self.ring.put_many(events(self.number, count)) == min(count, room)
        for _ in range(min(count, room)):
            self.model.append((self.number, self.sequence))
            self.number += 1
            self.sequence += 1
            self.stored += 1

    @rule(limit=st.integers(1, 2 * CAPACITY))
    def take(self, limit: int) -> None:
        self.high = max(self.high, len(self.model))
        got = self.ring.take(limit)
        want = [self.model.popleft() for _ in range(min(limit, len(self.model)))]
        assert [(int(n), int(s)) for n, s in zip(numbers_of(got), got["seq"], strict=True)] == want
        assert (got["source"] == 7).all() and (got["size"] == 8).all()

    @invariant()
    def counters_agree(self) -> None:
        assert len(self.ring) == len(self.model)
        assert self.ring.pushed == self.stored
        assert self.ring.drained == self.stored - len(self.model)
        assert self.ring.dropped == self.dropped
        assert self.ring.high_water == self.high


RingMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestRing = RingMachine.TestCase


def test_two_threads_lose_nothing_and_keep_the_order() -> None:
    total, ring = 1_000_000, Ring(1024)
    batch = events(0, total)
    stored, taken = [], []
    a_minute = 60_000_000_000

    def produce() -> None:
        stored.append(ring.put_many(batch, wait_ns=a_minute))

    def consume() -> None:
        taken.append(ring.take(total, wait_ns=a_minute))

    threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored == [total]
    np.testing.assert_array_equal(numbers_of(taken[0]), np.arange(total, dtype=np.uint64))
    np.testing.assert_array_equal(taken[0]["seq"], np.arange(total, dtype=np.uint32))
    assert ring.dropped == 0 and len(ring) == 0 and 0 < ring.high_water <= 1024


def test_a_drop_shows_as_a_gap_of_exactly_the_lost_events() -> None:
    ring = Ring(2)
    for number in range(5):
        if number < 2:
            ring.put(events(number, 1))
        else:
            with pytest.raises(RingFull):
                ring.put(events(number, 1))
    ring.take(1)
    ring.put(events(5, 1))
    assert ring.take(5)["seq"].tolist() == [1, 5]
    assert ring.dropped == 3


@pytest.mark.parametrize(
    ("dtype", "kind"), [(TICK_DTYPE, EventKind.TICK), (BAR_DTYPE, EventKind.BAR)]
)
def test_records_travel_byte_for_byte(dtype: np.dtype, kind: EventKind) -> None:
    raw = np.random.default_rng(1).integers(0, 256, (6, dtype.itemsize), dtype=np.uint8)
    ring = Ring(8, source=3)
    assert ring.put_many(raw.view(dtype).ravel()) == 6
    got = ring.take(8)
    assert (got["kind"] == kind).all() and (got["size"] == dtype.itemsize).all()
    np.testing.assert_array_equal(got["payload"][:, : dtype.itemsize], raw)
    assert not got["payload"][:, dtype.itemsize :].any()


@pytest.mark.parametrize("capacity", [0, 1, 3, 100, 1 << 25])
def test_a_capacity_that_is_no_power_of_two_is_refused(capacity: int) -> None:
    with pytest.raises(UsageError, match=str(capacity)):
        Ring(capacity)


def test_other_refusals() -> None:
    with pytest.raises(UsageError, match="256"):
        Ring(8, source=256)
    ring = Ring(8)
    with pytest.raises(UsageError, match="limit"):
        ring.take(0)
    with pytest.raises(UsageError, match="EVENT_DTYPE"):
        ring.put_many(np.zeros(2, dtype=ORDER_DTYPE))
    with pytest.raises(UsageError, match="shape"):
        ring.put(events(0, 2))
    assert len(ring) == 0 and ring.capacity == 8 and ring.source == 0
