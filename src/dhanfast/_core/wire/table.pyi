from collections.abc import Iterable
from typing import NamedTuple, Self, final

class WireInstrument(NamedTuple):
    segment: int
    security_id: int
    instrument: int
    tick: int = 5
    price_scale: int = 100

@final
class WireTable:
    def __new__(cls, instruments: Iterable[tuple[int, ...]]) -> Self: ...
    def __len__(self) -> int: ...
    def find(self, segment: int, security_id: int) -> int | None: ...
    def snap(self, instrument: int, price: float, single: bool = True) -> tuple[int, bool]: ...
