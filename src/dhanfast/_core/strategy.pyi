from enum import IntEnum

class Action(IntEnum):
    HOLD = 0
    GO_LONG = 1
    GO_SHORT = -1
    GO_FLAT = 2

class NativeStrategy:
    wants_ticks: bool
    python: bool
    failed: int
    error: BaseException | None
