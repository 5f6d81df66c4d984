"""Options: premium, greeks and implied volatility, the forward of a chain, time to expiry.

    >>> from dhanfast import options
    >>> options.implied_volatility(312.4, 25180.0, 25200.0, 7 / 365, "CE")

Numbers give numbers; arrays broadcast and give float64 arrays. No number raises: what has no answer
is NaN. Conventions, formulas and a worked example: docs/reference/greeks.md.
"""

from dhanfast._core.options.black import OptionStatus
from dhanfast._core.options.door import (
    greeks,
    implied_volatility,
    implied_volatility_status,
    price,
    solve,
    stock_greeks,
    stock_implied_volatility,
    stock_price,
)
from dhanfast._core.options.forward import forward_from_parity
from dhanfast._core.options.results import Greeks, Solved
from dhanfast.market.optiontime import expiry_ns, trading_years, years_to_expiry

__all__ = [
    "Greeks",
    "OptionStatus",
    "Solved",
    "expiry_ns",
    "forward_from_parity",
    "greeks",
    "implied_volatility",
    "implied_volatility_status",
    "price",
    "solve",
    "stock_greeks",
    "stock_implied_volatility",
    "stock_price",
    "trading_years",
    "years_to_expiry",
]
