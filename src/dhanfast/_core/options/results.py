"""What the options functions return: greeks in plain derivatives, and in the trader's units."""

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from numpy import float64, int8
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Codes = NDArray[int8]

Value = TypeVar("Value", "float", "Floats")
DAYS: Final = 365.0  # of a year: calendar days, as in years_to_expiry
PERCENT: Final = 0.01


class Greeks(NamedTuple, Generic[Value]):
    """Premium and greeks of options: numbers, or arrays of one shape.

    Units:
        The plain names are derivatives: per 1.00 of volatility and of rate, per year of time. The
        names that end in `_percent` and `_day` are the trader's: per percentage point, per calendar
        day (1/365 of a year).
    """

    price: Value
    delta: Value
    gamma: Value
    vega: Value
    theta: Value
    rho: Value
    vanna: Value
    volga: Value
    charm: Value

    @property
    def vega_percent(self) -> Value:
        """Change of the premium for one percentage point of volatility."""
        return self.vega * PERCENT

    @property
    def theta_day(self) -> Value:
        """Change of the premium in one calendar day."""
        return self.theta / DAYS

    @property
    def rho_percent(self) -> Value:
        """Change of the premium for one percentage point of rate."""
        return self.rho * PERCENT

    @property
    def vanna_percent(self) -> Value:
        """Change of delta for one percentage point of volatility."""
        return self.vanna * PERCENT

    @property
    def volga_percent(self) -> Value:
        """Change of `vega_percent` for one percentage point of volatility."""
        return self.volga * PERCENT * PERCENT

    @property
    def charm_day(self) -> Value:
        """Change of delta in one calendar day."""
        return self.charm / DAYS


class Solved(NamedTuple):
    """Volatility of each premium, why it is what it is, and the greeks there.

    Shape:
        that of the broadcast arguments, all of them.
    """

    volatility: "Floats"
    status: "Codes"  # OptionStatus
    greeks: "Greeks[Floats]"


class LiveFigures(NamedTuple):
    """What a `LiveChain` says after a tick; NaN for what was not wanted or has no answer.

    Units:
        rupees, volatility a year as a fraction, `at_ns` ns UTC; ratios are puts a call.
    """

    at_ns: int
    years: float
    forward: float
    money: "int | None"  # place of the strike nearest to the forward
    at_money: float  # volatility at the forward
    straddle: float
    risk_reversal: float  # 25 delta: call less put
    butterfly: float  # mean of both less at the money
    max_pain: float
    ratio_oi: float
    ratio_volume: float
    ratio_oi_near: float
    ratio_volume_near: float
    gamma_exposure: float  # rupees for a move of 1 %
