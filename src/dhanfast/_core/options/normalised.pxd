"""The normalised premium out of the money and its inverse over the whole domain.

With a = |ln(F/K)| and s = volatility * sqrt(years), h = a/s, t = s/2:

    b(a, s) = e^(-a/2) Phi(t - h) - e^(a/2) Phi(-t - h),   0 <= b < e^(-a/2)

Four regions keep its relative error near 1e-14 wherever it is a normal number:
    far      h >= 10 and h - t >= 9.8: the asymptotic series of the two Mills ratios, term by term
    near     t <= 0.21: their difference as a series in t
    high     t - h > 0.85: two tails taken from e^(-a/2)
    middle   else: the difference of the Mills ratios

Units:               pure numbers. Who may call what: any thread; nothing is allocated.
Errors:              none; a >= 0, s >= 0, 0 < b < e^(-a/2) are the caller's.
Source:              Jaeckel, P. (2015), "Let's Be Rational", Wilmott 75: the regions, the four
                     segments of the first guess, the three objectives. The rational cubic is of
                     Delbourgo and Gregory (1985), "Shape preserving piecewise rational
                     interpolation", SIAM J. Sci. Stat. Comput. 6(4).
"""

from libc.math cimport fabs, sqrt

cdef extern from "df_options.h" nogil:
    double df_exp(double x) noexcept
    double df_log_ratio(double a, double b) noexcept
    double df_mills(double z) noexcept

cdef extern from *:
    """
    #define DF_ROOT_TWO_PI 2.5066282746310005024
    #define DF_INVERSE_ROOT_TWO_PI 0.39894228040143267794
    """
    const double ROOT_TWO_PI "DF_ROOT_TWO_PI"
    const double INVERSE_ROOT_TWO_PI "DF_INVERSE_ROOT_TWO_PI"

cdef enum:
    SERIES_TERMS = 24            # far region: terms fall until below 1e-17 at h - t = 9.8


cdef inline double normal_density(double x) noexcept nogil:
    return INVERSE_ROOT_TWO_PI * df_exp(-0.5 * x * x)


# Phi(x), relative error below 1e-15 for x > -10, growing like x^2 below.
cdef inline double normal_below(double x) noexcept nogil:
    cdef double tail = normal_density(x) * df_mills(fabs(x))
    return tail if x < 0.0 else 1.0 - tail


# z with Phi(-z) = p for 0 < p < 1: Hastings' guess and one step of third order, error below 1e-9.
cdef inline double normal_above_inverse(double p) noexcept nogil:
    cdef double q = p if p < 0.5 else 1.0 - p
    cdef double t, z, off
    if q <= 0.0:
        return 40.0 if p < 0.5 else -40.0
    t = sqrt(-2.0 * df_log_ratio(q, 1.0))
    z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    z = z if z > 0.0 else 0.0
    off = df_mills(z) - q * ROOT_TWO_PI * df_exp(0.5 * z * z)
    z = z + off / (1.0 - 0.5 * z * off)
    return z if p < 0.5 else -z


# db/ds, also called the normalised vega.
cdef inline double premium_slope(double a, double s) noexcept nogil:
    cdef double h = a / s
    return INVERSE_ROOT_TWO_PI * df_exp(-0.5 * (h * h + 0.25 * s * s))


# M(h - t) - M(h + t) by the asymptotic series: every difference of powers is a sum of positives.
cdef inline double mills_apart_far(double h, double t) noexcept nogil:
    cdef double low = 1.0 / (h - t)
    cdef double high = 1.0 / (h + t)
    cdef double first = 2.0 * t * low * high         # low - high
    cdef double second = first * (low + high)        # low^2 - high^2
    cdef double apart = first
    cdef double power = high
    cdef double factor = 1.0
    cdef double total = first
    cdef double term
    cdef int k
    for k in range(1, SERIES_TERMS):
        apart = low * low * apart + power * second
        power = power * high * high
        factor = -factor * <double>(2 * k - 1)
        term = factor * apart
        total += term
        if fabs(term) <= 1e-17 * total:
            break
    return total


# M(h - t) - M(h + t) = 2 t (E1 + E3 t^2/3! + E5 t^4/5! + ...), En = (-1)^n times the n-th
# derivative of M at h, all positive, by E(n+1) = n E(n-1) - h E(n).
cdef inline double mills_apart_near(double h, double t) noexcept nogil:
    cdef double w = t * t
    cdef double e0 = df_mills(h)
    cdef double e1 = 1.0 - h * e0
    cdef double e2 = e0 - h * e1
    cdef double e3 = 2.0 * e1 - h * e2
    cdef double e4 = 3.0 * e2 - h * e3
    cdef double e5 = 4.0 * e3 - h * e4
    cdef double e6 = 5.0 * e4 - h * e5
    cdef double e7 = 6.0 * e5 - h * e6
    cdef double e8 = 7.0 * e6 - h * e7
    cdef double e9 = 8.0 * e7 - h * e8
    cdef double e10 = 9.0 * e8 - h * e9
    cdef double e11 = 10.0 * e9 - h * e10
    return 2.0 * t * (e1 + w * (e3 * 0.16666666666666666 + w * (
        e5 * 8.333333333333333e-3 + w * (e7 * 1.984126984126984e-4 + w * (
            e9 * 2.7557319223985893e-6 + w * (e11 * 2.505210838544172e-8))))))


