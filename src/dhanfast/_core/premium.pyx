"""Black-76 premiums of the seeded market: the table of the normal distribution, and a door.

See premium.pxd for what is promised; market/tickday.py is the user.
"""

cdef double _table[2 * NORMAL_KNOTS]


cdef const double *normal_table() noexcept nogil:
    return &_table[0]


# e^-x for 0 <= x <= 1/8 by its series: the ratio of two neighbouring densities.
cdef double _decay(double x) noexcept nogil:
    cdef double y = 1.0
    cdef int term
    for term in range(12, 0, -1):
        y = 1.0 - x / <double>term * y
    return y


# One step of the distribution from knot to knot, h = 1/64: error of a step below 1e-17.
cdef double _step(double at, double density) noexcept nogil:
    cdef double h = 1.0 / 64.0
    cdef double q = at * at
    cdef double y = (((q - 15.0) * q + 45.0) * q - 15.0) * h / 7.0
    y = (y - ((q - 10.0) * q + 15.0) * at) * h / 6.0
    y = (y + (q - 6.0) * q + 3.0) * h / 5.0
    y = (y - (q - 3.0) * at) * h / 4.0
    y = (y + q - 1.0) * h / 3.0
    y = (y - at) * h / 2.0
    return density * h * (1.0 + y)


cdef void _fill() noexcept nogil:
    cdef double below = 0.5
    cdef double density = 0.3989422804014327       # 1 / sqrt(2 pi)
    cdef int i
    for i in range(NORMAL_KNOTS):
        _table[2 * i] = below
        _table[2 * i + 1] = density
        below = below + _step(<double>i / 64.0, density)
        density = density * _decay(<double>(2 * i + 1) / 8192.0)


_fill()


def normal_cdf(double x):
    """Standard normal distribution function of the seeded market.

    Shape:
        scalar in, scalar out; error below 1e-12. NaN gives NaN.

    Source:
        Taylor series around a table of 64 knots a unit.
    """
    if x != x:
        return x
    return normal_below(normal_table(), x)


def natural_log(double x):
    """Natural logarithm, the same bits on any machine.

    Raises:
        ValueError: x is not a positive normal number.
    """
    if not 2.3e-308 < x < 1.7e308:
        raise ValueError(f"x is {x}; give a positive normal number")
    return exact_log(x)


def generated_premium(double forward, double strike, double deviation, call: bool = True):
    """Undiscounted Black-76 premium as the generated market computes it.

    Args:
        forward: of the option's expiry.
        strike: in the unit of forward.
        deviation: volatility times the square root of the years to expiry.
        call: False for a put, by put-call parity.

    Units:
        the unit of forward and strike.

    Raises:
        ValueError: forward or strike not a positive number, or a negative deviation.

    Source:
        Black (1976), "The pricing of commodity contracts", J. Financial Economics 3.
    """
    cdef double value
    if not (0.0 < forward < 1e300 and 0.0 < strike < 1e300 and 0.0 <= deviation < 1e3):
        raise ValueError(f"forward {forward}, strike {strike}, deviation {deviation}: give positive"
                         " forward and strike and a deviation from 0 to 1000")
    value = premium_call(normal_table(), forward, strike, exact_log(forward) - exact_log(strike),
                         deviation)
    return value if call else value - (forward - strike)
