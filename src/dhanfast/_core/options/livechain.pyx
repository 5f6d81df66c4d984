"""A chain that follows ticks. See livechain.pxd."""

cimport cython
from libc.math cimport NAN, fabs, log, sqrt
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free

from dhanfast._core.options.board cimport (
    pain_least, ratio_of_sums, straddle_price, strike_near)
from dhanfast._core.options.chain cimport (
    greeks_many, implied_many, lanes_widest, one_volatility)
from dhanfast._core.options.forward cimport NEAREST_MAX, parity_forward
from dhanfast._core.options.normalised cimport df_exp

import numpy as np

from dhanfast._core.options.results import LiveFigures
from dhanfast.errors import UsageError

cdef enum:
    VEGA = 3
    GAMMA = 2
    DELTA = 1

cdef double YEAR_NS = 365.0 * 86_400.0 * 1e9
cdef double PRICE_MAX = 1e12
cdef double MARK = 0.25                              # delta of the wings
cdef int _widest = lanes_widest()

WANTED = {"volatility": WANT_VOLATILITY, "exposure": WANT_VOLATILITY | WANT_EXPOSURE,
          "max_pain": WANT_PAIN, "ratios": WANT_RATIOS, "money": WANT_MONEY}
COLUMNS = ("call", "put", "call_oi", "put_oi", "call_volume", "put_volume")


cdef inline double _quote(double price) noexcept nogil:
    return price if 0.0 < price <= PRICE_MAX else NAN


