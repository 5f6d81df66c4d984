"""Positions, P&L, charges and margin in exact integers.

A fill that reduces a position takes its share of the cost with it, rounded to the paisa (halves
away from zero); the remainder stays with the open part, so that nothing is lost and the last unit
takes what is left. A fill through zero closes the old side first and opens the new one at its own
price. Charges gather unrounded in micro-paise and are rounded when the day closes.
"""

import numpy as np

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from dhanfast._core.status cimport check
from dhanfast._core.types cimport ReportKind, Side, report_child

from dhanfast._core.records import record_of
from dhanfast._core.types import REPORT_DTYPE, SESSION_DTYPE
from dhanfast.errors import ConfigError, UsageError

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div(int64_t a, int64_t b, int64_t c)
    int df_mul_overflows(int64_t a, int64_t b, int64_t *out)

# Rows of `Portfolio.bills`, the columns of RunResult.days: paise.
DAY_BILL_DTYPE = np.dtype([
    ("date", "<i4"), ("trades", "<i4"), ("gross", "<i8"), ("brokerage", "<i8"), ("exchange", "<i8"),
    ("sebi", "<i8"), ("ipft", "<i8"), ("stamp", "<i8"), ("stt", "<i8"), ("gst", "<i8"),
    ("charges", "<i8"), ("equity", "<i8"),
])
if DAY_BILL_DTYPE.itemsize != sizeof(DayBill):
    raise ImportError("DayBill: the C struct and the dtype differ in size")

cdef enum:
    RECENT = 1024                                # a power of two
    # Constants of the C compiler: it divides by them with a multiplication.
    E9 = 1_000_000_000
    UPAISE = 1_000_000                           # one paisa
    UPAISE_RUPEE = 100_000_000                   # one rupee
# Beyond these a fill is a bug: 10 billion rupees a unit, 10 trillion rupees a fill.
cdef paise_t PRICE_LARGEST = 1_000_000_000_000
cdef paise_t VALUE_LARGEST = 1_000_000_000_000_000


# rate * value in micro-paise, half up: paise * 1e-9 = 1e-3 micro-paise.
cdef inline upaise_t _part(int64_t rate_e9, paise_t value) noexcept nogil:
    return df_mul_div(value, rate_e9, 1000) if rate_e9 else 0


# What an order that has filled for `value` pays in all.
cdef inline upaise_t _brokerage(const ChargeRates *rates, paise_t value) noexcept nogil:
    cdef upaise_t flat = rates.brokerage_flat * UPAISE
    if value <= 0:
        return 0
    if rates.brokerage_rate_e9 == 0:
        return flat
    return min(flat, _part(rates.brokerage_rate_e9, value))


cdef void bill_fill(const ChargeRates *rates, int side, paise_t value, paise_t value_before,
                    Bill *out) noexcept nogil:
    cdef bint buy = side == Side.BUY
    cdef upaise_t taxed
    out.brokerage = _brokerage(rates, value_before + value) - _brokerage(rates, value_before)
    out.exchange = _part(rates.exchange_rate_e9, value)
    out.sebi = _part(rates.sebi_rate_e9, value)
    out.ipft = _part(rates.ipft_rate_e9, value)
    out.stamp = _part(rates.stamp_buy_e9 if buy else rates.stamp_sell_e9, value)
    out.stt = _part(rates.stt_buy_e9 if buy else rates.stt_sell_e9, value)
    taxed = out.brokerage + out.exchange
    if rates.gst_on_sebi:
        taxed += out.sebi
    if rates.gst_on_ipft:
        taxed += out.ipft
    out.gst = df_mul_div(taxed, rates.gst_rate_e9, E9)


cdef inline void _add(Bill *total, const Bill *part) noexcept nogil:
    total.brokerage += part.brokerage
    total.exchange += part.exchange
    total.sebi += part.sebi
    total.ipft += part.ipft
    total.stamp += part.stamp
    total.stt += part.stt
    total.gst += part.gst


