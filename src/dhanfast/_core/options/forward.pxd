"""The forward of an expiry from its own options, by put-call parity near the money.

At each strike F = K + e^(rate T) (C - P). The strikes nearest to where call and put agree are the
liquid ones; the weighted median of theirs, the weight one over the pair's spread, is not moved by
one stale quote.

Units:               money of one unit, strikes ascending; 0 or NaN is no quote.
Who may call what:   any thread; nothing is allocated.
"""

cdef enum:
    NEAREST_MAX = 31


# NaN when no strike has both quotes. `spread` is the sum of both options' spreads, or NULL.
cdef double parity_forward(size_t n, const double *strike, const double *call, const double *put,
                           const double *spread, double growth, int nearest) noexcept nogil
