from typing import Any, Final, Self

import numpy as np
from typing_extensions import disjoint_base

BUDGET_DTYPE: Final[np.dtype[Any]]
BUDGET_LIMITS: Final[dict[str, tuple[int, int, int]]]

def limits_of(
    owner: str, limits: dict[str, Any], known: dict[str, tuple[int, int, int]]
) -> dict[str, int]: ...

@disjoint_base
class SharedAccount:
    def __new__(
        cls,
        *,
        per_second: int = 9,
        per_minute: int = 240,
        per_hour: int = 960,
        per_day: int = 6_900,
        exits_kept_e2: int = 20,
    ) -> Self: ...

@disjoint_base
class OrderBudget:
    def __new__(
        cls,
        *,
        per_second: int = 9,
        per_minute: int = 240,
        per_hour: int = 960,
        per_day: int = 6_900,
        exits_kept_e2: int = 20,
    ) -> OrderBudget: ...
    def held_until(self, now_ns: int, *, urgent: bool = False) -> int: ...
    def take(self, now_ns: int) -> None: ...
    def close_until(self, until_ns: int) -> None: ...
    def new_day(self) -> None: ...
    @property
    def used_today(self) -> int: ...
