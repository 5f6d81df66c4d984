"""Implied volatility and greeks of a premium, for the option chain. Floats: statistics, not money.

Black's model on the forward that put-call parity gives, with no discount: at a few days to expiry
the difference is below a tick.

Source:
    Black, F. (1976), "The pricing of commodity contracts", J. Financial Economics 3.
"""

from math import erf, exp, isfinite, log, pi, sqrt
from typing import Final, NamedTuple

VOLATILITY_MAX: Final = 5.0
STEPS: Final = 60
DAYS: Final = 365.0
VEGA_FLOOR: Final = 1e-9


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


def normal(x: float) -> float:
    """Cumulative normal distribution."""
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def premium(forward: float, strike: float, deviation: float, call: bool) -> float:
    """Black's premium.

    Args:
        deviation: volatility x sqrt(years).
    """
    if deviation <= 0.0:
        return max(forward - strike if call else strike - forward, 0.0)
    first = log(forward / strike) / deviation + 0.5 * deviation
    second = first - deviation
    if call:
        return forward * normal(first) - strike * normal(second)
    return strike * normal(-second) - forward * normal(-first)


def greeks(price: float, forward: float, strike: float, years: float, call: bool) -> Greeks:
    """Volatility that explains a premium, by bisection, and the greeks at it; zeros when none does.

    Args:
        price, forward, strike: rupees. years: to expiry.
    """
    if price <= 0 or forward <= 0 or strike <= 0 or years <= 0:
        return NOTHING
    root = sqrt(years)
    low, high = 0.0, VOLATILITY_MAX
    if (
        not premium(forward, strike, 0.0, call)
        < price
        < premium(forward, strike, high * root, call)
    ):
        return NOTHING
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        if premium(forward, strike, middle * root, call) < price:
            low = middle
        else:
            high = middle
    volatility = 0.5 * (low + high)
    deviation = volatility * root
    first = log(forward / strike) / deviation + 0.5 * deviation
    density = exp(-0.5 * first * first) / sqrt(2.0 * pi)
    found = Greeks(
        volatility,
        normal(first) if call else normal(first) - 1.0,
        density / (forward * deviation),
        -forward * density * volatility / (2.0 * root) / DAYS,
        forward * density * root / 100.0,
    )
    return found if all(map(isfinite, found)) and found.vega > VEGA_FLOOR else NOTHING
