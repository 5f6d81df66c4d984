"""The terminal of a command that runs for a while: its progress line, its keys, its signals."""

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, Self, TextIO

from dhanfast.clock import SystemClock

WIDTH: Final = 80
PATIENCE_NS: Final = 2_000_000_000  # shorter work shows no progress, unless on a terminal
LINE_EVERY_NS: Final = 5_000_000_000  # where lines are kept and not drawn over
LOOK_EVERY_S: Final = 0.2
REDRAW_NS: Final = 200_000_000
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RIGHT: Final = "\x1b[C"


class ProgressLine:
    """One line of at most 80 columns that says how far something is.

    On a terminal it is drawn over; elsewhere it is written after two seconds and then every five.

    Args:
        stream: where to; standard error unless given.
        patient: also a terminal sees nothing of what is done in two seconds.
    """

    def __init__(self, stream: TextIO | None = None, *, patient: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._drawn = self._stream.isatty()
        self._clock = SystemClock()
        now_ns = self._clock.monotonic_ns()
        self._next_ns = now_ns + (0 if self._drawn and not patient else PATIENCE_NS)
        self._shown = self._doing = ""
        self._doing_ns = now_ns

    @property
    def due(self) -> bool:
        """Whether `show` would show something now."""
        return self._clock.monotonic_ns() >= self._next_ns

    def show(self, text: str) -> None:
        """Show where things stand, when it is time to."""
        if not self.due or text == self._shown:
            return
        text = text[: WIDTH - 1]
        if self._drawn:
            self._stream.write(f"\r{text:<{len(self._shown)}}")
        else:
            self._stream.write(f"{text}\n")
            self._next_ns = self._clock.monotonic_ns() + LINE_EVERY_NS
        self._stream.flush()
        self._shown = text

    def count(self, doing: str, done: int, total: int) -> None:
        """Show how many rows are done, how fast, and how long the rest takes.

        Args:
            doing: what is done now; its speed counts from when it was first told.
            done, total: rows; a total of 0 is not known.
        """
        now_ns = self._clock.monotonic_ns()
        if doing != self._doing:
            self._doing, self._doing_ns = doing, now_ns
        if not self.due:
            return
        text = doing
        if total and done:
            rate = done / max((now_ns - self._doing_ns) / 1e9, 1e-3)
            text += f": {done:,} of {total:,} rows, {count_text(rate)}/s"
            text += f", {duration_text((total - done) / rate)} left"
        self.show(text)
        if self._drawn:
            self._next_ns = now_ns + REDRAW_NS  # rows come fast

    def say(self, text: str) -> None:
        """A line of its own, now."""
        self.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line off a terminal."""
        if self._drawn and self._shown:
            self._stream.write(f"\r{' ' * len(self._shown)}\r")
            self._stream.flush()
        self._shown = ""


class Console:
    """Answers keys and signals, and looks at the work now and then, while a block runs.

    The work runs in the thread that enters; everything here happens in another one, so that a
    signal never interrupts the work between two steps. A second signal ends the command at once.

    Args:
        stop: called when the process is asked to end (SIGINT, SIGTERM, SIGHUP), or its terminal
            has hung up.
        look: called five times a second.
        keys: what each key does; they are read when standard input is a terminal.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        look: Callable[[], None],
        keys: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._stop, self._look, self._keys = stop, look, dict(keys or {})
        self._asked = 0
        self._thread = threading.Thread(target=self._watch, name="console", daemon=True)

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked the process to end."""
        return self._asked > 0

    def __enter__(self) -> Self:
        """Take over signals and keys."""
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: dict[signal.Signals, Any] = {}
        self._fd_before = -1
        if threading.current_thread() is threading.main_thread():
            self._fd_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            self._before = {name: signal.signal(name, self._signalled) for name in ENDING}
        self._input, self._mode = -1, None
        if self._keys and sys.stdin is not None and sys.stdin.isatty():
            self._input = sys.stdin.fileno()
            self._mode = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give them back."""
        os.write(self._write, b"\0")
        self._thread.join()
        if self._before:
            signal.set_wakeup_fd(self._fd_before)
            for name, handler in self._before.items():
                signal.signal(name, handler)
        if self._mode is not None:
            with contextlib.suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._mode)
        os.close(self._read)
        os.close(self._write)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        """Runs in the main thread: only counts. The watcher has been woken by the same signal."""
        self._asked += 1
        if self._asked > 1:
            raise KeyboardInterrupt

    def _watch(self) -> None:
        wanted = [self._read] + ([self._input] if self._mode is not None else [])
        while True:
            ready = select.select(wanted, [], [], LOOK_EVERY_S)[0]
            if self._read in ready:
                said = os.read(self._read, 64)
                if any(number in said for number in ENDING):
                    self._stop()
                if 0 in said:
                    return
            if self._input in ready and not self._read_keys():
                wanted.remove(self._input)
                self._stop()  # nobody is there any more
            self._look()

    def _read_keys(self) -> bool:
        """Answer what was typed; False when the terminal has hung up."""
        try:
            typed = os.read(self._input, 64)
        except OSError:
            typed = b""
        self._pressed(typed.decode("ascii", "ignore"))
        return bool(typed)

    def _pressed(self, text: str) -> None:
        while text:
            found = next((key for key in self._keys if text.startswith(key)), text[0])
            if found in self._keys:
                self._keys[found]()
            text = text[len(found) :]


def duration_text(seconds: float) -> str:
    """1:05, 2:03:04."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def count_text(count: float) -> str:
    """950, 12.3k, 4.56M: three figures."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            scaled = count / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{count:.0f}"
