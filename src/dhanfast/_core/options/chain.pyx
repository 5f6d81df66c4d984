"""Chains of options, block by block. See chain.pxd and black.pxd."""

from libc.stdint cimport int64_t

from dhanfast._core.options.black cimport (
    Greeks, OptionStatus, black_greeks, black_price, black_volatility, greeks_to_spot)
from dhanfast._core.options.normalised cimport df_exp

cdef extern from "df_options.h" nogil:
    int df_lanes_widest() noexcept
    void df_implied(int lanes, size_t n, const double *price, const double *forward,
                    const double *strike, const double *years, const double *rate,
                    const double *sign, const double *seed, double *volatility,
                    int64_t *ok) noexcept
    void df_greeks(int lanes, size_t n, const double *volatility, const double *forward,
                   const double *strike, const double *years, const double *rate,
                   const double *sign, int all, double *const *out, int64_t *ok) noexcept

cdef int _widest = df_lanes_widest()


cdef int lanes_widest() noexcept nogil:
    return _widest


# ---- blocks -----------------------------------------------------------------------------------


cdef struct Block:
    double value[BLOCK]
    double forward[BLOCK]
    double strike[BLOCK]
    double years[BLOCK]
    double rate[BLOCK]
    double sign[BLOCK]
    double seed[BLOCK]
    int64_t ok[BLOCK]


cdef inline void _copy(const Columns *columns, int which, size_t start, size_t count,
                       double *to) noexcept nogil:
    cdef const double *at = columns.at[which]
    cdef size_t i
    if columns.step[which] == 0:
        for i in range(<size_t>BLOCK):
            to[i] = at[0]
        return
    at = at + start
    for i in range(count):
        to[i] = at[i]
    for i in range(count, (count + 7) & ~<size_t>7):     # whole groups: the last option again
        to[i] = at[count - 1]


cdef size_t _fill(const Columns *columns, size_t start, size_t n, Block *block) noexcept nogil:
    cdef size_t count = n - start if n - start < BLOCK else BLOCK
    cdef size_t i
    cdef double dividend
    _copy(columns, 0, start, count, block.value)
    _copy(columns, 1, start, count, block.forward)
    _copy(columns, 2, start, count, block.strike)
    _copy(columns, 3, start, count, block.years)
    _copy(columns, 4, start, count, block.rate)
    _copy(columns, 5, start, count, block.sign)
    if columns.spot:
        for i in range((count + 7) & ~<size_t>7):
            dividend = columns.at[6][(start + (i if i < count else count - 1)) * columns.step[6]]
            block.forward[i] *= df_exp((block.rate[i] - dividend) * block.years[i])
    return count


cdef inline size_t _padded(size_t count) noexcept nogil:
    return (count + 7) & ~<size_t>7


cdef void implied_many(int lanes, size_t n, const Columns *columns, double *volatility,
                       signed char *status) noexcept nogil:
    cdef Block block
    cdef double found[BLOCK]
    cdef size_t start, count, i
    cdef int code
    cdef const double *seed = NULL
    start = 0
    while start < n:
        count = _fill(columns, start, n, &block)
        if columns.seed != NULL:
            for i in range(_padded(count)):
                block.seed[i] = columns.seed[start + (i if i < count else count - 1)]
            seed = block.seed
        if lanes > 0:
            df_implied(lanes, _padded(count), block.value, block.forward, block.strike,
                       block.years, block.rate, block.sign, seed, found, block.ok)
        for i in range(count):
            code = OptionStatus.PRICED
            if lanes == 0 or not block.ok[i]:
                found[i] = black_volatility(block.value[i], block.forward[i], block.strike[i],
                                            block.years[i], block.rate[i], block.sign[i], &code)
            volatility[start + i] = found[i]
            if status != NULL:
                status[start + i] = <signed char>code
        start += count


