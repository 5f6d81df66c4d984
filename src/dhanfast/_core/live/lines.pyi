from typing import Final

from typing_extensions import disjoint_base

from dhanfast._core.broker import Broker
from dhanfast._core.risk import Gate

@disjoint_base
class Lines(Broker):
    out_count: Final[int]
    due_ns: Final[int]
    requests: Final[int]
    foreign_updates: Final[int]
    stale_updates: Final[int]
    stray_qty: Final[int]
    doubts: Final[int]
    lost: Final[int]
    def __new__(
        cls,
        gate: Gate,
        *,
        protection_e4: int = 100,
        stop_room_e4: int = 100,
        lost_after_ns: int = 5_000_000_000,
        absents_min: int = 3,
        per_second: int = 9,
        per_minute: int = 240,
        per_hour: int = 950,
        per_day: int = 6_800,
        modifies_max: int = 22,
    ) -> Lines: ...
