# cython: binding=False, always_allow_keywords=False
"""EMA, RSI, MACD, z-score and regression slope of one series in one pass."""

cimport cython
from libc.stdlib cimport free

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    scratch_new,
    series_in,
    series_out,
)

import numpy as np

from dhanfast.errors import UsageError

cdef enum:
    CHUNK = 1024    # samples: their values and themselves fit the first cache

NAMES = ("ema", "rsi", "macd", "signal", "hist", "zscore", "slope")


cdef void bundle_block(
    BundleState *s, const double *samples, double *out, size_t stride, size_t n
) noexcept nogil:
    # Local copies, one for each indicator: `out` may not alias them, and apart they are small
    # enough for the compiler to take them to pieces (one copy of the whole is 2.5 times slower).
    cdef EmaState ema = s.ema
    cdef RsiState rsi = s.rsi
    cdef MacdState macd = s.macd
    cdef ZscoreState zscore = s.zscore
    cdef size_t start = 0
    cdef size_t stop
    cdef size_t i
    while start < n:
        stop = start + CHUNK if n - start > CHUNK else n
        for i in range(start, stop):
            out[BUNDLE_EMA * stride + i] = ema_step(&ema, samples[i])
            out[BUNDLE_RSI * stride + i] = rsi_step(&rsi, samples[i])
            out[BUNDLE_MACD * stride + i] = macd_step(&macd, samples[i])
            out[BUNDLE_SIGNAL * stride + i] = macd.signal
            out[BUNDLE_HIST * stride + i] = macd.hist
            out[BUNDLE_ZSCORE * stride + i] = zscore_step(&zscore, samples[i])
        # The line has more state than there are registers left, and its own block form overlaps
        # its chains already; the samples are still in the nearest cache.
        linreg_block(
            &s.line, samples + start, out + (BUNDLE_SLOPE * stride + start), stop - start
        )
        start = stop
    s.ema = ema
    s.rsi = rsi
    s.macd = macd
    s.zscore = zscore


@cython.final
cdef class Bundle:
    """EMA, RSI, MACD, z-score and regression slope of one series, stepped together.

        Each value is the one that the single indicator gives, bit for bit.

    Args:
        ema: samples of the moving average, 1..100_000.
        rsi: samples of Wilder's averages.
        macd: (fast, slow, signal) samples, fast below slow.
        zscore: samples of the z-score's window.
        slope: samples of the regression line, 2..100_000.

    Units:
        As the single indicators.

    Shape:
        `update`: scalar in, the EMA out, all seven in `values`.
        `update_many`: float64[n] in, float64[7, n] out, rows in the order of `NAMES`.

    Raises:
        UsageError: a period out of range.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        `Ema`, `Rsi`, `Macd`, `Zscore`, `Linreg`.
    """

    def __cinit__(
        self, object ema=21, object rsi=14, object macd=(12, 26, 9), object zscore=20,
        object slope=14
    ):
        try:
            fast, slow, signal = macd
        except (TypeError, ValueError):
            raise UsageError(f"macd must be (fast, slow, signal), got {macd!r}") from None
        self._periods[0] = period_in("ema", ema, 1)
        self._periods[1] = period_in("rsi", rsi, 1)
        self._periods[2] = period_in("macd fast", fast, 1)
        self._periods[3] = period_in("macd slow", slow, 1)
        self._periods[4] = period_in("macd signal", signal, 1)
        self._periods[5] = period_in("zscore", zscore, 1)
        self._periods[6] = period_in("slope", slope, 2)
        if self._periods[2] >= self._periods[3]:
            raise UsageError(f"macd fast must be below slow, got fast={fast} and slow={slow}")
        self._scratch = scratch_new(bundle_scratch(self._periods[5], self._periods[6]))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        bundle_init(
            &self._state, self._periods[0], self._periods[1], self._periods[2], self._periods[3],
            self._periods[4], self._periods[5], self._periods[6], self._scratch,
        )

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the EMA (NaN until it is ready). See `values` for the rest.

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        bundle_step(&self._state, sample)
        return self._state.ema.value

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None), rows in the order of `NAMES`.

        Args:
            values: finite samples, float64[n].
            out: float64[7, n], C-contiguous, apart from `values`.

        Raises:
            BadData: a sample is NaN or infinite; nothing was taken.
            UsageError: `out` does not fit.
        """
        source = series_in("values", values)
        shape = (BUNDLE_WIDTH, len(source))
        if out is not None and (not isinstance(out, np.ndarray) or out.shape != shape):
            raise UsageError(f"out must be a float64 array of shape {shape}")
        flat = None if out is None else out.reshape(-1, copy=False)
        target = series_out("out", flat, shape[0] * shape[1]).reshape(shape)
        if np.may_share_memory(source, target):
            raise UsageError("out overlaps values: pass a separate array")
        cdef const double[::1] samples = source
        cdef double[:, ::1] places = target
        cdef size_t count = samples.shape[0]
        if count:
            with nogil:
                bundle_block(&self._state, &samples[0], &places[0, 0], count, count)
        return target

    @property
    def values(self):
        """The seven newest values by name; each NaN until its indicator is ready."""
        return {
            "ema": self._state.ema.value,
            "rsi": self._state.rsi.value,
            "macd": self._state.macd.line,
            "signal": self._state.macd.signal,
            "hist": self._state.macd.hist,
            "zscore": self._state.zscore.value,
            "slope": self._state.line.slope,
        }

    @property
    def ready(self):
        """True once all five indicators are ready."""
        return (
            self._state.ema.seed_left == 0
            and self._state.rsi.seed_left == 0
            and self._state.macd.trail.seed_left == 0
            and self._state.zscore.value == self._state.zscore.value
            and self._state.line.slope == self._state.line.slope
        )


def bundle(
    object values, object ema=21, object rsi=14, object macd=(12, 26, 9), object zscore=20,
    object slope=14
):
    """EMA, RSI, MACD, z-score and regression slope of a whole series in one pass.

    Args:
        values: finite samples, float64[n].
        ema: samples of the moving average.
        rsi: samples of Wilder's averages.
        macd: (fast, slow, signal) samples.
        zscore: samples of the z-score's window.
        slope: samples of the regression line.

    Shape:
        dict of seven float64[n]: ema, rsi, macd, signal, hist, zscore, slope.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: a period is not allowed.
    """
    rows = Bundle(ema, rsi, macd, zscore, slope).update_many(values)
    return dict(zip(NAMES, rows))
