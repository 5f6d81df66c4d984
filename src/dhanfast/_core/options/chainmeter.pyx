"""ChainMeter: see chainmeter.pxd."""

cimport cython
from libc.math cimport NAN, fabs
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from dhanfast._core.chainfeed cimport CHAIN_FIGURES, ChainFigure, ChainRow
from dhanfast._core.options.livechain cimport LiveChain

import numpy as np

from dhanfast._core.chainfeed import CHAIN_DTYPE, FIGURES
from dhanfast.errors import UsageError

cdef double PRICE_BAND = 0.001       # changes up to these shares say nothing: as options.build_up
cdef double INTEREST_BAND = 0.005
cdef int[WINDOWS] _windows
_windows[:] = [30, 90, 252]

# What each figure needs of a LiveChain, beside the forward and the straddle.
_WANTED = {
    "atm_iv": "money", "risk_reversal": "volatility", "butterfly": "volatility",
    "gamma_exposure": "exposure", "max_pain": "max_pain", "pcr": "ratios", "pcr_near": "ratios",
    "pcr_volume": "ratios", "pcr_volume_near": "ratios",
    **{name: "money" for name in FIGURES if name.startswith(("iv_rank", "iv_percentile"))},
}
_RECORDED = ("call", "put", "call_oi", "put_oi")


cdef inline bint _is(uint32_t asked, ChainFigure figure) noexcept nogil:
    return (asked >> <int>figure) & 1


cdef inline double _quoted(double price) noexcept nogil:
    return price if 0.0 < price <= 1e12 else NAN


cdef inline Py_ssize_t _most(Py_ssize_t n, const double *held) noexcept nogil:
    """Where most is open, of equals the first; -1 where nothing is."""
    cdef Py_ssize_t best = -1
    cdef Py_ssize_t i
    for i in range(n):
        if held[i] > 0.0 and (best < 0 or held[i] > held[best]):
            best = i
    return best


