"""The options functions that Python calls: one option at once, or arrays that broadcast."""

from cpython.float cimport PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from libc.stdint cimport uint32_t

from dhanfast._core.options.black cimport Greeks
from dhanfast._core.options.chain cimport (
    COLUMNS, GREEKS, Columns, greeks_many, implied_many, lanes_widest, one_greeks, one_price,
    one_volatility)
from dhanfast._core.options.normalised cimport df_exp

import numpy as np

from dhanfast._core.options.results import Greeks as GreekSet
from dhanfast._core.options.results import Solved
from dhanfast.errors import UsageError

cdef int _widest = lanes_widest()


# ---- one option -------------------------------------------------------------------------------


# A whole number beyond 64 bits goes the way of arrays, which says what cannot be read.
cdef inline bint _number(object value) noexcept:
    cdef int beyond = 0
    if PyFloat_Check(value):
        return True
    if not PyLong_Check(value):
        return False
    PyLong_AsLongLongAndOverflow(value, &beyond)
    return beyond == 0


cdef object refuse_right(object right):
    raise UsageError(f"right is {right!r}: give 'CE' for a call or 'PE' for a put")


cdef str CALL = "CE"
cdef str PUT = "PE"


cdef inline double _sign(object right) except 0.0:
    if right is CALL:                                # as literals are: no comparison of letters
        return 1.0
    if right is PUT:
        return -1.0
    if right == "CE":
        return 1.0
    if right == "PE":
        return -1.0
    refuse_right(right)


cdef object _greek_set(const Greeks *one):
    return tuple.__new__(GreekSet, (one.price, one.delta, one.gamma, one.vega, one.theta, one.rho,
                                    one.vanna, one.volga, one.charm))


# ---- arrays from Python -----------------------------------------------------------------------


cdef object _signs(object right):
    if isinstance(right, str):
        return np.array(_sign(right))
    array = np.asarray(right)
    if array.dtype.kind == "O":
        array = array.astype(str)
    if array.dtype.kind != "U" or array.dtype.itemsize != 8:
        if array.size == 0:
            return np.ones(array.shape)
        for one in array.ravel():
            _sign(str(one) if array.dtype.kind == "U" else one)
        array = array.astype("U2")
    if not array.dtype.isnative:
        array = array.astype("U2")
    flat = np.ascontiguousarray(array).reshape(-1)
    signs = np.empty(array.shape)                    # a single right stays one, () long
    cdef const uint32_t[::1] letters = flat.view(np.uint32)
    cdef double[::1] to = signs.reshape(-1)
    cdef Py_ssize_t i, wrong = -1
    with nogil:
        for i in range(to.shape[0]):
            to[i] = 1.0 if letters[2 * i] == 67 else -1.0                  # C, P
            if letters[2 * i + 1] != 69 or (letters[2 * i] != 67 and letters[2 * i] != 80):
                wrong = i
                break
    if wrong >= 0:
        refuse_right(str(flat[wrong]))
    return signs


