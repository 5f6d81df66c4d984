"""Black-76 premiums of the seeded market, by operations that give the same bits on any machine.

For generated prices only: the greeks of live trading use libm. The normal distribution is a table
of 64 knots a unit, carried between knots by a Taylor series; error below 1e-12.

Who may call what:   any thread; the table is written once, at import.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    NORMAL_KNOTS = 513           # 0, 1/64, ..., 8; beyond 8 the distribution is 0 or 1


# Pairs (distribution, density) at each knot, 2 * NORMAL_KNOTS doubles.
cdef const double *normal_table() noexcept nogil


cdef inline double normal_below(const double *table, double x) noexcept nogil:
    cdef double size = x if x >= 0.0 else -x
    cdef double at, h, value
    cdef int64_t knot
    if size >= 8.0:
        return 1.0 if x > 0.0 else 0.0
    knot = <int64_t>(size * 64.0 + 0.5)
    at = <double>knot / 64.0
    h = size - at
    value = table[2 * knot] + table[2 * knot + 1] * h * (
        1.0 - h * (at / 2.0 - h * ((at * at - 1.0) / 6.0 - h * (at * at - 3.0) * at / 24.0)))
    return value if x >= 0.0 else 1.0 - value


# ln x of a positive normal number to 1e-15: the exponent, and an odd series of the mantissa.
cdef inline double exact_log(double x) noexcept nogil:
    cdef uint64_t bits = 0
    cdef int64_t power
    cdef double part = 0.0
    cdef double s, q
    memcpy(&bits, &x, 8)
    power = <int64_t>(bits >> 52) - 1023
    bits = (bits & <uint64_t>0x000FFFFFFFFFFFFF) | <uint64_t>0x3FF0000000000000
    memcpy(&part, &bits, 8)
    if part > 1.4142135623730951:
        part = part * 0.5
        power += 1
    s = (part - 1.0) / (part + 1.0)
    q = s * s
    return <double>power * 0.6931471805599453 + 2.0 * s * (
        1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (
            1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q / 17.0))))))))


# Undiscounted call; `log_ratio` = ln(forward / strike), `deviation` = volatility * sqrt(years).
@cython.cdivision(True)
cdef inline double premium_call(const double *table, double forward, double strike,
                                double log_ratio, double deviation) noexcept nogil:
    cdef double first
    if deviation < 1e-7:
        return forward - strike if forward > strike else 0.0
    first = log_ratio / deviation + 0.5 * deviation
    return forward * normal_below(table, first) - strike * normal_below(table, first - deviation)
