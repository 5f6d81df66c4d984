"""ChainDay: see chainday.pxd."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from dhanfast._core.options.black cimport Greeks, OptionStatus, black_greeks, black_volatility
from dhanfast._core.options.board cimport (
    PremiumRule, straddle_price, strike_near, strike_of_delta, strike_of_premium, strike_within,
)
from dhanfast._core.options.forward cimport parity_forward

from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import BadData, UsageError

cdef double YEAR_NS = 365.0 * 86_400.0 * 1e9        # ACT/365 fixed
cdef enum:
    PARITY_STRIKES = 5


cdef object _table(str name, object given, tuple shape, object dtype=np.int64):
    array = np.ascontiguousarray(given, dtype)
    if array.shape != shape:
        raise UsageError(f"{name} has shape {array.shape}: expected {shape}")
    return array


@cython.final
cdef class ChainDay:
    """One day's rows of an option chain, checked.

    Args:
        start_ns, end_ns: of each row, UTC ns; rows follow one another and do not overlap.
        prices: (open, high, low, close), each int64[rows, columns] paise; one array four times is
            a day of snapshots. 0 = no quote.
        spot: the index at the end of each row, paise; 0 = unknown.
        strike: of each column, paise. listed: the contract's number in the run.
        first, count: of each expiry: column of its lowest call, and its strikes.
        sessions: SESSION_DTYPE, one an expiry, `contract` its date.
        final_price: of each expiry that ends today the index's closing value, paise; else 0.
        exercise_e9: STT rate on exercise. exercise_full: 1: of the whole settlement value.
    Shape:
        rows, columns or expiries long, as said.
    Raises:
        UsageError: shapes that do not fit. BadData: rows out of order; prices that are no bar;
            strikes that do not ascend.
    """

    def __cinit__(self, *, start_ns, end_ns, prices, spot, strike, listed, first, count, sessions,
                  final_price, exercise_e9, exercise_full):
        rows, columns, expiries = len(start_ns), len(strike), len(first)
        if not 1 <= expiries <= EXPIRIES_MAX:
            raise UsageError(f"expiries must be 1..{EXPIRIES_MAX} a day, were {expiries}")
        start_ns = _table("start_ns", start_ns, (rows,))
        end_ns = _table("end_ns", end_ns, (rows,))
        spot, strike = _table("spot", spot, (rows,)), _table("strike", strike, (columns,))
        listed = _table("listed", listed, (columns,), np.uint32)
        tables = [_table(name, values, (rows, columns)) for name, values in
                  zip(("open", "high", "low", "close"), prices, strict=True)]
        sessions = np.ascontiguousarray(sessions)
        if sessions.dtype != SESSION_DTYPE or sessions.shape != (expiries,):
            raise UsageError("sessions must be SESSION_DTYPE, one an expiry")
        self._own(start_ns, end_ns, tables, spot, strike, listed, sessions)
        for slot in range(expiries):
            self._expiry(slot, first[slot], count[slot], strike)
            self.final_price[slot] = final_price[slot]
            self.exercise_e9[slot] = exercise_e9[slot]
            self.exercise_full[slot] = exercise_full[slot]
        _check(start_ns, end_ns, tables, spot)
        self._strikes = <double *>malloc(4 * STRIKES_MAX * sizeof(double))
        if self._strikes == NULL:
            raise MemoryError("chain day: no memory for the strikes")
        self._calls = self._strikes + STRIKES_MAX
        self._puts, self._deltas = self._calls + STRIKES_MAX, self._calls + 2 * STRIKES_MAX

    def __dealloc__(self):
        free(self._strikes)

    def _own(self, start_ns, end_ns, tables, spot, strike, listed, sessions):
        cdef const ns_t[::1] starts = start_ns
        cdef const ns_t[::1] ends = end_ns
        cdef const paise_t[::1] spots = spot
        cdef const paise_t[::1] strikes = strike
        cdef const uint32_t[::1] numbers = listed
        cdef const unsigned char[::1] raw = sessions.view(np.uint8)
        cdef const paise_t[:, ::1] opens = tables[0]
        cdef const paise_t[:, ::1] highs = tables[1]
        cdef const paise_t[:, ::1] lows = tables[2]
        cdef const paise_t[:, ::1] closes = tables[3]
        self.rows, self.columns, self.expiries = len(start_ns), len(strike), len(sessions)
        if self.rows == 0 or self.columns == 0:
            raise BadData("chain day: no rows or no contracts")
        self._owner = (start_ns, end_ns, tables, spot, strike, listed, sessions)
        self.start_ns, self.end_ns, self.spot = &starts[0], &ends[0], &spots[0]
        self.strike, self.listed = &strikes[0], &numbers[0]
        self.sessions = <const Session *>&raw[0]
        self.open, self.high = &opens[0, 0], &highs[0, 0]
        self.low, self.close = &lows[0, 0], &closes[0, 0]

    def parts(self):
        """What the day was made of: `ChainDay(**day.parts())` is the same day over the same arrays.

        Shape:
            as the constructor takes them; tables that are one array are one object.
        """
        start_ns, end_ns, tables, spot, strike, listed, sessions = self._owner
        places = range(self.expiries)
        return {
            "start_ns": start_ns, "end_ns": end_ns, "prices": tuple(tables), "spot": spot,
            "strike": strike, "listed": listed, "sessions": sessions,
            "first": [self.first[slot] for slot in places],
            "count": [self.count[slot] for slot in places],
            "final_price": [self.final_price[slot] for slot in places],
            "exercise_e9": [self.exercise_e9[slot] for slot in places],
            "exercise_full": [self.exercise_full[slot] for slot in places],
        }

    def _expiry(self, size_t slot, first, count, strike):
        if not 1 <= count <= STRIKES_MAX or first < 0 or first + 2 * count > len(strike):
            raise UsageError(f"expiry {slot}: {count} strikes from column {first} do not fit into "
                             f"{len(strike)} columns (at most {STRIKES_MAX} strikes)")
        calls, puts = strike[first:first + count], strike[first + count:first + 2 * count]
        if (calls != puts).any() or (np.diff(calls) <= 0).any() or calls[0] <= 0:
            raise BadData(f"expiry {slot}: calls and puts must have the same strikes, ascending "
                          "and positive")
        self.first[slot], self.count[slot] = first, count

    cdef Py_ssize_t find(self, size_t slot, paise_t strike, int right) noexcept nogil:
        cdef size_t low = self.first[slot] + (0 if right > 0 else self.count[slot])
        cdef size_t at
        for at in range(low, low + self.count[slot]):
            if self.strike[at] == strike:
                return <Py_ssize_t>at
        return NOWHERE

    cdef Py_ssize_t slot_of(self, int64_t contract) noexcept nogil:
        cdef size_t slot
        for slot in range(self.expiries):
            if self.sessions[slot].contract == contract:
                return <Py_ssize_t>slot
        return NOWHERE

    cdef void _load(self, size_t row, size_t slot) noexcept nogil:
        cdef const paise_t *calls = &self.close[row * self.columns + self.first[slot]]
        cdef const paise_t *puts = calls + self.count[slot]
        cdef size_t i
        for i in range(self.count[slot]):
            self._strikes[i] = 0.01 * self.strike[self.first[slot] + i]
            self._calls[i] = 0.01 * calls[i]
            self._puts[i] = 0.01 * puts[i]

    cdef double years(self, size_t row, size_t slot) noexcept nogil:
        return (self.sessions[slot].expiry_ns - self.end_ns[row]) / YEAR_NS

    cdef double forward(self, size_t row, size_t slot) noexcept nogil:
        self._load(row, slot)
        return parity_forward(self.count[slot], self._strikes, self._calls, self._puts, NULL, 1.0,
                              PARITY_STRIKES)

    cdef Py_ssize_t _by_delta(self, size_t row, size_t slot, int right,
                              double target) noexcept nogil:
        cdef Py_ssize_t n = <Py_ssize_t>self.count[slot]
        cdef const double *premium = self._calls if right > 0 else self._puts
        cdef double years = self.years(row, slot)
        cdef double forward = parity_forward(n, self._strikes, self._calls, self._puts, NULL, 1.0,
                                             PARITY_STRIKES)
        cdef double volatility
        cdef Greeks greeks
        cdef int status = 0
        cdef Py_ssize_t i
        for i in range(n):
            self._deltas[i] = INT64_MIN          # far from every target: never the nearest
            if not premium[i] > 0.0 or years <= 0.0 or forward != forward:
                continue
            volatility = black_volatility(premium[i], forward, self._strikes[i], years, 0.0,
                                          right, &status)
            if status != OptionStatus.PRICED:
                continue
            black_greeks(volatility, forward, self._strikes[i], years, 0.0, right, &greeks)
            self._deltas[i] = greeks.delta
        i = strike_of_delta(n, self._deltas, target)
        return NOWHERE if i < 0 or self._deltas[i] == INT64_MIN else i

    cdef Rung pick(self, size_t row, Py_ssize_t slot, int right, int rule, double amount,
                   int premium_rule) noexcept nogil:
        cdef Rung found
        cdef double level = 0.01 * self.spot[row]
        cdef Py_ssize_t n, at
        found.missing, found.column, found.strike = Missing.NO_EXPIRY, NOWHERE, 0
        if slot < 0:
            return found
        found.missing = Missing.NO_SPOT
        if self.spot[row] <= 0:
            return found
        n = <Py_ssize_t>self.count[slot]
        self._load(row, slot)
        if rule == StrikeRule.STEPS:
            at = strike_within(n, self._strikes, level)
            if at >= 0:
                at += <Py_ssize_t>amount
        elif rule == StrikeRule.PREMIUM:
            at = strike_of_premium(n, self._calls if right > 0 else self._puts, amount,
                                   <PremiumRule>premium_rule)
        elif rule == StrikeRule.PERCENT:
            at = strike_within(n, self._strikes, level * (1.0 + 0.01 * amount))
        elif rule == StrikeRule.STRADDLE:
            at = strike_within(n, self._strikes, level)
            if at >= 0:
                at = strike_within(n, self._strikes, level + amount * straddle_price(
                    n, self._strikes, self._calls, self._puts, level))
        elif rule == StrikeRule.EXACT:
            at = strike_near(n, self._strikes, amount)
            if at >= 0 and self._strikes[at] != amount:
                at = NOWHERE
        else:
            at = self._by_delta(row, slot, right, amount)
        found.missing = Missing.NO_STRIKE
        if at < 0 or at >= n:
            return found
        if right < 0:
            at += n
        found.strike = self.strike[self.first[slot] + at]
        found.missing = Missing.NO_QUOTE
        if self.close[row * self.columns + self.first[slot] + at] > 0:
            found.missing = Missing.FOUND
            found.column = <Py_ssize_t>self.first[slot] + at
        return found

    @property
    def width(self):
        """Columns."""
        return self.columns

    def choose(self, int64_t row, int64_t slot, int right, int rule, double amount,
               int premium_rule=0):
        """The contract that a rule asks for by the closes of one row.

        Args:
            row, slot: of the day's rows and expiries. right: +1 call, -1 put.
            rule: StrikeRule. amount: of it. premium_rule: `options.board.PremiumRule`.
        Returns:
            (Missing, column or -1, strike in paise or 0).
        Raises:
            UsageError: no such row or expiry.
        """
        if not 0 <= row < <int64_t>self.rows or not -1 <= slot < <int64_t>self.expiries:
            raise UsageError(f"row {row} or expiry {slot} is not in this day")
        cdef Rung found = self.pick(<size_t>row, slot, right, rule, amount, premium_rule)
        return found.missing, found.column, found.strike


cdef object _check(start_ns, end_ns, tables, spot):
    if (end_ns <= start_ns).any() or (start_ns[1:] < end_ns[:-1]).any():
        raise BadData("chain day: rows must follow one another without overlap")
    if (spot < 0).any():
        raise BadData("chain day: the index is below zero; 0 is unknown")
    opens, highs, lows, closes = tables
    if opens is highs and opens is closes:
        bad = closes < 0
    else:
        bad = ((lows < 0) | (lows > opens) | (lows > closes) | (highs < opens) | (highs < closes)
               | ((closes > 0) & (lows <= 0)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise BadData(f"chain day: row {row}, column {column}: open {opens[row, column]}, high "
                      f"{highs[row, column]}, low {lows[row, column]}, close "
                      f"{closes[row, column]} are not one bar's prices in paise (0 = no quote)")
