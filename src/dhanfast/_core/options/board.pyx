"""Strike selection, straddle, max pain, gamma exposure and put-call ratio. See board.pxd."""

import numpy as np

from dhanfast.errors import UsageError


cdef object _column(str name, object values, object length=None):
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{name} cannot be read as numbers: {cause}; give an array") from None
    if array.ndim != 1 or (length is not None and len(array) != length):
        wanted = "one number a strike" if length is None else f"{length} numbers, one a strike"
        raise UsageError(f"{name} has shape {array.shape}: give {wanted}")
    return array


cdef object _strikes(object values):
    array = _column("strike", values)
    if not (np.diff(array) > 0.0).all():
        raise UsageError("strike does not ascend: sort the chain by strike, one row a strike")
    return array


cdef object _interest(str name, object values, object length):
    array = _column(name, values, length)
    sound = (array >= 0.0) & (array < 1e300)
    if not sound.all():
        raise UsageError(f"{name} has {array[~sound][0]}: open interest and volume are 0 or more; "
                         "put 0 where none is known")
    return array


cdef inline object _place(Py_ssize_t at):
    return None if at < 0 else at


def atm(strike, double level):
    """Place of the strike nearest to a level; of two as near, the lower one.

    Args:
        strike: ascending.
        level: spot or forward.

    Returns:
        An index, or None for an empty chain or a level that is NaN.

    Raises:
        UsageError: strikes that do not ascend.
    """
    cdef const double[::1] k = _strikes(strike)
    return _place(strike_near(k.shape[0], &k[0] if k.shape[0] else NULL, level))


def strike_by_steps(strike, double level, Py_ssize_t steps):
    """Place of the strike `steps` above the one at the money, below for negative steps.

    Args:
        strike, level: as of `atm`.
        steps: ATM+2 is 2 for either right.

    Returns:
        An index, or None beyond the ends of the chain.

    Raises:
        UsageError: strikes that do not ascend.
    """
    cdef const double[::1] k = _strikes(strike)
    cdef Py_ssize_t at = strike_near(k.shape[0], &k[0] if k.shape[0] else NULL, level)
    return at + steps if at >= 0 and 0 <= at + steps < k.shape[0] else None


def strike_by_percent(strike, double level, double percent):
    """Place of the strike nearest to a level plus so many percent of it.

    Args:
        strike, level: as of `atm`.
        percent: 1.5 is 1.5 % above.

    Returns:
        An index, or None as of `atm`, and where the chain ends before that level: when the next
        strike, were it listed, would be nearer to it.

    Raises:
        UsageError: strikes that do not ascend.
    """
    cdef const double[::1] k = _strikes(strike)
    return _place(strike_within(k.shape[0], &k[0] if k.shape[0] else NULL,
                                level * (1.0 + 0.01 * percent)))


def strike_by_delta(delta, double target):
    """Place of the option whose delta is nearest to a target in size; of two as near, the first.

    Args:
        delta: of calls or of puts, a strike; NaN where there is none.
        target: 0.3, with or without the sign.

    Returns:
        An index, or None when no option has a delta.

    Raises:
        UsageError: a target beyond 1 in size; not one number a strike.
    """
    if not abs(target) <= 1.0:
        raise UsageError(f"target is {target}: a delta lies within -1 and 1; 30 is 0.30")
    cdef const double[::1] d = _column("delta", delta)
    return _place(strike_of_delta(d.shape[0], &d[0] if d.shape[0] else NULL, target))


def strike_by_premium(price, double target, str rule="nearest"):
    """Place of the option with a wanted premium; of two as near, the lower strike.

    Args:
        price: of calls or of puts, a strike; 0 or NaN where there is none.
        target: premium.
        rule: "nearest", "at_least" (the smallest not below) or "at_most" (the largest not above).

    Returns:
        An index, or None when no premium fits.

    Raises:
        UsageError: no such rule; a target that is not positive; not one number a strike.
    """
    rules = {"nearest": PremiumRule.NEAREST, "at_least": PremiumRule.AT_LEAST,
             "at_most": PremiumRule.AT_MOST}
    if rule not in rules:
        raise UsageError(f"rule is {rule!r}: give one of {', '.join(rules)}")
    if not target > 0.0:
        raise UsageError(f"target is {target}: give a premium above 0")
    cdef const double[::1] p = _column("price", price)
    cdef PremiumRule which = rules[rule]
    return _place(strike_of_premium(p.shape[0], &p[0] if p.shape[0] else NULL, target, which))


