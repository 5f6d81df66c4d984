from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

FIGURES: Final[tuple[str, ...]]
OF_INTEREST: Final[tuple[str, ...]]
CHAIN_DTYPE: Final[np.dtype[Any]]

class ChainFigure(IntEnum):
    FORWARD = 0
    ATM_STRIKE = 1
    ATM_IV = 2
    STRADDLE = 3
    RISK_REVERSAL = 4
    BUTTERFLY = 5
    DAYS_TO_EXPIRY = 6
    IV_RANK_30 = 7
    IV_RANK_90 = 8
    IV_RANK_252 = 9
    IV_PERCENTILE_30 = 10
    IV_PERCENTILE_90 = 11
    IV_PERCENTILE_252 = 12
    PCR = 13
    PCR_NEAR = 14
    CALL_OI = 15
    PUT_OI = 16
    CALL_OI_CHANGE = 17
    PUT_OI_CHANGE = 18
    CALL_BUILD_UP = 19
    PUT_BUILD_UP = 20
    SUPPORT = 21
    RESISTANCE = 22
    MAX_PAIN = 23
    GAMMA_EXPOSURE = 24
    PCR_VOLUME = 25
    PCR_VOLUME_NEAR = 26

@final
class ChainFeed:
    count: Final[int]
    age_ns: Final[int]
    figures: Final[frozenset[str]]
    def __new__(
        cls, rows: NDArray[Any] | None = None, *, figures: Iterable[str] = ..., age_ns: int = 0
    ) -> Self: ...
    def tell(self, row: Any) -> bool: ...
    @property
    def sets(self) -> NDArray[Any]: ...
