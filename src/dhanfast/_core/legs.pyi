from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Self

from typing_extensions import disjoint_base

from dhanfast._core.broker import Broker
from dhanfast._core.dealer import Dealer
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog

class LegUnit(IntEnum):
    NONE = 0
    POINTS = 1
    PERCENT = 2
    INDEX_POINTS = 3
    INDEX_PERCENT = 4

class Again(IntEnum):
    NEVER = 0
    ASAP = 1
    COST = 2
    MOMENTUM = 3
    ARM = 4

class Part(IntEnum):
    APART = 0
    TO_SEND = 1
    SENT = 2
    ALL_IN = 3
    TO_LEAVE = 4

@disjoint_base
class Leg(Dealer):
    unquoted: Final[int]
    index_stops: Final[int]
    index_targets: Final[int]
    def __new__(
        cls,
        rules: Mapping[str, Any],
        instrument: int,
        broker: Broker,
        portfolio: Portfolio,
        gate: Gate,
        log: RunLog,
        *,
        ticking: bool = False,
    ) -> Self: ...
