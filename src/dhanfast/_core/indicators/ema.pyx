# cython: binding=False, always_allow_keywords=False
"""Exponential moving average: O(1) an update, no memory."""

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


cdef void ema_block(
    EmaState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef EmaState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = ema_step(&local, samples[i])
    s[0] = local


@cython.final
cdef class Ema:
    """Exponential moving average, seeded as TA-Lib does.

        value = alpha * sample + (1 - alpha) * value,   alpha = 2 / (period + 1)

    Args:
        period: samples, 1..100_000.
        seed: "sma" (default): the mean of the first `period` samples, NaN before it, as TA-Lib.
            "first": the first sample, as pandas `ewm(adjust=False)`.

    Units:
        value is in the unit of the samples.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; unknown seed; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Roberts, S.W. (1959), "Control chart tests based on geometric moving averages",
        Technometrics 1(3). Seeding: TA-Lib `TA_EMA`, classic compatibility.
    """

    def __cinit__(self, object period, str seed="sma"):
        self._period = period_in("period", period, 1)
        if seed not in ("sma", "first"):
            raise UsageError(f'seed must be "sma" or "first", got {seed!r}')
        self._seed = seed
        self.reset()

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        if self._seed == "first":
            ema_init_first(&self._state, self._period, NULL)
        else:
            ema_init(&self._state, self._period, NULL)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the average (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return ema_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the average after each.

        Raises:
            BadData: a sample is NaN or infinite; nothing was taken.
            UsageError: `out` does not fit.
        """
        source = series_in("values", values)
        target = series_out("out", out, len(source))
        series_apart((source,), (target,))
        cdef const double[::1] samples = source
        cdef double[::1] places = target
        cdef size_t count = samples.shape[0]
        if count:
            with nogil:
                ema_block(&self._state, &samples[0], &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def seed(self):
        """How the average starts: "sma" or "first"."""
        return self._seed

    @property
    def value(self):
        """The newest average; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once the seed is complete."""
        return self._state.seed_left == 0


def ema(object values, object period=21, str seed="sma"):
    """Exponential moving average of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.
        seed: "sma" (TA-Lib) or "first" (pandas).

    Shape:
        float64[n]; NaN at 0..period-2 for "sma", no NaN for "first".

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period or seed is not allowed.
    """
    return Ema(period, seed).update_many(values)
