from typing import Any, Self, final

from numpy.typing import NDArray

@final
class DepthSides:
    instruments: int
    levels_max: int
    def __new__(cls, instruments: int, levels_max: int = 20) -> Self: ...
    def changes(
        self,
        instrument: int,
        side: int,
        levels: NDArray[Any],
        *,
        exch_ns: int = 0,
        recv_ns: int = 0,
        seq: int = 0,
        last: bool = True,
    ) -> NDArray[Any]: ...
    def apply_rows(self, rows: Any) -> int: ...
    def snapshot(self, instrument: int, side: int) -> NDArray[Any]: ...
