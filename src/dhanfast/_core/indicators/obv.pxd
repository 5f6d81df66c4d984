"""On-balance volume.

Who may call what:   one owner thread for each state.
Memory:              none beyond the struct (`obv_scratch` is 0).
"""

from libc.math cimport NAN

cdef struct ObvState:
    double value       # exact while volumes are whole and the total stays below 2**53; NaN at first
    double last        # the close before; NaN before the first


cdef inline size_t obv_scratch() noexcept nogil:
    return 0


cdef inline void obv_init(ObvState *s, double *scratch) noexcept nogil:
    s.value = NAN
    s.last = NAN


# The first value is the first volume, as TA-Lib. The direction is a number, not a branch: it is
# as good as random. A product with -1, 0 or 1 is exact.
cdef inline double obv_step(ObvState *s, double close, double volume) noexcept nogil:
    cdef double direction = <double>(<int>(close > s.last) - <int>(close < s.last))
    if s.value != s.value:
        s.value = volume
    else:
        s.value += direction * volume
    s.last = close
    return s.value


# out may be `close` or `volume` itself.
cdef void obv_block(
    ObvState *s, const double *close, const double *volume, double *out, size_t n
) noexcept nogil


cdef class Obv:
    cdef ObvState _state
    cpdef double update(self, double close, double volume) except? -1.0
    cpdef void reset(self) noexcept
