"""Checks and buffers shared by the Python shells of the indicators."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy

import operator

import numpy as np

from dhanfast.errors import BadData, UsageError


cdef int64_t period_in(str field, object value, int64_t low) except -1:
    cdef int64_t period
    try:
        exact = operator.index(value)
    except TypeError:
        raise UsageError(f"{field} must be a whole number of samples, got {value!r}") from None
    if not low <= exact <= PERIOD_MAX:
        raise UsageError(f"{field} must be {low}..{<int64_t>PERIOD_MAX} samples, got {value!r}")
    period = exact
    return period


cdef Py_ssize_t _first_wild(const double *values, Py_ssize_t count) noexcept nogil:
    """Index of the first NaN or infinity, or -1. Integer arithmetic, so that it vectorises."""
    cdef uint64_t seen = 0
    cdef uint64_t bits
    cdef Py_ssize_t i
    for i in range(count):
        # All exponent bits set is NaN or infinity: adding one exponent unit carries to the top.
        memcpy(&bits, &values[i], sizeof(uint64_t))
        seen |= (bits & 0x7FFFFFFFFFFFFFFFULL) + 0x0010000000000000ULL
    if seen >> 63 == 0:
        return -1
    for i in range(count):
        if is_wild(values[i]):
            return i
    return -1


cdef object series_in(str field, object values):
    cdef const double[::1] view
    cdef Py_ssize_t bad
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise BadData(f"{field} must be a sequence of numbers: {cause}") from None
    if np.ndim(values) != 1:
        raise BadData(f"{field} must have one dimension, got shape {np.shape(values)}")
    view = array
    if view.shape[0] == 0:
        return array
    with nogil:
        bad = _first_wild(&view[0], view.shape[0])
    if bad >= 0:
        raise BadData(
            f"{field}[{bad}] is {view[bad]}: samples must be finite, drop or fill it first"
        )
    return array


cdef object series_out(str field, object out, Py_ssize_t length):
    if out is None:
        return np.empty(length)
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or out.ndim != 1:
        raise UsageError(
            f"{field} must be a float64 array of one dimension, got {type(out).__name__}"
            f" {getattr(out, 'dtype', '')} {getattr(out, 'shape', '')}"
        )
    if out.shape[0] != length:
        raise UsageError(f"{field} has {out.shape[0]} places for {length} samples")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise UsageError(
            f"{field} must be writable and C-contiguous: pass a fresh np.empty({length})"
        )
    return out


cdef Py_ssize_t series_same(tuple fields, tuple arrays) except -1:
    cdef Py_ssize_t length = len(arrays[0])
    for field, array in zip(fields, arrays):
        if len(array) != length:
            raise UsageError(f"{field} has {len(array)} samples but {fields[0]} has {length}")
    return length


cdef int series_apart(tuple ins, tuple outs) except -1:
    cdef Py_ssize_t size
    if len(outs[0]) == 0:
        return 0
    size = outs[0].nbytes
    starts = [array.ctypes.data for array in outs]
    sources = [array.ctypes.data for array in ins]
    for place, start in enumerate(starts):
        for source in sources:
            if start != source and abs(start - source) < size:
                raise UsageError("an output overlaps part of an input: pass a fresh array")
        for other in starts[:place]:
            if abs(start - other) < size:
                raise UsageError("two outputs share memory: pass separate arrays")
    return 0


cdef double *scratch_new(size_t count) except? NULL:
    cdef double *room
    if count == 0:
        return NULL
    room = <double *>malloc(count * sizeof(double))
    if room == NULL:
        raise MemoryError(f"no room for {count} doubles of indicator scratch")
    return room


cdef int refuse_sample(str field, double sample) except -1:
    raise BadData(f"{field} is {sample}: samples must be finite, the indicator is unchanged")
