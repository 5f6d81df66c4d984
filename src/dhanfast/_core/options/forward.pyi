from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Column = Sequence[float] | NDArray[np.float64]

def forward_from_parity(
    strike: _Column,
    call: _Column,
    put: _Column,
    years: float,
    rate: float = 0.0,
    *,
    spread: _Column | None = None,
    nearest: int = 5,
) -> float: ...
