from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.schema import Stream

@final
class Encoder:
    def __new__(cls, stream: Stream, pack: Callable[[bytes], bytes]) -> Self: ...
    def encode(
        self,
        rows: NDArray[Any],
        first_seq: int,
        seq: NDArray[np.uint64] | None = None,
        blob: bytes = b"",
    ) -> bytes: ...
