from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from typing_extensions import disjoint_base

from dhanfast._core.execution.route import Routed, Router

class ChaseDo(IntEnum):
    KEEP = 0
    CHANGE = 1
    GIVE_UP = 2

@disjoint_base
class Chaser:
    route: Final[Routed]
    def __new__(
        cls,
        router: Router,
        market: Mapping[str, Any],
        *,
        side: int,
        qty: int,
        urgency: int,
        leaves: bool,
        now_ns: int,
    ) -> Chaser: ...
    def step(self, market: Mapping[str, Any], qty: int, now_ns: int) -> tuple[ChaseDo, Routed]: ...
    def press(self, urgency: int) -> None: ...
    @property
    def wake_ns(self) -> int | None: ...
    @property
    def state(self) -> dict[str, int]: ...
