from collections.abc import Iterable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.dealer import Dealer
from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.strategy import NativeStrategy

WINDOW_DTYPE: np.dtype[np.void]
VETO_DTYPE: np.dtype[np.void]
ROOM_MIN: int

@final
class Filters(NativeStrategy):
    inner: NativeStrategy
    names: tuple[str, ...]
    graph_own: Graph | None
    row_count: int
    lost: int
    def __new__(
        cls,
        inner: NativeStrategy,
        names: Iterable[str],
        *,
        graph: Graph | None = None,
        checks: Iterable[tuple[int, Expr, Expr, Expr, float]] = (),
        windows: NDArray[Any] | None = None,
        spread: int = -1,
        spread_ticks: float = 0.0,
        spread_bps: float = 0.0,
        room: int = 8192,
    ) -> Filters: ...
    def see(self, windows: NDArray[Any]) -> None: ...
    def put(self, inner: NativeStrategy) -> None: ...
    def attach(self, dealer: Dealer) -> None: ...
    @property
    def conflicts(self) -> int: ...
    @property
    def vetoed(self) -> dict[str, int]: ...
    def take(self) -> NDArray[Any]: ...
