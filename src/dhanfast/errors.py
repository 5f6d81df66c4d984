"""Every exception dhanfast raises on purpose. Catch `DhanfastError` at the edge.

`exit_code` is what the command line returns: 1 failure, 2 usage, 3 configuration invalid,
4 not authenticated, 5 refused by risk, 6 a check found problems.
"""

import os
from typing import Final

_OURS: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep


class DhanfastError(Exception):
    """Base of all of them."""

    exit_code = 1


class UsageError(DhanfastError, ValueError):
    """The caller asked for something that does not exist or cannot be combined."""

    exit_code = 2


class ConfigError(DhanfastError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 3


class RingFull(DhanfastError):
    """The consumer is slower than the producer; the record was not stored."""


class BadPacket(DhanfastError, ValueError):
    """Bytes from the wire do not describe a valid message."""


class BadData(DhanfastError, ValueError):
    """Market data breaks a rule; the message names file, line, column and value where known."""


class OutOfCalendar(DhanfastError, ValueError):
    """A date lies outside the dated tables; a rule is never guessed."""


class NotAuthenticated(DhanfastError):
    """There is no token that the broker takes; the message says how to get one."""

    exit_code = 4


class OrderRefused(DhanfastError):
    """The risk gate or the exchange refused an order; the reason is in the message."""

    exit_code = 5


class CheckFailed(DhanfastError):
    """A verification command found problems."""

    exit_code = 6


class StrategyError(DhanfastError):
    """A strategy is invalid or raised; the message names it."""


class CallbackOverdue(BaseException):
    """Raised inside a strategy's callback that takes too long; no `except Exception` catches it."""


class PoolFull(DhanfastError):
    """A fixed-size native pool has no free place."""


class JournalFailed(DhanfastError):
    """The journal cannot take or keep a record: the disk is full or failing."""


def raised_at(error: BaseException) -> str:
    """Where the author of a strategy finds what raised: " (mine.py:12)".

    The innermost line of code that is neither installed nor ours; of none, the innermost of all.

    Returns:
        "" for code without lines: compiled, or raised nowhere.
    """
    found = ours = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        place = f" ({os.path.basename(name)}:{trace.tb_lineno})"
        if name.endswith(".py"):
            ours = place
            if "site-packages" not in name and not name.startswith(_OURS):
                found = place
        trace = trace.tb_next
    return found or ours