cdef object _floats(str name, object value):
    if isinstance(value, np.ma.MaskedArray):
        value = value.astype(np.float64).filled(np.nan)          # masked is not known
    elif getattr(getattr(value, "dtype", None), "kind", None) in ("c", "m", "M"):
        raise UsageError(f"{name} has type {value.dtype}: give real numbers or an array of them")
    try:
        return np.asarray(value, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as cause:
        raise UsageError(
            f"{name} cannot be read as numbers: {cause}; give numbers or an array of them"
        ) from None


# The shape of all together; () when all are single values.
cdef object _joint_shape(list names, list arrays):
    cdef object shape = ()
    cdef bint alike = True
    for array in arrays:
        if array.ndim and array.shape != shape:
            alike = alike and shape == ()
            shape = array.shape
    if alike:
        return shape
    try:
        return np.broadcast_shapes(*[array.shape for array in arrays])
    except ValueError:
        shapes = ", ".join(
            f"{name} {array.shape}" for name, array in zip(names, arrays, strict=True))
        raise UsageError(
            f"shapes do not fit together: {shapes}; give one value or arrays of one shape"
        ) from None


# Fills `columns` with pointers into the arrays it returns, which the caller keeps.
cdef tuple _gather(Columns *columns, list names, list values, object right, object dividend,
                   object seed):
    cdef Py_ssize_t i
    cdef const double[::1] view
    arrays = []
    names = [*names, "right"]
    for i in range(COLUMNS - 2):
        arrays.append(_floats(names[i], values[i]))
    arrays.append(_signs(right))
    columns.spot = dividend is not None
    columns.seed = NULL
    for name, value in (("dividend", dividend), ("seed", seed)):
        if value is not None:
            names.append(name)
            arrays.append(_floats(name, value))
    shape = _joint_shape(names, arrays)
    kept = []
    for i in range(len(arrays)):
        array = arrays[i]
        if array.size == 1 and names[i] != "seed":
            columns.own[i] = array.item()
            columns.at[i], columns.step[i] = &columns.own[i], 0
            continue
        if array.shape != shape:
            array = np.broadcast_to(array, shape)
        flat = np.ascontiguousarray(array).reshape(-1)
        kept.append(flat)
        if flat.shape[0] == 0:
            continue
        view = flat
        if names[i] == "seed":
            columns.seed = &view[0]
        else:
            columns.at[i], columns.step[i] = &view[0], 1
    return shape, kept


cdef size_t _count(object shape):
    cdef size_t n = 1
    for one in shape:
        n *= one
    return n


cdef object _shaped(object flat, object shape):
    return flat.reshape(shape) if shape else float(flat[0])


cdef tuple _implied(list names, list values, object right, object dividend):
    cdef Columns columns
    cdef double[::1] out
    cdef signed char[::1] codes
    shape, _kept = _gather(&columns, names, values, right, dividend, None)
    cdef size_t n = _count(shape)
    found, status = np.empty(n), np.empty(n, np.int8)
    if n:
        out, codes = found, status
        with nogil:
            implied_many(_widest, n, &columns, &out[0], &codes[0])
    return shape, found, status


cdef object _table_of(size_t n, const Columns *columns, int lanes, bint all):
    cdef double[:, ::1] table
    cdef double *out[GREEKS]
    cdef int g
    cdef int wanted = GREEKS if all else 1
    found = np.empty((wanted, n))
    if n:
        table = found
        for g in range(wanted):
            out[g] = &table[g, 0]
        with nogil:
            greeks_many(lanes, n, columns, all, out, NULL)
    return found


cdef tuple _greeks(list names, list values, object right, object dividend, bint all):
    cdef Columns columns
    shape, _kept = _gather(&columns, names, values, right, dividend, None)
    return shape, _table_of(_count(shape), &columns, _widest, all)


cdef object _greek_sets(object shape, object table):
    return GreekSet(*[_shaped(row, shape) for row in table])


# ---- the doors --------------------------------------------------------------------------------

cdef list BLACK_PRICE = ["price", "forward", "strike", "years", "rate"]
cdef list BLACK_VOLATILITY = ["volatility", "forward", "strike", "years", "rate"]
cdef list STOCK_PRICE = ["price", "spot", "strike", "years", "rate"]
cdef list STOCK_VOLATILITY = ["volatility", "spot", "strike", "years", "rate"]


def implied_volatility(price, forward, strike, years, right, rate=0.0):
    """Volatility at which Black's formula gives a premium.

    Args:
        price: premium of the option.
        forward: of the underlying, for the option's expiry.
        strike: in the unit of forward.
        years: to expiry, see `years_to_expiry`.
        right: "CE" or "PE", or an array of them.
        rate: continuous, to discount with.

    Units:
        a year, as a fraction: 0.15 is 15 %.

    Shape:
        numbers give a float; arrays broadcast and give float64 of the joint shape. NaN where there
        is none: below what exercise is worth, above the bound, no time left, input that is not
        positive or not finite. 0 at exactly the exercise value, infinity at exactly the bound
        (forward of a call, strike of a put, discounted). `implied_volatility_status` says which.

    Raises:
        UsageError: right is neither; shapes that do not broadcast.

    Source:
        Jaeckel (2015), "Let's Be Rational", Wilmott 75; see docs/reference/greeks.md.
    """
    if (_number(price) and _number(forward) and _number(strike) and _number(years)
            and _number(rate) and isinstance(right, str)):
        return one_volatility(price, forward, strike, years, rate, _sign(right))
    shape, found, _ = _implied(BLACK_PRICE, [price, forward, strike, years, rate], right, None)
    return _shaped(found, shape)


def implied_volatility_status(price, forward, strike, years, right, rate=0.0):
    """As `implied_volatility`, with the reason of each value.

    Returns:
        (volatility, status): arrays of the joint shape; status of `OptionStatus`, int8.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.
    """
    shape, found, status = _implied(
        BLACK_PRICE, [price, forward, strike, years, rate], right, None)
    return found.reshape(shape), status.reshape(shape)


def price(volatility, forward, strike, years, right, rate=0.0):
    """Premium of Black's formula.

    Args:
        volatility: a year, as a fraction; infinity gives the bound.
        forward, strike, years, right, rate: as of `implied_volatility`.

    Units:
        those of forward and strike.

    Shape:
        as of `implied_volatility`. Zero time or volatility gives the discounted value of exercise;
        NaN for negative or NaN input.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.

    Source:
        Black (1976), "The pricing of commodity contracts", J. Financial Economics 3.
    """
    if (_number(volatility) and _number(forward) and _number(strike) and _number(years)
            and _number(rate) and isinstance(right, str)):
        return one_price(volatility, forward, strike, years, rate, _sign(right))
    shape, table = _greeks(
        BLACK_VOLATILITY, [volatility, forward, strike, years, rate], right, None, False)
    return _shaped(table[0], shape)


def greeks(volatility, forward, strike, years, right, rate=0.0):
    """Premium and greeks of Black's formula, by the forward.

    Args:
        volatility, forward, strike, years, right, rate: as of `price`.

    Returns:
        Greeks: price, delta, gamma, vega, theta, rho, vanna, volga, charm. At zero time or
        volatility their limits: steps in the forward, with infinite gamma at the strike.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.

    Source:
        Black (1976); formulas in docs/reference/greeks.md.
    """
    cdef Greeks found
    if (_number(volatility) and _number(forward) and _number(strike) and _number(years)
            and _number(rate) and isinstance(right, str)):
        one_greeks(volatility, forward, strike, years, rate, _sign(right), 0.0, False, &found)
        return _greek_set(&found)
    shape, table = _greeks(
        BLACK_VOLATILITY, [volatility, forward, strike, years, rate], right, None, True)
    return _greek_sets(shape, table)


def solve(price, forward, strike, years, right, rate=0.0, *, seed=None, lanes=None):
    """Volatility and all greeks of a chain in one pass.

    Args:
        price, forward, strike, years, right, rate: as of `implied_volatility`.
        seed: volatilities to start from, as of the last time; zero or NaN where there is none. The
            result is the same to rounding; only sooner.
        lanes: width of the code, of `lane_widths`; the widest unless given. 0 takes the branching
            code for every option: slower, to the last digit in the far wings.

    Returns:
        Solved: volatility, status (OptionStatus), greeks. Greeks are NaN where volatility is, and
        limits where it is zero.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast; no such width.
    """
    cdef int width = _width(lanes)
    cdef Columns columns
    cdef double[::1] out
    cdef signed char[::1] codes
    shape, _kept = _gather(&columns, BLACK_PRICE, [price, forward, strike, years, rate], right,
                           None, seed)
    cdef size_t n = _count(shape)
    found, status = np.empty(n), np.empty(n, np.int8)
    if n:
        out, codes = found, status
        with nogil:
            implied_many(width, n, &columns, &out[0], &codes[0])
        columns.at[0], columns.step[0] = &out[0], 1
    table = _table_of(n, &columns, width, True)
    return Solved(found.reshape(shape), status.reshape(shape),
                  GreekSet(*[row.reshape(shape) for row in table]))


def stock_implied_volatility(price, spot, strike, years, right, rate=0.0, dividend=0.0):
    """Volatility at which the Black-Scholes-Merton formula gives a premium.

    Args:
        price: premium of the option.
        spot: price of the stock.
        strike, years, right, rate: as of `implied_volatility`.
        dividend: continuous yield.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.

    Source:
        Merton (1973), "Theory of rational option pricing", Bell J. Economics 4.
    """
    shape, found, _ = _implied(
        STOCK_PRICE, [price, spot, strike, years, rate], right, dividend)
    return _shaped(found, shape)


def stock_price(volatility, spot, strike, years, right, rate=0.0, dividend=0.0):
    """Premium of the Black-Scholes-Merton formula.

    Args:
        volatility, strike, years, right, rate: as of `price`.
        spot, dividend: as of `stock_implied_volatility`.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.
    """
    shape, table = _greeks(
        STOCK_VOLATILITY, [volatility, spot, strike, years, rate], right, dividend, False)
    return _shaped(table[0], shape)


def stock_greeks(volatility, spot, strike, years, right, rate=0.0, dividend=0.0):
    """Premium and greeks of the Black-Scholes-Merton formula, by the stock's price.

    Args:
        volatility, strike, years, right, rate: as of `price`.
        spot, dividend: as of `stock_implied_volatility`.

    Returns:
        Greeks: delta, gamma, vanna and charm by the spot; theta and rho with the spot held.

    Raises:
        UsageError: right is neither CE nor PE; shapes that do not broadcast.
    """
    cdef double growth
    cdef Greeks found
    if (_number(volatility) and _number(spot) and _number(strike) and _number(years)
            and _number(rate) and _number(dividend) and isinstance(right, str)):
        growth = df_exp((<double>rate - <double>dividend) * <double>years)
        one_greeks(volatility, <double>spot * growth, strike, years, rate, _sign(right), dividend,
                   True, &found)
        return _greek_set(&found)
    shape, table = _greeks(
        STOCK_VOLATILITY, [volatility, spot, strike, years, rate], right, dividend, True)
    return _greek_sets(shape, table)


cdef int _width(object lanes) except -1:
    if lanes is None:
        return _widest
    if lanes not in lane_widths():
        raise UsageError(
            f"lanes is {lanes!r}: this processor has {', '.join(map(str, lane_widths()))}")
    return lanes


def lane_widths():
    """Widths of the array code that run here: 0 (one by one, with branches), 1, 2, and wider."""
    return tuple(width for width in (0, 1, 2, 4, 8) if width <= _widest)