cdef inline double premium(double a, double s) noexcept nogil:
    cdef double h, t, low, n
    if s <= 0.0:
        return 0.0
    h = a / s
    t = 0.5 * s
    n = INVERSE_ROOT_TWO_PI * df_exp(-0.5 * (h * h + t * t))
    if h >= 10.0 and h - t >= 9.8:
        return n * mills_apart_far(h, t) if n > 0.0 else 0.0
    if t <= 0.21:
        return n * mills_apart_near(h, t)
    if h >= t:
        return n * (df_mills(h - t) - df_mills(h + t))
    low = df_exp(-0.5 * a)
    if t - h > 0.85:
        return low * normal_below(t - h) - n * df_mills(h + t)
    return low - n * (df_mills(t - h) + df_mills(h + t))


# e^(-a/2) - b, without cancellation when t >= h.
cdef inline double premium_below_top(double a, double s) noexcept nogil:
    cdef double h = a / s
    cdef double t = 0.5 * s
    if h >= t:
        return df_exp(-0.5 * a) - premium(a, s)
    return premium_slope(a, s) * (df_mills(t - h) + df_mills(h + t))


# ---- the inverse ------------------------------------------------------------------------------


# Values and slopes at both ends of a segment, and the shape that keeps it monotonic and convex.
cdef struct Cubic:
    double left
    double right
    double value_left
    double value_right
    double slope_left
    double slope_right
    double shape


# The shape that gives a second derivative at one end, or the least that is monotonic and convex.
cdef inline double cubic_shape(const Cubic *one, double bend, bint at_right) noexcept nogil:
    cdef double width = one.right - one.left
    cdef double slope = (one.value_right - one.value_left) / width
    cdef double turn = one.slope_right - one.slope_left
    cdef double gap_left = slope - one.slope_left
    cdef double gap_right = one.slope_right - slope
    cdef double least = (one.slope_left + one.slope_right) / slope if slope != 0.0 else -0.9
    cdef double convex, found
    if at_right:
        found = (0.5 * width * bend + turn) / gap_right if gap_right != 0.0 else 1e9
    else:
        found = (0.5 * width * bend + turn) / gap_left if gap_left != 0.0 else 1e9
    if gap_left != 0.0 and gap_right != 0.0:
        convex = turn / gap_right
        if turn / gap_left > convex:
            convex = turn / gap_left
        if convex > least:
            least = convex
    if not found > least:                            # NaN too
        found = least
    if not found > -0.9:
        found = -0.9
    return found if found < 1e9 else 1e9


cdef inline double cubic_at(const Cubic *one, double x) noexcept nogil:
    cdef double width = one.right - one.left
    cdef double u, v
    if not width > 0.0:
        return 0.5 * (one.value_left + one.value_right)
    u = (x - one.left) / width
    v = 1.0 - u
    if one.shape >= 1e9:
        return one.value_left * v + one.value_right * u
    return (
        one.value_right * u * u * u
        + (one.shape * one.value_right - width * one.slope_right) * u * u * v
        + (one.shape * one.value_left + width * one.slope_left) * u * v * v
        + one.value_left * v * v * v) / (1.0 + (one.shape - 3.0) * u * v)


# Below the tangent's foot: interpolate f = (2 pi a / 3^1.5) Phi(-a / (sqrt 3 s))^3, which starts
# as b does, and go back from f to s.
cdef inline double guess_low(double a, double b, double s_low, double b_low) noexcept nogil:
    cdef double u = 0.57735026918962576 * a / s_low
    cdef double density = normal_density(u)
    cdef double z = density * df_mills(u)
    cdef double scale = 1.2091995761561452 * a       # 2 pi / 3^1.5
    cdef double y = u * u
    cdef double slope = 6.283185307179586 * y * z * z * df_exp(y + 0.125 * s_low * s_low)
    cdef double bend = slope / premium_slope(a, s_low) * (
        -2.0 / s_low - 2.0 * y / s_low + 0.25 * s_low + 2.0 * u * density / (s_low * z))
    cdef Cubic one
    cdef double f, root, inverse
    one.left, one.value_left, one.slope_left = 0.0, 0.0, 1.0
    one.right, one.value_right, one.slope_right = b_low, scale * z * z * z, slope
    one.shape = cubic_shape(&one, bend, True)
    f = cubic_at(&one, b)
    if not f > 0.0:                                  # b is far below b_low: f starts as b
        f = b
    root = df_exp(df_log_ratio(f, scale) * 0.33333333333333331)
    inverse = normal_above_inverse(root) if root < 0.5 else 1e-3
    return 0.57735026918962576 * a / inverse