@cython.final
cdef class LiveChain:
    """One expiry's chain that follows ticks.

    Args:
        strike: ascending, 1 to 1,024 of them.
        expiry_ns: when it ends, ns UTC: `options.expiry_ns`.
        rate: continuous, a year.
        wanted: of "money" (volatility at the money), "volatility" (that of each strike, the skew),
            "exposure", "max_pain", "ratios"; the forward and the straddle are always there.
        near: strikes on each side of the money that near ratios count.
        window: strikes on each side of the money that get a volatility; all for None. With one,
            gamma exposure is that of the window.
        nearest: strikes that give the forward, 1 to 31.

    Attributes:
        dropped: ticks refused: no such place, or a time that goes back.

    Raises:
        UsageError: strikes that do not ascend from above 0, or too many; a name or a number that is
            refused.
    """

    def __cinit__(self, strike, int64_t expiry_ns, double rate=0.0, *,
                  wanted=("volatility", "exposure", "max_pain", "ratios"), Py_ssize_t near=5,
                  window=None, int nearest=5):
        array = np.ascontiguousarray(strike, dtype=np.float64)
        if array.ndim != 1 or not 1 <= len(array) <= STRIKES_MAX:
            raise UsageError(f"strike has shape {array.shape}: give 1 to {STRIKES_MAX} strikes")
        if not (array > 0.0).all() or not (np.diff(array) > 0.0).all() or array[-1] > PRICE_MAX:
            raise UsageError("strike does not ascend from above 0: sort it, one row a strike")
        if not -1.0 <= rate <= 1.0 or expiry_ns <= 0:
            raise UsageError(f"rate {rate}, expiry_ns {expiry_ns}: give a fraction a year, and ns")
        if not 1 <= nearest <= NEAREST_MAX or near < 0 or (window is not None and window < 1):
            raise UsageError(f"nearest {nearest}, near {near}, window {window}: give 1 to "
                             f"{NEAREST_MAX}, 0 or more, and 1 or more")
        for name in wanted:
            if name not in WANTED:
                raise UsageError(f"wanted has {name!r}: give some of {', '.join(WANTED)}")
            self._wanted |= WANTED[name]
        cdef const double[::1] levels = array
        cdef Py_ssize_t i
        self._n = levels.shape[0]
        self._near, self._nearest = near, nearest
        self._window = self._n if window is None else min(<Py_ssize_t>window, self._n)
        self._rate, self._expiry_ns, self._forward_seeded = rate, expiry_ns, NAN
        self._data = <double *>calloc(TABLES * self._n, sizeof(double))
        if self._data == NULL:
            raise MemoryError(f"no memory for {self._n} strikes")
        self._place()
        for i in range(self._n):
            self._strike[i] = levels[i]
            self._call[i] = self._put[i] = self._volatility[i] = NAN
        self._point()
        self._forget()

    cdef void _place(self) noexcept:
        """Columns in the one block of memory."""
        cdef double *at = self._data
        cdef Py_ssize_t n = self._n
        cdef int i
        self._strike, self._call, self._put = at, at + n, at + 2 * n
        self._call_oi, self._put_oi = at + 3 * n, at + 4 * n
        self._call_volume, self._put_volume = at + 5 * n, at + 6 * n
        self._chosen, self._sign = at + 7 * n, at + 8 * n
        self._seed, self._volatility = at + 9 * n, at + 10 * n
        for i in range(9):
            self._table[i] = at + (11 + i) * n

    cdef void _point(self) noexcept:
        """What the array code reads, one value for all or one a strike."""
        self._columns.spot = False
        self._columns.step[0] = self._columns.step[2] = self._columns.step[5] = 1
        self._columns.step[1] = self._columns.step[3] = self._columns.step[4] = 0
        self._columns.at[1], self._columns.at[3] = &self.now.forward, &self.now.years
        self._columns.at[4] = &self._rate

    cdef void _forget(self) noexcept nogil:
        self.now.at_ns, self.now.money = 0, -1
        self.now.years = self.now.forward = self.now.at_money = self.now.straddle = NAN
        self.now.risk_reversal = self.now.butterfly = self.now.max_pain = NAN
        self.now.ratio_oi = self.now.ratio_volume = self.now.gamma_exposure = NAN
        self.now.ratio_oi_near = self.now.ratio_volume_near = NAN

    def __dealloc__(self):
        free(self._data)

    cdef void tick(self, Py_ssize_t place, bint put, double price, int64_t oi, int64_t volume,
                   int64_t at_ns) noexcept nogil:
        if not (0 <= place < self._n) or at_ns < self.now.at_ns:
            self.dropped += 1
            return
        self.ticks += 1
        if put:
            self._put[place] = _quote(price)
            if oi >= 0 and <double>oi != self._put_oi[place]:
                self._open_puts += <double>oi - self._put_oi[place]
                self._put_oi[place] = <double>oi
                self._interest_changes += 1
            if volume >= 0:
                self._traded_puts += <double>volume - self._put_volume[place]
                self._put_volume[place] = <double>volume
        else:
            self._call[place] = _quote(price)
            if oi >= 0 and <double>oi != self._call_oi[place]:
                self._open_calls += <double>oi - self._call_oi[place]
                self._call_oi[place] = <double>oi
                self._interest_changes += 1
            if volume >= 0:
                self._traded_calls += <double>volume - self._call_volume[place]
                self._call_volume[place] = <double>volume
        self.settle(at_ns)

    cdef void settle(self, int64_t at_ns) noexcept nogil:
        cdef Py_ssize_t n = self._n
        self.now.at_ns = at_ns
        self.now.years = (self._expiry_ns - at_ns) / YEAR_NS if at_ns < self._expiry_ns else 0.0
        self.now.forward = parity_forward(
            n, self._strike, self._call, self._put, NULL, df_exp(self._rate * self.now.years),
            self._nearest)
        self.now.money = strike_near(n, self._strike, self.now.forward)
        self.now.straddle = straddle_price(n, self._strike, self._call, self._put,
                                           self.now.forward)
        if self._wanted & (WANT_VOLATILITY | WANT_MONEY):
            self._volatilities()
        if self._wanted & WANT_PAIN and self._pain_of != self._interest_changes:
            self._pain_of = self._interest_changes
            self.now.max_pain = pain_least(n, self._strike, self._call_oi, self._put_oi)
        if self._wanted & WANT_RATIOS:
            self._sums()

    cdef void _sums(self) noexcept nogil:
        cdef Py_ssize_t n = self._n
        cdef Py_ssize_t low, count
        self.now.ratio_oi = NAN
        if self._open_calls > 0.0:
            self.now.ratio_oi = self._open_puts / self._open_calls
        self.now.ratio_volume = NAN
        if self._traded_calls > 0.0:
            self.now.ratio_volume = self._traded_puts / self._traded_calls
        if self.now.money < 0:
            self.now.ratio_oi_near = self.now.ratio_volume_near = NAN
            return
        low = self.now.money - self._near if self.now.money > self._near else 0
        count = self.now.money + self._near + 1 - low
        if low + count > n:
            count = n - low
        self.now.ratio_oi_near = ratio_of_sums(count, self._put_oi + low, self._call_oi + low)
        self.now.ratio_volume_near = ratio_of_sums(
            count, self._put_volume + low, self._call_volume + low)

    cdef void _add_up(self) noexcept nogil:
        cdef Py_ssize_t i
        self._open_calls = self._open_puts = self._traded_calls = self._traded_puts = 0.0
        for i in range(self._n):
            self._open_calls += self._call_oi[i]
            self._open_puts += self._put_oi[i]
            self._traded_calls += self._call_volume[i]
            self._traded_puts += self._put_volume[i]
        self._interest_changes += 1

    cdef void _volatilities(self) noexcept nogil:
        cdef bint all_strikes = (self._wanted & WANT_VOLATILITY) != 0
        cdef Py_ssize_t window = self._window if all_strikes else 1
        cdef double forward = self.now.forward
        cdef Py_ssize_t i, low, high
        cdef double *out[9]
        cdef double total
        for i in range(self._low, self._high):       # what the window may leave behind
            self._seed[i] = self._volatility[i]
            self._volatility[i] = NAN
        self.now.at_money = self.now.risk_reversal = self.now.butterfly = NAN
        self.now.gamma_exposure = NAN
        if self.now.money < 0 or not self.now.years > 0.0:
            self._low = self._high = 0
            return
        if all_strikes:
            self._seeds(self._low, self._high)
        low = self.now.money - window if self.now.money > window else 0
        high = self.now.money + window + 1
        if high > self._n:
            high = self._n
        for i in range(low, high):
            self._sign[i] = -1.0 if self._strike[i] < forward else 1.0
            self._chosen[i] = self._put[i] if self._strike[i] < forward else self._call[i]
        self._columns.at[0], self._columns.at[2] = self._chosen + low, self._strike + low
        self._columns.at[5], self._columns.seed = self._sign + low, self._seed + low
        implied_many(_widest, high - low, &self._columns, self._volatility + low, NULL)
        for i in range(low, high):
            if not 0.0 < self._volatility[i] < 1e100:
                self._volatility[i] = self._spare(i)
        self._low, self._high = low, high
        self._middle()
        if not all_strikes:
            return
        for i in range(9):
            out[i] = self._table[i] + low
        self._columns.at[0] = self._volatility + low
        greeks_many(_widest, high - low, &self._columns, 2, out, NULL)   # up to vega
        self._forward_seeded = forward
        if self._wanted & WANT_EXPOSURE:
            total = 0.0
            for i in range(low, high):
                if self._volatility[i] > 0.0:
                    total += self._table[GAMMA][i] * (self._call_oi[i] - self._put_oi[i])
            self.now.gamma_exposure = forward * forward * 0.01 * total
        self._wings()

    # Where each volatility goes when only the forward moves and its premium stands: v - delta dF /
    # vega. Where that is near, the array code needs one step and not two.
    cdef void _seeds(self, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
        cdef double moved = self.now.forward - self._forward_seeded
        cdef const double *delta = self._table[DELTA]
        cdef const double *vega = self._table[VEGA]
        cdef double step
        cdef Py_ssize_t i
        if not fabs(moved) > 0.0:
            return
        for i in range(low, high):
            step = moved * delta[i] / (vega[i] + 1e-300)
            self._seed[i] -= step if fabs(step) < 0.1 * self._seed[i] else 0.0

    # The other option's volatility, where the one out of the money has none.
    cdef double _spare(self, Py_ssize_t i) noexcept nogil:
        cdef double sign = -self._sign[i]
        cdef double price = self._call[i] if sign > 0.0 else self._put[i]
        cdef double found
        if not price > 0.0:
            return NAN
        found = one_volatility(price, self.now.forward, self._strike[i], self.now.years,
                               self._rate, sign)
        if not 0.0 < found < 1e100:
            return NAN
        self._sign[i] = sign
        return found

    cdef void _middle(self) noexcept nogil:
        cdef double forward = self.now.forward
        cdef double share, near, far
        cdef Py_ssize_t i = self.now.money
        if self._strike[i] < forward:
            i += 1
        self.now.at_money = self._volatility[self.now.money]
        if 0 < i < self._n:                          # strikes around the forward: i - 1 and i
            near, far = self._volatility[i - 1], self._volatility[i]
            if near > 0.0 and far > 0.0:
                share = log(forward / self._strike[i - 1]) / log(
                    self._strike[i] / self._strike[i - 1])
                self.now.at_money = sqrt((1.0 - share) * near * near + share * far * far)

    cdef void _wings(self) noexcept nogil:
        cdef double growth = df_exp(self._rate * self.now.years)
        cdef const double *slopes = self._table[DELTA]
        cdef double call_wing = NAN
        cdef double put_wing = NAN
        cdef double before = NAN
        cdef double last = NAN
        cdef double delta, share
        cdef Py_ssize_t i
        for i in range(self._low, self._high):       # delta of the call falls from 1 to 0
            if not self._volatility[i] > 0.0:
                continue
            delta = growth * slopes[i] + (0.5 - 0.5 * self._sign[i])
            if before >= 1.0 - MARK > delta:
                share = (before - (1.0 - MARK)) / (before - delta)
                put_wing = last + share * (self._volatility[i] - last)
            if before >= MARK > delta:
                share = (before - MARK) / (before - delta)
                call_wing = last + share * (self._volatility[i] - last)
                break
            before, last = delta, self._volatility[i]
        self.now.risk_reversal = call_wing - put_wing
        self.now.butterfly = 0.5 * (call_wing + put_wing) - self.now.at_money

    # ---- Python -------------------------------------------------------------------------------

    def load(self, int64_t at_ns, **columns):
        """Take a whole snapshot.

        Args:
            at_ns: when, ns UTC; not before the last tick.
            columns: of call, put, call_oi, put_oi, call_volume, put_volume, one number a strike;
                those left out stay. A price of 0 or NaN is no quote, open interest and volume that
                are NaN count as 0.

        Raises:
            UsageError: another name or length; a number below 0; a moment before the last.
        """
        cdef double *to[6]
        cdef const double[::1] values
        cdef Py_ssize_t i
        cdef int which
        if at_ns < self.now.at_ns:
            raise UsageError(f"at_ns is {at_ns}: the chain is at {self.now.at_ns} already")
        to[0], to[1], to[2] = self._call, self._put, self._call_oi
        to[3], to[4], to[5] = self._put_oi, self._call_volume, self._put_volume
        given = {}
        for name, column in columns.items():
            if name not in COLUMNS:
                raise UsageError(f"no column {name!r}: give some of {', '.join(COLUMNS)}")
            array = np.ascontiguousarray(column, dtype=np.float64)
            if array.shape != (self._n,) or (array < 0.0).any() or (array > PRICE_MAX).any():
                raise UsageError(f"{name} has shape {array.shape}: give {self._n} numbers from 0")
            given[name] = array
        for name, array in given.items():
            which, values = COLUMNS.index(name), array
            for i in range(self._n):
                if which < 2:
                    to[which][i] = _quote(values[i])
                else:
                    to[which][i] = values[i] if values[i] == values[i] else 0.0
        self._add_up()
        self.settle(at_ns)

    def follow(self, place, put, price, oi, volume, at_ns):
        """Take ticks, one after the other, everything wanted after each.

        Args:
            place: int64, of the strike. put: bool. price: rupees, 0 or NaN no quote.
            oi, volume: int64, below 0 leaves what there was. at_ns: int64, ns UTC.

        Shape:
            one dimension, one length.

        Returns:
            How many were taken; a place that is not there and a time that goes back are `dropped`.

        Raises:
            UsageError: lengths that differ.
        """
        cdef const int64_t[::1] at = np.ascontiguousarray(place, dtype=np.int64)
        cdef const uint8_t[::1] side = np.ascontiguousarray(put, dtype=np.uint8)
        cdef const double[::1] paid = np.ascontiguousarray(price, dtype=np.float64)
        cdef const int64_t[::1] held = np.ascontiguousarray(oi, dtype=np.int64)
        cdef const int64_t[::1] traded = np.ascontiguousarray(volume, dtype=np.int64)
        cdef const int64_t[::1] when = np.ascontiguousarray(at_ns, dtype=np.int64)
        cdef Py_ssize_t i
        cdef int64_t before = self.ticks
        for count in (side.shape[0], paid.shape[0], held.shape[0], traded.shape[0],
                      when.shape[0]):
            if count != at.shape[0]:
                raise UsageError(f"{count} numbers in a column, {at.shape[0]} in place: give one "
                                 "of each a tick")
        with nogil:
            for i in range(at.shape[0]):
                self.tick(at[i], side[i] != 0, paid[i], held[i], traded[i], when[i])
        return self.ticks - before

    @property
    def figures(self):
        """What the chain says now: `LiveFigures`; NaN for what is not wanted or has no answer."""
        cdef ChainFigures *now = &self.now
        return LiveFigures(
            now.at_ns, now.years, now.forward, None if now.money < 0 else now.money, now.at_money,
            now.straddle, now.risk_reversal, now.butterfly, now.max_pain, now.ratio_oi,
            now.ratio_volume, now.ratio_oi_near, now.ratio_volume_near, now.gamma_exposure)

    @property
    def strike(self):
        """Strikes, float64, a copy."""
        return self._copied(self._strike)

    @property
    def volatility(self):
        """One volatility a strike, of the option out of the money; NaN where none. A copy."""
        return self._copied(self._volatility)

    @property
    def call_delta(self):
        """Delta of each strike's call, discounted; NaN where there is no volatility. A copy."""
        found = self._copied(self._table[DELTA])
        found[self._copied(self._sign) < 0.0] += df_exp(-self._rate * self.now.years)
        return np.where(np.isnan(self._copied(self._volatility)), np.nan, found)

    @property
    def gamma(self):
        """Gamma of either option a strike; NaN where there is no volatility. A copy."""
        return self._known(GAMMA)

    @property
    def vega(self):
        """Vega of either option a strike, per 1.00; NaN where there is no volatility. A copy."""
        return self._known(VEGA)

    cdef object _known(self, int which):
        found = self._copied(self._table[which])
        return np.where(np.isnan(self._copied(self._volatility)), np.nan, found)

    cdef object _copied(self, const double *column):
        array = np.empty(self._n)
        cdef double[::1] to = array
        cdef Py_ssize_t i
        for i in range(self._n):
            to[i] = column[i]
        return array
