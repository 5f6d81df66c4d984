"""The parity forward, natively and for Python. See forward.pxd."""

from libc.math cimport NAN, fabs

from dhanfast._core.options.normalised cimport df_exp

import numpy as np

from dhanfast.errors import UsageError


cdef inline bint _paired(const double *call, const double *put, size_t i) noexcept nogil:
    return 0.0 < call[i] < 1e100 and 0.0 < put[i] < 1e100


# Of the paired strikes: where call and put differ least; n when there is none.
cdef size_t _money(size_t n, const double *call, const double *put) noexcept nogil:
    cdef size_t best = n
    cdef size_t i
    for i in range(n):
        if _paired(call, put, i) and (
                best == n or fabs(call[i] - put[i]) < fabs(call[best] - put[best])):
            best = i
    return best


cdef double _weighted_median(int count, double *value, double *weight) noexcept nogil:
    cdef int i, j
    cdef double v, w
    cdef double total = 0.0
    cdef double below = 0.0
    for i in range(count):                           # insertion sort: a handful
        v, w = value[i], weight[i]
        total += w
        j = i
        while j > 0 and value[j - 1] > v:
            value[j], weight[j] = value[j - 1], weight[j - 1]
            j -= 1
        value[j], weight[j] = v, w
    for i in range(count):
        below += weight[i]
        if below > 0.5 * total * (1.0 + 1e-12):
            return value[i]
        if below >= 0.5 * total * (1.0 - 1e-12) and i + 1 < count:
            return 0.5 * (value[i] + value[i + 1])
    return value[count - 1]


cdef double parity_forward(size_t n, const double *strike, const double *call, const double *put,
                           const double *spread, double growth, int nearest) noexcept nogil:
    cdef double value[NEAREST_MAX]
    cdef double weight[NEAREST_MAX]
    cdef size_t money = _money(n, call, put)
    cdef size_t low, high, at
    cdef int count = 0
    if money == n:
        return NAN
    low, high = money, money + 1                     # not yet looked at: below low, from high on
    at = money
    while True:
        value[count] = strike[at] + growth * (call[at] - put[at])
        weight[count] = 1.0 if spread == NULL else (
            1.0 / spread[at] if 1e-9 < spread[at] < 1e100 else 1e-9)
        count += 1
        if count == nearest:
            break
        while low > 0 and not _paired(call, put, low - 1):
            low -= 1
        while high < n and not _paired(call, put, high):
            high += 1
        if low == 0 and high >= n:
            break
        if high >= n or (low > 0 and strike[money] - strike[low - 1]
                         <= strike[high] - strike[money]):
            low -= 1
            at = low
        else:
            at = high
            high += 1
    return _weighted_median(count, value, weight)


cdef object _column(str name, object values, object length):
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{name} cannot be read as numbers: {cause}; give an array") from None
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise UsageError(f"{name} has shape {array.shape}: give one number a strike, as `strike`")
    return array


def forward_from_parity(strike, call, put, years, rate=0.0, *, spread=None, int nearest=5):
    """Forward of an expiry from the premiums of its calls and puts.

    The weighted median of K + e^(rate years) (C - P) over the strikes nearest to the one where call
    and put differ least.

    Args:
        strike: ascending.
        call, put: premiums, mid of the quotes or last; 0 or NaN where there is none.
        years: to expiry.
        rate: continuous.
        spread: of call and put together, a strike; a narrow one weighs more. None weighs all alike.
        nearest: how many strikes at most, 1 to 31.

    Units:
        those of strike.

    Shape:
        arrays of one dimension and one length; a float out, NaN when no strike has both quotes.

    Raises:
        UsageError: shapes that differ; strikes that do not ascend; nearest, years or rate refused.

    Source:
        Stoll, H. (1969), "The relationship between put and call option prices", J. Finance 24(5).
    """
    cdef double span = years
    cdef double interest = rate
    if not 1 <= nearest <= NEAREST_MAX:
        raise UsageError(f"nearest is {nearest}: give 1 to {NEAREST_MAX} strikes")
    if not (0.0 <= span <= 1e4 and -600.0 <= interest * span <= 600.0):
        raise UsageError(f"years {span!r} and rate {interest!r}: give years from 0 and a rate a "
                         "year as a fraction")
    strikes = _column("strike", strike, None)
    calls, puts = _column("call", call, len(strikes)), _column("put", put, len(strikes))
    if len(strikes) == 0:
        return NAN
    if not (np.diff(strikes) > 0.0).all():
        raise UsageError("strike does not ascend: sort the chain by strike, one row a strike")
    cdef const double[::1] k = strikes
    cdef const double[::1] c = calls
    cdef const double[::1] p = puts
    cdef const double[::1] s
    cdef const double *wide = NULL
    if spread is not None:
        s = _column("spread", spread, len(strikes))
        wide = &s[0]
    return parity_forward(k.shape[0], &k[0], &c[0], &p[0], wide, df_exp(interest * span), nearest)
