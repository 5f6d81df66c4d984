"""Options: premium, greeks, implied volatility, the forward and the figures of a chain, time.

    >>> from dhanfast import options
    >>> options.implied_volatility(312.4, 25180.0, 25200.0, 7 / 365, "CE")

Numbers give numbers; arrays broadcast and give float64 arrays. No number raises: what has no answer
is NaN. Conventions, formulas and a worked example: docs/reference/greeks.md.
"""

from dhanfast._core.options.black import OptionStatus
from dhanfast._core.options.board import (
    atm,
    gamma_exposure,
    max_pain,
    put_call_ratio,
    straddle,
    strike_by_delta,
    strike_by_percent,
    strike_by_premium,
    strike_by_steps,
    strike_by_straddle,
)
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
from dhanfast.market.volatility_index import Variance, model_free_variance, volatility_index

__all__ = [
    "Greeks",
    "OptionStatus",
    "Solved",
    "Variance",
    "atm",
    "expiry_ns",
    "forward_from_parity",
    "gamma_exposure",
    "greeks",
    "implied_volatility",
    "implied_volatility_status",
    "max_pain",
    "model_free_variance",
    "price",
    "put_call_ratio",
    "solve",
    "stock_greeks",
    "stock_implied_volatility",
    "stock_price",
    "straddle",
    "strike_by_delta",
    "strike_by_percent",
    "strike_by_premium",
    "strike_by_steps",
    "strike_by_straddle",
    "trading_years",
    "volatility_index",
    "years_to_expiry",
]
