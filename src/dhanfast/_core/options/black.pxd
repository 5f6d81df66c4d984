"""Price, greeks and implied volatility of one European option, for any input whatever.

Black (1976) on the forward of the option's own expiry, discounted at `rate`:

    d1 = (ln(F/K) + v^2 T/2) / (v sqrt T),  d2 = d1 - v sqrt T,  D = exp(-rate T)
    call = D (F Phi(d1) - K Phi(d2)),       put = D (K Phi(-d2) - F Phi(-d1))

Units:
    price, forward, strike: one unit of money, any (rupees by habit). volatility: 0.15 is 15 % a
    year. years: by whatever day count made volatility. rate: continuous, a year. sign: +1 call,
    -1 put. Greeks are plain derivatives: per 1.00 of volatility and of rate, time per year.

Undefined input gives NaN and a status, never an exception. `OptionStatus` lists every case.
Who may call what:   any thread; nothing is allocated.
Source:              Black, F. (1976), "The pricing of commodity contracts", J. Financial
                     Economics 3; Black, F. and Scholes, M. (1973), J. Political Economy 81;
                     Merton, R. (1973) for the dividend yield.
"""

from libc.math cimport INFINITY, NAN, fabs, sqrt

from dhanfast._core.options.normalised cimport (
    df_exp, df_log_ratio, df_mills, premium, premium_inverse, premium_slope)

cpdef enum OptionStatus:
    """Why a volatility or a greek is what it is."""

    PRICED = 0              # a number
    BAD_INPUT = 1           # NaN, infinite, not positive, outside what the formula takes: NaN
    NO_TIME = 2             # years = 0: every volatility or none explains a price: NaN
    AT_INTRINSIC = 3        # no time value: volatility 0
    BELOW_INTRINSIC = 4     # less than exercise is worth: NaN
    AT_BOUND = 5            # forward of a call, strike of a put, discounted: volatility infinite
    ABOVE_BOUND = 6         # more than that: NaN
    LIMIT = 7               # greeks at zero time or volatility: the limit from above


cdef struct Greeks:
    double price
    double delta            # d price / d forward (stock: d spot)
    double gamma            # d delta / d forward
    double vega             # d price / d volatility
    double theta            # d price as time passes, per year, forward (stock: spot) unchanged
    double rho              # d price / d rate, forward (stock: spot) unchanged
    double vanna            # d delta / d volatility
    double volga            # d vega / d volatility
    double charm            # d delta as time passes, per year


cdef inline bint money_sane(double value) noexcept nogil:
    return 1e-100 <= value <= 1e100


cdef inline bint option_sane(double forward, double strike, double years, double rate,
                             double sign) noexcept nogil:
    return (money_sane(forward) and money_sane(strike) and 0.0 <= years <= 1e4
            and fabs(rate * years) <= 600.0 and (sign == 1.0 or sign == -1.0))


cdef inline double log_distance(double forward, double strike) noexcept nogil:
    return df_log_ratio(forward, strike) if forward > strike else df_log_ratio(strike, forward)


cdef inline double black_price(double volatility, double forward, double strike, double years,
                               double rate, double sign) noexcept nogil:
    cdef double inner, value
    if not (option_sane(forward, strike, years, rate, sign) and volatility >= 0.0):
        return NAN
    inner = sign * (forward - strike)
    if inner < 0.0:
        inner = 0.0
    if years == 0.0 or volatility == 0.0:
        return df_exp(-rate * years) * inner
    if volatility * sqrt(years) > 70.0:              # Phi(-35): the bound, to the last digit
        return df_exp(-rate * years) * (forward if sign > 0.0 else strike)
    value = premium(log_distance(forward, strike), volatility * sqrt(years))
    return df_exp(-rate * years) * (inner + sqrt(forward * strike) * value)


cdef inline double black_volatility(double price, double forward, double strike, double years,
                                    double rate, double sign, int *status) noexcept nogil:
    cdef double flat, inner, rest, low, root
    status[0] = OptionStatus.BAD_INPUT
    if not option_sane(forward, strike, years, rate, sign) or price != price:
        return NAN
    if years == 0.0:
        status[0] = OptionStatus.NO_TIME
        return NAN
    flat = price * df_exp(rate * years)
    inner = sign * (forward - strike)
    if inner < 0.0:
        inner = 0.0
    rest = flat - inner
    low = forward if forward < strike else strike
    if rest <= 0.0:
        if rest >= -2e-15 * inner:
            status[0] = OptionStatus.AT_INTRINSIC
            return 0.0
        status[0] = OptionStatus.BELOW_INTRINSIC
        return NAN
    if rest >= low:
        if rest <= low + 2e-15 * (inner + low):
            status[0] = OptionStatus.AT_BOUND
            return INFINITY
        status[0] = OptionStatus.ABOVE_BOUND
        return NAN
    root = sqrt(forward * strike)
    if rest / root < 1e-300:                         # the premium cannot be told from nothing
        status[0] = OptionStatus.AT_INTRINSIC
        return 0.0
    status[0] = OptionStatus.PRICED
    return premium_inverse(log_distance(forward, strike), rest / root, low / root) / sqrt(years)


