"""What a run's positions have blocked, estimated at every entry.

`options.margin` has the method and its error. It is worked out after the run, from its trades. With
[risk.margin] off nothing refuses an entry for want of margin, and a result says where the capital
would not have been enough; `leg_judge` asks before an entry.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import OrderFlag
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.hedge_prices import FUT
from dhanfast.market.calendar import exchange_date
from dhanfast.market.optiontime import expiry_ns, segment_of, years_to_expiry
from dhanfast.options import implied_volatility
from dhanfast.options.margin import margin_estimate
from dhanfast.options.payoff import Leg

VOLATILITY_USUAL = 0.15  # where an entry's own premium gives none


@dataclass(frozen=True)
class Margins:
    """Margin at each moment of an entry.

    Units:
        rupees; `error` the widest percent (low, high) that an estimate states.
    """

    at_ns: tuple[int, ...]
    required: tuple[float, ...]
    error: tuple[int, int] = (0, 0)
    unknown: int = 0  # moments without a level of the index

    def summary(self) -> dict[str, Any]:
        """As a result holds it: JSON-able; empty without entries."""
        if not self.required:
            return {}
        worst = int(np.argmax(self.required))
        return {
            "entries": len(self.required),
            "peak": round(self.required[worst], 2),
            "peak_date": exchange_date(self.at_ns[worst]).isoformat(),
            "mean": round(float(np.mean(self.required)), 2),
            "error_low_pct": self.error[0],
            "error_high_pct": self.error[1],
            "estimated": True,
        }


def margins_of(
    trades: NDArray[Any],
    contracts: Contracts,
    end_ns: NDArray[np.int64],
    spot: NDArray[np.int64],
    sizes: NDArray[Any] | None = None,
) -> Margins:
    """Estimate what was blocked whenever something was entered.

    Args:
        trades: TRADE_DTYPE, `instrument` the contract's number.
        end_ns, spot: the index in paise by time; 0 = unknown.
        sizes: ORDER_ROW_DTYPE of contracts that are made larger and smaller while they are held.

    Raises:
        OutOfCalendar: no margin rates are known on a date.
    """
    moments: list[int] = []
    required: list[float] = []
    errors: list[tuple[int, int]] = []
    unknown = 0
    entries = trades["entry_ns"]
    if sizes is not None:
        grown = sizes[(sizes["filled"] > 0) & (sizes["flags"] & int(OrderFlag.EXIT) == 0)]
        entries = np.concatenate([entries, grown["done_ns"]])
    for at_ns in np.unique(entries).tolist():
        place = int(np.searchsorted(end_ns, at_ns, side="right")) - 1
        if place < 0 or spot[place] <= 0:
            unknown += 1
            continue
        level = spot[place] / 100.0
        held = trades[(trades["entry_ns"] <= at_ns) & (trades["exit_ns"] > at_ns)]
        counted = _counted(held, sizes, int(at_ns))
        legs = [
            leg
            for trade, units in counted
            for leg in _legs(trade, units, contracts, int(at_ns), level)
        ]
        if not legs:
            continue
        found = margin_estimate(legs, contracts.underlying, int(at_ns), level)
        moments.append(int(at_ns))
        required.append(float(found.required))
        errors.append((found.error_low, found.error_high))
    widest = (
        min((low for low, _ in errors), default=0),
        max((high for _, high in errors), default=0),
    )
    return Margins(tuple(moments), tuple(required), widest, unknown)


def margin_notes(margins: Margins, capital: int, *, asked: bool = False) -> list[str]:
    """What a reader must know of a run's margin.

    Args:
        capital: paise. asked: it was asked for before each entry.
    """
    if not margins.required:
        return []
    told = margins.summary()
    lines = [
        f"Margin is estimated at every entry: {told['peak']:,.0f} rupees at most "
        f"({told['peak_date']}), {told['mean']:,.0f} in the mean; the true one is expected "
        f"{told['error_low_pct']:+d} % to {told['error_high_pct']:+d} % of that."
        + ("" if asked else " It does not refuse entries here.")
    ]
    short = sum(each > capital / 100 for each in margins.required)
    if short and not asked:
        lines.append(
            f"The capital of {capital / 100:,.0f} rupees is less than the estimated margin "
            f"at {short} of {len(margins.required)} entries: a broker would have refused "
            "them"
        )
    return lines


def _counted(
    held: NDArray[Any], sizes: NDArray[Any] | None, at_ns: int
) -> list[tuple[Any, int]]:  # fmt: skip
    """Trades and the signed units that they held at a moment. A contract whose size changes while
    it is held is counted once, by what its orders have brought until then."""
    found, once = [], set()
    changing = set() if sizes is None else set(sizes["instrument"].tolist())
    for trade in held:
        number, units = int(trade["instrument"]), int(trade["side"]) * int(trade["qty"])
        if sizes is not None and number in changing:
            if number in once:
                continue
            once.add(number)
            mine = (sizes["instrument"] == number) & (sizes["done_ns"] <= at_ns)
            units = int((sizes["side"] * sizes["filled"])[mine].sum())
        if units:
            found.append((trade, units))
    return found


def _legs(trade: Any, quantity: int, contracts: Contracts, at_ns: int, level: float) -> list[Leg]:
    """What was held of a trade's contract. A future is a bought call and a sold put of one strike:
    it moves as they do, and its exposure is that of the sold one; no premium was paid."""
    expiry, strike, right = contracts.keys[int(trade["instrument"])]
    premium = round(int(trade["entry_value"]) / int(trade["qty"])) / 100.0
    if right == FUT:
        return [
            Leg(one, premium, units, 0.0, expiry, VOLATILITY_USUAL)
            for one, units in (("CE", quantity), ("PE", -quantity))
        ]
    volatility = volatility_at(
        premium, level, strike / 100.0, expiry, right, at_ns, contracts.underlying
    )
    return [Leg(right, strike / 100.0, quantity, premium, expiry, volatility)]


def volatility_at(
    premium: float, level: float, strike: float, expiry: date, right: str, at_ns: int, name: str
) -> float:
    """Volatility that a premium says; a usual one where it says none.

    Args:
        premium, level, strike: rupees. at_ns: UTC ns. name: of the underlying.
    """
    years = years_to_expiry(at_ns, expiry_ns(expiry, segment_of(name)))
    found = implied_volatility(premium, level, strike, years, right)
    return found if 0.01 < found < 5.0 else VOLATILITY_USUAL
