from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from dhanfast._core.live.journal import Journal
from dhanfast._core.live.sink import TickSink
from dhanfast._core.timing import LatencyHistogram

class Command(IntEnum):
    STOP_ENTRIES = 1
    RESUME = 2
    FLATTEN = 3
    HALT = 4
    READ_ALL = 5
    CLOSED_ELSEWHERE = 6
    UNLOCK = 7
    LOCK = 8
    PAUSE_ORDERS = 9
    RESUME_ORDERS = 10
    CANCEL_ORDERS = 11
    SPENT = 12
    MARGIN = 13

@disjoint_base
class InputLoop(TickSink):
    journal: Final[Journal]
    latency: LatencyHistogram | None
    answered: LatencyHistogram | None
    stopped: Final[bool]
    entries_lost: Final[bool]
    blind: Final[bool]
    error: Exception | None
    on_drain: Callable[[], None] | None
    on_strategy: Callable[[bytes], None] | None
    on_failed: Callable[[], None] | None
    on_ahead: Callable[[bytes | None, bool], None] | None
    failing: Final[bool]
    wall_ns: Final[int]
    now_ns: Final[int]
    inputs: Final[int]
    input_ns: Final[int]
    skipped: Final[int]
    unjournaled: Final[int]
    used_ns: Final[int]
    def set_market(self, wall_ns: int, market_ns: int, speed: float = 1.0) -> None: ...
    def use_answer(self, answer: Any) -> None: ...
    def use_update(self, update: Any) -> None: ...
    def use_chain(self, row: Any, wall_ns: int) -> bool: ...
    def poll(self, wall_ns: int) -> int: ...
    def command(
        self, command: int, wall_ns: int, *, units: int = 0, price: int = 0, contract: int = 0
    ) -> None: ...
    def use_strategy(self, words: bytes, wall_ns: int, *, vital: bool = False) -> bool: ...
    def settle_failure(self) -> None: ...
    def replay(self, records: Iterable[tuple[int, bytes]]) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def market_time(self, wall_ns: int) -> int: ...
