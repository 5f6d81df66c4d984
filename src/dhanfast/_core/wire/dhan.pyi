from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Self, final

from numpy.typing import NDArray

from dhanfast._core.wire.records import Decoded
from dhanfast._core.wire.table import WireTable

class DhanCode(IntEnum):
    TICKER = 2
    LEGACY_DEPTH = 3
    QUOTE = 4
    OI = 5
    PREV_CLOSE = 6
    MARKET_STATUS = 7
    FULL = 8
    BID = 41
    DISCONNECT = 50
    ASK = 51

@final
class DhanDecoder:
    def __new__(
        cls,
        instruments: WireTable | Iterable[tuple[int, ...]],
        *,
        depth: bool = True,
        stats: bool = True,
    ) -> Self: ...
    def decode(self, frame: bytes | bytearray | memoryview, recv_ns: int) -> Decoded: ...
    def levels(self, instrument: int, side: int) -> NDArray[Any]: ...
    @property
    def table(self) -> WireTable: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def codes(self) -> dict[int, int]: ...