cdef void _one_by_one(const Columns *columns, const Block *block, size_t i, bint all,
                      double **out, size_t to, signed char *status) noexcept nogil:
    cdef Greeks found
    cdef double price
    if not all:
        price = black_price(block.value[i], block.forward[i], block.strike[i], block.years[i],
                            block.rate[i], block.sign[i])
        out[0][to] = price
        if status != NULL:
            status[to] = OptionStatus.PRICED if price == price else OptionStatus.BAD_INPUT
        return
    cdef int code = black_greeks(block.value[i], block.forward[i], block.strike[i],
                                 block.years[i], block.rate[i], block.sign[i], &found)
    out[0][to], out[1][to], out[2][to] = found.price, found.delta, found.gamma
    out[3][to], out[4][to], out[5][to] = found.vega, found.theta, found.rho
    out[6][to], out[7][to], out[8][to] = found.vanna, found.volga, found.charm
    if status != NULL:
        status[to] = <signed char>code


cdef void _spot_one(const Columns *columns, const Block *block, size_t i, double **out,
                    size_t to) noexcept nogil:
    cdef Greeks one
    one.delta, one.gamma, one.theta = out[1][to], out[2][to], out[4][to]
    one.rho, one.vanna, one.charm = out[5][to], out[6][to], out[8][to]
    greeks_to_spot(block.forward[i], block.years[i], block.rate[i],
                   columns.at[6][to * columns.step[6]], &one)
    out[1][to], out[2][to], out[4][to] = one.delta, one.gamma, one.theta
    out[5][to], out[6][to], out[8][to] = one.rho, one.vanna, one.charm


cdef void greeks_many(int lanes, size_t n, const Columns *columns, int all, double **out,
                      signed char *status) noexcept nogil:
    cdef Block block
    cdef double tail[GREEKS][BLOCK]
    cdef double *to[GREEKS]
    cdef size_t start, count, i
    cdef int g
    cdef int wanted = 1 if all == 0 else 4 if all == 2 else GREEKS
    start = 0
    while start < n:
        count = _fill(columns, start, n, &block)
        for g in range(wanted):                      # a block that is not full ends elsewhere
            to[g] = out[g] + start if _padded(count) == count else tail[g]
        if lanes > 0:
            df_greeks(lanes, _padded(count), block.value, block.forward, block.strike,
                      block.years, block.rate, block.sign, all, to, block.ok)
            if _padded(count) != count:
                for g in range(wanted):
                    for i in range(count):
                        out[g][start + i] = tail[g][i]
        for i in range(count):
            if lanes == 0 or not block.ok[i]:
                _one_by_one(columns, &block, i, all, out, start + i, status)
            elif status != NULL:
                status[start + i] = OptionStatus.PRICED
        if columns.spot and all:
            for i in range(count):
                _spot_one(columns, &block, i, out, start + i)
        start += count


# ---- one option -------------------------------------------------------------------------------


cdef double one_volatility(double price, double forward, double strike, double years,
                           double rate, double sign) noexcept nogil:
    cdef double found
    cdef int64_t ok
    cdef int code
    df_implied(1, 1, &price, &forward, &strike, &years, &rate, &sign, NULL, &found, &ok)
    if ok:
        return found
    return black_volatility(price, forward, strike, years, rate, sign, &code)


cdef double one_price(double volatility, double forward, double strike, double years,
                      double rate, double sign) noexcept nogil:
    cdef double found
    cdef double *out = &found
    cdef int64_t ok
    df_greeks(1, 1, &volatility, &forward, &strike, &years, &rate, &sign, 0, &out, &ok)
    if ok:
        return found
    return black_price(volatility, forward, strike, years, rate, sign)


cdef int one_greeks(double volatility, double forward, double strike, double years, double rate,
                    double sign, double dividend, bint spot, Greeks *found) noexcept nogil:
    cdef double *out[GREEKS]
    cdef int64_t ok
    cdef int g
    cdef int code = OptionStatus.PRICED
    for g in range(GREEKS):
        out[g] = &found.price + g
    df_greeks(1, 1, &volatility, &forward, &strike, &years, &rate, &sign, 1, out, &ok)
    if not ok:
        code = black_greeks(volatility, forward, strike, years, rate, sign, found)
    if spot:
        greeks_to_spot(forward, years, rate, dividend, found)
    return code
