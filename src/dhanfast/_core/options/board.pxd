"""A chain as columns, one row a strike, strikes ascending: which strike, and what the whole says.

Units:               strikes, premiums and levels in one unit of money; open interest in units or in
                     lots, alike in calls and puts. 0 or NaN is no premium.
Errors:              -1 where no strike fits, NaN where there is no number; never an exception.
Who may call what:   any thread; nothing is allocated.
"""

from libc.math cimport NAN, fabs

cpdef enum PremiumRule:
    """Which premium fits a wanted one."""

    NEAREST = 0
    AT_LEAST = 1            # the smallest premium that is not below
    AT_MOST = 2             # the largest premium that is not above


# The strike nearest to a level; of two as near, the lower.
cdef inline Py_ssize_t strike_near(Py_ssize_t n, const double *strike,
                                   double level) noexcept nogil:
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = n
    cdef Py_ssize_t middle
    if n == 0 or level != level:
        return -1
    while low < high:                                # the first strike at or above the level
        middle = (low + high) >> 1
        if strike[middle] < level:
            low = middle + 1
        else:
            high = middle
    if low == n or (low > 0 and level - strike[low - 1] <= strike[low] - level):
        return low - 1
    return low


# The same, but nowhere when the level lies so far beyond the first or last strike that the next,
# were it listed, would be nearer. One strike alone has no step: it is the nearest of any level.
cdef inline Py_ssize_t strike_within(Py_ssize_t n, const double *strike,
                                     double level) noexcept nogil:
    if n > 1 and (strike[0] - level > 0.5 * (strike[1] - strike[0])
                  or level - strike[n - 1] > 0.5 * (strike[n - 1] - strike[n - 2])):
        return -1
    return strike_near(n, strike, level)


# Nearest to a delta by size, the sign of the target given or not; of two as near, the first.
cdef inline Py_ssize_t strike_of_delta(Py_ssize_t n, const double *delta,
                                       double target) noexcept nogil:
    cdef Py_ssize_t best = -1
    cdef Py_ssize_t i
    cdef double off
    cdef double nearest = 1e300
    for i in range(n):
        off = fabs(fabs(delta[i]) - fabs(target))
        if off < nearest:                            # false for NaN
            best, nearest = i, off
    return best


cdef inline Py_ssize_t strike_of_premium(Py_ssize_t n, const double *price, double target,
                                         PremiumRule rule) noexcept nogil:
    cdef Py_ssize_t best = -1
    cdef Py_ssize_t i
    cdef double off
    cdef double nearest = 1e300
    for i in range(n):
        off = price[i] - target
        if not price[i] > 0.0 or (rule == PremiumRule.AT_LEAST and off < 0.0) or (
                rule == PremiumRule.AT_MOST and off > 0.0):
            continue
        if fabs(off) < nearest:
            best, nearest = i, fabs(off)
    return best


# Call and put at the strike nearest to the level; NaN when one has no premium.
cdef inline double straddle_price(Py_ssize_t n, const double *strike, const double *call,
                                  const double *put, double level) noexcept nogil:
    cdef Py_ssize_t at = strike_near(n, strike, level)
    if at < 0 or not (call[at] > 0.0 and put[at] > 0.0):
        return NAN
    return call[at] + put[at]


# The listed strike at which the writers of all options pay least; of equals, the lowest. NaN when
# there is no open interest. One pass: the pay-out is convex, its slope rises strike by strike.
cdef inline double pain_least(Py_ssize_t n, const double *strike, const double *call_oi,
                              const double *put_oi) noexcept nogil:
    cdef double above = 0.0                          # puts at strikes above the one looked at
    cdef double below = 0.0                          # calls at or below it
    cdef double all_calls = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        above += put_oi[i]
        all_calls += call_oi[i]
    if not above + all_calls > 0.0:
        return NAN
    for i in range(n):
        above -= put_oi[i]
        below += call_oi[i]
        if below >= above:                           # moving further up costs, or gains nothing
            return strike[i]
    return strike[n - 1]


cdef inline double ratio_of_sums(Py_ssize_t n, const double *put,
                                 const double *call) noexcept nogil:
    cdef double puts = 0.0
    cdef double calls = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        puts += put[i]
        calls += call[i]
    return puts / calls if calls > 0.0 else NAN
