"""The chain of one expiry, solved: forward, volatilities, greeks, and what the whole says.

    solved = solve_chain(recorded.at("NIFTY"), rate=0.0525)
    solved.forward, solved.at_money_volatility(), solved.put_call_ratio(near=5)

The forward is that of put-call parity near the money. One volatility a strike, of the option that
is out of the money there: its premium is all time value, while that of the other one is mostly
exercise, and often stale. Each option's own volatility and why it has none are kept beside.
"""

import re
from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options import board
from dhanfast._core.options.door import greeks, solve
from dhanfast._core.options.forward import forward_from_parity
from dhanfast._core.options.results import Greeks
from dhanfast.errors import BadData, UsageError
from dhanfast.market.optiontime import expiry_ns, segment_of, years_to_expiry
from dhanfast.market.volatility_index import Variance, model_free_variance
from dhanfast.storage.chains import ChainFile, Snapshot

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
RULE: Final = re.compile(
    r"(?:(?P<money>atm|itm|otm)(?P<steps>[+-]?\d+)?"
    r"|(?P<delta>0?\.\d+)d"
    r"|(?P<bound>>=|<=)?(?P<premium>\d+(?:\.\d+)?)rs"
    r"|(?P<percent>[+-]\d+(?:\.\d+)?)%"
    r"|(?P<widths>[+-]\d+(?:\.\d+)?)w"
    r"|(?P<strike>\d+(?:\.\d+)?))",
    re.IGNORECASE,
)
RULES_TEXT: Final = (
    "atm, atm+2, otm3, itm1, 0.25d (delta), 100rs, >=100rs, <=100rs (premium), +1.5% (of the "
    "forward), -1w (straddle widths), or a strike"
)


class Skew(NamedTuple):
    """What the wings cost against the middle, as differences of volatility (0.01 is one point).

    Source:
        25-delta conventions: Castagna and Mercurio (2007), "The vanna-volga method", Risk 20(1).
    """

    risk_reversal: float  # call less put
    butterfly: float  # mean of both less that at the money


