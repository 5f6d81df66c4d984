from enum import IntEnum
from typing import Final

from typing_extensions import disjoint_base

from dhanfast._core.hedger import Hedge
from dhanfast._core.legorder import LegOrder
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.portfolio import Portfolio

class PlanUnit(IntEnum):
    UNSET = 0
    RUPEES = 1
    PREMIUM = 2

@disjoint_base
class LegWhole(LegOrder):
    portfolio: Final[Portfolio]
    risk: Final[LegRisk | None]
    hedge: Final[Hedge | None]
    restart: Final[int]
    to_cost: Final[int]
    combined_stops: Final[int]
    combined_targets: Final[int]
    locks: Final[int]
    with_leg: Final[int]
    restarts: Final[int]
    def held(self) -> list[tuple[int, int]]: ...
    def legs_now(self) -> list[dict[str, int]]: ...
    def whole_counters(self) -> dict[str, int]: ...
