"""Seeded price paths: the inner loop of the market generator (market/generate.py).

The same seed gives the same bytes on any machine, because only integers and IEEE-exact operations
are used: + - * / and square root in double, no fused multiply-add (the build forbids it), nothing
of libm (`draws.pxd`). A normal deviate is the sum of the four 16-bit parts of one word (variance
exact, tails to 3.46), fat tails coming from the volatility and the bursts on top.

One day is made of minutes; a minute of `parts` steps. Within the day the return of a minute is
    sigma * sqrt(share of the minute * heat * burst) * normal
where heat follows the last minutes' squares (clustering) and burst is 1 or BURST^2 (jumps). The
path is then bent, in proportion to the variance spent so far, so that it ends on the day's close.
"""

cimport cython
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

from dhanfast._core.draws cimport (
    draw_exponential,
    draw_normal,
    draw_stream,
    draw_uniform,
    draw_word,
    short_exp,
    snap_level,
)
from dhanfast._core.types cimport Bar, Tick

from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE

# What each number is fitted to stands in docs/reference/generator.md.
cdef double GAP_SHARE = 0.72     # deviation of a night's gap, of the day's
cdef double GAP_NEWS = 2.6       # how much wider the gap of a night with news is
cdef double DRIFT_SHARE = 1.2    # of the day's open-to-close return: days trend a little
cdef double HEAT_NEWS = 0.09     # weight of the last minute's square
cdef double HEAT_KEEP = 0.80     # weight of the heat before
cdef double BURST = 3.0          # size of a jump in standard deviations
cdef uint64_t BURST_ODDS = 1024  # of 65536 minutes, so many jump
cdef double REACH = 0.86         # of a Brownian step's range that discrete trading reaches
cdef double OPEN_NOISE = 0.118   # deviation of an open from the close before, of a minute's

# What a path is made of, one row a day. Prices are levels in paise before they meet the tick.
DAY_PLAN_DTYPE = np.dtype([
    ("open", "<f8"), ("close", "<f8"), ("sigma", "<f8"), ("gap", "<f8"),
])


cdef struct Plan:
    double open
    double close
    double sigma             # standard deviation of the day's return
    double gap               # return over the night before


cdef void _plan(uint64_t seed, const int64_t *ordinals, const double *trend, size_t days,
                double sigma, double pull, Plan *plans) noexcept nogil:
    cdef uint64_t state
    cdef double slow = 0.0
    cdef double fast = 0.0
    cdef double night
    cdef double level = trend[0]
    cdef size_t i
    for i in range(days):
        state = draw_stream(seed, <uint64_t>ordinals[i], 1)
        # Two speeds of log volatility: weeks (0.98 a day) and days (0.50 a day).
        slow = 0.98 * slow + 0.0504691 * draw_normal(&state)
        fast = 0.50 * fast + 0.1854957 * draw_normal(&state)
        plans[i].sigma = sigma * short_exp(slow + fast)
        night = GAP_SHARE * plans[i].sigma * draw_normal(&state)
        if (draw_word(&state) & 0xFFFF) < 3932:            # one night in 17 brings news
            night = GAP_NEWS * night
        plans[i].gap = night + pull * (trend[i] / level - 1.0)
        plans[i].open = level * (1.0 + plans[i].gap)
        plans[i].close = plans[i].open * (1.0 + DRIFT_SHARE * plans[i].sigma * draw_normal(&state))
        level = plans[i].close


# Levels at the end of each step, as returns on the day's open. `spent` is scratch.
cdef void _path(uint64_t *state, const double *shares, size_t minutes, size_t parts,
                const Plan *plan, double *levels, double *spent, double *deviation) noexcept nogil:
    cdef double heat = 1.0
    cdef double level = 0.0
    cdef double variance, before, target, bend, scale
    cdef size_t i, _j, at = 0
    cdef double used = 0.0
    for i in range(minutes):
        variance = shares[i] * heat
        if (draw_word(state) & 0xFFFF) < BURST_ODDS:
            variance = variance * (BURST * BURST)
        scale = plan.sigma * sqrt(variance / <double>parts)
        before = level
        for _j in range(parts):
            level = level + scale * draw_normal(state)
            used = used + variance / <double>parts
            levels[at] = level
            spent[at] = used
            deviation[at] = scale
            at += 1
        bend = (level - before) * (level - before) / (plan.sigma * plan.sigma * shares[i])
        heat = (1.0 - HEAT_NEWS - HEAT_KEEP) + HEAT_NEWS * bend + HEAT_KEEP * heat
        if heat > 8.0:
            heat = 8.0
    target = plan.close / plan.open - 1.0
    bend = (target - level) / used
    for i in range(at):
        levels[i] = levels[i] + bend * spent[i]


