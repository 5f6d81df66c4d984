# cython: binding=False, always_allow_keywords=False
"""Moving average convergence and divergence: O(1) an update, no memory."""

cimport cython

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    series_apart,
    series_in,
    series_out,
)

from dhanfast.errors import UsageError


cdef void macd_block(
    MacdState *s, const double *samples, double *line, double *signal, double *hist, size_t n
) noexcept nogil:
    # A local copy: the outputs may not alias it, so the compiler keeps it in registers.
    cdef MacdState local = s[0]
    cdef size_t i
    for i in range(n):
        line[i] = macd_step(&local, samples[i])
        signal[i] = local.signal
        hist[i] = local.hist
    s[0] = local


@cython.final
cdef class Macd:
    """Moving average convergence and divergence.

        line = ema(fast) - ema(slow),   signal = ema(line),   hist = line - signal

        Both averages are seeded so that they start at the same sample, as TA-Lib: the slow one with
        the mean of the first `slow` samples, the fast one with the last `fast` of those. The signal
        is seeded with the mean of the first `signal` lines. All three values are NaN until then.

    Args:
        fast: samples of the fast average, 1..100_000, less than `slow`.
        slow: samples of the slow average.
        signal: samples of the signal average.

    Units:
        values are in the unit of the samples.

    Shape:
        `update`: scalar in, the line out; `signal` and `hist` are properties.
        `update_many`: float64[n] in, three of them out.

    Raises:
        UsageError: a period out of range; fast not below slow; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Appel, G. (2005), "Technical Analysis: Power Tools for Active Investors"; TA-Lib `TA_MACD`.
    """

    def __cinit__(self, object fast=12, object slow=26, object signal=9):
        self._fast = period_in("fast", fast, 1)
        self._slow = period_in("slow", slow, 1)
        self._signal_period = period_in("signal", signal, 1)
        if self._fast >= self._slow:
            raise UsageError(f"fast must be below slow, got fast={fast} and slow={slow}")
        self.reset()

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        macd_init(&self._state, self._fast, self._slow, self._signal_period, NULL)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the line (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return macd_step(&self._state, sample)

    def update_many(self, object values, object line=None, object signal=None, object hist=None):
        """Take float64[n] samples; return (line, signal, hist), each made when None.

        Raises:
            BadData: a sample is NaN or infinite; nothing was taken.
            UsageError: an output does not fit.
        """
        source = series_in("values", values)
        lines = series_out("line", line, len(source))
        signals = series_out("signal", signal, len(source))
        hists = series_out("hist", hist, len(source))
        series_apart((source,), (lines, signals, hists))
        cdef const double[::1] samples = source
        cdef double[::1] line_places = lines
        cdef double[::1] signal_places = signals
        cdef double[::1] hist_places = hists
        cdef size_t count = samples.shape[0]
        if count:
            with nogil:
                macd_block(
                    &self._state, &samples[0], &line_places[0], &signal_places[0],
                    &hist_places[0], count,
                )
        return lines, signals, hists

    @property
    def fast(self):
        """Samples of the fast average, as given."""
        return self._fast

    @property
    def slow(self):
        """Samples of the slow average, as given."""
        return self._slow

    @property
    def signal_period(self):
        """Samples of the signal average, as given."""
        return self._signal_period

    @property
    def value(self):
        """The newest line; NaN until `ready`."""
        return self._state.line

    @property
    def signal(self):
        """The newest signal; NaN until `ready`."""
        return self._state.signal

    @property
    def hist(self):
        """The newest line less signal; NaN until `ready`."""
        return self._state.hist

    @property
    def ready(self):
        """True once all three averages have their seeds."""
        return self._state.trail.seed_left == 0


def macd(object values, object fast=12, object slow=26, object signal=9):
    """Moving average convergence and divergence of a whole series.

    Args:
        values: finite samples, float64[n].
        fast: samples of the fast average, 1..100_000, less than `slow`.
        slow: samples of the slow average.
        signal: samples of the signal average.

    Shape:
        (line, signal, hist), each float64[n]; NaN at 0..slow+signal-3.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: a period is not allowed.
    """
    return Macd(fast, slow, signal).update_many(values)
