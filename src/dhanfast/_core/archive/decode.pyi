from collections.abc import Callable, Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.schema import Stream

BLOCK_BYTES_MAX: int

def block_head(
    body: Any,
) -> tuple[int, int, int, int, int, int, NDArray[np.uint32]]: ...

@final
class Cursor:
    def __new__(
        cls,
        stream: Stream,
        body: Any,
        unpack: Callable[[Any, int], bytes],
        keys: Sequence[int] | None = None,
    ) -> Self: ...
    def read_into(self, out: NDArray[np.uint8], seq: NDArray[np.uint64] | None = None) -> int: ...
    @property
    def blob(self) -> bytes: ...
    @property
    def left(self) -> int: ...
