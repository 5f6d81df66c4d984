"""The door of the bar indicators: what is refused, and how arrays come in.

Owner thread: any; nothing here keeps state. Memory: `bar_is_sound` and `first_unsound` allocate
nothing; the others run once per call from Python, never per bar.

What is refused everywhere: a price that is NaN or infinite, and a high below its low. A close
outside low..high is accepted: exchanges publish such bars (the official close of an illiquid
future), and judging a data set is the importer's job. Negative prices are accepted except where
a formula takes a logarithm: spreads and baskets have indicators too.
"""

from libc.math cimport fabs
from libc.stdint cimport int64_t

cdef inline bint is_finite(double x) noexcept nogil:
    return fabs(x) <= 1.7976931348623157e308


cdef inline bint bar_is_sound(double high, double low, double close) noexcept nogil:
    # One subtraction sees NaN, infinity and high < low alike.
    cdef double span = high - low
    return (span >= 0.0) & is_finite(span) & is_finite(close)


# Each raises and never returns: called when a sample is already known to be bad.
cdef int refuse_bar(double high, double low, double close, Py_ssize_t at) except -1
cdef int refuse_sample(str name, double value, Py_ssize_t at, bint must_be_positive) except -1

# Whole arrays, checked before the first step, so that a refusal leaves the state as it was.
# Each returns C-contiguous arrays of one dimension, copied only when they must be.
cdef tuple bars_in(object high, object low, object close)           # three float64[n]
cdef tuple ranges_in(object high, object low)                       # two float64[n]
cdef object samples_in(str name, object values, bint must_be_positive)
cdef object volumes_in(object volume, Py_ssize_t length)            # finite, zero or more
cdef object flags_in(str name, object values, Py_ssize_t length)    # uint8[n] of 0 and 1
cdef object times_in(str name, object values, Py_ssize_t length)    # int64[n]
# One float64[n] for each name: those given, checked, and new ones for None. New ones are rows of
# one allocation: three separate ones of a year of minutes would go back to the system and fault
# in again at every call, which costs more than the arithmetic.
cdef tuple outputs(tuple names, tuple given, Py_ssize_t n)
# First element; NULL for an empty array. The array must outlive the pointer.
cdef const double *data_in(object array) except? NULL
cdef double *data_out(object array) except? NULL
cdef const unsigned char *flags_data(object array) except? NULL
cdef const int64_t *times_data(object array) except? NULL

# Parameters of constructors: the checked value, or UsageError naming the field.
cdef double positive(str name, object value) except? -1.0
cdef double not_negative(str name, object value) except? -1.0
