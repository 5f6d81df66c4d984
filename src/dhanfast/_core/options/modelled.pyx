"""A day's option bars by model: Black's formula over the bars of the index, a smile, a day's level.

    F = S exp(rate T),  x = ln(K/F) / (level sqrt T), within -reach..reach
    volatility = level (1 + slope x + bend x^2),   kept within lowest..highest of the level
    call = max(tick, C on the tick),  put = C - exp(-rate T) (F - K) on the tick

An option's open is at the index's open, its high and low the extremes over the index's four prices,
its close at the index's close. What comes out is a model, and every result says so.
"""

from libc.math cimport exp, llrint, log, sqrt
from libc.stdint cimport int64_t

from dhanfast._core.options.black cimport black_price

from dhanfast.errors import UsageError

cdef struct Shape:
    double level
    double slope
    double bend
    double reach
    double lowest            # of the factor on the level
    double highest


cdef inline double _volatility(const Shape *shape, double forward, double strike,
                               double root) noexcept nogil:
    cdef double x = log(strike / forward) / (shape.level * root)
    x = min(max(x, -shape.reach), shape.reach)
    return shape.level * min(max(1.0 + x * (shape.slope + x * shape.bend), shape.lowest),
                             shape.highest)


cdef inline int64_t _on_tick(double price, int64_t tick) noexcept nogil:
    return max(tick, llrint(price / tick) * tick)


# Call and put of one strike at one level of the index, paise.
cdef inline void _pair(const Shape *shape, double spot, double strike, double years, double rate,
                       int64_t tick, int64_t *call, int64_t *put) noexcept nogil:
    cdef double growth = exp(rate * years)
    cdef double forward = spot * growth
    cdef double price = max(0.0, forward - strike) / growth
    if years > 0.0:
        price = black_price(_volatility(shape, forward, strike, sqrt(years)), forward, strike,
                            years, rate, 1.0)
    call[0] = _on_tick(price, tick)
    put[0] = _on_tick(price - (forward - strike) / growth, tick)


cdef void _bars(const int64_t *index, double opens, double closes, const Shape *shape, double rate,
                const int64_t *strike, size_t n, int64_t tick, int64_t *out[4],
                size_t at) noexcept nogil:
    """One row: the calls of n strikes from place `at`, the puts after them."""
    cdef int64_t call[4]
    cdef int64_t put[4]
    cdef size_t i, part
    for i in range(n):
        for part in range(4):
            _pair(shape, index[part], strike[i], opens if part == 0 else closes, rate, tick,
                  &call[part], &put[part])
        out[0][at + i], out[0][at + n + i] = call[0], put[0]
        out[1][at + i] = max(max(call[0], call[1]), max(call[2], call[3]))
        out[1][at + n + i] = max(max(put[0], put[1]), max(put[2], put[3]))
        out[2][at + i] = min(min(call[0], call[1]), min(call[2], call[3]))
        out[2][at + n + i] = min(min(put[0], put[1]), min(put[2], put[3]))
        out[3][at + i], out[3][at + n + i] = call[3], put[3]


def fill_expiry(const int64_t[:, ::1] index, const double[::1] years_open,
                const double[::1] years_close, const int64_t[::1] strike,
                int64_t[:, :, ::1] tables, size_t first, *, double level, double slope,
                double bend, double rate, int64_t tick, double reach=4.0, double lowest=0.6,
                double highest=3.0):
    """Write the option bars of one expiry over one day's index bars.

    Args:
        index: int64[rows, 4] paise: open, high, low, close.
        years_open, years_close: to the expiry at the start and the end of each row, 0 or more.
        strike: int64[n] paise, ascending.
        tables: int64[4, rows, columns]: opens, highs, lows, closes, written from column `first`
            on: n calls, then n puts.
        level: volatility at the forward, a fraction a year. slope, bend: of the smile.
        rate: continuous, a year. tick: paise.
        reach: x beyond which the smile stays flat. lowest, highest: of volatility over level.
    Raises:
        UsageError: shapes that do not fit; level or tick not above 0.
    """
    cdef size_t rows = index.shape[0]
    cdef size_t n = strike.shape[0]
    cdef size_t columns = tables.shape[2]
    cdef size_t row
    cdef Shape shape
    cdef int64_t *out[4]
    if not level > 0.0 or tick < 1:
        raise UsageError(f"level {level}, tick {tick}: both must be above 0")
    if (index.shape[1] != 4 or years_open.shape[0] != index.shape[0]
            or years_close.shape[0] != index.shape[0]):
        raise UsageError("index must be rows of four prices, with the years left of each")
    if tables.shape[0] != 4 or tables.shape[1] != index.shape[0]:
        raise UsageError("tables must be four, with a row for each index bar")
    if first + 2 * n > columns or rows == 0 or n == 0:
        raise UsageError(f"{n} strikes from column {first} do not fit into {columns} columns")
    shape.level, shape.slope, shape.bend = level, slope, bend
    shape.reach, shape.lowest, shape.highest = reach, lowest, highest
    for row in range(4):
        out[row] = &tables[row, 0, 0]
    with nogil:
        for row in range(rows):
            _bars(&index[row, 0], years_open[row], years_close[row], &shape, rate, &strike[0], n,
                  tick, out, row * columns + first)
