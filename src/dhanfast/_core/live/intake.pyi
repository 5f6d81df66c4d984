from collections.abc import Iterable
from typing import Any, Protocol, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from dhanfast._core.broadcast import BroadcastWriter
from dhanfast._core.live.sink import DepthSink, TickSink
from dhanfast._core.ring import Ring
from dhanfast._core.timing import LatencyHistogram
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast._core.wire.table import WireTable

class _Clock(Protocol):
    def now_ns(self) -> int: ...

@disjoint_base
class Intake:
    def __new__(
        cls,
        decoder: DhanDecoder | DhanDepthDecoder,
        *args: object,
        clock: _Clock | None = None,
        market_clock: _Clock | None = None,
        **kwargs: object,
    ) -> Self: ...
    def receive(self, payload: bytes | bytearray | memoryview) -> NDArray[Any]: ...
    def now_ns(self) -> int: ...
    def tell_event(self, event: int) -> None: ...
    def forget(self, instruments: Iterable[int]) -> None: ...
    def seen_ns(self, instrument: int) -> int: ...
    def quiet(
        self, instruments: NDArray[np.uint32], since_ns: NDArray[np.int64]
    ) -> NDArray[np.int64]: ...
    def calibrate(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def table(self) -> WireTable: ...
    @property
    def messages(self) -> int: ...
    @property
    def notices_dropped(self) -> int: ...

@final
class FeedIntake(Intake):
    def __new__(
        cls,
        decoder: DhanDecoder,
        sink: TickSink | None = None,
        *,
        ring: Ring | None = None,
        writer: BroadcastWriter | None = None,
        clock: _Clock | None = None,
        market_clock: _Clock | None = None,
    ) -> Self: ...
    def set_market(self, wall_ns: int, market_ns: int, speed: float = 1.0) -> None: ...
    def levels(self, instrument: int, side: int) -> NDArray[Any]: ...
    @property
    def decoder(self) -> DhanDecoder: ...
    @property
    def lag(self) -> LatencyHistogram: ...

@final
class DepthIntake(Intake):
    def __new__(
        cls,
        decoder: DhanDepthDecoder,
        sink: DepthSink | None = None,
        *,
        writer: BroadcastWriter | None = None,
        clock: _Clock | None = None,
        market_clock: _Clock | None = None,
    ) -> Self: ...
    def levels(self, instrument: int, side: int) -> NDArray[Any]: ...
    @property
    def decoder(self) -> DhanDepthDecoder: ...
