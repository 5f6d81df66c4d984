"""Sizing: see sizing.pxd for what holds, here is the how.

KELLY, per unit and after charges, with p the share of trades that won, q = 1 - p, W and L the
average win and loss, b = W / L and n trades:

    edge   = p - q / b                                         Kelly (1956)
    shrink = edge^2 / (edge^2 + ((b + 1) / b)^2 * p * q / n)   Baker and McHale (2013)
    stake  = min(fraction * shrink * edge, cap)                a share of equity
    units  = stake * equity / max(L, distance of the stop)

VOLATILITY, with sigma a unit's standard deviation of one day in rupees:

    units  = target * equity / sigma
    sigma  = ATR * sqrt(bars a session) / sqrt(8 / pi)         Parkinson (1980): E[range] of a
                                                               random walk is sqrt(8 / pi) sigma
    or       price * sqrt(variance a bar * bars a session),    RiskMetrics (1996): an average of
                                                               squared returns that forgets
"""

cimport cython
from libc.math cimport NAN, floor, llrint, sqrt
from libc.stdint cimport uint8_t
from libc.string cimport memset

from dhanfast._core.indicators.atr cimport atr_init, atr_step

import numpy as np

from dhanfast._core.records import record_of
from dhanfast._core.types import BAR_DTYPE, SESSION_DTYPE
from dhanfast.errors import ConfigError

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c)

cdef enum:
    E9 = 1_000_000_000

cdef double LOTS_LARGEST = 1e6
cdef double RANGE_OF_SIGMA = 1.5957691216057308     # sqrt(8 / pi)
_METHODS = {"lots": SizeMethod.LOTS, "risk": SizeMethod.RISK, "kelly": SizeMethod.KELLY,
            "volatility": SizeMethod.VOLATILITY}


cdef int _by_risk(const SizeRules *rules, SizeState *state, double stop) noexcept nogil:
    """Units that lose the money at risk when the stop is hit, into `wanted`."""
    cdef double money = <double>rules.risk
    if stop <= 0.0:
        return SizeReason.NO_STOP
    if rules.risk == 0:
        money = 1e-6 * rules.risk_e6 * state.equity
    state.at_risk = 100.0 * stop
    state.wanted = money / state.at_risk
    return SizeReason.SIZED


cdef int _by_kelly(const SizeRules *rules, SizeState *state, double stop) noexcept nogil:
    cdef double n = state.wins + state.losses
    cdef double p, payoff, loss, spread
    if n < rules.kelly_trades_min or n <= 0.0:
        return SizeReason.FEW_TRADES
    if state.wins <= 0.0 or state.won <= 0.0:
        return SizeReason.NO_EDGE
    if state.losses <= 0.0 or state.lost <= 0.0:
        return SizeReason.FEW_TRADES         # what a loss costs is not known yet
    p = state.wins / n
    loss = state.lost / state.losses
    payoff = state.won / state.wins / loss
    state.edge = p - (1.0 - p) / payoff
    if not state.edge > 0.0:
        return SizeReason.NO_EDGE
    spread = (payoff + 1.0) / payoff
    state.shrink = state.edge * state.edge / (
        state.edge * state.edge + spread * spread * p * (1.0 - p) / n)
    state.stake = min(rules.kelly_fraction * state.shrink * state.edge, rules.kelly_cap)
    state.at_risk = max(loss, 100.0 * stop)
    state.wanted = state.stake * state.equity / state.at_risk
    return SizeReason.SIZED


cdef int _by_volatility(const SizeRules *rules, SizeState *state,
                        const Session *session) noexcept nogil:
    cdef ns_t open_ns = (session.close_ns - session.open_ns) + (session.close2_ns
                                                                - session.open2_ns)
    cdef double bars = max(1.0, <double>open_ns / <double>rules.interval_ns)
    if rules.from_atr:
        state.day_sigma = state.atr.value * sqrt(bars) / RANGE_OF_SIGMA
    elif state.returns < rules.period:
        return SizeReason.NO_VOLATILITY
    else:
        state.day_sigma = 0.01 * state.price * sqrt(state.variance * bars)
    if not state.day_sigma > 0.0:
        return SizeReason.NO_VOLATILITY
    state.at_risk = 100.0 * state.day_sigma
    state.wanted = rules.target * state.equity / state.at_risk
    return SizeReason.SIZED


