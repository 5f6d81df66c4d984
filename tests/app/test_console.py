"""The progress line and the keys, on a pseudo-terminal and off it."""

import io
import os
import pty
import signal
import sys
import threading
from typing import Any

import pytest

from dhanfast.app import console as module
from dhanfast.app.console import Console, ProgressLine, count_text, duration_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ticker:
    def __init__(self) -> None:
        self.now = 0

    def monotonic_ns(self) -> int:
        return self.now


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> Ticker:
    made = Ticker()
    monkeypatch.setattr(module, "SystemClock", lambda: made)
    return made


def test_a_terminal_is_drawn_over_and_cleared(ticker: Ticker) -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    line.show("a long line")
    line.show("short")
    line.show("x" * 200)
    line.clear()
    parts = stream.getvalue().split("\r")
    assert parts[1:4] == ["a long line", "short      ", "x" * 79]
    assert parts[4:] == [" " * 79, ""]


def test_elsewhere_nothing_for_two_seconds_then_lines_every_five(ticker: Ticker) -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for second in range(14):
        ticker.now = second * 10**9
        line.show(f"at {second}")
    line.clear()
    assert stream.getvalue() == "at 2\nat 7\nat 12\n"


def test_a_message_stands_on_its_own_line(ticker: Ticker) -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    line.show("here")
    line.say("news")
    assert stream.getvalue() == "\rhere\r    \rnews\n"


def test_rows_are_counted_with_their_speed_and_what_is_left(ticker: Ticker) -> None:
    """By hand: 2 million of 10 in 4 s are 500 thousand a second, so the rest takes 16 s."""
    stream = io.StringIO()
    line = ProgressLine(stream, patient=True)
    for second in range(5):
        ticker.now = second * 10**9
        line.count("reading", second * 500_000, 10_000_000)
    ticker.now = 20 * 10**9
    line.count("writing", 0, 10_000_000)
    assert stream.getvalue().splitlines() == [
        "reading: 1,000,000 of 10,000,000 rows, 500k/s, 0:18 left", "writing"
    ]  # fmt: skip


def test_rows_on_a_terminal_wait_and_are_drawn_five_times_a_second(ticker: Ticker) -> None:
    stream = Terminal()
    line = ProgressLine(stream, patient=True)
    for step in range(30):
        ticker.now = step * 10**8
        line.count(f"file {step}", step, 0)
    line.clear()
    drawn = [part.strip() for part in stream.getvalue().split("\r") if part.strip()]
    assert drawn == ["file 20", "file 22", "file 24", "file 26", "file 28"]


def test_keys_and_their_sequences_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    host, guest = pty.openpty()
    pressed: list[str] = []
    done = threading.Event()
    keys = {
        " ": lambda: pressed.append("space"),
        module.RIGHT: lambda: pressed.append("right"),
        "q": lambda: (pressed.append("q"), done.set()),
    }
    with os.fdopen(guest, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Console(lambda: None, lambda: None, keys):
            os.write(host, b" x\x1b[C \x1b[Dq")
            assert done.wait(60)
    os.close(host)
    assert pressed == ["space", "right", "space", "q"]


def test_a_terminal_that_hangs_up_asks_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    host, guest = pty.openpty()
    stopped = threading.Event()
    with os.fdopen(guest, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Console(stopped.set, lambda: None, {"q": lambda: None}):
            os.close(host)
            assert stopped.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_leaves_the_main_thread_alone(number: int) -> None:
    stopped = threading.Event()
    before = signal.getsignal(number)
    with Console(stopped.set, lambda: None) as console:
        assert not console.interrupted
        signal.raise_signal(number)
        assert stopped.wait(60) and console.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_it_looks_at_the_work() -> None:
    looked = threading.Semaphore(0)
    with Console(lambda: None, looked.release):
        assert looked.acquire(timeout=60) and looked.acquire(timeout=60)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (4_560_000, "4.56M"),
     (123_400_000, "123M"), (2.5e9, "2.50G")],
)  # fmt: skip
def test_counts(count: float, text: Any) -> None:
    assert count_text(count) == text


def test_durations() -> None:
    assert [duration_text(s) for s in (0, 5.4, 65, 3599.7, 7384, -3)] == [
        "0:00", "0:05", "1:05", "1:00:00", "2:03:04", "0:00",
    ]  # fmt: skip
