from enum import IntEnum
from typing import Any, Final

import numpy as np

TICK_DTYPE: Final[np.dtype[Any]]
BAR_DTYPE: Final[np.dtype[Any]]
ORDER_DTYPE: Final[np.dtype[Any]]
REPORT_DTYPE: Final[np.dtype[Any]]
CHARGE_RATES_DTYPE: Final[np.dtype[Any]]
SESSION_DTYPE: Final[np.dtype[Any]]
DEPTH_DTYPE: Final[np.dtype[Any]]
EVENT_DTYPE: Final[np.dtype[Any]]

class Side(IntEnum):
    BUY = 1
    SELL = -1

class OrderKind(IntEnum):
    LIMIT = 0
    MARKET = 1
    SL = 2
    SLM = 3

class Validity(IntEnum):
    DAY = 0
    IOC = 1

class OrderFlag(IntEnum):
    EXIT = 1
    STOP = 2
    TARGET = 4
    SQUARE_OFF = 8
    WORKED = 16
    CROSSES = 32

class Reason(IntEnum):
    SIGNAL = 0
    STOP_LOSS = 1
    TAKE_PROFIT = 2
    EXIT_SIGNAL = 3
    TIME_EXIT = 4
    EXPIRY_EXIT = 5
    REVERSAL = 6
    END_OF_DATA = 7
    RISK_EXIT = 8
    OPERATOR = 9
    TIME_STOP = 10

class ReportKind(IntEnum):
    ACCEPTED = 0
    REJECTED = 1
    FILLED = 2
    CANCELLED = 3
    EXPIRED = 4
    TRIGGERED = 5

class RejectReason(IntEnum):
    NONE = 0
    QTY_LOT = 1
    QTY_FREEZE = 2
    PRICE_TICK = 3
    PRICE_BAND = 4
    KIND_REFUSED = 5
    CLOSED = 6
    TRIGGER_SIDE = 7
    STALE_ORDER = 8
    NO_MARKET = 9
    BROKER = 10
    LOST = 11
    NO_PROFILE = 12
    LIMIT_QTY = 20
    LIMIT_NOTIONAL = 21
    LIMIT_POSITION = 22
    LIMIT_RATE = 23
    LIMIT_LOSS = 24
    LIMIT_BAND = 25
    STATE_REDUCING = 26
    STATE_HALTED = 27
    LIMIT_MARGIN = 28
    MALFORMED = 29
    GUARD_DRAWDOWN = 30
    GUARD_DAY_LOSS = 31
    GUARD_PROFIT_LOCK = 32
    GUARD_TRADES = 33
    GUARD_LOSSES = 34
    GUARD_STOPS = 35
    GUARD_LOW_PROFIT = 36
    GUARD_EXPOSURE = 37
    GUARD_CORRELATION = 38
    GUARD_VIX = 39
    GUARD_STALE = 40
    GUARD_EXPIRY = 41
    GUARD_LOCKED = 42
    GUARD_FLAT_BY = 43
    GUARD_COOLDOWN = 44
    GUARD_MAX_DRAWDOWN = 45

class DepthOp(IntEnum):
    SET = 0
    CLEAR = 1
    RAW = 2

class DepthFlag(IntEnum):
    LAST = 1
    SNAPSHOT = 2

class EventKind(IntEnum):
    TICK = 1
    BAR = 2
    REPORT = 3
    TIMER = 4
    COMMAND = 5
