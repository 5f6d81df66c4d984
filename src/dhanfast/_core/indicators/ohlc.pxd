"""The door of the bar indicators: what is refused, and how arrays come in.

Owner thread: any; nothing here keeps state. Memory: `bar_is_sound` and `first_unsound` allocate
nothing; the others run once per call from Python, never per bar.

What is refused everywhere: a price that is NaN or infinite, and a high below its low. A close
outside low..high is accepted: exchanges publish such bars (the official close of an illiquid
future), and judging a data set is the importer's job. Negative prices are accepted except where
a formula takes a logarithm: spreads and baskets have indicators too.
"""

from libc.math cimport fabs
from libc.stdint cimport int64_t, uint8_t

cdef enum:
    PERIOD_MAX = 100_000       # longest window in bars: more than a year of minutes


cdef inline bint is_finite(double x) noexcept nogil:
    return fabs(x) <= 1.7976931348623157e308


cdef inline bint bar_is_sound(double high, double low, double close) noexcept nogil:
    # One subtraction sees NaN, infinity and high < low alike.
    cdef double span = high - low
    return (span >= 0.0) & is_finite(span) & is_finite(close)


# Each raises and never returns: called when a sample is already known to be bad.
cdef int refuse_bar(double high, double low, double close, Py_ssize_t at) except -1
cdef int refuse_sample(str name, double value, Py_ssize_t at, bint must_be_positive) except -1

# Whole arrays before the first step, so that a refusal leaves the state as it was.
cdef int check_bars(const double *high, const double *low, const double *close, size_t n) except -1
cdef int check_ranges(const double *high, const double *low, size_t n) except -1
cdef int check_samples(str name, const double *values, size_t n) except -1
cdef int check_volumes(const double *volume, size_t n) except -1
cdef int check_positive(str name, const double *values, size_t n) except -1
cdef int check_length(str name, Py_ssize_t length, Py_ssize_t expected) except -1

# Parameters of constructors: the checked value, or UsageError naming the field.
cdef int whole(str name, object value, int least, int most) except? -1
cdef double positive(str name, object value) except? -1.0
cdef double not_negative(str name, object value) except? -1.0

# Arguments of the batch functions as C-contiguous one-dimensional arrays.
cdef object series(str name, object values)        # float64[n]
cdef object flags(str name, object values)         # uint8[n] of 0 and 1
cdef double *scratch_new(size_t doubles) except? NULL
