from collections.abc import Sequence
from enum import IntEnum
from typing import Any, final

from numpy.typing import NDArray

from dhanfast._core.factors import Factors
from dhanfast._core.kernel import Kernel
from dhanfast._core.strategy import NativeStrategy

class Mode(IntEnum):
    WEIGHTS = 0
    VOTE = 1
    NET = 2

class Role(IntEnum):
    DECIDES = 0
    AGAINST = 1
    UNLESS = 2

class Off(IntEnum):
    NO = 0
    DAY = 1
    GOOD = 2

@final
class Seat(NativeStrategy):
    inner: NativeStrategy
    book: Kernel | None
    def __new__(cls, inner: NativeStrategy) -> Seat: ...
    def trades(self) -> NDArray[Any]: ...

@final
class Blend(NativeStrategy):
    names: tuple[str, ...]
    factors: Factors
    conflicts: int
    kept_out: int
    def __new__(
        cls,
        inners: Sequence[NativeStrategy],
        names: Sequence[str],
        weights: Sequence[float],
        roles: Sequence[int],
        *,
        mode: int = 0,
        threshold: float = 0.5,
        leave: float = 0.0,
        votes: int = 1,
        stay: int = 1,
        scale: bool = False,
        widest: bool = True,
        day_losses: Sequence[int] = (),
        losses: Sequence[int] = (),
    ) -> Blend: ...
    @property
    def inners(self) -> tuple[NativeStrategy, ...]: ...
    @property
    def books(self) -> tuple[Kernel | None, ...]: ...
    def seat(self, at: int) -> Seat: ...
    def begin(self, books: Sequence[Kernel], *, reverses: bool = False) -> None: ...
    def extend(self, sessions: NDArray[Any]) -> None: ...
    def finish(self) -> None: ...
    def members_now(self) -> list[dict[str, Any]]: ...