# Above the tangent's end: interpolate f = Phi(-s/2) on [b_high, e^(-a/2)].
cdef inline double guess_high(double a, double b, double s_high, double b_high,
                              double top) noexcept nogil:
    cdef double g = a / s_high
    cdef double slope, f
    cdef Cubic one
    slope = -0.5 * df_exp(0.5 * g * g)
    one.left, one.value_left, one.slope_left = b_high, normal_below(-0.5 * s_high), slope
    one.right, one.value_right, one.slope_right = top, 0.0, -0.5
    one.shape = cubic_shape(
        &one, 1.2533141373155003 * df_exp(g * g + 0.125 * s_high * s_high) * g * g / s_high, False)
    f = cubic_at(&one, b)
    if not 0.0 < f < 0.5:
        return s_high
    return 2.0 * normal_above_inverse(f)


# Householder's step of fourth order from newton = -f/f', f''/f', f'''/f'.
cdef inline double householder(double newton, double second, double third) noexcept nogil:
    return newton * (1.0 + 0.5 * second * newton) / (
        1.0 + newton * (second + third * newton * 0.16666666666666666))


# One step from s. Objectives: 1/ln b below, b between, ln of the distance to the top above.
cdef inline double inverse_step(double a, double b, double top, double s,
                                int segment) noexcept nogil:
    cdef double h = a / s
    cdef double slope = premium_slope(a, s)
    cdef double second = (h * h - 0.25 * s * s) / s
    cdef double bend = -3.0 * (h / s) * (h / s) - 0.25   # (b''/b')'
    cdef double value, p, log_value, log_wanted, change, halley
    if segment == 0:
        value = premium(a, s)
        p = slope / value
        log_value = df_log_ratio(value, 1.0)
        log_wanted = df_log_ratio(b, 1.0)
        halley = second - p * (1.0 + 2.0 / log_value)
        change = (bend - p * (second - p) * (1.0 + 2.0 / log_value)
                  + 2.0 * (p / log_value) * (p / log_value))
        return householder(
            (log_wanted - log_value) * (log_value / log_wanted) / p, halley,
            halley * halley + change)
    if segment == 2:
        value = premium_below_top(a, s)
        p = slope / value
        return householder(df_log_ratio(value, top - b) / p, second + p,
                           (second + p) * (second + p) + bend + p * (second + p))
    return householder((b - premium(a, s)) / slope, second, second * second + bend)


# s with premium(a, s) = b, for 0 < b < top = e^(-a/2). Two steps, a third where the second moved.
cdef inline double premium_inverse(double a, double b, double top) noexcept nogil:
    cdef double s_mid = sqrt(2.0 * a)
    cdef double b_mid, slope_mid, s_end, b_end, s, step
    cdef Cubic one
    cdef int segment = 1
    cdef int turn
    if a <= 0.0:                                     # at the money: b = 1 - 2 Phi(-s/2)
        s = 2.0 * normal_above_inverse(0.5 * (1.0 - b)) if b > 1e-3 else ROOT_TWO_PI * b
        segment = 2 if b > 0.5 else 1
    else:
        b_mid = premium(a, s_mid)
        slope_mid = premium_slope(a, s_mid)
        if b < b_mid:
            s_end = s_mid - b_mid / slope_mid
            b_end = premium(a, s_end)
            if b < b_end:
                segment = 0
                s = guess_low(a, b, s_end, b_end)
            else:
                one.left, one.value_left = b_end, s_end
                one.slope_left = 1.0 / premium_slope(a, s_end)
                one.right, one.value_right, one.slope_right = b_mid, s_mid, 1.0 / slope_mid
                one.shape = cubic_shape(&one, 0.0, True)
                s = cubic_at(&one, b)
        else:
            s_end = s_mid + (top - b_mid) / slope_mid
            b_end = premium(a, s_end)
            if b < b_end:
                one.left, one.value_left, one.slope_left = b_mid, s_mid, 1.0 / slope_mid
                one.right, one.value_right = b_end, s_end
                one.slope_right = 1.0 / premium_slope(a, s_end)
                one.shape = cubic_shape(&one, 0.0, False)
                s = cubic_at(&one, b)
            else:
                s = guess_high(a, b, s_end, b_end, top)
            if b > 0.5 * top and b > b_end:
                segment = 2
    for turn in range(4):
        step = inverse_step(a, b, top, s, segment)
        if not step > -0.5 * s:                      # NaN too
            step = -0.5 * s
        s += step
        if turn > 0 and fabs(step) < 1e-5 * s:
            break
    return s
