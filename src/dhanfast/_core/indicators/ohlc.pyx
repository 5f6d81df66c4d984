"""Refusals and array conversion shared by the indicators that read bars."""

from dhanfast._core.indicators.series cimport series_out

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


cdef object _series(str name, object values):
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{name} cannot be read as numbers: {cause}") from None
    if np.ndim(values) != 1:
        raise UsageError(f"{name} has {np.ndim(values)} dimensions: must have one")
    return array


cdef int _same_length(str name, Py_ssize_t length, Py_ssize_t expected) except -1:
    if length != expected:
        raise UsageError(
            f"{name} has {length} elements, the first array has {expected}: "
            "all arrays must have the same length")
    return 0


cdef tuple bars_in(object high, object low, object close):
    cdef Py_ssize_t n, i
    cdef const double *highs
    cdef const double *lows
    cdef const double *closes
    bars = (_series("high", high), _series("low", low), _series("close", close))
    n = len(bars[0])
    _same_length("low", len(bars[1]), n)
    _same_length("close", len(bars[2]), n)
    highs, lows, closes = data_in(bars[0]), data_in(bars[1]), data_in(bars[2])
    if df_unsound(highs, lows, closes, n):
        for i in range(n):
            if not bar_is_sound(highs[i], lows[i], closes[i]):
                refuse_bar(highs[i], lows[i], closes[i], i)
    return bars


cdef tuple ranges_in(object high, object low):
    return bars_in(high, low, low)[:2]


cdef object samples_in(str name, object values, bint must_be_positive):
    array = _series(name, values)
    cdef const double *samples = data_in(array)
    cdef Py_ssize_t i, n = len(array)
    if must_be_positive or df_unsound(samples, samples, samples, n):
        for i in range(n):
            if not is_finite(samples[i]) or (must_be_positive and samples[i] <= 0.0):
                refuse_sample(name, samples[i], i, must_be_positive)
    return array


cdef object volumes_in(object volume, Py_ssize_t length):
    array = _series("volume", volume)
    _same_length("volume", len(array), length)
    cdef const double *volumes = data_in(array)
    cdef Py_ssize_t i
    for i in range(length):
        if not (is_finite(volumes[i]) and volumes[i] >= 0.0):
            refuse_sample("volume", volumes[i], i, False)
    return array


cdef object flags_in(str name, object values, Py_ssize_t length):
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(f"{name} has {array.ndim} dimensions: must have one")
    if array.size and array.dtype.kind not in "bui":
        raise UsageError(f"{name} has dtype {array.dtype}: must be bool (or integer 0 and 1)")
    _same_length(name, len(array), length)
    return np.ascontiguousarray(array, dtype=np.bool_).view(np.uint8)


cdef object times_in(str name, object values, Py_ssize_t length):
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(f"{name} has {array.ndim} dimensions: must have one")
    if array.size and array.dtype.kind not in "iu":
        raise UsageError(f"{name} has dtype {array.dtype}: must be int64, nanoseconds")
    _same_length(name, len(array), length)
    return np.ascontiguousarray(array, dtype=np.int64)


cdef tuple outputs(tuple names, tuple given, Py_ssize_t n):
    rows = iter(np.empty((sum(out is None for out in given), n), dtype=np.float64))
    return tuple([
        next(rows) if out is None else series_out(name, out, n)
        for name, out in zip(names, given)])


cdef const double *data_in(object array) except? NULL:
    cdef const double[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef double *data_out(object array) except? NULL:
    cdef double[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef const unsigned char *flags_data(object array) except? NULL:
    cdef const unsigned char[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef const int64_t *times_data(object array) except? NULL:
    cdef const int64_t[::1] view = array
    return &view[0] if view.shape[0] else NULL


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
