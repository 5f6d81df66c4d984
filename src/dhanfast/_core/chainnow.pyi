from collections.abc import Sequence
from typing import Any, Final, Self, final

from numpy.typing import NDArray

from dhanfast._core.chainday import ChainDay

@final
class ChainNow:
    day: Final[ChainDay]
    def __new__(
        cls,
        strikes: Sequence[NDArray[Any]],
        sessions: NDArray[Any],
        *,
        begin_ns: int,
        more: int = 0,
    ) -> Self: ...
    def quotes(self) -> NDArray[Any]: ...
    @property
    def index(self) -> int: ...
