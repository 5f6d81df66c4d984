"""Positions, average price, realised and open P&L, charges and margin, in exact integers.

Owner thread:  the engine thread only.
Memory:        one allocation at construction, none after.
Laws:          cash is conserved: equity == capital + sum of (sell value - buy value) of all fills
               + open quantity * mark - charges, to the paisa. A flat position has cost 0 exactly.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ChargeRates, Report, Session, ns_t, paise_t, upaise_t


cdef struct Position:
    int64_t qty              # signed units; 0 = flat
    paise_t cost             # signed: what the open quantity cost, sum of price * qty
    paise_t realised         # gross of charges, since the start
    paise_t mark             # last price seen, 0 before the first
    int64_t margin_rate_e9   # of the session in force


# One order's or one day's bill in micro-paise, unrounded. Rounding happens once a day: STT and
# stamp duty to the rupee, the rest to the paisa (half up), as brokers print it.
cdef struct Bill:
    upaise_t brokerage
    upaise_t exchange
    upaise_t sebi
    upaise_t ipft
    upaise_t stamp
    upaise_t stt
    upaise_t gst


cdef inline upaise_t bill_total(const Bill *bill) noexcept nogil:
    return (bill.brokerage + bill.exchange + bill.sebi + bill.ipft + bill.stamp + bill.stt
            + bill.gst)


# One closed exchange day, rounded. The layout of a row of RunResult.days (88 bytes).
cdef packed struct DayBill:
    int32_t date             # YYYYMMDD
    int32_t trades           # positions that went flat or turned round
    paise_t gross            # realised that day, before charges
    paise_t brokerage
    paise_t exchange
    paise_t sebi
    paise_t ipft
    paise_t stamp            # whole rupees
    paise_t stt              # whole rupees
    paise_t gst
    paise_t charges          # sum of the seven
    paise_t equity           # at the end of the day, after them


# The part of an order's charges that a fill of `value` paise adds. `value_before` is what the same
# order has already filled for, so that an order that fills in many trades pays brokerage once.
cdef void bill_fill(const ChargeRates *rates, int side, paise_t value, paise_t value_before,
                    Bill *out) noexcept nogil


cdef class Portfolio:
    cdef Position *positions         # one an instrument
    cdef readonly uint32_t count     # instruments
    cdef readonly paise_t capital
    cdef paise_t realised            # sum over instruments
    cdef paise_t charges             # rounded bills of the days that are closed
    cdef upaise_t charges_open       # unrounded total of the day in progress
    cdef Bill *day_bills             # per instrument: the day in progress
    cdef ChargeRates *rates          # per instrument: in force
    cdef paise_t *order_value        # per instrument: filled value of the order in progress
    cdef uint64_t *order_id          # per instrument: which order that is
    cdef paise_t equity_day_open     # equity when the day began: day P&L = equity - this

    # Filled value by order id, for orders whose fills interleave: place = id & 1023. Ids increase,
    # so an order is forgotten only after 1,023 later ones have filled.
    cdef paise_t *recent_value
    cdef uint64_t *recent_id
    cdef uint32_t *open_list         # instruments whose position is not flat
    cdef uint32_t *open_place        # per instrument: its place in `open_list` + 1, 0 = flat
    cdef uint32_t open_count
    cdef readonly uint32_t days_max
    cdef DayBill *days               # closed days, oldest first
    cdef readonly uint32_t days_closed
    cdef readonly uint32_t days_lost  # closed after `days` was full: charged, but not listed
    cdef int32_t date                # of the day in progress, 0 before the first session
    cdef int32_t day_trades
    cdef paise_t realised_day_open

    # A new day (or contract) for an instrument: takes the new rates. The first session of another
    # date closes the day before for all instruments, because STT and stamp duty are rounded once a
    # day and segment (instruments with equal rates are one segment), not once a contract.
    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil
    # Book one FILLED report. `bill` receives what this fill was charged. BAD_PRICE if price <= 0.
    cdef Status apply(self, const Report *fill, Bill *bill) noexcept nogil
    # An option has expired: what is held is paid for at `price` (0 = worthless), without an order;
    # `stt` is what its exercise is taxed, micro-paise. Nothing happens to a flat instrument.
    cdef void settle(self, uint32_t instrument, paise_t price, upaise_t stt) noexcept nogil
    cdef void mark(self, uint32_t instrument, paise_t price) noexcept nogil
    cdef paise_t open_pnl(self) noexcept nogil
    # capital + realised + open P&L - charges (the day in progress rounded to the paisa)
    cdef paise_t equity(self) noexcept nogil
    cdef paise_t day_pnl(self) noexcept nogil
    # Close the day in progress now, at the end of a run. Nothing happens when none is open.
    cdef void close_day(self) noexcept nogil
    # sum of |qty| * mark * margin rate over instruments
    cdef paise_t margin_used(self) noexcept nogil
    cdef void _book(self, Position *position, int64_t signed_qty, paise_t value) noexcept nogil
    cdef void _list_open(self, uint32_t instrument) noexcept nogil
    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF


cdef inline paise_t portfolio_open_pnl(Portfolio books) noexcept nogil:
    cdef paise_t total = 0
    cdef uint32_t at
    cdef const Position *position
    for at in range(books.open_count):
        position = &books.positions[books.open_list[at]]
        total += position.qty * position.mark - position.cost
    return total


# `Portfolio.equity` without the call: the kernel asks on every bar. Charges are never negative.
cdef inline paise_t portfolio_equity(Portfolio books) noexcept nogil:
    return (books.capital + books.realised + portfolio_open_pnl(books) - books.charges
            - (books.charges_open + 500_000) // 1_000_000)
