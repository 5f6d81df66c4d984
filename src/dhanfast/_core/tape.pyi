from collections.abc import Sequence
from typing import Any, Self, final

from numpy.typing import NDArray

from dhanfast._core.feedout import FeedLane
from dhanfast._core.match import Match

@final
class Tape:
    instruments: int
    minutes: int
    now_ns: int
    watched: int
    def __new__(
        cls,
        match: Match,
        contracts: Sequence[tuple[int, int]],
        open_ns: int,
        minutes: int,
        levels: int = 20,
    ) -> Self: ...
    def start(
        self,
        instrument: int,
        *,
        prev_close: int = 0,
        prev_oi: int = 0,
        prev_volume: int = 0,
        deep: bool = False,
    ) -> None: ...
    def watch(self, instrument: int, floor: int, ceiling: int) -> None: ...
    def attach(self, lane: FeedLane) -> None: ...
    def detach(self, lane: FeedLane) -> None: ...
    def seed(
        self, lane: FeedLane, instrument: int, modes: int, *, close_packet: bool = True
    ) -> None: ...
    def step(
        self, ticks: NDArray[Any], at_tick: int, rows: NDArray[Any], at_row: int, until_ns: int
    ) -> tuple[int, int, int]: ...
    def side(self, instrument: int, side: int, levels: int = 5) -> NDArray[Any]: ...
    def clear(self, instrument: int) -> None: ...
    def bars_of(self, instrument: int) -> NDArray[Any]: ...
    @property
    def shown(self) -> NDArray[Any]: ...
