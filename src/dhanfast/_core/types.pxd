"""The records that travel through the engine: layouts and units, nothing else.

All prices and cash are int64 paise, all times int64 UTC nanoseconds, all quantities units of the
underlying (never lots). Every struct is packed; its size is asserted at import against the numpy
dtype of the same name in types.pyx. Fields of eight bytes come first, so packing costs nothing.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef int64_t ns_t        # nanoseconds since the Unix epoch, UTC
ctypedef int64_t paise_t     # price or cash in 1/100 rupee: exact, never a float
ctypedef int64_t upaise_t    # 1/1,000,000 paisa: charges before they are rounded


cpdef enum Side:
    """Which way an order goes; the sign of its quantity."""

    BUY = 1
    SELL = -1


cpdef enum OrderKind:
    """How an order finds its price."""

    LIMIT = 0
    MARKET = 1               # sent as a limit at the protection price, never bare
    SL = 2                   # stop-limit: `trigger` then `price`
    SLM = 3                  # stop-market; refused where the exchange refuses it


cpdef enum Validity:
    """How long an order may rest."""

    DAY = 0
    IOC = 1


cpdef enum OrderFlag:        # bits of Order.flags
    """Bits of Order.flags: what the order is for."""

    EXIT = 1                 # reduces a position: no limit may block it
    STOP = 2                 # the protective stop of a position
    TARGET = 4               # the profit target of a position
    SQUARE_OFF = 8           # sent by the clock, not by the strategy
    WORKED = 16              # an algorithm works it: its children leave, it does not itself
    CROSSES = 32             # a limit that takes: its price is a protection, not a wish


cpdef enum Reason:           # why an order was sent: Order.reason
    """Why an order was sent."""

    SIGNAL = 0
    STOP_LOSS = 1
    TAKE_PROFIT = 2
    EXIT_SIGNAL = 3
    TIME_EXIT = 4            # square-off time of the session
    EXPIRY_EXIT = 5          # the contract ends
    REVERSAL = 6
    END_OF_DATA = 7
    RISK_EXIT = 8
    OPERATOR = 9
    TIME_STOP = 10           # held for as long as a stop rule allows


cpdef enum ReportKind:
    """What an exchange says about an order."""

    ACCEPTED = 0
    REJECTED = 1
    FILLED = 2               # one fill, partial or last: see Report.left
    CANCELLED = 3
    EXPIRED = 4              # end of day, or the rest of an IOC
    TRIGGERED = 5


cpdef enum RejectReason:
    """Why an order was refused, by the exchange or from 20 on by the risk gate."""

    NONE = 0
    QTY_LOT = 1              # not a positive multiple of the lot
    QTY_FREEZE = 2           # above the freeze quantity
    PRICE_TICK = 3           # not on the tick
    PRICE_BAND = 4           # outside the day's operating range
    KIND_REFUSED = 5         # this order type is not accepted for this contract and date
    CLOSED = 6               # outside the session
    TRIGGER_SIDE = 7         # a stop whose trigger is already beyond the market
    STALE_ORDER = 8          # modify or cancel of an order that is gone
    NO_MARKET = 9            # a market order in a contract without a price
    BROKER = 10              # the broker refused; its words are in the log
    LOST = 11                # it never arrived at the broker
    NO_PROFILE = 12          # VWAP: no volume is known of the time it has
    LIMIT_QTY = 20           # refused by the risk gate from here on
    LIMIT_NOTIONAL = 21
    LIMIT_POSITION = 22
    LIMIT_RATE = 23
    LIMIT_LOSS = 24
    LIMIT_BAND = 25
    STATE_REDUCING = 26
    STATE_HALTED = 27
    LIMIT_MARGIN = 28
    MALFORMED = 29           # zero quantity, unknown instrument, negative price: a caller's bug
    GUARD_DRAWDOWN = 30      # refused by a guard of the gate from here on, see guards.pxd
    GUARD_DAY_LOSS = 31
    GUARD_PROFIT_LOCK = 32
    GUARD_TRADES = 33
    GUARD_LOSSES = 34
    GUARD_STOPS = 35
    GUARD_LOW_PROFIT = 36
    GUARD_EXPOSURE = 37
    GUARD_CORRELATION = 38
    GUARD_VIX = 39
    GUARD_STALE = 40
    GUARD_EXPIRY = 41
    GUARD_LOCKED = 42        # by the operator
    GUARD_FLAT_BY = 43
    GUARD_COOLDOWN = 44
    GUARD_MAX_DRAWDOWN = 45


cdef packed struct Tick:     # 72 bytes
    ns_t exch_ns             # exchange time
    ns_t recv_ns             # local receive time
    paise_t price            # last traded price; 0 when this record carries no trade
    paise_t bid              # best bid, 0 when unknown
    paise_t ask              # best ask, 0 when unknown
    uint64_t volume          # traded today, cumulative units
    uint32_t instrument      # index into the instrument table, not the broker's token
    uint32_t qty             # last traded quantity, units
    uint32_t bid_qty
    uint32_t ask_qty
    uint32_t oi              # open interest, units
    uint32_t flags           # 0 for a normal record


cdef packed struct Bar:      # 64 bytes
    ns_t start_ns            # the bar covers [start, end)
    paise_t open
    paise_t high
    paise_t low
    paise_t close
    int64_t volume           # units traded inside the bar; 0 for an index
    int64_t oi               # at the close of the bar
    uint32_t instrument
    uint32_t ticks           # records that made it; 0 for an imported bar


cdef packed struct Order:    # 64 bytes
    uint64_t id              # correlation id, increasing within a run, never 0
    ns_t created_ns
    paise_t price            # limit; 0 for MARKET and SLM
    paise_t trigger          # SL and SLM only
    int64_t qty              # units, always positive
    uint64_t group           # one cancels other within a group; 0 = none
    uint32_t instrument
    uint32_t strategy
    int8_t side              # Side
    uint8_t kind             # OrderKind
    uint8_t validity         # Validity
    uint8_t flags            # OrderFlag bits
    uint8_t reason           # Reason
    uint8_t spare[3]


cdef packed struct ApprovedOrder:   # 72 bytes; only `risk.Gate` makes a valid one
    Order order
    uint64_t seal            # keyed hash of `order`, checked by every broker


cdef packed struct Report:   # 56 bytes: what an exchange says about an order
    uint64_t order_id
    ns_t time_ns
    paise_t price            # of the fill; 0 otherwise
    int64_t qty              # of this fill; 0 otherwise
    int64_t left             # still open after this report
    uint32_t instrument
    uint32_t strategy
    int8_t side
    uint8_t kind             # ReportKind
    uint8_t reason           # RejectReason
    uint8_t flags            # the order's OrderFlag bits
    uint8_t why              # the order's Reason
    uint8_t spare[3]         # id of the child that filled, less order_id; 0 = the order itself


# The order at the exchange that a fill is of: what brokerage is charged for.
cdef inline uint64_t report_child(const Report *report) noexcept nogil:
    return report.order_id + (report.spare[0] | <uint32_t>report.spare[1] << 8
                              | <uint32_t>report.spare[2] << 16)


cdef packed struct ChargeRates:     # 88 bytes: one segment at one date
    paise_t brokerage_flat          # cap a whole order pays
    int64_t brokerage_rate_e9       # of value; the fee is min(flat, rate); 0 = always flat
    int64_t exchange_rate_e9        # rates in 1e-9 of turnover, both sides
    int64_t sebi_rate_e9
    int64_t ipft_rate_e9
    int64_t stamp_buy_e9
    int64_t stamp_sell_e9
    int64_t stt_buy_e9
    int64_t stt_sell_e9
    int64_t gst_rate_e9             # of brokerage + exchange charge (+ SEBI fee from 2022-07-18)
    int32_t gst_on_sebi             # 1 or 0
    int32_t gst_on_ipft             # 1 or 0


cdef packed struct Session:         # 240 bytes: one instrument on one trading day
    ns_t open_ns                    # first window [open, close)
    ns_t close_ns
    ns_t open2_ns                   # second window of a split day, 0 when there is none
    ns_t close2_ns
    ns_t entry_from_ns              # entries allowed in [entry_from, entry_until)
    ns_t entry_until_ns
    ns_t square_off_ns              # positions are closed at or after this; 0 = carry over night
    ns_t expiry_ns                  # the contract's last instant; 0 = no expiry
    int64_t lot                     # units
    paise_t tick
    int64_t freeze                  # largest order in units; 0 = no limit
    paise_t band_low                # operating range, 0 = none
    paise_t band_high
    int64_t margin_rate_e9          # initial margin of notional
    paise_t basis                   # added to an index price to model its future; 0 when recorded
    int64_t contract                # expiry as YYYYMMDD; a change means another contract
    int32_t date                    # YYYYMMDD, exchange date
    int32_t flags                   # 1 = special session (muhurat, drill): no entries
    int64_t spare[2]
    ChargeRates charges


cpdef enum DepthOp:
    """What a depth row does to its side of the book."""

    SET = 0                  # the level at this price holds qty units; 0 deletes the level
    CLEAR = 1                # no level is left on this side; price and qty are 0
    RAW = 2                  # a level of a snapshot that is not a valid book, kept as it came


cpdef enum DepthFlag:        # bits of DepthRow.flags; RAW keeps the position above bit 2
    """Bits of DepthRow.flags: how a row belongs to its message."""

    LAST = 1                 # last row of its message: the book is whole again
    SNAPSHOT = 2             # the row belongs to a full snapshot


cdef packed struct DepthRow:        # 48 bytes: one change of one level of one instrument's book
    ns_t exch_ns
    ns_t recv_ns
    uint64_t seq             # the source's message number, 0 when it has none
    paise_t price
    uint32_t instrument
    uint32_t qty             # units; 0 deletes the level
    uint32_t orders          # 0 when the feed does not say
    int8_t side              # Side
    uint8_t op               # DepthOp
    uint16_t flags           # DepthFlag bits; for RAW, bits 2 up hold the row's position


# One slot of an event ring: 80 bytes. `payload` holds a Tick or a Bar or a Report.
cpdef enum EventKind:
    """What the payload of an Event holds."""

    TICK = 1
    BAR = 2
    REPORT = 3
    TIMER = 4
    COMMAND = 5


cdef packed struct Event:
    uint8_t kind             # EventKind
    uint8_t source           # which ring; the second key of the merge order
    uint16_t size            # bytes of `payload` in use
    uint32_t seq             # the source's own count, wraps; gaps mean loss
    uint8_t payload[72]
