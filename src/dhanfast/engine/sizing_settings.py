"""Settings of sizing: what the size of an entry follows from."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.sizing import Sizing

METHODS: Final = ("lots", "risk", "kelly", "volatility")
DAYS_A_YEAR: Final = 252
_CHARGES: Final = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")


def daily_e6(share_e4: int, per: str) -> int:
    """A volatility as a day's, 1e-6.

    Args:
        share_e4: 1e-4. per: day, or year: of 252 independent days.
    """
    return round(share_e4 * 100 / (math.sqrt(DAYS_A_YEAR) if per == "year" else 1.0))


@dataclass(frozen=True, slots=True)
class TradeHistory:
    """Trades that closed before the run, as far as `kelly` needs to know them.

    Attributes:
        trades: how many. win_rate: the share of them that won. win, loss: their average result,
        paise a unit after charges, above 0.
    """

    trades: int = 0
    win_rate: float = 0.0
    win: float = 0.0
    loss: float = 0.0

    @classmethod
    def of(cls, trades: NDArray[Any]) -> "TradeHistory":
        """What the trades of a result (`RunResult.trades`) say.

        Args:
            trades: TRADE_DTYPE[n].
        """
        if len(trades) == 0:
            return cls()
        charges = sum(trades[name].astype(np.float64) for name in _CHARGES) * 1e-6
        each = (trades["gross"] - charges) / trades["qty"]
        won, lost = each[each > 0], -each[each <= 0]
        return cls(
            trades=len(each),
            win_rate=len(won) / len(each),
            win=float(won.mean()) if len(won) else 0.0,
            loss=float(lost.mean()) if len(lost) else 0.0,
        )


@dataclass(frozen=True, slots=True)
class SizingSettings:
    """What the size of an entry follows from; as it stands here, a fixed number of lots.

    Attributes:
        method: lots, risk, kelly or volatility. risk: what a stop may lose, paise; or risk_e6 of
        equity. kelly_fraction: of the shrunk Kelly fraction. kelly_cap_e6: most of equity at stake.
        kelly_trades_min: fewer are too few. kelly_fall_back: without an edge, or with too few
        trades, `lots` are traded; else there is no entry. history: trades before the run.
        target_e6: a day's volatility of equity. measure: atr or returns, of `period` signal bars.
        fit: cut to the limits instead of being refused by them.
    """

    method: str = "lots"
    risk: int = 0
    risk_e6: int = 0
    kelly_fraction: float = 0.5
    kelly_cap_e6: int = 20_000
    kelly_trades_min: int = 30
    kelly_fall_back: bool = False
    history: TradeHistory = field(default_factory=TradeHistory)
    target_e6: int = 0
    measure: str = "atr"
    period: int = 14
    fit: bool = False

    def native(self, lots: int, interval_ns: int) -> Sizing:
        """The rules as the kernel takes them.

        Args:
            lots: of "lots", and what "kelly" falls back to. interval_ns: of the signal bars.
        Raises:
            ConfigError: a value out of range, or one that the method needs is missing.
        """
        given: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        told = given.pop("history")
        given |= {one.name: getattr(told, one.name) for one in fields(told)}
        return Sizing(lots=lots, interval_ns=interval_ns, **given)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order."""
        return asdict(self)