# At zero total deviation: step functions of the forward, with infinities where a limit is one.
cdef inline int greeks_limit(double volatility, double forward, double years, double rate,
                             double sign, double inner, bint at_money,
                             Greeks *out) noexcept nogil:
    cdef double discount = df_exp(-rate * years)
    cdef double mass = discount * 0.39894228040143268 if at_money else 0.0
    cdef double chance = 0.5 if at_money else (1.0 if inner > 0.0 else 0.0)
    out.price = discount * (inner if inner > 0.0 else 0.0)
    out.delta = discount * sign * chance
    out.gamma = INFINITY if at_money else 0.0
    out.vega = mass * forward * sqrt(years)
    out.theta = rate * out.price
    out.rho = -years * out.price
    out.vanna = 0.5 * mass * sqrt(years)
    out.volga = 0.0
    out.charm = rate * out.delta
    if at_money and years == 0.0 and volatility > 0.0:
        out.theta = out.charm = -INFINITY
    return OptionStatus.LIMIT


cdef inline int black_greeks(double volatility, double forward, double strike, double years,
                             double rate, double sign, Greeks *out) noexcept nogil:
    cdef double s, root_years, a, h, t, discount, mass, near, far, below, above, first, second
    cdef double density, inner
    if not (option_sane(forward, strike, years, rate, sign) and 0.0 <= volatility < 1e100):
        out.price = out.delta = out.gamma = out.vega = out.theta = out.rho = NAN
        out.vanna = out.volga = out.charm = NAN
        return OptionStatus.BAD_INPUT
    root_years = sqrt(years)
    s = volatility * root_years
    inner = sign * (forward - strike)
    if s < 1e-150:
        return greeks_limit(volatility, forward, years, rate, sign, inner, forward == strike, out)
    a = log_distance(forward, strike)
    h, t = a / s, 0.5 * s
    discount = df_exp(-rate * years)
    density = premium_slope(a, s)
    mass = discount * sqrt(forward * strike) * density           # discount * F * phi(d1)
    # Phi(t - h) and Phi(-t - h), and what is left of one, each from its own tail.
    near = 0.3989422804014327 * df_exp(-0.5 * (h - t) * (h - t)) * df_mills(fabs(h - t))
    far = 0.3989422804014327 * df_exp(-0.5 * (h + t) * (h + t)) * df_mills(h + t)
    if forward <= strike:
        below = near if h >= t else 1.0 - near
        above = 1.0 - near if h >= t else near
        first = t - h
    else:
        below, above = 1.0 - far, far
        first = h + t
    second = first - s
    out.price = black_price(volatility, forward, strike, years, rate, sign)
    out.delta = discount * (below if sign > 0.0 else -above)
    out.gamma = mass / forward / (forward * s)
    out.vega = mass * root_years
    out.theta = rate * out.price - 0.5 * mass * volatility / root_years
    out.rho = -years * out.price
    out.vanna = -(mass / forward) * second / volatility
    out.volga = out.vega * first * second / volatility if out.vega > 0.0 else 0.0
    out.charm = rate * out.delta + 0.5 * (mass / forward) * second / years
    if mass <= 0.0:                                  # deviations by hundreds: no 0 * infinity
        out.vanna = 0.0
        out.charm = rate * out.delta
    return OptionStatus.PRICED


# From the forward's greeks to the stock's: F = S exp((rate - dividend) T), S and its yield held.
cdef inline void greeks_to_spot(double forward, double years, double rate, double dividend,
                                Greeks *out) noexcept nogil:
    cdef double carry = rate - dividend
    cdef double growth = df_exp(carry * years)
    cdef double drift = carry * forward * out.gamma if out.gamma < INFINITY else 0.0
    out.theta -= carry * forward * out.delta
    out.rho += years * forward * out.delta
    out.charm = growth * (out.charm - carry * out.delta - drift)
    out.delta *= growth
    out.gamma *= growth * growth
    out.vanna *= growth