# Bars of one window; `first` is the level the window opens at, `levels` are its closes.
cdef void _bars(uint64_t *state, const double *levels, const double *deviation, size_t count,
                double anchor, double first, int64_t tick, int64_t start_ns, int64_t step_ns,
                Bar *bars) noexcept nogil:
    cdef double last, scale, top, bottom, body
    cdef size_t i
    cdef Bar *bar
    for i in range(count):
        bar = &bars[i]
        last = anchor * (1.0 + levels[i])
        scale = anchor * deviation[i]
        if i:
            first = first + OPEN_NOISE * scale * draw_normal(state)
        scale = scale * REACH
        body = last - first
        top = 0.5 * (body + sqrt(body * body + 2.0 * scale * scale * draw_exponential(state)))
        bottom = 0.5 * (body - sqrt(body * body + 2.0 * scale * scale * draw_exponential(state)))
        bar.start_ns = start_ns + <int64_t>i * step_ns
        bar.open = snap_level(first, tick)
        bar.close = snap_level(last, tick)
        bar.high = max(snap_level(first + top, tick), max(bar.open, bar.close))
        bar.low = min(snap_level(first + bottom, tick), min(bar.open, bar.close))
        bar.volume = 0
        bar.oi = 0
        bar.instrument = 0
        bar.ticks = 0
        first = last


