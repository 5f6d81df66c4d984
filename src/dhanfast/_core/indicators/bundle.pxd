"""Five indicators of one price series, stepped together.

Each is a chain in which every value waits for the one before; side by side the processor works on
all chains at once, so five cost little more than the slowest.

Who may call what:   one owner thread for each state.
Memory:              the caller's scratch, none after `bundle_init`.
Cost:                O(1) amortised.
"""

from libc.stdint cimport int64_t

from dhanfast._core.indicators.ema cimport EmaState, ema_init, ema_step
from dhanfast._core.indicators.linreg cimport (
    LinregState,
    linreg_block,
    linreg_init,
    linreg_scratch,
    linreg_step,
)
from dhanfast._core.indicators.macd cimport MacdState, macd_init, macd_step
from dhanfast._core.indicators.rolling cimport (
    ZscoreState,
    zscore_init,
    zscore_scratch,
    zscore_step,
)
from dhanfast._core.indicators.rsi cimport RsiState, rsi_init, rsi_step

# Where each value stands in a row of values.
cdef enum:
    BUNDLE_EMA = 0
    BUNDLE_RSI = 1
    BUNDLE_MACD = 2
    BUNDLE_SIGNAL = 3
    BUNDLE_HIST = 4
    BUNDLE_ZSCORE = 5
    BUNDLE_SLOPE = 6
    BUNDLE_WIDTH = 7

cdef struct BundleState:
    EmaState ema
    RsiState rsi
    MacdState macd
    ZscoreState zscore
    LinregState line


cdef inline size_t bundle_scratch(int64_t zscore, int64_t slope) noexcept nogil:
    return zscore_scratch(zscore) + linreg_scratch(slope)


cdef inline void bundle_init(
    BundleState *s, int64_t ema, int64_t rsi, int64_t fast, int64_t slow, int64_t signal,
    int64_t zscore, int64_t slope, double *scratch
) noexcept nogil:
    ema_init(&s.ema, ema, NULL)
    rsi_init(&s.rsi, rsi, NULL)
    macd_init(&s.macd, fast, slow, signal, NULL)
    zscore_init(&s.zscore, zscore, 0, scratch)
    linreg_init(&s.line, slope, scratch + zscore_scratch(zscore))


# The values are left in the states. The sample must be finite.
cdef inline void bundle_step(BundleState *s, double sample) noexcept nogil:
    ema_step(&s.ema, sample)
    rsi_step(&s.rsi, sample)
    macd_step(&s.macd, sample)
    zscore_step(&s.zscore, sample)
    linreg_step(&s.line, sample)


# out: BUNDLE_WIDTH rows, `stride` doubles apart, each with room for n.
cdef void bundle_block(
    BundleState *s, const double *samples, double *out, size_t stride, size_t n
) noexcept nogil


cdef class Bundle:
    cdef BundleState _state
    cdef double *_scratch
    cdef int64_t _periods[7]
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
