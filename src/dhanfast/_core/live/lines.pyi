from enum import IntEnum
from typing import Final, Self

from typing_extensions import disjoint_base

from dhanfast._core.broker import Broker
from dhanfast._core.live.budget import SharedAccount
from dhanfast._core.risk import Gate

class Odd(IntEnum):
    FOREIGN = 0
    STALE = 1
    LATE = 2
    UNASKED = 3
    MEANINGLESS = 4
    UNCLEAR = 5
    UNPRICED = 6
    OVERFILLED = 7
    SHORT = 8
    TURNED = 9
    TWIN = 10
    FILLED_AFTER_END = 11
    REVIVED = 12
    SWAPPED = 13

@disjoint_base
class Lines(Broker):
    out_count: Final[int]
    due_ns: Final[int]
    requests: Final[int]
    odd_count: Final[int]
    stray_qty: Final[int]
    doubts: Final[int]
    lost: Final[int]
    place: Final[int]
    contract: Final[int]
    def __new__(
        cls,
        gate: Gate,
        *,
        desk: SharedAccount | None = None,
        place: int = 0,
        protection_e4: int = 100,
        stop_room_e4: int = 100,
        lost_after_ns: int = 5_000_000_000,
        absents_min: int = 3,
        per_second: int = 9,
        per_minute: int = 240,
        per_hour: int = 960,
        per_day: int = 6_900,
        exits_kept_e2: int = 20,
        modifies_max: int = 22,
    ) -> Self: ...
