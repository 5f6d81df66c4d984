# cython: binding=False, always_allow_keywords=False
"""On-balance volume: O(1) an update, no memory."""

cimport cython

from dhanfast._core.indicators.series cimport (
    is_wild,
    refuse_sample,
    series_apart,
    series_in,
    series_out,
    series_same,
)


cdef void obv_block(
    ObvState *s, const double *close, const double *volume, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef ObvState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = obv_step(&local, close[i], volume[i])
    s[0] = local


@cython.final
cdef class Obv:
    """On-balance volume: volume added on rises, taken off on falls.

        value += volume * sign(close - last close),   the first value is the first volume

        Exact while volumes are whole numbers and the total stays below 2**53.

    Args:
        none.

    Units:
        value is in the unit of the volumes (shares, never lots).

    Shape:
        `update`: two scalars in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Granville, J. (1963), "New Key to Stock Market Profits"; TA-Lib `TA_OBV`.
    """

    def __cinit__(self):
        self.reset()

    cpdef void reset(self) noexcept:
        """Forget every bar."""
        obv_init(&self._state, NULL)

    cpdef double update(self, double close, double volume) except? -1.0:
        """Take one bar; return the on-balance volume.

        Raises:
            BadData: close or volume is NaN or infinite.
        """
        if is_wild(close):
            refuse_sample("close", close)
        if is_wild(volume):
            refuse_sample("volume", volume)
        return obv_step(&self._state, close, volume)

    def update_many(self, object close, object volume, object out=None):
        """Take float64[n] closes and volumes; return `out` (made when None), the value after each.

        Raises:
            BadData: a sample is NaN or infinite; nothing was taken.
            UsageError: the arrays do not fit.
        """
        prices = series_in("close", close)
        volumes = series_in("volume", volume)
        target = series_out("out", out, series_same(("close", "volume"), (prices, volumes)))
        series_apart((prices, volumes), (target,))
        cdef const double[::1] closes_at = prices
        cdef const double[::1] volumes_at = volumes
        cdef double[::1] places = target
        cdef size_t count = places.shape[0]
        if count:
            with nogil:
                obv_block(&self._state, &closes_at[0], &volumes_at[0], &places[0], count)
        return target

    @property
    def value(self):
        """The newest on-balance volume; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once one bar was taken."""
        return self._state.value == self._state.value


def obv(object close, object volume):
    """On-balance volume of a whole series.

    Args:
        close: finite closes, float64[n].
        volume: finite volumes, float64[n].

    Shape:
        float64[n]; no NaN.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: the arrays are not equally long.
    """
    return Obv().update_many(close, volume)
