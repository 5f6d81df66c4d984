"""Replay against a recorder of what it feeds: every tick once, in order, each at its time."""

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.types import TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.engine.replay import MAX, PIECE, Replay, ReplayStatus, ist
from dhanfast.errors import BadData, ConfigError, UsageError

OPEN_NS = 1_709_523_900_000_000_000  # 2024-03-04 09:15:00 IST


def ticks_at(gaps_ns: list[int]) -> Any:
    """Ticks with these gaps of receive time, numbered by their price."""
    ticks = np.zeros(len(gaps_ns), TICK_DTYPE)
    ticks["recv_ns"] = OPEN_NS + np.cumsum(np.array(gaps_ns, np.int64))
    ticks["price"] = np.arange(len(gaps_ns))
    return ticks


def cut(ticks: Any, sizes: list[int]) -> Callable[[], Iterator[Any]]:
    """A source of these ticks in batches of these sizes, the last again and again."""

    def source() -> Iterator[Any]:
        at, turn = 0, 0
        while at < len(ticks):
            size = sizes[min(turn, len(sizes) - 1)]
            yield ticks[at : at + size].copy()
            at, turn = at + size, turn + 1

    return source


class Seen:
    """An engine that remembers what it got and when; it finishes with that."""

    def __init__(self, clock: ManualClock, between: Callable[[int], None] | None = None) -> None:
        self.clock, self.between = clock, between
        self.prices: list[int] = []
        self.times: list[int] = []

    def feed(self, ticks: Any) -> None:
        assert len(ticks) > 0
        self.prices += ticks["price"].tolist()
        self.times += [self.clock.monotonic_ns()] * len(ticks)
        if self.between is not None:
            self.between(self.prices[-1])

    def finish(self) -> "Seen":
        return self


class Stand:
    """A replay on a manual clock, with things to do when events have been fed."""

    def __init__(self, ticks: Any, sizes: list[int], speed: float, **more: Any) -> None:
        self.clock = ManualClock(77)
        self.script: dict[int, list[Callable[[], None]]] = {}
        self.told: list[str] = []
        self.engines: list[Seen] = []
        self.replay: Replay[Seen] = Replay(
            cut(ticks, sizes), self.engine, clock=self.clock, speed=speed, tell=self.told.append,
            **more,
        )  # fmt: skip

    def engine(self) -> Seen:
        self.engines.append(Seen(self.clock, self.between))
        return self.engines[-1]

    def at(self, price: int, *does: Callable[[], None]) -> None:
        """Do something once, when the event of this number (or a later one) has been fed."""
        self.script.setdefault(price, []).extend(does)

    def between(self, last: int) -> None:
        for price in sorted(self.script):
            if price <= last:
                for does in self.script.pop(price):
                    does()


@given(
    gaps=st.lists(st.integers(0, 10**10), min_size=1, max_size=60),
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    speed=st.sampled_from([0.5, 1.0, 10.0, 333.3]),
)
def test_each_event_comes_at_its_time(gaps: list[int], sizes: list[int], speed: float) -> None:
    ticks = ticks_at(gaps)
    stand = Stand(ticks, sizes, speed)
    seen = stand.replay.run()
    assert seen.prices == list(range(len(ticks)))
    since = (ticks["recv_ns"] - ticks["recv_ns"][0]).astype(object)
    for when, offset in zip(seen.times, since, strict=True):
        assert abs(when - 77 - int(offset) / speed) <= 1 + 1e-9 * int(offset) / speed
    lateness = stand.replay.lateness
    assert lateness.count == len(ticks) and (lateness.max_ns or 0) <= 1
    assert stand.replay.status() == ReplayStatus(
        "finished", len(ticks), int(ticks["recv_ns"][-1]), speed, stand.replay.status().behind_ns, 0
    )


def test_at_max_batches_pass_whole_and_no_time_does() -> None:
    stand = Stand(ticks_at([10**9] * 1000), [300], MAX)
    sizes: list[int] = []
    stand.at(0, lambda: sizes.append(1))
    seen = stand.replay.run()
    assert seen.prices == list(range(1000)) and set(seen.times) == {77}
    assert stand.replay.lateness.count == 0
    assert math.isinf(stand.replay.status().speed)


