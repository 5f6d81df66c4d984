"""Whole chains: columns in, columns out, in blocks, by the widest form the processor has.

A block goes through the branchless code of native/df_lane.h; the options it declines (no time, deep
wings, no time value, refused input) are done one by one by black.pxd. The choice is made by the
option alone, so an option has the same bits alone, in any chain and on any machine.

Who may call what:   any thread. Nothing is allocated; 30 KB of stack.
"""

from dhanfast._core.options.black cimport Greeks

cdef enum:
    BLOCK = 128
    # value (price or volatility), forward or spot, strike, years, rate, sign, dividend yield
    COLUMNS = 7
    GREEKS = 9              # in the order of black.Greeks

cdef struct Columns:
    const double *at[COLUMNS]
    Py_ssize_t step[COLUMNS]    # 0 for one value for all, 1 for an array
    const double *seed          # volatility to start from, or NULL
    double own[COLUMNS]         # where a single value may be kept; `at` points to it
    bint spot                   # the second column is the stock's price, not the forward


# Width of the widest form: 8, 4 or 2.
cdef int lanes_widest() noexcept nogil

# `lanes` is a width; 0 does everything by black.pxd. `status` may be NULL.
cdef void implied_many(int lanes, size_t n, const Columns *columns, double *volatility,
                       signed char *status) noexcept nogil

# All greeks; with all = 0 only out[0], the price, with all = 2 those up to out[3], vega.
cdef void greeks_many(int lanes, size_t n, const Columns *columns, int all, double **out,
                      signed char *status) noexcept nogil

# One option, the same bits as in a chain.
cdef double one_volatility(double price, double forward, double strike, double years,
                           double rate, double sign) noexcept nogil

cdef double one_price(double volatility, double forward, double strike, double years,
                      double rate, double sign) noexcept nogil

# The OptionStatus. With `spot` the greeks are by the stock's price; `forward` is given either way.
cdef int one_greeks(double volatility, double forward, double strike, double years, double rate,
                    double sign, double dividend, bint spot, Greeks *found) noexcept nogil