cdef inline paise_t _to_paisa(upaise_t amount) noexcept nogil:
    return (amount + UPAISE // 2) // UPAISE           # charges are never negative


cdef inline paise_t _to_rupee(upaise_t amount) noexcept nogil:
    return (amount + UPAISE_RUPEE // 2) // UPAISE_RUPEE * 100


# The rounded bill of one segment, added to the day.
cdef void _round_into(DayBill *day, const Bill *bill) noexcept nogil:
    cdef paise_t before = (day.brokerage + day.exchange + day.sebi + day.ipft + day.stamp
                           + day.stt + day.gst)
    day.brokerage += _to_paisa(bill.brokerage)
    day.exchange += _to_paisa(bill.exchange)
    day.sebi += _to_paisa(bill.sebi)
    day.ipft += _to_paisa(bill.ipft)
    day.stamp += _to_rupee(bill.stamp)
    day.stt += _to_rupee(bill.stt)
    day.gst += _to_paisa(bill.gst)
    day.charges += (day.brokerage + day.exchange + day.sebi + day.ipft + day.stamp + day.stt
                    + day.gst) - before


cdef class Portfolio:
    """Positions, average price, realised and open P&L, charges and margin of one account.

    Args:
        capital: paise at the start.
        instruments: how many instruments there are; they are 0..instruments-1.
        days_max: closed days kept for `bills`; later ones are charged but counted in `days_lost`.

    Attributes:
        count: instruments.
        days_closed: days in `bills`.

    Units:
        Cash and prices in paise, quantities in units, unrounded charges in micro-paise.

    Raises:
        ConfigError: a number out of range.
        MemoryError: no room for the tables.
    """

    def __cinit__(self, capital: object, instruments: object = 1, *, days_max: object = 8192):
        for name, given, least, most in (("capital", capital, 0, 1 << 60),
                                         ("instruments", instruments, 1, 1 << 20),
                                         ("days_max", days_max, 1, 1 << 20)):
            if not isinstance(given, (int, np.integer)) or not least <= given <= most:
                raise ConfigError(f"portfolio.{name}: {given!r} is not a whole number "
                                  f"in {least}..{most}")
        self.capital = capital
        self.equity_day_open = capital
        self.count = instruments
        self.days_max = days_max
        self.positions = <Position *>calloc(self.count, sizeof(Position))
        self.day_bills = <Bill *>calloc(self.count, sizeof(Bill))
        self.rates = <ChargeRates *>calloc(self.count, sizeof(ChargeRates))
        self.order_value = <paise_t *>calloc(self.count, sizeof(paise_t))
        self.order_id = <uint64_t *>calloc(self.count, sizeof(uint64_t))
        self.recent_value = <paise_t *>calloc(RECENT, sizeof(paise_t))
        self.recent_id = <uint64_t *>calloc(RECENT, sizeof(uint64_t))
        self.open_list = <uint32_t *>calloc(self.count, sizeof(uint32_t))
        self.open_place = <uint32_t *>calloc(self.count, sizeof(uint32_t))
        self.days = <DayBill *>calloc(self.days_max, sizeof(DayBill))
        if (self.positions == NULL or self.day_bills == NULL or self.rates == NULL
                or self.order_value == NULL or self.order_id == NULL or self.open_list == NULL
                or self.open_place == NULL or self.days == NULL
                or self.recent_value == NULL or self.recent_id == NULL):
            raise MemoryError(f"portfolio: no memory for {instruments} instruments")

    def __dealloc__(self):
        free(self.positions)
        free(self.day_bills)
        free(self.rates)
        free(self.order_value)
        free(self.order_id)
        free(self.recent_value)
        free(self.recent_id)
        free(self.open_list)
        free(self.open_place)
        free(self.days)

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        if instrument >= self.count:
            return
        if session.date != self.date:
            self.close_day()
            self.date = session.date
        self.rates[instrument] = session.charges
        self.positions[instrument].margin_rate_e9 = session.margin_rate_e9
        self.order_id[instrument] = 0
        self.order_value[instrument] = 0

    cdef void close_day(self) noexcept nogil:
        cdef uint32_t at, other
        cdef DayBill day
        cdef Bill segment
        if self.date == 0:
            return
        memset(&day, 0, sizeof(day))
        day.date = self.date
        day.trades = self.day_trades
        day.gross = self.realised - self.realised_day_open
        for at in range(self.count):
            if bill_total(&self.day_bills[at]) == 0:
                continue
            memset(&segment, 0, sizeof(segment))
            for other in range(at, self.count):
                if memcmp(&self.rates[at], &self.rates[other], sizeof(ChargeRates)) == 0:
                    _add(&segment, &self.day_bills[other])
                    memset(&self.day_bills[other], 0, sizeof(Bill))
            _round_into(&day, &segment)
        self.charges += day.charges
        self.charges_open = 0
        day.equity = self.equity()
        self.equity_day_open = day.equity
        self.realised_day_open = self.realised
        self.day_trades = 0
        self.date = 0
        if self.days_closed < self.days_max:
            self.days[self.days_closed] = day
            self.days_closed += 1
        else:
            self.days_lost += 1

    cdef Status apply(self, const Report *fill, Bill *bill) noexcept nogil:
        cdef uint32_t at = fill.instrument
        cdef paise_t value = 0
        cdef uint64_t order_id = report_child(fill)
        cdef uint64_t place
        cdef Position *position
        if fill.price <= 0 or fill.price > PRICE_LARGEST or fill.qty <= 0 or at >= self.count:
            return Status.BAD_PRICE
        if fill.kind != ReportKind.FILLED or (fill.side != Side.BUY and fill.side != Side.SELL):
            return Status.BAD_PRICE
        if df_mul_overflows(fill.price, fill.qty, &value) or value > VALUE_LARGEST:
            return Status.BAD_PRICE
        place = order_id & (RECENT - 1)
        if self.recent_id[place] != order_id:
            self.recent_id[place] = order_id
            self.recent_value[place] = 0
        bill_fill(&self.rates[at], fill.side, value, self.recent_value[place], bill)
        self.recent_value[place] += value
        self.order_id[at] = order_id
        self.order_value[at] = self.recent_value[place]
        _add(&self.day_bills[at], bill)
        self.charges_open += bill_total(bill)
        position = &self.positions[at]
        if position.mark == 0:
            position.mark = fill.price          # until the market says otherwise
        self._book(position, fill.side * fill.qty, fill.side * value)
        self._list_open(at)
        return Status.OK

    cdef void _book(self, Position *position, int64_t signed_qty, paise_t value) noexcept nogil:
        cdef int64_t held = position.qty if position.qty >= 0 else -position.qty
        cdef int64_t size = signed_qty if signed_qty >= 0 else -signed_qty
        cdef int64_t closed
        cdef paise_t cost_out, value_out
        if position.qty == 0 or (position.qty > 0) == (signed_qty > 0):
            position.qty += signed_qty
            position.cost += value
            return
        closed = size if size < held else held
        # value is price * signed_qty, so its share of `closed` units is exact.
        value_out = value // size * closed
        cost_out = position.cost if closed == held else df_mul_div(position.cost, closed, held)
        position.realised += -value_out - cost_out
        self.realised += -value_out - cost_out
        position.cost += (value - value_out) - cost_out
        position.qty += signed_qty
        if closed == held:
            self.day_trades += 1

    cdef void _list_open(self, uint32_t instrument) noexcept nogil:
        cdef bint is_open = self.positions[instrument].qty != 0
        cdef uint32_t place = self.open_place[instrument]
        cdef uint32_t last
        if is_open and place == 0:
            self.open_list[self.open_count] = instrument
            self.open_count += 1
            self.open_place[instrument] = self.open_count
        elif not is_open and place != 0:
            self.open_count -= 1
            last = self.open_list[self.open_count]
            self.open_list[place - 1] = last
            self.open_place[last] = place
            self.open_place[instrument] = 0

    cdef void settle(self, uint32_t instrument, paise_t price, upaise_t stt) noexcept nogil:
        cdef Position *position = &self.positions[instrument]
        cdef int64_t qty = position.qty
        if qty == 0:
            return
        self.day_bills[instrument].stt += stt
        self.charges_open += stt
        self._book(position, -qty, -qty * price)
        self._list_open(instrument)
        position.mark = price

    cdef void mark(self, uint32_t instrument, paise_t price) noexcept nogil:
        if price > 0 and instrument < self.count:
            self.positions[instrument].mark = price

    cdef paise_t open_pnl(self) noexcept nogil:
        return portfolio_open_pnl(self)

    cdef paise_t equity(self) noexcept nogil:
        return portfolio_equity(self)

    cdef paise_t day_pnl(self) noexcept nogil:
        return self.equity() - self.equity_day_open

    cdef paise_t margin_used(self) noexcept nogil:
        cdef paise_t total = 0
        cdef uint32_t at
        cdef Position *position
        for at in range(self.open_count):
            position = &self.positions[self.open_list[at]]
            total += df_mul_div((position.qty if position.qty > 0 else -position.qty)
                                * position.mark, position.margin_rate_e9, E9)
        return total

    def apply_report(self, report: object):
        """Book one FILLED report.

        Args:
            report: a mapping of report fields or a REPORT_DTYPE record.

        Returns:
            dict[str, int]: what this fill was charged, by component.

        Units:
            micro-paise, unrounded.

        Raises:
            BadData: price or quantity not positive or absurdly large, unknown instrument or side,
                or not a fill. Nothing is booked.
        """
        cdef uint8_t[::1] raw = record_of(report, REPORT_DTYPE, "report").view(np.uint8)
        cdef Bill bill
        memset(&bill, 0, sizeof(bill))
        check(self.apply(<const Report *>&raw[0], &bill))
        return _bill_dict(&bill)

    def start_session(self, instrument: int, session: object):
        """A new day or contract: take its rates; the first of another date closes the old day.

        Args:
            instrument: its index.
            session: a mapping of session fields or a SESSION_DTYPE record.

        Raises:
            UsageError: unknown instrument, a date of 0, or not a session.
        """
        cdef uint8_t[::1] raw = record_of(session, SESSION_DTYPE, "session").view(np.uint8)
        if (<const Session *>&raw[0]).date <= 0:
            raise UsageError("session.date: 0 is not a date; give YYYYMMDD")
        self.session(self._index(instrument), <const Session *>&raw[0])

    def set_mark(self, instrument: int, price: int):
        """Value an instrument at `price` paise from now on.

        Raises:
            UsageError: unknown instrument, or a price that is not positive.
        """
        if price <= 0:
            raise UsageError(f"price: {price} is not positive")
        self.mark(self._index(instrument), price)

    def end_day(self):
        """Close the day in progress: round its bill and list it in `bills`. None open: no effect.
        """
        self.close_day()

    def position(self, instrument: int):
        """One instrument: qty (signed units), cost, realised, mark, margin_rate_e9.

        Units:
            paise and units.

        Raises:
            UsageError: unknown instrument.
        """
        cdef Position held = self.positions[self._index(instrument)]
        return {"qty": held.qty, "cost": held.cost, "realised": held.realised, "mark": held.mark,
                "margin_rate_e9": held.margin_rate_e9}

    def open_bill(self, instrument: int):
        """The unrounded bill of the day in progress of one instrument, by component.

        Units:
            micro-paise.

        Raises:
            UsageError: unknown instrument.
        """
        return _bill_dict(&self.day_bills[self._index(instrument)])

    def bills(self):
        """The closed days, oldest first.

        Shape:
            DAY_BILL_DTYPE[days_closed], a copy.

        Units:
            paise, rounded: STT and stamp duty to the rupee, the rest to the paisa, halves up.
        """
        rows = np.zeros(self.days_closed, dtype=DAY_BILL_DTYPE)
        cdef uint8_t[::1] raw
        if self.days_closed:
            raw = rows.view(np.uint8)
            memcpy(&raw[0], self.days, self.days_closed * sizeof(DayBill))
        return rows

    def snapshot(self):
        """Every total at once, in paise (charges_open in micro-paise): equity, realised, open_pnl,
        day_pnl, charges (closed days), charges_open, margin_used, capital.
        """
        return {"equity": self.equity(), "realised": self.realised, "open_pnl": self.open_pnl(),
                "day_pnl": self.day_pnl(), "charges": self.charges,
                "charges_open": self.charges_open, "margin_used": self.margin_used(),
                "capital": self.capital}

    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF:
        if not 0 <= instrument < self.count:
            raise UsageError(f"instrument: {instrument} is not in 0..{self.count - 1}")
        return instrument


cdef dict _bill_dict(const Bill *bill):
    return {"brokerage": bill.brokerage, "exchange": bill.exchange, "sebi": bill.sebi,
            "ipft": bill.ipft, "stamp": bill.stamp, "stt": bill.stt, "gst": bill.gst}
