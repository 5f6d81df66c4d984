"""Refusals and array conversion shared by the indicators that read bars."""

from libc.stdlib cimport calloc

import numpy as np

from dhanfast.errors import BadData, UsageError


cdef extern from "df_bars.h" nogil:
    int df_unsound(const double *high, const double *low, const double *close, size_t n)


cdef str _where(Py_ssize_t at):
    return "" if at < 0 else f" at index {at}"


cdef int refuse_bar(double high, double low, double close, Py_ssize_t at) except -1:
    for name, value in (("high", high), ("low", low), ("close", close)):
        if not is_finite(value):
            raise BadData(
                f"{name} is {value!r}{_where(at)}: prices must be finite; drop or repair the bar")
    raise BadData(
        f"high {high!r} and low {low!r}{_where(at)}: high must not be below low; "
        "check the column order")


cdef int refuse_sample(str name, double value, Py_ssize_t at, bint must_be_positive) except -1:
    if not is_finite(value):
        raise BadData(f"{name} is {value!r}{_where(at)}: must be finite; drop or repair the bar")
    rule = "above zero" if must_be_positive else "zero or more"
    raise BadData(f"{name} is {value!r}{_where(at)}: must be {rule}; drop or repair the bar")


cdef int check_bars(
    const double *high, const double *low, const double *close, size_t n
) except -1:
    cdef size_t i
    if df_unsound(high, low, close, n):
        for i in range(n):
            if not bar_is_sound(high[i], low[i], close[i]):
                refuse_bar(high[i], low[i], close[i], <Py_ssize_t>i)
    return 0


cdef int check_ranges(const double *high, const double *low, size_t n) except -1:
    return check_bars(high, low, low, n)


cdef int check_samples(str name, const double *values, size_t n) except -1:
    cdef size_t i
    for i in range(n):
        if not is_finite(values[i]):
            refuse_sample(name, values[i], <Py_ssize_t>i, False)
    return 0


cdef int check_volumes(const double *volume, size_t n) except -1:
    cdef size_t i
    for i in range(n):
        if not (is_finite(volume[i]) and volume[i] >= 0.0):
            refuse_sample("volume", volume[i], <Py_ssize_t>i, False)
    return 0


cdef int check_positive(str name, const double *values, size_t n) except -1:
    cdef size_t i
    for i in range(n):
        if not (is_finite(values[i]) and values[i] > 0.0):
            refuse_sample(name, values[i], <Py_ssize_t>i, True)
    return 0


cdef int check_length(str name, Py_ssize_t length, Py_ssize_t expected) except -1:
    if length != expected:
        raise UsageError(
            f"{name} has {length} elements, the first array has {expected}: "
            "all arrays must have the same length")
    return 0


cdef int whole(str name, object value, int least, int most) except? -1:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name} is {value!r}: must be a whole number, {least}..{most}")
    number = value.__index__()
    if not least <= number <= most:
        raise UsageError(f"{name} is {number}: must be in {least}..{most}")
    return number


cdef double _number(str name, object value) except? -1.0:
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise UsageError(f"{name} is {value!r}: must be a number")
    return float(value)


cdef double positive(str name, object value) except? -1.0:
    cdef double number = _number(name, value)
    if not (number > 0.0 and is_finite(number)):
        raise UsageError(f"{name} is {number!r}: must be a finite number above zero")
    return number


cdef double not_negative(str name, object value) except? -1.0:
    cdef double number = _number(name, value)
    if not (number >= 0.0 and is_finite(number)):
        raise UsageError(f"{name} is {number!r}: must be a finite number, zero or more")
    return number


cdef object series(str name, object values):
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{name} cannot be read as numbers: {cause}") from cause
    if array.ndim != 1:
        raise UsageError(f"{name} has {array.ndim} dimensions: must be one-dimensional")
    return array


cdef object flags(str name, object values):
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(f"{name} has {array.ndim} dimensions: must be one-dimensional")
    if array.size and array.dtype.kind not in "bui":
        raise UsageError(f"{name} has dtype {array.dtype}: must be bool (or integer 0 and 1)")
    return np.ascontiguousarray(array, dtype=np.bool_).view(np.uint8)


cdef double *scratch_new(size_t doubles) except? NULL:
    """Zeroed memory for a window; the caller frees it. One element at least."""
    cdef double *scratch = <double *>calloc(doubles if doubles else 1, sizeof(double))
    if scratch == NULL:
        raise MemoryError(f"no memory for a window of {doubles} doubles")
    return scratch
