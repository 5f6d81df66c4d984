"""Options: premium, greeks, implied volatility, the forward and the figures of a chain, time.

    >>> from dhanfast import options
    >>> options.implied_volatility(312.4, 25180.0, 25200.0, 7 / 365, "CE")

Numbers give numbers; arrays broadcast and give float64 arrays. No number raises: what has no answer
is NaN. Conventions, formulas and a worked example: docs/reference/greeks.md. Chains, smiles, open
interest: docs/reference/chain.md. Spreads, payoff and margin: docs/reference/payoff.md.
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
from dhanfast._core.options.livechain import LiveChain
from dhanfast._core.options.results import Greeks, LiveFigures, Solved
from dhanfast.market.optiontime import expiry_ns, trading_years, years_to_expiry
from dhanfast.market.volatility_index import Variance, model_free_variance, volatility_index
from dhanfast.options.chain import Skew, SolvedChain, SolvedRows, solve_chain, solve_rows
from dhanfast.options.interest import (
    BuildUp,
    InterestChange,
    Level,
    Levels,
    build_up,
    interest_change,
    interest_levels,
)
from dhanfast.options.margin import MarginEstimate, margin_estimate
from dhanfast.options.payoff import Kink, Leg, Payoff, Projection, lognormal_below
from dhanfast.options.rank import Standing, standing
from dhanfast.options.smile import Smile, Surface, fit_smile, smile_of
from dhanfast.options.spreads import SHAPES, Spread, build_spread
from dhanfast.storage.chains import ChainFile, Snapshot, read_chains, snapshot
from dhanfast.storage.volatility import DayVolatility, VolatilityStore

__all__ = [
    "SHAPES",
    "BuildUp",
    "ChainFile",
    "DayVolatility",
    "Greeks",
    "InterestChange",
    "Kink",
    "Leg",
    "Level",
    "Levels",
    "LiveChain",
    "LiveFigures",
    "MarginEstimate",
    "OptionStatus",
    "Payoff",
    "Projection",
    "Skew",
    "Smile",
    "Snapshot",
    "Solved",
    "SolvedChain",
    "SolvedRows",
    "Spread",
    "Standing",
    "Surface",
    "Variance",
    "VolatilityStore",
    "atm",
    "build_spread",
    "build_up",
    "expiry_ns",
    "fit_smile",
    "forward_from_parity",
    "gamma_exposure",
    "greeks",
    "implied_volatility",
    "implied_volatility_status",
    "interest_change",
    "interest_levels",
    "lognormal_below",
    "margin_estimate",
    "max_pain",
    "model_free_variance",
    "price",
    "put_call_ratio",
    "read_chains",
    "smile_of",
    "snapshot",
    "solve",
    "solve_chain",
    "solve_rows",
    "standing",
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