@dataclass(frozen=True, slots=True)
class SolvedChain:
    """A snapshot with its forward, volatilities and greeks.

    Units:
        volatility 0.15 is 15 % a year; years ACT/365; greeks by the forward.

    Shape:
        one number a strike, aligned with `snapshot.strike`.
    """

    snapshot: Snapshot
    years: float
    rate: float
    forward: float
    volatility: Floats  # one a strike: of the option out of the money, else of the other; or NaN
    call_volatility: Floats  # of the call's own premium
    put_volatility: Floats
    call_status: Codes  # OptionStatus; BAD_INPUT where there is no quote
    put_status: Codes
    call: Greeks[Floats]  # at `volatility`
    put: Greeks[Floats]

    @property
    def money(self) -> int:
        """Place of the strike nearest to the forward."""
        place = board.atm(self.snapshot.strike, self.forward)
        if place is None:
            raise BadData("a chain without strikes has none at the money")
        return place

    def at_money_volatility(self) -> float:
        """Volatility at the forward: total variance between the two strikes around it, linear in
        log-strike; that of the nearest strike where one of both has none; NaN where that has none.
        """
        strike, known = self.snapshot.strike, self.volatility > 0.0
        high = int(np.searchsorted(strike, self.forward))
        if 0 < high < len(strike) and known[high - 1] and known[high]:
            low_k, high_k = log(strike[high - 1]), log(strike[high])
            share = (log(self.forward) - low_k) / (high_k - low_k)
            low_v, high_v = self.volatility[high - 1], self.volatility[high]
            return sqrt((1.0 - share) * low_v * low_v + share * high_v * high_v)
        nearest = float(self.volatility[self.money])
        return nearest if nearest > 0.0 else float("nan")

    def straddle(self) -> float:
        """Call and put together at the strike nearest to the forward; NaN without both."""
        rows = self.snapshot
        return board.straddle(rows.strike, rows.call, rows.put, self.forward)

    def max_pain(self) -> float:
        """The strike at which writers pay least; NaN where open interest is not known or nil."""
        rows = self.snapshot
        if np.isnan(rows.call_oi).any() or np.isnan(rows.put_oi).any():
            return float("nan")
        return board.max_pain(rows.strike, rows.call_oi, rows.put_oi)

    def put_call_ratio(self, of: str = "oi", near: int | None = None) -> float:
        """Puts a call.

        Args:
            of: "oi" or "volume".
            near: strikes on each side of the money; all unless given.

        Returns:
            NaN without calls, or where a strike of them has no record.

        Raises:
            UsageError: another `of`; `near` below 0.
        """
        if of not in ("oi", "volume"):
            raise UsageError(f"of is {of!r}: give 'oi' or 'volume'")
        part = self.near(near)
        rows = self.snapshot
        calls, puts = ((rows.call_oi, rows.put_oi) if of == "oi"
                       else (rows.call_volume, rows.put_volume))  # fmt: skip
        if np.isnan(calls[part]).any() or np.isnan(puts[part]).any():
            return float("nan")
        return board.put_call_ratio(calls[part], puts[part])

    def near(self, steps: int | None) -> slice:
        """The rows at most `steps` strikes away from the money; all for None.

        Raises:
            UsageError: steps below 0.
        """
        if steps is None:
            return slice(0, len(self.snapshot))
        if steps < 0:
            raise UsageError(f"{steps} strikes around the money: give 0 or more")
        return slice(max(self.money - steps, 0), self.money + steps + 1)

    def gamma_exposure(self) -> Floats:
        """Rupees that dealers trade for a move of 1 %, a strike, by the usual assumption.

        See `options.gamma_exposure`. Open interest that is not known counts as nothing.
        """
        rows = self.snapshot
        return board.gamma_exposure(self.forward, self.call.gamma, self.put.gamma,
                                    np.nan_to_num(rows.call_oi), np.nan_to_num(rows.put_oi)
                                    )  # fmt: skip

    def skew(self, delta: float = 0.25) -> Skew:
        """Risk reversal and butterfly at a delta, between strikes linear in delta; NaN beyond them.

        Raises:
            UsageError: delta not between 0 and 0.5.
        """
        if not 0.0 < delta < 0.5:
            raise UsageError(f"delta is {delta}: give more than 0 and less than 0.5, as 0.25")
        growth = exp(self.rate * self.years)
        call = _at_delta(growth * self.call.delta, self.volatility, delta)
        put = _at_delta(-growth * self.put.delta, self.volatility, delta)
        return Skew(call - put, 0.5 * (call + put) - self.at_money_volatility())

    def select(self, right: str, rule: str) -> int:
        """Place of the strike that a rule names.

        Args:
            right: CE or PE: whose money, delta and premium.
            rule: atm, atm+2 (up) or atm-2; otm3, itm1; 0.25d, the nearest delta; 100rs, the nearest
                premium, >=100rs the smallest that is not below, <=100rs the largest not above;
                +1.5% of the forward; -1w straddle widths; or a listed strike.

        Raises:
            UsageError: not a rule; no strike of the chain fits.
        """
        if right not in ("CE", "PE"):
            raise UsageError(f"right is {right!r}: give 'CE' for a call or 'PE' for a put")
        found = RULE.fullmatch(rule.strip())
        if found is None:
            raise UsageError(f"{rule!r} names no strike: write {RULES_TEXT}")
        place = self._place(right, found)
        if place is None:
            held = self.snapshot
            raise UsageError(f"no strike of {held.underlying} {held.expiry} fits {rule!r}: it has "
                             f"{held.strike[0]:g} to {held.strike[-1]:g}")  # fmt: skip
        return place

    def _place(self, right: str, found: re.Match[str]) -> int | None:
        rows = self.snapshot
        if found["money"]:
            steps = int(found["steps"] or 0)
            inward = {"atm": 1, "otm": 1, "itm": -1}[found["money"].lower()]
            if found["money"].lower() != "atm" and right == "PE":
                inward = -inward
            return board.strike_by_steps(rows.strike, self.forward, inward * steps)
        if found["delta"]:
            table = self.call if right == "CE" else self.put
            return board.strike_by_delta(table.delta, float(found["delta"]))
        if found["premium"]:
            rule = {">=": "at_least", "<=": "at_most"}.get(found["bound"], "nearest")
            price = rows.call if right == "CE" else rows.put
            return board.strike_by_premium(price, float(found["premium"]), rule)
        if found["percent"]:
            return board.strike_by_percent(rows.strike, self.forward, float(found["percent"]))
        if found["widths"]:
            return board.strike_by_straddle(rows.strike, rows.call, rows.put, self.forward,
                                            float(found["widths"]))  # fmt: skip
        place = int(np.searchsorted(rows.strike, float(found["strike"])))
        listed = place < len(rows.strike) and rows.strike[place] == float(found["strike"])
        return place if listed else None

    def model_free(self) -> Variance:
        """Variance of this expiry by India VIX's formula, from last prices.

        Not India VIX: that takes quotes of NIFTY's monthly chains, and futures.

        Raises:
            BadData: too few quotes. UsageError: no time left.
        """
        rows = self.snapshot
        call, put = np.nan_to_num(rows.call), np.nan_to_num(rows.put)
        return model_free_variance(rows.strike, call, call, put, put, self.forward, self.years,
                                   self.rate)  # fmt: skip