# Units traded in each step: the day's share of the step, more when the price moves, in whole lots.
cdef void _volumes(uint64_t *state, const double *levels, const double *deviation,
                   const double *shares, size_t count, size_t parts, double before, double units,
                   int64_t lot, int64_t *volumes) noexcept nogil:
    cdef double move, wanted
    cdef size_t i
    for i in range(count):
        move = levels[i] - before
        move = (move if move >= 0.0 else -move) / deviation[i]
        wanted = units * shares[i // parts] / <double>parts
        wanted = wanted * (0.5 + 0.4 * move) * (0.4 + 0.7 * draw_exponential(state))
        volumes[i] = <int64_t>(wanted / <double>lot + draw_uniform(state)) * lot
        before = levels[i]


# One tick a step, at a random instant of its first nine tenths; quotes when lot is not 0.
cdef void _ticks(uint64_t *state, const double *levels, const int64_t *volumes, size_t count,
                 double anchor, int64_t tick, int64_t lot, int64_t start_ns, int64_t step_ns,
                 uint64_t traded, Tick *ticks) noexcept nogil:
    cdef int64_t price, received = 0
    cdef size_t i
    cdef Tick *tk
    cdef uint64_t word
    for i in range(count):
        tk = &ticks[i]
        word = draw_word(state)
        price = snap_level(anchor * (1.0 + levels[i]), tick)
        tk.exch_ns = start_ns + <int64_t>i * step_ns + <int64_t>(
            <double>(word >> 40) / 16777216.0 * 0.9 * <double>step_ns)
        tk.recv_ns = tk.exch_ns + 8_000_000 + <int64_t>(word & 0xFFFFFF)
        if tk.recv_ns <= received:
            tk.recv_ns = received + 1
        received = tk.recv_ns
        tk.price = price
        tk.instrument = 0
        tk.flags = 0
        tk.oi = 0
        tk.qty = tk.bid_qty = tk.ask_qty = 0
        tk.bid = tk.ask = 0
        if lot:
            word = draw_word(state)
            # The trade is at the bid or at the ask; the spread is one to four ticks.
            tk.bid = price - tick * <int64_t>((word & 3) + 1 if word & 4 else 0)
            tk.ask = price + tick * <int64_t>(0 if word & 4 else (word & 3) + 1)
            tk.bid_qty = <uint32_t>(lot * <int64_t>(1 + ((word >> 8) & 31)))
            tk.ask_qty = <uint32_t>(lot * <int64_t>(1 + ((word >> 16) & 31)))
            tk.qty = <uint32_t>(volumes[i] if volumes[i] < 1_000_000 else 1_000_000)
            traded += <uint64_t>volumes[i]
        tk.volume = traded


def plan_days(seed: int, const int64_t[::1] ordinals, const double[::1] trend, double sigma,
              double pull):
    """Draw the days of a market: open, close, volatility and overnight gap of each.

    Args:
        seed: 0 to 2^64 - 1.
        ordinals: day numbers, which seed each day on their own.
        trend: level the market is drawn to on each day, paise.
        sigma: median deviation of a day's open-to-close return.
        pull: share of the distance to the trend made good each night.

    Shape:
        DAY_PLAN_DTYPE, one row a day; each depends on the days before it.

    Raises:
        ValueError: lengths differ, no days, or a trend that is not positive.
        OverflowError: seed out of range.
    """
    cdef size_t days = ordinals.shape[0]
    if trend.shape[0] != ordinals.shape[0] or days == 0:
        raise ValueError(f"{days} ordinals, {trend.shape[0]} trends: give one each, at least one")
    if not (np.asarray(trend) > 0).all():
        raise ValueError("trend: every level must be positive")
    plans = np.empty(days, DAY_PLAN_DTYPE)
    cdef unsigned char[::1] raw = plans.view("u1")
    cdef uint64_t first = seed
    with nogil:
        _plan(first, &ordinals[0], &trend[0], days, sigma, pull, <Plan *>&raw[0])
    return plans


def second_shares(seed: int, ordinal: int, const double[::1] levels):
    """Share of its minute's records that falls in each second: more when the price moves.

    Args:
        seed, ordinal: the stream of random words.
        levels: the path at the start of each second and at the end.

    Shape:
        float64[seconds]; the 60 seconds of a minute sum to 1.

    Raises:
        ValueError: not whole minutes of seconds.
        OverflowError: seed or ordinal out of range.
    """
    cdef size_t seconds = levels.shape[0] - 1 if levels.shape[0] else 0
    cdef uint64_t state = draw_stream(seed, ordinal, 4)
    cdef size_t i, j
    cdef double heat = 1.0, total, moved, move
    if seconds == 0 or seconds % 60:
        raise ValueError(f"{levels.shape[0]} levels: give one more than whole minutes of seconds")
    shares = np.empty(seconds)
    cdef double[::1] view = shares
    for i in range(0, seconds, 60):
        moved = total = 0.0
        for j in range(i, i + 60):
            move = levels[j + 1] - levels[j]
            moved = moved + (move if move > 0.0 else -move) / 60.0
        for j in range(i, i + 60):
            move = levels[j + 1] - levels[j]
            move = (move if move > 0.0 else -move) / moved if moved > 0.0 else 1.0
            heat = 0.8 * heat + 0.2 * draw_exponential(&state)
            view[j] = (0.85 + 0.15 * move) * (0.6 + 0.4 * heat)
            total = total + view[j]
        for j in range(i, i + 60):
            view[j] = view[j] / total
    return shares


@cython.final
cdef class DayPath:
    """One day's price path, drawn once and read as bars or ticks of the index or its future.

    Args:
        seed: 0 to 2^64 - 1; with `ordinal` it fixes every number.
        ordinal: day number.
        shares: float64[minutes], the share of the day's variance of each minute, summing to 1.
        parts: steps a minute, 1 to 60_000.
        plan: one row of DAY_PLAN_DTYPE.

    Raises:
        ValueError: no minutes, a share that is not positive, or parts out of range.
        OverflowError: seed or ordinal out of range.
    """

    cdef double[::1] _levels
    cdef double[::1] _deviation
    cdef int64_t[::1] _volumes
    cdef uint64_t _seed
    cdef uint64_t _ordinal
    cdef size_t _parts
    cdef size_t _steps
    cdef double _anchor      # level the levels are returns on
    cdef double _opened      # level the day opens at

    def __cinit__(self, seed: int, ordinal: int, const double[::1] shares, parts: int, plan):
        cdef Plan row
        cdef uint64_t state
        cdef size_t minutes = shares.shape[0]
        if not 1 <= parts <= 60_000:
            raise ValueError(f"parts is {parts}; a minute has 1 to 60000 steps")
        if minutes == 0 or not (np.asarray(shares) > 0).all():
            raise ValueError("shares: at least one minute, each with a positive share")
        self._seed, self._ordinal, self._parts = seed, ordinal, parts
        self._steps = minutes * self._parts
        row.open, row.close, row.sigma = plan["open"], plan["close"], plan["sigma"]
        row.gap = plan["gap"]
        self._levels, self._deviation = np.empty(self._steps), np.empty(self._steps)
        self._volumes = np.zeros(self._steps, np.int64)
        cdef double[::1] spent = np.empty(self._steps)
        self._anchor = self._opened = row.open
        state = draw_stream(self._seed, self._ordinal, 2)
        with nogil:
            _path(&state, &shares[0], minutes, self._parts, &row, &self._levels[0], &spent[0],
                  &self._deviation[0])

    def become_future(self, double carry, double basis, double keep, const double[::1] shares,
                      double units, int64_t lot):
        """Turn the path of the index into that of its future, with volumes.

        Args:
            carry: what the future costs above the index, as a fraction.
            basis: deviation of the mispricing around the carry, as a fraction.
            keep: share of the mispricing left after a minute, 0 to below 1.
            shares: share of the day's volume of each minute.
            units: units traded on an average day.
            lot: units a lot.

        Raises:
            ValueError: lot not positive, keep out of range, or lengths that differ.
        """
        cdef uint64_t state = draw_stream(self._seed, self._ordinal, 3)
        cdef double stay = 1.0 - (1.0 - keep) / <double>self._parts
        cdef double news = basis * sqrt(1.0 - stay * stay)
        cdef double apart = basis * draw_normal(&state)
        cdef size_t i
        if lot <= 0 or not 0.0 <= keep < 1.0:
            raise ValueError(f"lot is {lot}, keep is {keep}; give lot > 0 and 0 <= keep < 1")
        if shares.shape[0] * self._parts != self._steps:
            raise ValueError(f"{shares.shape[0]} shares of volume for "
                             f"{self._steps // self._parts} minutes")
        with nogil:
            _volumes(&state, &self._levels[0], &self._deviation[0], &shares[0], self._steps,
                     self._parts, 0.0, units, lot, &self._volumes[0])
            self._opened = self._opened * (1.0 + carry + apart)
            for i in range(self._steps):
                apart = stay * apart + news * draw_normal(&state)
                self._levels[i] = (1.0 + self._levels[i]) * (1.0 + carry + apart) - 1.0

    def levels(self):
        """Level of the path at the start of the day and at the end of each step.

        Units:
            paise, before they meet the tick.

        Shape:
            float64[steps + 1], a copy; of the future once the path is its.
        """
        cdef size_t i
        out = np.empty(self._steps + 1)
        cdef double[::1] view = out
        view[0] = self._opened
        for i in range(self._steps):
            view[i + 1] = self._anchor * (1.0 + self._levels[i])
        return out

    def bars(self, first: int, count: int, start_ns: int, step_ns: int, tick: int):
        """Bars of `count` steps from step `first` on.

        Args:
            first: step of the day, from 0.
            count: how many bars.
            start_ns: UTC ns of the first bar's start.
            step_ns: length of a step.
            tick: price step in paise.

        Shape:
            BAR_DTYPE, count rows; volume is 0 unless the path is a future's.

        Raises:
            ValueError: steps outside the day, or a tick that is not positive.
        """
        cdef uint64_t state
        cdef size_t begin = self._begin(first, count, tick)
        cdef size_t many = count
        cdef size_t i
        cdef int64_t start = start_ns, step = step_ns, size = tick
        cdef double level = self._opened
        if begin:
            level = self._anchor * (1.0 + self._levels[begin - 1])
        rows = np.empty(many, BAR_DTYPE)
        cdef unsigned char[::1] raw = rows.view("u1")
        cdef Bar *bars = <Bar *>&raw[0]
        state = draw_stream(self._seed, self._ordinal, 16 + 2 * begin)
        with nogil:
            _bars(&state, &self._levels[begin], &self._deviation[begin], many, self._anchor, level,
                  size, start, step, bars)
            for i in range(many):
                bars[i].volume = self._volumes[begin + i]
        return rows

    def ticks(self, first: int, count: int, start_ns: int, step_ns: int, tick: int, lot: int = 0,
              traded: int = 0):
        """One tick of each of `count` steps from step `first` on.

        Args:
            first: step of the day, from 0.
            count: how many ticks.
            start_ns: UTC ns of the first step.
            step_ns: length of a step.
            tick: price step in paise.
            lot: units a lot; 0 for an index, which has no quotes and no volume.
            traded: units traded on the day before the first of these.

        Shape:
            TICK_DTYPE, count rows.

        Raises:
            ValueError: steps outside the day, or a tick that is not positive.
        """
        cdef uint64_t state
        cdef size_t begin = self._begin(first, count, tick)
        cdef size_t many = count
        cdef int64_t start = start_ns, step = step_ns, size = tick, units = lot
        cdef uint64_t before = traded
        rows = np.empty(many, TICK_DTYPE)
        cdef unsigned char[::1] raw = rows.view("u1")
        state = draw_stream(self._seed, self._ordinal, 17 + 2 * begin)
        with nogil:
            _ticks(&state, &self._levels[begin], &self._volumes[begin], many, self._anchor, size,
                   units, start, step, before, <Tick *>&raw[0])
        return rows

    cdef size_t _begin(self, first, count, tick) except? 0xFFFFFFFF:
        if first < 0 or count < 1 or first + count > self._steps or tick <= 0:
            raise ValueError(f"steps {first} to {first + count} of {self._steps} at tick {tick}: "
                             "outside the day, or no positive tick")
        return first