def test_events_of_one_time_go_in_one_batch() -> None:
    fed: list[int] = []
    stand = Stand(ticks_at([5, 0, 0, 7, 0, 9]), [100], 1.0)
    original = Seen.feed

    class Counting(Seen):
        def feed(self, ticks: Any) -> None:
            fed.append(len(ticks))
            original(self, ticks)

    stand.replay._make = lambda: Counting(stand.clock)  # type: ignore[method-assign]
    stand.replay.run()
    assert fed == [3, 2, 1]


def test_a_clock_that_stepped_back_does_not_hold_events_up() -> None:
    ticks = ticks_at([0, 10, 10, 10])
    ticks["recv_ns"][2] -= 5 * 10**12
    ticks["recv_ns"][3] += 1
    seen = Stand(ticks, [3, 1], 1.0).replay.run()
    assert seen.prices == [0, 1, 2, 3]
    assert seen.times == [77, 87, 87, 108]


def test_an_engine_that_is_slow_is_told_of() -> None:
    """Each event takes 3 s of a stream that has one a second: lateness grows by 2 s each."""
    stand = Stand(ticks_at([10**9] * 5), [9], 1.0)

    def slow(last: int) -> None:
        stand.clock.advance(3.0)

    stand.replay._make = lambda: Seen(stand.clock, slow)  # type: ignore[method-assign]
    seen = stand.replay.run()
    # The clock starts when the first has been fed: at 4 s event 1, then those due by 7 s together.
    assert [when - 77 for when in seen.times] == [0, 4 * 10**9, 7 * 10**9, 7 * 10**9, 7 * 10**9]
    histogram = stand.replay.lateness
    assert histogram.count == 5 and histogram.max_ns == 2 * 10**9
    assert histogram.mean_ns == pytest.approx((0 + 0 + 2 + 1 + 0) / 5 * 1e9)
    assert stand.replay.status().behind_ns == 0


# ---- pause, resume, stop, speed ------------------------------------------------------------------