def straddle(strike, call, put, double level):
    """Premium of call and put together at the strike nearest to a level.

    Args:
        strike, level: as of `atm`.
        call, put: premiums, a strike; 0 or NaN where there is none.

    Returns:
        A premium; NaN when one of both has none.

    Raises:
        UsageError: strikes that do not ascend; not one number a strike.
    """
    cdef const double[::1] k = _strikes(strike)
    cdef const double[::1] c = _column("call", call, k.shape[0])
    cdef const double[::1] p = _column("put", put, k.shape[0])
    if k.shape[0] == 0:
        return float("nan")
    return straddle_price(k.shape[0], &k[0], &c[0], &p[0], level)


def strike_by_straddle(strike, call, put, double level, double widths):
    """Place of the strike nearest to a level plus so many straddle premiums.

    Args:
        strike, call, put, level: as of `straddle`.
        widths: 1 is one straddle premium above, -0.5 half of one below.

    Returns:
        An index, or None when the straddle has no premium, and where the chain ends before either
        level, as of `strike_by_percent`.

    Raises:
        UsageError: strikes that do not ascend; not one number a strike.
    """
    cdef const double[::1] k = _strikes(strike)
    cdef double moved = level + widths * straddle(strike, call, put, level)
    if k.shape[0] == 0 or strike_within(k.shape[0], &k[0], level) < 0:
        return None
    return _place(strike_within(k.shape[0], &k[0], moved))


def max_pain(strike, call_oi, put_oi):
    """The listed strike at which the writers of all open options pay least.

    The least over K of sum callOI max(K - Kj, 0) + sum putOI max(Kj - K, 0); of equals the lowest.

    Args:
        strike: ascending.
        call_oi, put_oi: open interest a strike.

    Returns:
        A strike; NaN without open interest.

    Raises:
        UsageError: strikes that do not ascend; open interest below 0; not one number a strike.
    """
    cdef const double[::1] k = _strikes(strike)
    cdef const double[::1] c = _interest("call_oi", call_oi, k.shape[0])
    cdef const double[::1] p = _interest("put_oi", put_oi, k.shape[0])
    if k.shape[0] == 0:
        return float("nan")
    return pain_least(k.shape[0], &k[0], &c[0], &p[0])


def put_call_ratio(call, put):
    """Puts a call: of open interest or of volume, over the rows given.

    Args:
        call, put: open interest or volume a strike; give the rows near the money for the near one.

    Returns:
        sum(put) / sum(call); NaN without calls.

    Raises:
        UsageError: a value below 0 or not a number; not one number a strike.
    """
    calls = _interest("call", call, None)
    cdef const double[::1] c = calls
    cdef const double[::1] p = _interest("put", put, len(calls))
    if c.shape[0] == 0:
        return float("nan")
    return ratio_of_sums(c.shape[0], &p[0], &c[0])


def gamma_exposure(double spot, call_gamma, put_gamma, call_oi, put_oi):
    """Rupees of the underlying that dealers trade for a move of one percent, a strike.

        spot^2 x 0.01 x (call gamma x call OI - put gamma x put OI)

    By the usual assumption, which nobody can see: dealers hold the calls that are open and have
    written the puts. Their sum is the chain's.

    Args:
        spot: level of the underlying.
        call_gamma, put_gamma: per unit, a strike; NaN counts as nothing.
        call_oi, put_oi: in units, a strike.

    Returns:
        float64, one number a strike.

    Raises:
        UsageError: a spot that is not positive; open interest below 0; not one number a strike.
    """
    if not 0.0 < spot < 1e100:
        raise UsageError(f"spot is {spot}: give the level of the underlying, above 0")
    calls = _column("call_gamma", call_gamma)
    puts = _column("put_gamma", put_gamma, len(calls))
    held = _interest("call_oi", call_oi, len(calls))
    sold = _interest("put_oi", put_oi, len(calls))
    return spot * spot * 0.01 * (np.nan_to_num(calls) * held - np.nan_to_num(puts) * sold)