def solve_chain(
    rows: Snapshot, rate: float = 0.0, *, forward: float | None = None, years: float | None = None
) -> SolvedChain:
    """Forward, volatilities and greeks of a snapshot.

    Args:
        rows: of `read_chains` or `snapshot`.
        rate: continuous, a year.
        forward: of this expiry, as its future; by put-call parity unless given.
        years: to expiry; to the close of the expiry date by the calendar unless given.

    Raises:
        BadData: no strike has both quotes, and no forward is given.
        UsageError: rate, forward or years refused.
        OutOfCalendar: an expiry that the calendar does not know, and no years.
    """
    if not (isfinite(rate) and -1.0 <= rate <= 1.0):
        raise UsageError(f"rate is {rate}: give a fraction a year, as 0.0525")
    if years is None:
        years = years_to_expiry(rows.at_ns, expiry_ns(rows.expiry, segment_of(rows.underlying)))
    if not 0.0 <= years <= 100.0:
        raise UsageError(f"years is {years}: give 0 to 100")
    if forward is None:
        forward = forward_from_parity(rows.strike, rows.call, rows.put, years, rate)
        if not forward > 0.0:
            raise BadData(
                f"{rows.underlying} {rows.expiry} at {rows.time_text}: no strike has a call and a "
                "put with a price; give the forward"
            )
    if not 0.0 < forward < 1e100:
        raise UsageError(f"forward is {forward}: give a price above 0")
    n, right = len(rows), np.repeat(["CE", "PE"], len(rows))
    found = solve(np.concatenate([rows.call, rows.put]), forward, np.tile(rows.strike, 2), years,
                  right, rate)  # fmt: skip
    call, put = found.volatility[:n], found.volatility[n:]
    volatility = np.where(rows.strike < forward, _first(put, call), _first(call, put))
    both = greeks(np.tile(volatility, 2), forward, np.tile(rows.strike, 2), years, right, rate)
    return SolvedChain(
        rows, years, rate, forward, volatility, call, put, found.status[:n], found.status[n:],
        Greeks(*[one[:n] for one in both]), Greeks(*[one[n:] for one in both]),
    )  # fmt: skip


class SolvedRows(NamedTuple):
    """Every option of a file of snapshots, solved in one pass.

    Shape:
        `forward` and `years` one a snapshot, NaN where parity has no pair; the others one a row of
        the file. NaN where there is no quote or no volatility.
    """

    forward: Floats
    years: Floats
    call_volatility: Floats
    put_volatility: Floats
    call: Greeks[Floats]  # each at its own volatility
    put: Greeks[Floats]


def solve_rows(recorded: ChainFile, rate: float = 0.0) -> SolvedRows:
    """Forwards, volatilities and greeks of all snapshots of a file.

    Args:
        recorded: of `read_chains`.
        rate: continuous, a year.

    Raises:
        OutOfCalendar: an expiry that the calendar does not know.
    """
    ends = [
        [expiry_ns(day, segment) for day in recorded.expiries] for segment in ("NSE_FNO", "BSE_FNO")
    ]
    on_bse = np.array([segment_of(name) == "BSE_FNO" for name in recorded.underlyings])
    board_of = on_bse[recorded.underlying_code].astype(np.int64)
    years = years_to_expiry(recorded.at_ns, np.array(ends)[board_of, recorded.expiry_code])
    years = np.atleast_1d(years)
    column, starts = recorded.columns, recorded.starts.tolist()
    strike, call, put = column["strike"], column["ce_ltp"], column["pe_ltp"]
    forward = np.array([
        forward_from_parity(strike[low:high], call[low:high], put[low:high], span, rate)
        for low, high, span in zip(starts, starts[1:], years.tolist(), strict=False)
    ])  # fmt: skip
    counts = np.diff(recorded.starts)
    wide_forward, wide_years = np.repeat(forward, counts), np.repeat(years, counts)
    solved = [solve(price, wide_forward, strike, wide_years, right, rate)
              for price, right in ((call, "CE"), (put, "PE"))]  # fmt: skip
    return SolvedRows(forward, years, solved[0].volatility, solved[1].volatility,
                      solved[0].greeks, solved[1].greeks)  # fmt: skip


def _first(one: Floats, other: Floats) -> Floats:
    """One, where it is a volatility above 0, else the other, else NaN."""
    usable = np.isfinite(one) & (one > 0.0)
    spare = np.isfinite(other) & (other > 0.0)
    return np.where(usable, one, np.where(spare, other, np.nan))


def _at_delta(delta: Floats, volatility: Floats, wanted: float) -> float:
    """Volatility where the delta of options out of the money is the wanted one."""
    kept = (volatility > 0.0) & (delta > 0.0) & (delta <= 0.55)
    x, y = delta[kept], volatility[kept]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if len(x) == 0 or not x[0] <= wanted <= x[-1]:
        return float("nan")
    return float(np.interp(wanted, x, y))