cdef inline int64_t _cut(SizeState *state, int64_t lots, int64_t most, int by) noexcept nogil:
    if most < lots:
        state.cut = by
        return max(most, 0)
    return lots


cdef bint _needs_more(const Session *session, int64_t units, paise_t price,
                      paise_t margin_free) noexcept nogil:
    # As the gate counts it.
    return margin_free < df_mul_div_up(df_mul_div_up(units, price, 1), session.margin_rate_e9, E9)


cdef int64_t _fitted(SizeState *state, const RiskLimits *limits, const Session *session,
                     int64_t lots, int freezes) noexcept nogil:
    """Cut to what the gate would let through."""
    cdef int64_t lot = session.lot
    cdef double each
    if session.freeze:
        lots = _cut(state, lots, session.freeze // lot * freezes, SizeCut.FREEZE)
    if limits.qty_max:
        lots = _cut(state, lots, limits.qty_max // lot, SizeCut.QTY_MAX)
    if limits.position_max:
        lots = _cut(state, lots, limits.position_max // lot, SizeCut.POSITION_MAX)
    if limits.notional_max:
        lots = _cut(state, lots, limits.notional_max // state.price // lot, SizeCut.NOTIONAL_MAX)
    if limits.margin_check and lots and _needs_more(session, lots * lot, state.price,
                                                    state.margin_free):
        each = 1e-9 * session.margin_rate_e9 * state.price * lot
        lots = _cut(state, lots, <int64_t>min(max(state.margin_free / each + 1.0, 0.0),
                                              LOTS_LARGEST), SizeCut.FREE_MARGIN)
        state.cut = SizeCut.FREE_MARGIN
        while lots > 0 and _needs_more(session, lots * lot, state.price, state.margin_free):
            lots -= 1                    # what the division of doubles was above
    return lots


cdef int64_t size_entry(const SizeRules *rules, SizeState *state, const RiskLimits *limits,
                        int side, double stop_points, paise_t price, const Session *session,
                        paise_t equity, paise_t margin_free, int freezes) noexcept nogil:
    cdef int reason = SizeReason.SIZED
    cdef int64_t lots = rules.lots
    state.side, state.stop, state.price = side, stop_points, price
    state.equity, state.margin_free = equity, margin_free
    state.cut, state.fell_back = SizeCut.NOTHING, 0
    state.edge = state.shrink = state.stake = state.at_risk = state.day_sigma = 0.0
    state.wanted = <double>rules.lots * session.lot
    if price <= 0:
        reason = SizeReason.NO_PRICE
    elif rules.method == SizeMethod.LOTS:
        pass
    elif equity <= 0:
        reason = SizeReason.NO_EQUITY
    elif rules.method == SizeMethod.RISK:
        reason = _by_risk(rules, state, stop_points)
    elif rules.method == SizeMethod.KELLY:
        reason = _by_kelly(rules, state, stop_points)
        if reason != SizeReason.SIZED and rules.kelly_fall_back:
            state.fell_back, reason = 1, SizeReason.SIZED
            state.wanted = <double>rules.lots * session.lot
    else:
        reason = _by_volatility(rules, state, session)
    if reason == SizeReason.SIZED and rules.method != SizeMethod.LOTS and not state.fell_back:
        # The tiny share of a lot is what rounding of doubles may take from a whole number.
        lots = <int64_t>floor(min(state.wanted / session.lot + 1e-9, LOTS_LARGEST))
        reason = SizeReason.SMALL if lots == 0 else SizeReason.SIZED
    if reason != SizeReason.SIZED:
        lots, state.wanted = 0, 0.0 if reason != SizeReason.SMALL else state.wanted
    state.wanted = state.wanted / session.lot
    state.asked = lots
    if lots and rules.fit:
        lots = _fitted(state, limits, session, lots, freezes)
        if lots == 0:
            reason = (SizeReason.MARGIN if state.cut == SizeCut.FREE_MARGIN
                      else SizeReason.LIMITS)
    state.lots, state.reason = lots, reason
    state.counts[reason] += 1
    return lots * session.lot


cdef void size_bar(const SizeRules *rules, SizeState *state, const Bar *bar,
                   bint first) noexcept nogil:
    cdef double change
    cdef double close = 0.01 * bar.close
    if rules.from_atr:
        atr_step(&state.atr, 0.01 * bar.high, 0.01 * bar.low, close)
        return
    if state.close == state.close and not first:
        change = close / state.close - 1.0
        change *= change
        state.returns += 1
        if state.returns <= rules.period:
            state.variance += (change - state.variance) / state.returns
        else:
            state.variance += 2.0 / (rules.period + 1.0) * (change - state.variance)
    state.close = close


@cython.final
cdef class Sizing:
    """How many units an entry takes; with nothing given, one lot.

    Args:
        method: "lots", "risk", "kelly" or "volatility".
        lots: of "lots", and what "kelly" falls back to.
        risk: money that the stop may lose, paise; risk_e6: or this share of equity, 1e-6.
        kelly_fraction: of the shrunk Kelly fraction, (0, 1]. kelly_cap_e6: largest share of equity
            at stake, 1e-6. kelly_trades_min: trades that must have closed, handed in ones too.
        kelly_fall_back: True: `lots` when there is no edge or too few trades; False: no entry.
        trades, win_rate, win, loss: a history to begin with: how many trades, the share of them
            that won, and the average win and loss in paise a unit after charges.
        target_e6: a day's volatility of equity, 1e-6. measure: "atr" or "returns". period: bars.
        fit: True: cut to the limits of the gate, the freeze quantity and free margin.
        interval_ns: of the signal bars.
    Raises:
        ConfigError: a value out of range, or one that the method needs is missing.
    """

    def __cinit__(self, *, method: str = "lots", lots: int = 1, risk: int = 0, risk_e6: int = 0,
                  double kelly_fraction=0.5, int64_t kelly_cap_e6=20_000,
                  int64_t kelly_trades_min=30, kelly_fall_back: bool = False,
                  double trades=0.0, double win_rate=0.0, double win=0.0, double loss=0.0,
                  int64_t target_e6=0, measure: str = "atr", int period=14, fit: bool = False,
                  int64_t interval_ns=60_000_000_000):
        if method not in _METHODS:
            raise ConfigError(f"sizing.method: {method!r} is not one of {', '.join(_METHODS)}")
        if measure not in ("atr", "returns"):
            raise ConfigError(f"sizing.measure: {measure!r} is not atr or returns")
        if method == "risk" and (risk > 0) == (risk_e6 > 0):
            raise ConfigError("sizing.risk: say how much a stop may lose, rupees or a percentage")
        if method == "volatility" and target_e6 == 0:
            raise ConfigError("sizing.volatility: say which volatility of equity is wanted")
        for name, value, least, most in (
            ("lots", lots, 1, 1_000_000), ("risk", risk, 0, 10**15),
            ("risk_e6", risk_e6, 0, 1_000_000), ("kelly_fraction", kelly_fraction, 1e-6, 1.0),
            ("kelly_cap_e6", kelly_cap_e6, 1, 1_000_000),
            ("kelly_trades_min", kelly_trades_min, 1, 10**9), ("trades", trades, 0.0, 1e9),
            ("win_rate", win_rate, 0.0, 1.0), ("win", win, 0.0, 1e12), ("loss", loss, 0.0, 1e12),
            ("target_e6", target_e6, 0, 1_000_000), ("period", period, 2, 10_000),
            ("interval_ns", interval_ns, 1, 10**18),
        ):
            if not least <= value <= most:
                raise ConfigError(f"sizing.{name} must be in {least}..{most}, was {value}")
        if trades and ((win_rate > 0.0) != (win > 0.0) or (win_rate < 1.0) != (loss > 0.0)):
            raise ConfigError("sizing.history: a history with wins needs their average, and one "
                              "with losses theirs; both are above 0")
        self.rules.method, self.rules.fit, self.rules.lots = _METHODS[method], fit, lots
        self.rules.risk, self.rules.risk_e6 = risk, risk_e6
        self.rules.kelly_fraction, self.rules.kelly_cap = kelly_fraction, 1e-6 * kelly_cap_e6
        self.rules.kelly_trades_min = kelly_trades_min
        self.rules.kelly_fall_back = kelly_fall_back
        self.rules.from_atr, self.rules.target = measure == "atr", 1e-6 * target_e6
        self.rules.period, self.rules.interval_ns = period, interval_ns
        self.rules.active = fit or method != "lots"
        memset(&self.start, 0, sizeof(SizeState))
        self.start.wins = trades * win_rate
        self.start.losses = trades - self.start.wins
        self.start.won, self.start.lost = self.start.wins * win, self.start.losses * loss
        self.start.close = NAN
        atr_init(&self.start.atr, period, NULL)


@cython.final
cdef class Sizer:
    """Sizes by themselves, without a run: what the rules make of trades, bars and equity.

    Args:
        sizing: the rules. gate: whose limits `fit` cuts to; None: a gate without limits.
    """

    def __cinit__(self, Sizing sizing not None, Gate gate=None):
        self.rules, self.state = sizing.rules, sizing.start
        self.gate = Gate() if gate is None else gate

    def closed(self, double result):
        """A trade has closed with this result after charges, paise a unit."""
        size_trade(&self.state, result)

    def bar(self, bar: object, first: bool = False):
        """A signal bar is complete: a mapping of bar fields or a BAR_DTYPE record."""
        cdef const uint8_t[::1] raw = record_of(bar, BAR_DTYPE, "bar").view(np.uint8)
        size_bar(&self.rules, &self.state, <const Bar *>&raw[0], first)

    def entry(self, session: object, *, int64_t price, int64_t equity, int64_t margin_free=0,
              double stop=0.0, int side=1, int freezes=1):
        """Units of an entry, whole lots; `explained` then says why.

        Args:
            session: a mapping of session fields or a SESSION_DTYPE record. price: the market's,
                paise. equity, margin_free: paise. stop: rupees to the stop, 0 = none.
            freezes: how many freeze quantities one entry may have.
        """
        cdef const uint8_t[::1] raw = record_of(session, SESSION_DTYPE, "session").view(np.uint8)
        return size_entry(&self.rules, &self.state, &self.gate.limits, side, stop, price,
                          <const Session *>&raw[0], equity, margin_free, freezes)

    @property
    def explained(self):
        """As `Kernel.size_explained`."""
        return explained(&self.rules, &self.state)


cdef object explained(const SizeRules *rules, const SizeState *state):
    cdef double n = state.wins + state.losses
    names = {value: name for name, value in _METHODS.items()}
    told = {
        "method": names[rules.method], "reason": SizeReason(state.reason).name,
        "side": state.side, "price": 0.01 * state.price, "stop": state.stop,
        "equity": 0.01 * state.equity, "margin_free": 0.01 * state.margin_free,
        "wanted": state.wanted, "asked": state.asked, "lots": state.lots,
        "cut": SizeCut(state.cut).name,
    }
    if rules.method != SizeMethod.LOTS:
        told["at_risk"] = 0.01 * state.at_risk
    if rules.method == SizeMethod.KELLY:
        told |= {
            "trades": llrint(n), "win_rate": state.wins / n if n else NAN,
            "win": 0.01 * state.won / state.wins if state.wins else NAN,
            "loss": 0.01 * state.lost / state.losses if state.losses else NAN,
            "edge": state.edge, "shrink": state.shrink, "stake": state.stake,
            "fell_back": bool(state.fell_back),
        }
    elif rules.method == SizeMethod.VOLATILITY:
        told["day_sigma"] = state.day_sigma
    return told
