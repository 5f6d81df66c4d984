"""The Python door of every indicator: arguments in, clear refusals out. Nothing here is hot.

Who may call what:   any thread that holds the GIL.
Memory:              `scratch_new` is the only allocation; its owner frees it with `free`.
"""

from libc.stdint cimport int64_t

# Longest window any indicator accepts, in samples.
cdef enum:
    PERIOD_MAX = 100_000

# A whole number in low..PERIOD_MAX, or UsageError naming `field`.
cdef int64_t period_in(str field, object value, int64_t low) except -1
# A C-contiguous, finite float64[n], copied only when it must be; else BadData naming the index.
cdef object series_in(str field, object values)
# `out` itself if it is a writable C-contiguous float64[length]; a new array for None.
cdef object series_out(str field, object out, Py_ssize_t length)
# Raises unless all inputs are equally long; returns that length.
cdef Py_ssize_t series_same(tuple fields, tuple arrays) except -1
# Raises if an output shares part of its memory with an input or with another output. The very same
# array as one input is allowed: each sample is read before its place is written.
cdef int series_apart(tuple ins, tuple outs) except -1
# Uninitialised room for `count` doubles (NULL for 0), or MemoryError.
cdef double *scratch_new(size_t count) except? NULL
# Raises BadData: the sample is NaN or infinite.
cdef int refuse_sample(str field, double sample) except -1


# True for NaN and both infinities: the only values whose difference with themselves is not zero.
cdef inline bint is_wild(double sample) noexcept nogil:
    return sample - sample != 0.0
