from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.results import Greeks, Solved

_Floats = NDArray[np.float64]
_Number = float | Sequence[Any] | NDArray[Any]
_Right = str | Sequence[Any] | NDArray[Any]

@overload
def implied_volatility(  # type: ignore[overload-overlap]
    price: float,
    forward: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
) -> float: ...
@overload
def implied_volatility(
    price: _Number,
    forward: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
) -> _Floats: ...
@overload
def price(  # type: ignore[overload-overlap]
    volatility: float,
    forward: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
) -> float: ...
@overload
def price(
    volatility: _Number,
    forward: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
) -> _Floats: ...
@overload
def greeks(  # type: ignore[overload-overlap]
    volatility: float,
    forward: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
) -> Greeks[float]: ...
@overload
def greeks(
    volatility: _Number,
    forward: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
) -> Greeks[_Floats]: ...
@overload
def stock_implied_volatility(  # type: ignore[overload-overlap]
    price: float,
    spot: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
    dividend: float = 0.0,
) -> float: ...
@overload
def stock_implied_volatility(
    price: _Number,
    spot: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
    dividend: _Number = 0.0,
) -> _Floats: ...
@overload
def stock_price(  # type: ignore[overload-overlap]
    volatility: float,
    spot: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
    dividend: float = 0.0,
) -> float: ...
@overload
def stock_price(
    volatility: _Number,
    spot: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
    dividend: _Number = 0.0,
) -> _Floats: ...
@overload
def stock_greeks(  # type: ignore[overload-overlap]
    volatility: float,
    spot: float,
    strike: float,
    years: float,
    right: str,
    rate: float = 0.0,
    dividend: float = 0.0,
) -> Greeks[float]: ...
@overload
def stock_greeks(
    volatility: _Number,
    spot: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
    dividend: _Number = 0.0,
) -> Greeks[_Floats]: ...
def implied_volatility_status(
    price: _Number,
    forward: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
) -> tuple[_Floats, NDArray[np.int8]]: ...
def solve(
    price: _Number,
    forward: _Number,
    strike: _Number,
    years: _Number,
    right: _Right,
    rate: _Number = 0.0,
    *,
    seed: _Number | None = None,
    lanes: int | None = None,
) -> Solved: ...
def lane_widths() -> tuple[int, ...]: ...
