"""What a run writes down: trades, orders and how they went, equity, in fixed native buffers.

Owner thread:  the engine thread only.
Memory:        one allocation at construction. When a buffer is nearly full the kernel stops with
               LOG_FULL between two events, Python drains, and the run goes on: memory stays flat.
               A drain hands over a buffer that is well filled and makes another; no row is copied.
"""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t, paise_t, upaise_t


cdef packed struct Trade:    # 160 bytes: one position from flat to flat
    ns_t entry_ns            # first fill
    ns_t exit_ns             # last fill
    int64_t qty              # units entered, all fills together
    paise_t entry_value      # sum of price * units
    paise_t exit_value
    paise_t gross            # before charges
    paise_t mae              # worst open P&L seen, <= 0
    paise_t mfe              # best open P&L seen, >= 0
    paise_t stop             # price as first set, 0 = none
    paise_t target
    upaise_t brokerage       # charges of both sides, unrounded
    upaise_t exchange
    upaise_t sebi
    upaise_t ipft
    upaise_t stamp
    upaise_t stt
    upaise_t gst
    int64_t contract         # expiry YYYYMMDD, 0 = none
    uint32_t instrument
    uint32_t bars            # signal bars held
    int8_t side              # Side
    uint8_t entry_reason     # Reason
    uint8_t exit_reason      # Reason
    uint8_t spare[5]


cdef packed struct OrderRow:  # 80 bytes: one order as it ended
    uint64_t id
    ns_t created_ns
    ns_t done_ns
    paise_t price
    paise_t trigger
    int64_t qty
    int64_t filled
    paise_t value            # sum of price * units of its fills
    uint32_t instrument
    int8_t side
    uint8_t kind             # OrderKind
    uint8_t flags            # OrderFlag bits
    uint8_t reason           # Reason
    uint8_t status           # ReportKind of its last report
    uint8_t refused          # RejectReason
    uint8_t spare[6]


# How an order went, from its decision to its end: one for each OrderRow, in the same place. It
# stands beside it and not in it, so that what was written before there were any can be read, and
# the digest of a run covers what it always did.
#
# What an order costs is measured against `decision`: of an entry or exit the mark when it was
# decided; of a stop its trigger, of a target its limit, for that is the price they were set for.
# Arrival (`bid`, `ask`) is the market when the order left, of a stop the market when it triggered;
# a target has none: it waits for its own price. Bars know no quotes: there it is unknown.
cdef packed struct Passage:   # 104 bytes
    uint64_t id              # of the order
    ns_t decided_ns          # of a stop or target: when its price was set last
    ns_t sent_ns             # when it left; 0 = it never did
    ns_t first_fill_ns       # 0 = none
    ns_t last_fill_ns
    paise_t decision         # 0 = no price was known
    paise_t signal           # what gave the signal stood here when it was decided; 0 = unknown
    paise_t bid              # 0 = unknown
    paise_t ask
    paise_t sent_price       # limit it left with; 0 = none (simulated market orders and stops)
    paise_t end_mark         # mark when it ended
    uint32_t changes         # of price or quantity, asked for while it worked
    uint32_t fills
    uint8_t route            # why this kind and price were chosen; 0 = by no router
    uint8_t spare[7]


cdef packed struct EquityRow:  # 24 bytes
    ns_t time_ns
    paise_t equity
    int64_t position


cdef enum:
    LOG_MARGIN = 64          # rows kept free beside what the coming events may write
    ORDERS_A_BAR_MAX = 12    # entry, stop, target, exit and a reversal, sent and refused


cdef class RunLog:
    cdef Trade *trades
    cdef OrderRow *orders
    cdef Passage *passages           # of the order in the same place
    cdef EquityRow *equity
    cdef object _trade_rows          # the arrays that own the four
    cdef object _order_rows
    cdef object _passage_rows
    cdef object _equity_rows
    cdef size_t trade_count, order_count, equity_count
    cdef readonly size_t trades_max, orders_max, equity_max

    cdef object _make_trades(self)
    cdef object _make_orders(self)
    cdef object _make_equity(self)
    # True when `bars` more events might not fit.
    cdef bint nearly_full(self, size_t bars) noexcept nogil
    cdef void add_trade(self, const Trade *row) noexcept nogil
    cdef void add_order(self, const OrderRow *row, const Passage *passage) noexcept nogil
    cdef void add_equity(self, ns_t time_ns, paise_t equity, int64_t position) noexcept nogil