def test_a_pause_shifts_everything_behind_it() -> None:
    ticks = ticks_at([10**9] * 6)
    stand = Stand(ticks, [4], 1.0)
    waiting = stand.clock.wait_until

    def wait_until(due_ns: int | None, wake: threading.Event) -> None:
        if due_ns is None:
            assert stand.replay.status().state == "paused"
            stand.clock.advance(100.0)
            stand.replay.resume()
        waiting(due_ns, wake)

    stand.clock.wait_until = wait_until  # type: ignore[method-assign]
    stand.at(2, stand.replay.pause)
    seen = stand.replay.run()
    seconds = [(when - 77) // 10**9 for when in seen.times]
    assert seen.prices == list(range(6)) and seconds == [0, 1, 2, 103, 104, 105]
    assert (stand.replay.lateness.max_ns or 0) <= 1


def test_stopping_ends_with_what_was_fed() -> None:
    for speed in (1.0, MAX):
        stand = Stand(ticks_at([10**9] * 10), [3], speed)
        stand.at(4, stand.replay.stop)
        seen = stand.replay.run()
        assert seen.prices == list(range(5 if speed == 1.0 else 6))
        assert stand.replay.stopped and stand.replay.status().state == "finished"


def test_stopping_while_paused_and_before_the_first_event() -> None:
    stand = Stand(ticks_at([1] * 5), [3], 1.0)
    stand.replay.stop()
    assert stand.replay.run().prices == []
    stand = Stand(ticks_at([1] * 5), [3], 1.0)
    stand.at(1, stand.replay.pause)
    waiting = stand.clock.wait_until

    def wait_until(due_ns: int | None, wake: threading.Event) -> None:
        if due_ns is None:
            stand.replay.stop()
        waiting(due_ns, wake)

    stand.clock.wait_until = wait_until  # type: ignore[method-assign]
    assert stand.replay.run().prices == [0, 1]


def test_speed_changes_on_the_way() -> None:
    stand = Stand(ticks_at([10**9] * 8), [20], 1.0)
    stand.at(1, lambda: stand.replay.set_speed(10.0))
    stand.at(3, lambda: stand.replay.set_speed(MAX))
    seen = stand.replay.run()
    tenths = [(when - 77) // 10**8 for when in seen.times]
    assert tenths == [0, 10, 11, 12, 12, 12, 12, 12]


def test_from_max_to_paced_the_next_event_sets_the_time() -> None:
    stand = Stand(ticks_at([10**9] * 8), [4], MAX)
    stand.at(1, lambda: stand.replay.set_speed(1.0))
    seen = stand.replay.run()
    assert [(when - 77) // 10**9 for when in seen.times] == [0, 0, 0, 0, 0, 1, 2, 3]


# ---- seeking -------------------------------------------------------------------------------------


def test_seeking_forward_runs_through_what_lies_between_at_once() -> None:
    ticks = ticks_at([10**9] * 10)
    stand = Stand(ticks, [4], 1.0)
    target = int(ticks["recv_ns"][6]) - 500_000_000  # half a second before event 6
    stand.at(1, lambda: stand.replay.seek(target))
    seen = stand.replay.run()
    tenths = [(when - 77) // 10**8 for when in seen.times]
    assert seen.prices == list(range(10)) and len(stand.engines) == 1
    assert tenths == [0, 10, 10, 10, 10, 10, 15, 25, 35, 45]
    assert stand.replay.lateness.count == 6  # those that were paced


def test_seeking_back_begins_again_and_says_so() -> None:
    ticks = ticks_at([10**9] * 6)
    stand = Stand(ticks, [4], 1.0)
    stand.at(4, lambda: stand.replay.seek(int(ticks["recv_ns"][2])))
    seen = stand.replay.run()
    first, second = stand.engines
    assert first.prices == [0, 1, 2, 3, 4] and seen is second
    assert second.prices == [0, 1, 2, 3, 4, 5]
    assert [(when - 77) // 10**9 for when in second.times] == [4, 4, 4, 5, 6, 7]
    assert stand.replay.status().restarts == 1
    assert stand.told == [
        "going back to 2024-03-04 09:15:03: a new engine runs from the start to there"
    ]


def test_seeking_back_is_refused_when_nothing_can_be_made_again() -> None:
    ticks = ticks_at([10**9] * 6)
    stand = Stand(ticks, [4], 1.0, again=False)
    stand.at(4, lambda: stand.replay.seek(OPEN_NS))
    assert stand.replay.run().prices == list(range(6)) and len(stand.engines) == 1
    assert "not gone back to 2024-03-04 09:15:00" in stand.told[0] and "name them" in stand.told[0]


def test_a_seek_while_paused_stays_paused_there() -> None:
    ticks = ticks_at([10**9] * 10)
    stand = Stand(ticks, [4], 1.0)
    waiting, fed = stand.clock.wait_until, []

    def wait_until(due_ns: int | None, wake: threading.Event) -> None:
        if due_ns is None:
            fed.append(stand.replay.status().ticks)
            stand.clock.advance(50.0)
            if len(fed) == 1:
                stand.replay.seek(int(ticks["recv_ns"][7]))
            else:
                stand.replay.resume()
        waiting(due_ns, wake)

    stand.clock.wait_until = wait_until  # type: ignore[method-assign]
    stand.at(2, stand.replay.pause)
    seen = stand.replay.run()
    assert fed == [3, 7]
    assert seen.prices == list(range(10))
    assert [(when - 77) // 10**9 for when in seen.times][6:] == [52, 102, 103, 104]


def test_seeking_beyond_the_end_and_before_the_start() -> None:
    ticks = ticks_at([10**9] * 5)
    for target in (0, OPEN_NS, OPEN_NS + 10**15):
        for speed in (1.0, MAX):
            stand = Stand(ticks, [2], speed)
            stand.replay.seek(target)
            assert stand.replay.run().prices == list(range(5)) and len(stand.engines) == 1


COMMANDS = st.tuples(
    st.integers(0, 39),
    st.sampled_from(["pause", "seek", "speed"]),
    st.integers(-1, 45),
    st.sampled_from([1.0, 10.0, 1000.0, MAX]),
)


@given(
    gaps=st.lists(st.integers(0, 10**9), min_size=40, max_size=40),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=3),
    speed=st.sampled_from([1.0, 100.0, MAX]),
    commands=st.lists(COMMANDS, max_size=6),
)
def test_whatever_is_asked_the_engine_sees_the_same_stream(
    gaps: list[int], sizes: list[int], speed: float, commands: list[tuple[int, str, int, float]]
) -> None:
    ticks = ticks_at(gaps)
    stand = Stand(ticks, sizes, speed)
    replay, waiting = stand.replay, stand.clock.wait_until

    def wait_until(due_ns: int | None, wake: threading.Event) -> None:
        if due_ns is None:
            replay.resume()
        waiting(due_ns, wake)

    stand.clock.wait_until = wait_until  # type: ignore[method-assign]
    for price, name, event, other in commands:
        to_ns = OPEN_NS + 45 * 10**9 if event >= 40 else int(ticks["recv_ns"][max(event, 0)])
        does = {
            "pause": replay.pause,
            "seek": lambda to_ns=to_ns: replay.seek(to_ns),
            "speed": lambda other=other: replay.set_speed(other),
        }
        stand.at(price, does[name])
    seen = replay.run()
    assert seen.prices == list(range(40))
    assert replay.status().ticks == 40 and replay.status().restarts == len(stand.engines) - 1
    for engine in stand.engines:
        assert engine.prices == list(range(len(engine.prices)))


def test_more_than_a_piece_of_events_of_one_time() -> None:
    stand = Stand(ticks_at([0] * (3 * PIECE + 5)), [2 * PIECE + 3], 1.0)
    assert stand.replay.run().prices == list(range(3 * PIECE + 5))


def test_commands_reach_a_running_replay_from_another_thread() -> None:
    """A real thread, no timing: a paused replay waits for it however long it takes."""
    stand = Stand(ticks_at([10**9] * 50), [7], 1.0)
    paused = threading.Event()
    waiting = stand.clock.wait_until

    def wait_until(due_ns: int | None, wake: threading.Event) -> None:
        if due_ns is None:
            paused.set()
        waiting(due_ns, wake)

    stand.clock.wait_until = wait_until  # type: ignore[method-assign]
    stand.at(9, stand.replay.pause)

    def other() -> None:
        assert paused.wait(60)
        stand.replay.set_speed(5.0)
        stand.replay.resume()

    thread = threading.Thread(target=other)
    thread.start()
    seen = stand.replay.run()
    thread.join()
    assert seen.prices == list(range(50)) and stand.replay.status().speed == 5.0


# ---- refusals ------------------------------------------------------------------------------------


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="speed must be"):
        Stand(ticks_at([1]), [1], 0.0)
    stand = Stand(ticks_at([1]), [1], 1.0)
    with pytest.raises(ConfigError, match="speed must be"):
        stand.replay.set_speed(-1)
    for wrong in (-1, True, 1.5, "09:15"):
        with pytest.raises(UsageError, match="seek"):
            stand.replay.seek(wrong)  # type: ignore[arg-type]
    stand.replay.run()
    with pytest.raises(UsageError, match="has run"):
        stand.replay.run()


def test_what_source_or_engine_raise_passes_and_the_replay_is_over() -> None:
    def broken() -> Iterator[Any]:
        yield ticks_at([1, 1])
        raise BadData("file.dfa: offset 99: damaged")

    clock = ManualClock()
    replay: Replay[Seen] = Replay(broken, lambda: Seen(clock), clock=clock, speed=1.0)
    with pytest.raises(BadData, match="offset 99"):
        replay.run()
    assert replay.status().state == "finished" and replay.status().ticks == 2


def test_ist_reads_as_in_mumbai() -> None:
    assert ist(OPEN_NS) == "2024-03-04 09:15:00"
