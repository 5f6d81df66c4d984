from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

TRADE_DTYPE: Final[np.dtype[Any]]
ORDER_ROW_DTYPE: Final[np.dtype[Any]]
PASSAGE_DTYPE: Final[np.dtype[Any]]
EQUITY_DTYPE: Final[np.dtype[Any]]

@final
class RunLog:
    trades_max: int
    orders_max: int
    equity_max: int
    def __new__(
        cls,
        trades_max: int = 8192,
        orders_max: int = 32768,
        equity_max: int = 131072,
    ) -> Self: ...
    def drain(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
    def take(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]: ...
    def take_trades(
        self,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]: ...
