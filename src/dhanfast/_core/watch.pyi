from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.rules.graph import Graph
from dhanfast._core.strategy import NativeStrategy

DECISION_DTYPE: np.dtype[np.void]

@final
class Watch(NativeStrategy):
    inner: NativeStrategy
    graph: Graph | None
    states: dict[int, dict[str, Any]]
    count: int
    room: int
    def __new__(
        cls,
        inner: NativeStrategy,
        room: int,
        *,
        graph: Graph | None = None,
        probes: NDArray[np.int64] | list[int] | None = None,
        state_of: Callable[[], Mapping[str, Any]] | None = None,
        flat: bool = False,
    ) -> Watch: ...
    @property
    def decisions(self) -> NDArray[Any]: ...
    @property
    def conflicts(self) -> int: ...
