"""Work beside the engine's thread, with an end: what a user's code does there may never return."""

import asyncio
import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from dhanfast.errors import CallbackOverdue, StrategyError

Result = TypeVar("Result")
SWITCH_S: Final = 0.0002  # the GIL changes hands so often meanwhile: the engine's thread waits less
_ALL: Final = threading.Lock()
_GOING: Final[list[float]] = []  # one for each work; the first is the interval that was there


async def aside(work: Callable[[], Result], limit_s: float) -> Result:
    """What `work()` returns, done in a thread of its own.

    Args:
        limit_s: after it the work is told to end, and is not waited for any more.
    Raises:
        StrategyError: it took longer. Whatever the work raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, Exception):
            done.set_exception(error)
        else:
            done.set_exception(StrategyError(f"{type(error).__name__}: {error}"))

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # also exit(): it is told to who waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, error)

    thread = threading.Thread(target=run, name="dhanfast-aside", daemon=True)
    with _quick_hands():  # before it begins: who waits already waits by the interval there was
        thread.start()
        try:
            async with asyncio.timeout(limit_s):
                return await done
        except TimeoutError:
            _interrupt(thread)
            raise StrategyError(
                f"it was not ready within {limit_s:g} s (importing, on_start, the bars of the day)"
            ) from None


def _interrupt(thread: threading.Thread) -> None:
    """Raise in a thread that runs Python code; in C code it is raised when that returns."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(CallbackOverdue)
        )


@contextlib.contextmanager
def _quick_hands() -> Iterator[None]:
    """Have the interpreter change threads more often, as long as some work goes on."""
    with _ALL:
        _GOING.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_GOING[0], SWITCH_S))
    try:
        yield
    finally:
        with _ALL:
            first = _GOING[0]
            _GOING.pop()
            if _GOING:
                _GOING[0] = first
            else:
                sys.setswitchinterval(first)
