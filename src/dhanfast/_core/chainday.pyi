from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Self, final

from numpy.typing import NDArray

class StrikeRule(IntEnum):
    STEPS = 0
    PREMIUM = 1
    PERCENT = 2
    DELTA = 3
    STRADDLE = 4
    EXACT = 5

class Missing(IntEnum):
    FOUND = 0
    NO_SPOT = 1
    NO_EXPIRY = 2
    NO_STRIKE = 3
    NO_QUOTE = 4
    HELD = 5
    GUARDED = 6
    ASKED = 7
    MARGIN = 8
    UNASKED = 9
    NO_SIZE = 10
    EXPOSED = 11
    FILTERED = 12

@final
class ChainDay:
    def __new__(
        cls,
        *,
        start_ns: NDArray[Any],
        end_ns: NDArray[Any],
        prices: Sequence[NDArray[Any]],
        spot: NDArray[Any],
        strike: NDArray[Any],
        listed: NDArray[Any],
        first: Sequence[int],
        count: Sequence[int],
        sessions: NDArray[Any],
        final_price: Sequence[int],
        exercise_e9: Sequence[int],
        exercise_full: Sequence[int],
    ) -> Self: ...
    def parts(self) -> dict[str, Any]: ...
    @property
    def width(self) -> int: ...
    def choose(
        self, row: int, slot: int, right: int, rule: int, amount: float, premium_rule: int = 0
    ) -> tuple[Missing, int, int]: ...
