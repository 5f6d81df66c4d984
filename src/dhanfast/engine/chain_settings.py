"""Settings of the option chain that a strategy sees (`m.chain`, `on_chain`)."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

EXPIRIES: Final = ("nearest", "next", "monthly")
AGE_NS: Final = 15 * 60 * 10**9
NEAR_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Which chain a strategy sees, and how old a look at it may be.

    Attributes:
        data: file of recorded snapshots, or a folder of them, that a backtest reads; "" = none.
        volatility: file of daily bars that premiums are modelled from instead; "" = none.
        expiry: nearest (that day's until it has ended), next or monthly.
        near: strikes on each side of the money that near ratios and build-up count.
        age_ns: figures that are older are unknown to rules; 0 = however old.
        history: file of volatilities a session (`dhanfast iv --remember`) that ranks compare with,
            beside the sessions of `data`; "" = those alone.
    """

    data: str = ""
    volatility: str = ""
    expiry: str = "nearest"
    near: int = 5
    age_ns: int = AGE_NS
    history: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def checked_chain(settings: ChainSettings) -> None:
    """Refuse what cannot be.

    Raises:
        ConfigError: names the field, its value and the range.
    """
    if settings.data and settings.volatility:
        raise ConfigError(
            "chain.data and chain.volatility: recorded and modelled chains never mix; give one"
        )
    if settings.expiry not in EXPIRIES:
        raise ConfigError(unknown("value of chain.expiry", settings.expiry, list(EXPIRIES)))
    for name, value, most in (
        ("near", settings.near, NEAR_MAX),
        ("max_age", settings.age_ns, 400 * 86_400 * 10**9),
    ):
        if not 0 <= value <= most:
            raise ConfigError(f"chain.{name} must be in 0..{most}, was {value}")
