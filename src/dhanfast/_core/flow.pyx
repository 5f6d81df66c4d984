"""The tick stream of one generated day: index, future and options as a live feed delivers them.

Each instrument is a lane with its own stream of random words. Its records are drawn in blocks of
BLOCK gaps that are stretched to fill their share of the lane's day, so that the number of records
is exact and nothing is kept of what was written. A lane's day runs in its own time (records
expected so far), which second by second follows the intensity of its minute. A winner tree merges
the lanes by instant, then by index.

    lane time -> instant -> fair value (path of the day, Black-76 for options)
              -> quote that gives way when the fair value comes near -> trade, or not -> record
              -> message of the book's levels, when depth is wanted

All of it is integers and IEEE-exact doubles (draws.pxd, premium.pxd): same seed, same bytes.
What the tables are fitted to stands in docs/reference/generator.md.
"""

cimport cython
from libc.math cimport sqrt
from libc.stdint cimport (
    UINT32_MAX,
    UINT64_MAX,
    int64_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, free

import numpy as np

from dhanfast._core.draws cimport draw_quantile, draw_stream, draw_word
from dhanfast._core.ladder cimport Ladder, Scribe, ladder_quote, ladder_rows_max
from dhanfast._core.premium cimport exact_log, normal_table, premium_call
from dhanfast._core.types cimport DepthRow, Tick, ns_t

from dhanfast._core.lanes import LANE_DTYPE, QUANTILES, require_day
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE

if LANE_DTYPE.itemsize != sizeof(Plan):
    raise ImportError(f"Plan: the C struct has {sizeof(Plan)} bytes, the dtype "
                      f"{LANE_DTYPE.itemsize}")

# NaN and infinities never arise: every input is checked by TickFlow.
cdef enum:
    BLOCK = 64                   # gaps drawn together
    LANE_BITS = 12               # of a key of the merge: up to 4096 instruments
    LANES_MAX = 4096
    MS = 1_000_000
    SECOND = 1_000_000_000
    OI_NS = 180_000_000_000      # NSE publishes open interest about every three minutes
    SPREAD_ODDS = 8              # of 64 records, so many draw another width of the quote
    SIZE_ODDS = 14               # of 64, so many change the quantity of a side that stays

# As in lanes.py.
cdef enum:
    INDEX = 0
    FUTURE = 1
    CALL = 2
    PUT = 3


cdef packed struct Plan:          # 80 bytes: a row of LANE_DTYPE
    double strike            # paise; 0 unless an option
    double volatility        # a year, of this strike
    int64_t tick             # paise
    int64_t lot              # units; 0 for the index
    int64_t count            # records wanted, at least 1
    int64_t oi               # lots at the open
    uint32_t kind            # INDEX to PUT
    uint32_t spread          # mean width of the quote, sixteenths of a tick
    uint32_t size            # scale of displayed quantities, sixteenths
    uint32_t trade           # scale of traded quantities, sixteenths
    uint32_t gap             # scale of the distance of levels, sixteenths
    uint32_t spare


cdef struct Lane:
    Plan plan
    uint64_t words           # state of the stream of records
    uint64_t deep            # state of the stream of the book's deeper levels
    int64_t left             # records still to come
    double base              # lane time at the start of the block
    double scale             # lane time a unit of `ends`
    uint32_t ends[BLOCK + 1]     # sums of the block's gaps
    uint32_t at
    uint32_t size
    size_t second            # of the session, where the lane stands
    double second_base       # lane time at its start
    double rate              # records expected in it
    double from_value        # fair value at its start and its end, in ticks
    double to_value
    ns_t second_ns
    ns_t stamped             # last exchange stamp
    const double *weights    # records expected, by minute
    const uint16_t *odds     # of 65536 records that many are trades, by minute
    double log_strike
    double width             # of the quote, in ticks
    int64_t bid              # in ticks; 0 before the first record
    int64_t ask
    int64_t last             # price of the last trade, ticks
    uint64_t volume
    int64_t oi               # lots
    int64_t oi_slot
    uint32_t bid_lots
    uint32_t ask_lots
    uint32_t qty             # of the last trade, units


cdef struct Day:
    const ns_t *minutes      # start of each minute
    const double *heat       # share of its minute of each second
    const double *index      # levels at the start of each second, and at the end
    const double *forward    # of the options' expiry
    const double *log_forward
    const double *future
    const double *root       # square root of the years to expiry
    const uint16_t *wide     # width of quotes by minute, sixteenths
    const double *normal     # table of the normal distribution
    double discount
    size_t seconds
    ns_t opens
    bint repeat


# Quantiles at 0, 1/64, ..., 1: see lanes.py for the units.
cdef uint32_t GAPS[65]
cdef uint32_t BROADCAST[65]
cdef uint32_t WIDTHS[65]
cdef uint32_t SHOWN[65]
cdef uint32_t TRADED[65]
cdef uint32_t LATENCY[65]


cdef void _take(uint32_t *table, name) except *:
    for i, knot in enumerate(QUANTILES[name]):
        table[i] = knot


_take(GAPS, "gap")
_take(BROADCAST, "broadcast")
_take(WIDTHS, "width")
_take(SHOWN, "shown")
_take(TRADED, "traded")
_take(LATENCY, "latency")


# ---- a lane's time -----------------------------------------------------------------------------


cdef void _draw_block(Lane *lane, const uint32_t *gaps) noexcept nogil:
    # The last block has one gap more than records: the day ends after the last of them.
    cdef uint32_t records = BLOCK if lane.left > BLOCK else <uint32_t>lane.left
    cdef uint32_t wanted = records + (1 if lane.left <= BLOCK else 0)
    cdef uint32_t total = 0
    cdef uint32_t i
    cdef uint64_t word = 0
    if lane.size:
        lane.base = lane.base + <double>lane.size
    for i in range(wanted):
        word = word >> 32 if i & 1 else draw_word(&lane.words)
        total += draw_quantile(gaps, <uint32_t>word)
        lane.ends[i] = total
    lane.scale = <double>wanted / <double>total
    lane.at = 0
    lane.size = records


# What the instrument is worth at a second of the session, in ticks.
cdef double _fair(const Day *day, const Lane *lane, size_t at) noexcept nogil:
    cdef double value
    cdef uint32_t kind = lane.plan.kind
    if kind == INDEX:
        return day.index[at] / <double>lane.plan.tick
    if kind == FUTURE:
        return day.future[at] / <double>lane.plan.tick
    value = premium_call(day.normal, day.forward[at], lane.plan.strike,
                         day.log_forward[at] - lane.log_strike,
                         lane.plan.volatility * day.root[at])
    if kind == PUT:
        value = value - (day.forward[at] - lane.plan.strike)
    value = value * day.discount / <double>lane.plan.tick
    return value if value > 0.0 else 0.0


cdef void _enter(const Day *day, Lane *lane, size_t second) noexcept nogil:
    lane.from_value = lane.to_value if second == lane.second + 1 else _fair(day, lane, second)
    lane.to_value = _fair(day, lane, second + 1)
    lane.second = second
    lane.second_ns = day.minutes[second // 60] + <ns_t>(second % 60) * SECOND


# Records expected in a second. An index is broadcast by the clock, whatever the market does.
cdef inline double _rate(const Day *day, const Lane *lane, size_t second) noexcept nogil:
    if lane.plan.kind == INDEX:
        return lane.weights[second // 60] / 60.0
    return lane.weights[second // 60] * day.heat[second]


# The instant of the lane's next record; the lane stands in its second afterwards.
cdef ns_t _advance(const Day *day, Lane *lane) noexcept nogil:
    cdef double instant
    cdef size_t second = lane.second
    cdef ns_t offset
    if lane.at == lane.size:
        _draw_block(lane, &BROADCAST[0] if lane.plan.kind == INDEX else &GAPS[0])
    instant = lane.base + lane.scale * <double>lane.ends[lane.at]
    lane.at += 1
    lane.left -= 1
    while instant >= lane.second_base + lane.rate and second + 1 < day.seconds:
        second += 1
        lane.second_base = lane.second_base + lane.rate
        lane.rate = _rate(day, lane, second)
    if second != lane.second:
        _enter(day, lane, second)
    # The sums round differently from the whole: at the very end a record may lie a hair outside.
    if lane.rate <= 0.0 or instant >= lane.second_base + lane.rate:
        return lane.second_ns + SECOND - 1
    offset = <ns_t>((instant - lane.second_base) / lane.rate * <double>SECOND)
    return lane.second_ns + (offset if offset < SECOND else SECOND - 1)


# ---- a record ----------------------------------------------------------------------------------


cdef inline uint32_t _shown(const Lane *lane, uint32_t bits) noexcept nogil:
    cdef uint32_t lots = (draw_quantile(&SHOWN[0], bits) * lane.plan.size + 2048) >> 12
    return lots if lots else 1


# Each side gives way by itself when it is too far from where the fair value wants it.
cdef uint64_t _quote(const Day *day, Lane *lane, double fair) noexcept nogil:
    cdef uint64_t word = draw_word(&lane.words)
    cdef uint64_t sizes
    cdef bint first = lane.bid == 0
    cdef double width, near, far, low
    cdef int64_t bid, ask
    cdef bint bid_moves, ask_moves
    if first or (word & 63) < SPREAD_ODDS:
        lane.width = (<double>lane.plan.spread / 16.0) * (
            <double>draw_quantile(&WIDTHS[0], <uint32_t>(word >> 32)) / 4096.0)
    width = lane.width * <double>day.wide[lane.second // 60] / 16.0
    width = width if width > 1.0 else 1.0
    near = 0.3 * width if width > 2.5 else 0.75        # the side whose turn it is gives way sooner
    far = 0.4 * width if width > 2.0 else 0.75
    if word >> 56 & 1:
        near, far = far, near
    low = fair - 0.5 * width + 0.5
    bid = <int64_t>low if low > 1.0 else 1
    ask = bid + <int64_t>(width + 0.5)
    bid_moves = first or <double>(bid - lane.bid) > near or <double>(lane.bid - bid) > near
    ask_moves = first or <double>(ask - lane.ask) > far or <double>(lane.ask - ask) > far
    if (bid if bid_moves else lane.bid) >= (ask if ask_moves else lane.ask):
        bid_moves = ask_moves = True
    if bid_moves:
        lane.bid = bid
    if ask_moves:
        lane.ask = ask
    bid_moves = bid_moves or ((word >> 6) & 63) < SIZE_ODDS
    ask_moves = ask_moves or ((word >> 12) & 63) < SIZE_ODDS
    if bid_moves or ask_moves:
        sizes = draw_word(&lane.words)
        if bid_moves:
            lane.bid_lots = _shown(lane, <uint32_t>sizes)
        if ask_moves:
            lane.ask_lots = _shown(lane, <uint32_t>(sizes >> 32))
    return word


# A trade at the quote before, inside it, or at the quote that has just come.
cdef void _trade(Lane *lane, uint64_t word, int64_t bid, int64_t ask) noexcept nogil:
    cdef uint64_t choice = (word >> 34) & 63
    cdef uint64_t lots = draw_word(&lane.words)
    cdef bint is_block = (lots >> 32) & 0xFF == 0      # one in 256 is four times as large
    if choice >= 54 or bid == 0:
        bid, ask = lane.bid, lane.ask
        lane.last = ask if choice & 1 else bid
    elif choice < 23:
        lane.last = bid
    elif choice < 42:
        lane.last = ask
    else:
        lane.last = bid + 1 + <int64_t>((<uint64_t>(ask - bid - 1) * ((word >> 40) & 0xFFFF)) >> 16)
        lane.last = lane.last if lane.last < ask else bid
    lots = (<uint64_t>draw_quantile(&TRADED[0], <uint32_t>lots) * lane.plan.trade + 2048) >> 12
    lots = lots * 4 if is_block else lots
    lane.qty = <uint32_t>(lots if lots else 1) * <uint32_t>lane.plan.lot
    lane.volume += lane.qty


# Open interest steps every three minutes by a few lots, at the lane's next record.
cdef void _interest(Lane *lane, int64_t slot) noexcept nogil:
    cdef uint64_t word = draw_word(&lane.words)
    cdef int64_t lots = (draw_quantile(&TRADED[0], <uint32_t>word) * lane.plan.trade) >> 10
    lots = lane.oi + (lots if word >> 63 else -lots)
    lane.oi_slot = slot
    if 0 < lots and lots * lane.plan.lot <= UINT32_MAX:
        lane.oi = lots


cdef bint _record(const Day *day, Lane *lane, ns_t instant, Tick *tick) noexcept nogil:
    cdef double share = <double>(instant - lane.second_ns) / <double>SECOND
    cdef double fair = lane.from_value + (lane.to_value - lane.from_value) * share
    cdef int64_t bid = lane.bid, ask = lane.ask, slot
    cdef int64_t step = lane.plan.tick
    cdef uint64_t word
    cdef bint is_trade
    if lane.plan.kind == INDEX:
        tick.price = <int64_t>(fair + 0.5) * step if fair > 1.0 else step
        tick.bid = tick.ask = 0
        tick.volume = 0
        tick.qty = tick.bid_qty = tick.ask_qty = tick.oi = 0
        return False
    word = _quote(day, lane, fair)
    slot = (instant - day.opens) // OI_NS
    if slot != lane.oi_slot:
        _interest(lane, slot)
    is_trade = bid == 0 or ((word >> 18) & 0xFFFF) < lane.odds[lane.second // 60]
    if is_trade:
        _trade(lane, word, bid, ask)
    is_trade = is_trade or day.repeat
    tick.price = lane.last * step if is_trade else 0
    tick.qty = lane.qty if is_trade else 0
    tick.bid, tick.ask = lane.bid * step, lane.ask * step
    tick.bid_qty = lane.bid_lots * <uint32_t>lane.plan.lot
    tick.ask_qty = lane.ask_lots * <uint32_t>lane.plan.lot
    tick.volume = lane.volume
    tick.oi = <uint32_t>(lane.oi * lane.plan.lot)
    return True


# ---- the day -----------------------------------------------------------------------------------


cdef inline uint64_t _key(ns_t instant, ns_t opens, uint64_t lane) noexcept nogil:
    return (<uint64_t>(instant - opens) << LANE_BITS) | lane


cdef inline void _climb(uint64_t *tree, size_t node, uint64_t key) noexcept nogil:
    tree[node] = key
    while node > 1:
        key = min(key, tree[node ^ 1])
        node >>= 1
        tree[node] = key


# Exchange stamps are whole milliseconds, up to two before the instant; the lane's never go back.
# Receive times never go back at all: what a late record holds up is delivered right after it.
cdef void _stamp(Lane *lane, ns_t instant, uint64_t *state, ns_t *received,
                 Tick *tick) noexcept nogil:
    cdef uint64_t word = draw_word(state)
    cdef ns_t stamped = instant - <ns_t>(word & 0x1FFFFF)
    cdef ns_t arrival = <ns_t>draw_quantile(&LATENCY[0], <uint32_t>(word >> 32)) * 1000
    if stamped < lane.second_ns:
        stamped = lane.second_ns
    stamped = stamped // MS * MS
    lane.stamped = stamped if stamped > lane.stamped else lane.stamped
    if (word >> 21) & 0x7FF == 0:                      # one in 2048 meets a queue
        arrival = arrival * 4
    arrival = instant + arrival + <ns_t>(word & 0x3FF)
    if arrival <= received[0]:
        arrival = received[0] + 150 + <ns_t>(word & 0xFF)
    received[0] = arrival
    tick.exch_ns = lane.stamped
    tick.recv_ns = arrival
    tick.flags = 0


@cython.final
cdef class TickFlow:
    """The records of one generated day, in order of receive time, a batch at a time.

    For one thread at a time: `fill` lets others run while it writes.

    Args:
        seed, ordinal: which market and which day; with the rest they fix every byte.
        lanes: LANE_DTYPE, the instruments; a record's `instrument` is its place here.
        weights: float64[lanes, minutes], records expected; each row sums to its count + 1.
        odds: uint16[lanes, minutes], of 65536 records so many are trades.
        wide: uint16[minutes], width of quotes in sixteenths of the usual.
        minutes: int64[minutes], UTC ns of each minute's start, increasing.
        index, future: float64[60 * minutes + 1], the path each second, paise.
        heat: float64[60 * minutes], as `second_shares` gives it.
        forward_ratio: forward of the options' expiry over the future.
        discount: of the options' premiums.
        expiry_ns: when the options expire.
        depth_levels: levels a side of the generated books, 0 to 200; 0 makes none.
        repeat_last: quote records repeat price and quantity of the last trade, as a broker's full
            packets do, instead of 0.

    Raises:
        ValueError: shapes that do not fit, or a value that no market has; the message names it.
        OverflowError: seed or ordinal out of range.
    """

    cdef Lane *_lanes
    cdef Ladder *_ladders
    cdef uint64_t *_tree
    cdef size_t _count
    cdef size_t _leaves
    cdef Day _day
    cdef Scribe _scribe
    cdef uint64_t _words
    cdef uint64_t _messages
    cdef ns_t _received
    cdef object _held            # arrays the pointers look into

    def __cinit__(self, seed: int, ordinal: int, lanes, weights, odds, wide, minutes, index, future,
                  heat, double forward_ratio, double discount, expiry_ns: int,
                  depth_levels: int = 0, repeat_last: bool = False):
        cdef size_t count = len(lanes)
        cdef uint64_t day = ordinal
        cdef size_t i
        require_day(lanes, weights, odds, wide, minutes, index, future, heat, forward_ratio,
                    discount, depth_levels)
        self._count = count
        self._leaves = 1
        while self._leaves < count:
            self._leaves *= 2
        self._lanes = <Lane *>calloc(count, sizeof(Lane))
        self._tree = <uint64_t *>calloc(2 * self._leaves, sizeof(uint64_t))
        if depth_levels:
            self._ladders = <Ladder *>calloc(count, sizeof(Ladder))
        if not self._lanes or not self._tree or (depth_levels and not self._ladders):
            raise MemoryError(f"{count} lanes")
        self._set_day(minutes, index, future, heat, wide, forward_ratio, discount, expiry_ns)
        self._day.repeat = repeat_last
        self._scribe.levels = depth_levels
        self._words = draw_stream(seed, day, 5)
        self._set_lanes(seed, day, lanes, weights, odds)
        for i in range(2 * self._leaves):
            self._tree[i] = UINT64_MAX
        with nogil:
            for i in range(count):
                _climb(self._tree, self._leaves + i,
                       _key(_advance(&self._day, &self._lanes[i]), self._day.opens, i))

    def __dealloc__(self):
        free(self._lanes)
        free(self._ladders)
        free(self._tree)

    cdef _set_day(self, minutes, index, future, heat, wide, double ratio, double discount,
                  int64_t expiry_ns):
        cdef double year = 365.0 * 86_400.0 * 1e9
        cdef size_t i
        cdef ns_t now
        cdef const int64_t[::1] starts = minutes
        cdef const double[::1] levels = index, futures = future, shares = heat
        cdef const uint16_t[::1] widths = wide
        forward, logs, root = np.empty(len(index)), np.empty(len(index)), np.empty(len(index))
        cdef double[::1] forward_view = forward, log_view = logs, root_view = root
        self._held = [minutes, index, future, heat, wide, forward, logs, root]
        self._day.seconds = shares.shape[0]
        for i in range(self._day.seconds + 1):
            if i == self._day.seconds:
                now = starts[i // 60 - 1] + 60 * <ns_t>SECOND
            else:
                now = starts[i // 60] + <ns_t>(i % 60) * SECOND
            forward_view[i] = futures[i] * ratio
            log_view[i] = exact_log(forward_view[i])
            root_view[i] = sqrt(<double>(expiry_ns - now) / year) if expiry_ns > now else 0.0
        self._day.minutes, self._day.heat = &starts[0], &shares[0]
        self._day.index, self._day.future = &levels[0], &futures[0]
        self._day.forward, self._day.log_forward = &forward_view[0], &log_view[0]
        self._day.root, self._day.wide = &root_view[0], &widths[0]
        self._day.normal = normal_table()
        self._day.discount = discount
        self._day.opens = starts[0]

    cdef _set_lanes(self, uint64_t seed, uint64_t day, lanes, weights, odds):
        cdef const double[:, ::1] weight_view = weights
        cdef const uint16_t[:, ::1] odds_view = odds
        cdef size_t i
        cdef Lane *lane
        plans = np.ascontiguousarray(lanes)
        cdef const unsigned char[::1] raw = plans.view("u1")
        self._held += [weights, odds]
        for i in range(self._count):
            lane = &self._lanes[i]
            lane.plan = (<const Plan *>&raw[0])[i]
            lane.left = lane.plan.count
            lane.oi = lane.plan.oi
            lane.oi_slot = 0
            lane.weights, lane.odds = &weight_view[i, 0], &odds_view[i, 0]
            lane.words = draw_stream(seed, day, 64 + 2 * i)
            lane.deep = draw_stream(seed, day, 65 + 2 * i)
            if lane.plan.strike > 0.0:
                lane.log_strike = exact_log(lane.plan.strike)
            lane.rate = _rate(&self._day, lane, 0)
            lane.second = self._day.seconds            # so that the first value is computed
            _enter(&self._day, lane, 0)

    def fill(self, ticks, depth=None):
        """Write the next records.

        Args:
            ticks: TICK_DTYPE, C-contiguous; as many records as fit are written.
            depth: DEPTH_DTYPE with room for one message at least (`rows_max`), when there are
                books. A batch ends early when the room for another message is gone.

        Shape:
            (records written, rows written); (0, 0) when the day is over.

        Raises:
            ValueError: an array of another dtype or without room, or `depth` without books.
        """
        cdef size_t room = len(ticks), rows_room = 0, used
        cdef unsigned char[::1] raw, raw_rows
        if ticks.dtype != TICK_DTYPE or room == 0:
            raise ValueError(f"ticks: {room} of {ticks.dtype}; give TICK_DTYPE with room")
        if (depth is None) != (self._scribe.levels == 0):
            raise ValueError(f"depth: {self._scribe.levels} levels; give an array if and only if "
                             "there are any")
        raw = ticks.view("u1")
        self._scribe.used = 0
        if depth is not None:
            if depth.dtype != DEPTH_DTYPE or len(depth) < self.rows_max:
                raise ValueError(f"depth: {len(depth)} of {depth.dtype}; give DEPTH_DTYPE with "
                                 f"room for {self.rows_max} rows")
            raw_rows = depth.view("u1")
            self._scribe.rows = <DepthRow *>&raw_rows[0]
            rows_room = len(depth)
        with nogil:
            used = self._fill(<Tick *>&raw[0], room, rows_room)
        return used, self._scribe.used

    @property
    def rows_max(self) -> int:
        """Most rows one message of a book can have; 0 without books."""
        return ladder_rows_max(self._scribe.levels) if self._scribe.levels else 0

    cdef size_t _fill(self, Tick *ticks, size_t room, size_t rows_room) noexcept nogil:
        cdef size_t used = 0, index
        cdef size_t message = ladder_rows_max(self._scribe.levels)
        cdef uint64_t key
        cdef ns_t instant
        cdef Lane *lane
        cdef Tick *tick
        while used < room:
            key = self._tree[1]
            if key == UINT64_MAX or (rows_room and rows_room - self._scribe.used < message):
                break
            index = key & (LANES_MAX - 1)
            instant = self._day.opens + <ns_t>(key >> LANE_BITS)
            lane = &self._lanes[index]
            tick = &ticks[used]
            tick.instrument = <uint32_t>index
            used += 1
            _stamp(lane, instant, &self._words, &self._received, tick)
            if _record(&self._day, lane, instant, tick) and rows_room:
                self._message(lane, index, tick)
            key = UINT64_MAX
            if lane.left:
                key = _key(_advance(&self._day, lane), self._day.opens, index)
            _climb(self._tree, self._leaves + index, key)
        return used

    cdef void _message(self, Lane *lane, size_t index, const Tick *tick) noexcept nogil:
        cdef Scribe *scribe = &self._scribe
        scribe.stamp.exch_ns, scribe.stamp.recv_ns = tick.exch_ns, tick.recv_ns
        scribe.stamp.seq = self._messages + 1
        scribe.stamp.instrument = tick.instrument
        scribe.tick, scribe.lot = lane.plan.tick, lane.plan.lot
        scribe.lots_scale, scribe.gap_scale = lane.plan.size, lane.plan.gap
        self._messages += ladder_quote(&self._ladders[index], scribe, &lane.deep, lane.bid,
                                       lane.bid_lots, lane.ask, lane.ask_lots) > 0