@cython.final
cdef class ChainMeter:
    """Figures of one expiry's chain, those asked for, from snapshots or tick by tick.

    Args:
        strike, expiry_ns, rate, near, window: as of `LiveChain`.
        figures: names of `ChainFigure` in small letters.
        before: columns call, put, call_oi and put_oi at the end of the session before, one number a
            strike, NaN where unknown; None: all unknown.
        past: volatilities at the money of the sessions before, oldest first; the last 252 count.

    Attributes:
        chain: the `LiveChain` it reads.

    Raises:
        UsageError: as `LiveChain`; no such figure; a column of another length; a volatility that
            is not above 0.

    Source:
        Definitions: docs/reference/chain.md.
    """

    def __cinit__(self, strike, int64_t expiry_ns, double rate=0.0, *, figures=FIGURES,
                  Py_ssize_t near=5, window=None, before=None, past=()):
        cdef Py_ssize_t i, n
        unknown = sorted(set(figures) - set(FIGURES))
        if unknown:
            raise UsageError(f"no chain figure {unknown[0]!r}: give some of {', '.join(FIGURES)}")
        for name in figures:
            self._asked |= <uint32_t>1 << <int>FIGURES.index(name)
        wanted = sorted({_WANTED[name] for name in figures if name in _WANTED})
        self.chain = LiveChain(strike, expiry_ns, rate, wanted=wanted, near=near, window=window)
        n = self.chain._n
        self._data = <double *>calloc(4 * n + WINDOWS * PAST_MAX, sizeof(double))
        if self._data == NULL:
            raise MemoryError(f"no memory for {n} strikes")
        self._call_before, self._put_before = self._data, self._data + n
        self._call_oi_before, self._put_oi_before = self._data + 2 * n, self._data + 3 * n
        for i in range(WINDOWS):
            self._past[i] = self._data + 4 * n + i * PAST_MAX
        self._oi_known = self._volume_known = True
        self._interest_of = -1
        for i in range(4 * n):
            self._data[i] = NAN
        self._take_past(past)
        if before is not None:
            self.refer(**before)

    def __dealloc__(self):
        free(self._data)

    cdef object _take_past(self, past):
        values = np.ascontiguousarray(past, dtype=np.float64)
        if values.ndim != 1 or not (values > 0.0).all():
            raise UsageError("past has a volatility that is not above 0: give one a session")
        cdef const double[::1] kept
        cdef Py_ssize_t i, which
        self._past_count = len(values)
        for which in range(WINDOWS):
            kept = np.sort(values[-_windows[which]:])
            for i in range(kept.shape[0]):
                self._past[which][i] = kept[i]

    def refer(self, **columns):
        """What changes and build-up are since: the chain at the end of the session before.

        Args:
            columns: call, put, call_oi, put_oi, one number a strike, NaN where unknown.

        Raises:
            UsageError: another name or length.
        """
        cdef const double[::1] values
        cdef double *to
        cdef Py_ssize_t i, which
        for name, column in columns.items():
            if name not in _RECORDED:
                raise UsageError(f"no column {name!r}: give some of {', '.join(_RECORDED)}")
            array = np.ascontiguousarray(column, dtype=np.float64)
            if array.shape != (self.chain._n,):
                raise UsageError(f"{name} has shape {array.shape}: give {self.chain._n} numbers, "
                                 "one a strike")
            which = _RECORDED.index(name)
            values, to = array, self._data + which * self.chain._n
            for i in range(self.chain._n):
                to[i] = values[i]
        self._interest_of = -1                       # what is known of it compares with another

    # ---- figures --------------------------------------------------------------------------------

    cdef void read(self, ChainRow *row) noexcept nogil:
        cdef uint32_t asked = self._asked
        cdef int each
        row.at_ns = self.chain.now.at_ns
        for each in range(CHAIN_FIGURES):
            row.figures[each] = NAN
        if _is(asked, ChainFigure.FORWARD):
            row.figures[<int>ChainFigure.FORWARD] = self.chain.now.forward
        if _is(asked, ChainFigure.ATM_STRIKE) and self.chain.now.money >= 0:
            row.figures[<int>ChainFigure.ATM_STRIKE] = self.chain._strike[self.chain.now.money]
        if _is(asked, ChainFigure.ATM_IV):
            row.figures[<int>ChainFigure.ATM_IV] = self.chain.now.at_money
        if _is(asked, ChainFigure.STRADDLE):
            row.figures[<int>ChainFigure.STRADDLE] = self.chain.now.straddle
        if _is(asked, ChainFigure.RISK_REVERSAL):
            row.figures[<int>ChainFigure.RISK_REVERSAL] = self.chain.now.risk_reversal
        if _is(asked, ChainFigure.BUTTERFLY):
            row.figures[<int>ChainFigure.BUTTERFLY] = self.chain.now.butterfly
        if _is(asked, ChainFigure.DAYS_TO_EXPIRY):
            row.figures[<int>ChainFigure.DAYS_TO_EXPIRY] = 365.0 * self.chain.now.years
        if asked >> <int>ChainFigure.IV_RANK_30 & 63:
            self._standing(row)
        if self._volume_known:
            if _is(asked, ChainFigure.PCR_VOLUME):
                row.figures[<int>ChainFigure.PCR_VOLUME] = self.chain.now.ratio_volume
            if _is(asked, ChainFigure.PCR_VOLUME_NEAR):
                row.figures[<int>ChainFigure.PCR_VOLUME_NEAR] = self.chain.now.ratio_volume_near
        if self._oi_known and asked >> <int>ChainFigure.PCR & 0xFFF:
            self._interest(row)

    cdef void _interest(self, ChainRow *row) noexcept nogil:
        """The figures of open interest."""
        cdef uint32_t asked = self._asked
        if _is(asked, ChainFigure.PCR):
            row.figures[<int>ChainFigure.PCR] = self.chain.now.ratio_oi
        if _is(asked, ChainFigure.PCR_NEAR):
            row.figures[<int>ChainFigure.PCR_NEAR] = self.chain.now.ratio_oi_near
        if _is(asked, ChainFigure.CALL_OI):
            row.figures[<int>ChainFigure.CALL_OI] = self.chain._open_calls
        if _is(asked, ChainFigure.PUT_OI):
            row.figures[<int>ChainFigure.PUT_OI] = self.chain._open_puts
        if _is(asked, ChainFigure.MAX_PAIN):
            row.figures[<int>ChainFigure.MAX_PAIN] = self.chain.now.max_pain
        if _is(asked, ChainFigure.GAMMA_EXPOSURE):
            row.figures[<int>ChainFigure.GAMMA_EXPOSURE] = self.chain.now.gamma_exposure
        if self._interest_of != self.chain._interest_changes:
            self._weigh()
        self._side(row, False)
        self._side(row, True)

    cdef void _weigh(self) noexcept nogil:
        """What only a change of open interest moves."""
        cdef Py_ssize_t calls = _most(self.chain._n, self.chain._call_oi)
        cdef Py_ssize_t puts = _most(self.chain._n, self.chain._put_oi)
        self._interest_of = self.chain._interest_changes
        self._changed[0] = self._change(self.chain._call_oi, self._call_oi_before)
        self._changed[1] = self._change(self.chain._put_oi, self._put_oi_before)
        self._levels[0] = self.chain._strike[calls] if calls >= 0 else NAN
        self._levels[1] = self.chain._strike[puts] if puts >= 0 else NAN

    cdef void _side(self, ChainRow *row, bint put) noexcept nogil:
        """Calls or puts: change, build-up, and where most is open."""
        cdef uint32_t asked = self._asked
        cdef const double *held = self.chain._put_oi if put else self.chain._call_oi
        cdef const double *held_before = self._put_oi_before if put else self._call_oi_before
        cdef int change = ChainFigure.PUT_OI_CHANGE if put else ChainFigure.CALL_OI_CHANGE
        cdef int build_up = ChainFigure.PUT_BUILD_UP if put else ChainFigure.CALL_BUILD_UP
        cdef int level = ChainFigure.SUPPORT if put else ChainFigure.RESISTANCE
        if asked >> change & 1:
            row.figures[change] = self._changed[put]
        if asked >> build_up & 1:
            row.figures[build_up] = self._build_up(
                self.chain._put if put else self.chain._call,
                self._put_before if put else self._call_before, held, held_before)
        if asked >> level & 1:
            row.figures[level] = self._levels[put]

    cdef double _change(self, const double *held, const double *before) noexcept nogil:
        """Over the strikes that were known then; NaN when none was."""
        cdef double total = 0.0
        cdef bint found = False
        cdef Py_ssize_t i
        for i in range(self.chain._n):
            if before[i] >= 0.0:
                total += held[i] - before[i]
                found = True
        return total if found else NAN

    cdef double _build_up(self, const double *price, const double *price_before,
                          const double *held, const double *held_before) noexcept nogil:
        """Class of the options near the money together, of those with a price now and then."""
        cdef double paid = 0.0
        cdef double paid_before = 0.0
        cdef double held_now = 0.0
        cdef double held_then = 0.0
        cdef Py_ssize_t low, high, i
        if self.chain.now.money < 0:
            return NAN
        low = max(self.chain.now.money - self.chain._near, 0)
        high = min(self.chain.now.money + self.chain._near + 1, self.chain._n)
        for i in range(low, high):
            if price[i] > 0.0 and price_before[i] > 0.0 and held_before[i] >= 0.0:
                paid += price[i]
                paid_before += price_before[i]
                held_now += held[i]
                held_then += held_before[i]
        if not paid_before > 0.0:
            return NAN
        if fabs(paid - paid_before) <= PRICE_BAND * paid_before \
                or fabs(held_now - held_then) <= INTEREST_BAND * held_then:
            return 0.0                           # BuildUp.NONE
        if held_now > held_then:
            return 1.0 if paid > paid_before else 2.0
        return 3.0 if paid > paid_before else 4.0

    cdef void _standing(self, ChainRow *row) noexcept nogil:
        """Rank and percentile of the volatility at the money, over windows that are full."""
        cdef double value = self.chain.now.at_money
        cdef double least, most
        cdef const double *past
        cdef Py_ssize_t days, below, above, middle
        cdef int which
        if not value > 0.0:
            return
        for which in range(WINDOWS):
            days, past = _windows[which], self._past[which]
            if self._past_count < days:
                return
            least, most = min(value, past[0]), max(value, past[days - 1])
            below, above = 0, days                   # past[:below] lie below, past[above:] do not
            while below < above:
                middle = (below + above) >> 1
                if past[middle] < value:
                    below = middle + 1
                else:
                    above = middle
            if self._asked >> (<int>ChainFigure.IV_RANK_30 + which) & 1 and most > least:
                row.figures[<int>ChainFigure.IV_RANK_30 + which] = (
                    100.0 * ((value - least) / (most - least)))
            if self._asked >> (<int>ChainFigure.IV_PERCENTILE_30 + which) & 1:
                row.figures[<int>ChainFigure.IV_PERCENTILE_30 + which] = 100.0 * below / days

    # ---- Python -------------------------------------------------------------------------------

    def look(self, int64_t at_ns, *, oi_known=True, volume_known=True, **columns):
        """Take a whole snapshot and say its figures.

        Args:
            at_ns, columns: as of `LiveChain.load`.
            oi_known, volume_known: False: some of it is not; the figures of it are NaN.

        Shape:
            CHAIN_DTYPE[1].

        Raises:
            UsageError: as `LiveChain.load`.
        """
        cdef unsigned char[::1] raw
        self._oi_known, self._volume_known = oi_known, volume_known
        self.chain.load(at_ns, **columns)
        found = np.empty(1, CHAIN_DTYPE)
        raw = found.view(np.uint8)
        self.read(<ChainRow *>&raw[0])
        return found

    def looks(self, at_ns, call, put):
        """Take snapshots of premiums one after the other and say the figures of each.

        Args:
            at_ns: int64[m], when, ns UTC, none before the last. call, put: float64[m, strikes],
                rupees; 0 or NaN is no quote.

        Shape:
            CHAIN_DTYPE[m].

        Raises:
            UsageError: shapes that do not fit; a moment before the last.
        """
        cdef const int64_t[::1] when = np.ascontiguousarray(at_ns, dtype=np.int64)
        cdef const double[:, ::1] calls = np.ascontiguousarray(call, dtype=np.float64)
        cdef const double[:, ::1] puts = np.ascontiguousarray(put, dtype=np.float64)
        cdef Py_ssize_t i, k
        cdef unsigned char[::1] raw
        cdef ChainRow *rows
        wanted = (when.shape[0], self.chain._n)
        if (calls.shape[0], calls.shape[1]) != wanted or (puts.shape[0], puts.shape[1]) != wanted:
            raise UsageError(f"call and put must be {wanted[0]} x {wanted[1]}: a row a moment, a "
                             "number a strike")
        found = np.empty(when.shape[0], CHAIN_DTYPE)
        if when.shape[0] == 0:
            return found
        if when[0] < self.chain.now.at_ns or (np.diff(np.asarray(when)) < 0).any():
            raise UsageError(f"at_ns goes back: the chain is at {self.chain.now.at_ns}")
        self._oi_known = self._volume_known = False
        raw = found.view(np.uint8)
        rows = <ChainRow *>&raw[0]
        with nogil:
            for i in range(when.shape[0]):
                for k in range(self.chain._n):
                    self.chain._call[k] = _quoted(calls[i, k])
                    self.chain._put[k] = _quoted(puts[i, k])
                self.chain.settle(when[i])
                self.read(&rows[i])
        return found

    def follow(self, place, put, price, oi, volume, at_ns):
        """Take ticks one after the other, every figure that was asked for read after each.

        Args:
            place, put, price, oi, volume, at_ns: as of `LiveChain.follow`.

        Shape:
            CHAIN_DTYPE[1], the figures after the last.

        Raises:
            UsageError: lengths that differ.
        """
        cdef const int64_t[::1] at = np.ascontiguousarray(place, dtype=np.int64)
        cdef const uint8_t[::1] side = np.ascontiguousarray(put, dtype=np.uint8)
        cdef const double[::1] paid = np.ascontiguousarray(price, dtype=np.float64)
        cdef const int64_t[::1] held = np.ascontiguousarray(oi, dtype=np.int64)
        cdef const int64_t[::1] traded = np.ascontiguousarray(volume, dtype=np.int64)
        cdef const int64_t[::1] when = np.ascontiguousarray(at_ns, dtype=np.int64)
        cdef unsigned char[::1] raw
        cdef ChainRow *row
        cdef Py_ssize_t i
        for count in (side.shape[0], paid.shape[0], held.shape[0], traded.shape[0],
                      when.shape[0]):
            if count != at.shape[0]:
                raise UsageError(f"{count} numbers in a column, {at.shape[0]} in place: give one "
                                 "of each a tick")
        found = np.empty(1, CHAIN_DTYPE)
        raw = found.view(np.uint8)
        row = <ChainRow *>&raw[0]
        with nogil:
            self.read(row)
            for i in range(at.shape[0]):
                self.chain.tick(at[i], side[i] != 0, paid[i], held[i], traded[i], when[i])
                self.read(row)
        return found
