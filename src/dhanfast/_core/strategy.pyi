from enum import IntEnum

from typing_extensions import disjoint_base

class Action(IntEnum):
    HOLD = 0
    GO_LONG = 1
    GO_SHORT = -1
    GO_FLAT = 2

@disjoint_base
class NativeStrategy:
    wants_ticks: bool
    wants_chain: bool
    python: bool
    failed: int
    error: BaseException | None
