"""Implied volatility and greeks of a premium, for the option chain. Floats: statistics, not money.

Black's model on the forward that put-call parity gives, with no discount: at a few days to expiry
the difference is below a tick. Where a premium has no volatility, or one that no quote can tell,
the chain shows zeros, as the broker's does.
"""

from math import isfinite
from typing import Final, NamedTuple

from dhanfast import options

VOLATILITY_MAX: Final = 5.0
VEGA_FLOOR: Final = 1e-9  # rupees a percent: below, the premium says nothing of volatility


class Greeks(NamedTuple):
    """What moves a premium.

    Units:
        volatility a year as a fraction; theta in rupees a day, vega in rupees a percent.
    """

    volatility: float
    delta: float
    gamma: float
    theta: float
    vega: float


NOTHING: Final = Greeks(0.0, 0.0, 0.0, 0.0, 0.0)


def greeks(price: float, forward: float, strike: float, years: float, call: bool) -> Greeks:
    """Volatility that explains a premium, and the greeks at it; zeros when none does.

    Args:
        price, forward, strike: rupees. years: to expiry.
    """
    right = "CE" if call else "PE"
    volatility = options.implied_volatility(price, forward, strike, years, right)
    if not 0.0 < volatility < VOLATILITY_MAX:  # NaN too
        return NOTHING
    found = options.greeks(volatility, forward, strike, years, right)
    shown = Greeks(volatility, found.delta, found.gamma, found.theta_day, found.vega_percent)
    return shown if all(map(isfinite, shown)) and shown.vega > VEGA_FLOOR else NOTHING
