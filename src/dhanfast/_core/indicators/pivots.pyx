# cython: binding=False, always_allow_keywords=False
"""Pivot levels from the previous session's high, low and close."""

cimport cython

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    bars_in,
    data_in,
    data_out,
    flags_data,
    flags_in,
    refuse_bar,
)

from typing import NamedTuple

import numpy as np

from dhanfast.errors import UsageError

_KINDS = ("classic", "camarilla")


class PivotLevels(NamedTuple):
    """One float64[n] per level, in the order of the native outputs."""

    pivot: np.ndarray
    r1: np.ndarray
    r2: np.ndarray
    r3: np.ndarray
    r4: np.ndarray
    s1: np.ndarray
    s2: np.ndarray
    s3: np.ndarray
    s4: np.ndarray


cdef void pivots_block(
    PivotsState *state, const double *high, const double *low, const double *close,
    const unsigned char *session_start, double **outs, size_t n
) noexcept nogil:
    cdef size_t i
    cdef int j
    for i in range(n):
        pivots_step(state, high[i], low[i], close[i], session_start[i])
        for j in range(PIVOT_OUTPUTS):
            if outs[j] != NULL:
                outs[j][i] = state.levels[j]


@cython.final
cdef class Pivots:
    """Support and resistance levels of a session from the session before.

        pivot P = (H + L + C) / 3
        classic:    r1 = 2P - L, r2 = P + (H - L), r3 = H + 2(P - L);
                    s1 = 2P - H, s2 = P - (H - L), s3 = L - 2(H - P); r4 and s4 are NaN
        camarilla:  r1..r4 = C + 1.1 (H - L) / 12, 6, 4, 2; s1..s4 = C - the same

    H, L and C are those of the bars between two session starts, so the caller leaves out what
    should not count (pre-open prints). Levels change on the first bar of a session only and are
    NaN until one whole session has passed; bars before the first start are ignored.

    Args:
        kind: "classic" or "camarilla".
    Units:
        In the unit of the prices.
    Shape:
        `update`: three scalars and a flag in, the pivot out.
        `update_many`: float64[n] prices and bool[n] flags in, nine float64[n] out.
    Raises:
        UsageError (a ValueError): kind is unknown; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Floor pivots: Person, J. (2004), A Complete Guide to Technical Trading Tactics.
        Camarilla: Stott, N. (1989), as practitioners quote it.
    """

    def __cinit__(self, kind="classic"):
        if kind not in _KINDS:
            raise UsageError(f"kind is {kind!r}: must be one of {', '.join(_KINDS)}")
        pivots_init(&self._state, _KINDS.index(kind), NULL)

    cpdef double update(
        self, double high, double low, double close, bint session_start=False
    ) except? -1.0:
        """Take one closed bar; return the pivot, NaN until one whole session has passed."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return pivots_step(&self._state, high, low, close, session_start)

    def update_many(self, high, low, close, session_start):
        """Take n bars; return `PivotLevels`, nine new float64[n].

        `session_start` is bool[n]. The same bits as n updates. Nothing is taken when anything is
        refused.
        """
        cdef double *outs[PIVOT_OUTPUTS]
        cdef int j
        bars = bars_in(high, low, close)
        cdef Py_ssize_t n = len(bars[0])
        session_start = flags_in("session_start", session_start, n)
        levels = PivotLevels(*np.empty((PIVOT_OUTPUTS, n), dtype=np.float64))
        for j in range(PIVOT_OUTPUTS):
            outs[j] = data_out(levels[j])
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef const unsigned char *starts = flags_data(session_start)
        with nogil:
            pivots_block(&self._state, highs, lows, closes, starts, outs, n)
        return levels

    @property
    def kind(self):
        """Which formulas: "classic" or "camarilla"."""
        return _KINDS[self._state.kind]

    @property
    def value(self):
        """The pivot; NaN until `ready`."""
        return self._state.levels[0]

    @property
    def resistances(self):
        """r1, r2, r3, r4; NaN until `ready`, r4 always for classic pivots."""
        return (self._state.levels[1], self._state.levels[2],
                self._state.levels[3], self._state.levels[4])

    @property
    def supports(self):
        """s1, s2, s3, s4; NaN until `ready`, s4 always for classic pivots."""
        return (self._state.levels[5], self._state.levels[6],
                self._state.levels[7], self._state.levels[8])

    @property
    def ready(self):
        """True from the start of the second session on."""
        return self._state.levels[0] == self._state.levels[0]

    def reset(self):
        """Forget every bar; keep the kind."""
        pivots_init(&self._state, self._state.kind, NULL)


def pivots(high, low, close, session_start, kind="classic"):
    """Levels of each bar's session: `PivotLevels`, nine float64[n]. See `Pivots`.

    Raises:
        UsageError: kind is unknown; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Pivots(kind).update_many(high, low, close, session_start)
