from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, final

from numpy.typing import ArrayLike, NDArray

from dhanfast._core.options.livechain import LiveChain

@final
class ChainMeter:
    chain: Final[LiveChain]
    def __new__(
        cls,
        strike: ArrayLike,
        expiry_ns: int,
        rate: float = 0.0,
        *,
        figures: Iterable[str] = ...,
        near: int = 5,
        window: int | None = None,
        before: Mapping[str, ArrayLike] | None = None,
        past: ArrayLike = (),
    ) -> Self: ...
    def refer(self, **columns: ArrayLike) -> None: ...
    def look(
        self,
        at_ns: int,
        *,
        oi_known: bool = True,
        volume_known: bool = True,
        **columns: ArrayLike,
    ) -> NDArray[Any]: ...
    def looks(self, at_ns: ArrayLike, call: ArrayLike, put: ArrayLike) -> NDArray[Any]: ...
    def follow(
        self,
        place: ArrayLike,
        put: ArrayLike,
        price: ArrayLike,
        oi: ArrayLike,
        volume: ArrayLike,
        at_ns: ArrayLike,
    ) -> NDArray[Any]: ...
