"""The market's tape at an exchange; the contract is in tape.pxd."""

cimport cython
from libc.stdint cimport int32_t, int64_t

from dhanfast._core.book cimport Book, Level, book_clear, book_delta
from dhanfast._core.feedout cimport FeedLane, face_side, lane_depth, lane_seed, lane_tick
from dhanfast._core.types cimport DepthFlag, DepthOp, Side

import numpy as np

from libc.stdlib cimport calloc, free

from dhanfast._core.book import LEVEL_DTYPE
from dhanfast._core.feedout import FACE_DTYPE
from dhanfast._core.types import BAR_DTYPE, DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import PoolFull, UsageError

cdef enum:
    MINUTE = 60_000_000_000
    TOP = 200


cdef inline ns_t _time(ns_t recv_ns, ns_t exch_ns) noexcept nogil:
    return recv_ns if recv_ns else exch_ns


@cython.final
cdef class Tape:
    """Applies the market's records to an exchange: what it shows, what it matches, what it sends.

    Args:
        match: the exchange's kernel; its sessions must have been started.
        contracts: (segment number, security id) of each instrument, by index.
        open_ns: first instant of the first minute bar, UTC ns.
        minutes: how many minutes there can be.
        levels: of a book, a side.

    Attributes:
        instruments: how many there are.
        minutes: bars there is room for, each.
        now_ns: time of the newest record.
        watched: index of the instrument whose watched price was reached last.

    Raises:
        UsageError: a number out of range, or not as many contracts as the kernel has instruments.
    """

    def __cinit__(self, Match match not None, contracts: object, open_ns: int, minutes: int,
                  levels: int = 20):
        count = len(contracts)
        if count != match.instruments or not 0 < minutes <= 1440:
            raise UsageError(f"tape: {count} contracts for {match.instruments} instruments, "
                             f"{minutes} minutes (1 to 1440)")
        self.match = match
        self.instruments = <uint32_t>count
        self.minutes = <uint32_t>minutes
        self.open_ns = open_ns
        self._faces = np.zeros(count, FACE_DTYPE)
        self._bars = np.zeros((count, minutes), BAR_DTYPE)
        cdef uint8_t[::1] faces = self._faces.view(np.uint8)
        cdef uint8_t[::1] bars = self._bars.reshape(-1).view(np.uint8)
        self.faces = <Face *>&faces[0]
        self.bars = <Bar *>&bars[0]
        self.books = <BookState **>calloc(count, sizeof(BookState *))
        if self.books == NULL:
            raise MemoryError("tape")
        self._books = []
        self._lanes = []
        cdef Book book
        cdef uint32_t at = 0
        for segment, security_id in contracts:
            self.faces[at].segment = segment
            self.faces[at].security_id = security_id
            book = Book(levels)
            self._books.append(book)
            self.books[at] = &book.state
            at += 1

    def __dealloc__(self):
        free(self.books)

    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF:
        if not 0 <= instrument < self.instruments:
            raise UsageError(f"instrument: {instrument} is not in 0..{self.instruments - 1}")
        return instrument

    def start(self, instrument: int, *, prev_close: int = 0, prev_oi: int = 0,
              prev_volume: int = 0, deep: bool = False):
        """What is known of an instrument before its first record.

        Args:
            prev_close: of the day before; 0 = not known.
            prev_oi: likewise. prev_volume: likewise.
            deep: its books come as depth rows.

        Units:
            paise, units.

        Raises:
            UsageError: no such instrument.
        """
        cdef Face *face = &self.faces[self._index(instrument)]
        face.prev_close = prev_close
        face.prev_oi = prev_oi
        face.oi = face.oi_high = face.oi_low = prev_oi
        face.prev_volume = prev_volume
        face.deep = deep

    def watch(self, instrument: int, floor: int, ceiling: int):
        """Stop after a trade at or below `floor`, or at or above `ceiling`; 0 = no such bound.

        Units:
            paise.

        Raises:
            UsageError: no such instrument.
        """
        cdef Face *face = &self.faces[self._index(instrument)]
        face.floor = floor
        face.ceiling = ceiling

    def attach(self, FeedLane lane not None):
        """Send packets to one more client.

        Raises:
            PoolFull: too many clients. UsageError: made for another number of instruments.
        """
        if self.lane_count == LANES_MAX:
            raise PoolFull(f"{<int>LANES_MAX} feed clients are connected; that is all there can be")
        if lane.state.instruments != self.instruments:
            raise UsageError(f"lane of {lane.state.instruments} instruments, the tape has "
                             f"{self.instruments}")
        self._lanes.append(lane)
        self.lanes[self.lane_count] = &lane.state
        self.lane_count += 1

    def detach(self, FeedLane lane not None):
        """Send no more to a client; one that is not attached stays so."""
        if lane in self._lanes:
            at = self._lanes.index(lane)
            del self._lanes[at]
            for place in range(at, <int>self.lane_count - 1):
                self.lanes[place] = self.lanes[place + 1]
            self.lane_count -= 1

    def seed(self, FeedLane lane not None, instrument: int, modes: int, *,
             close_packet: bool = True):
        """Write what a client gets on subscribing: the previous close, and how things stand.

        Raises:
            UsageError: no such instrument.
        """
        cdef uint32_t at = self._index(instrument)
        lane_seed(&lane.state, at, &self.faces[at], self.books[at], modes, close_packet)

    def step(self, ticks: object, at_tick: int, rows: object, at_row: int, until_ns: int):
        """Apply records up to a time, or up to the first that must be answered.

        Args:
            ticks: TICK_DTYPE[n], C-contiguous, in the order received.
            at_tick: the first to apply.
            rows: DEPTH_DTYPE[m], likewise. at_row: likewise.
            until_ns: records received later are left.

        Returns:
            tuple[int, int, int]: next tick, next row, and why it stopped: 0 nothing is left up to
            the time, else bits: 1 the kernel has reports, 2 a watched price was reached.

        Raises:
            UsageError: not such arrays, or a place outside them.
        """
        for what, records, dtype, at in (("ticks", ticks, TICK_DTYPE, at_tick),
                                         ("rows", rows, DEPTH_DTYPE, at_row)):
            if getattr(records, "dtype", None) != dtype or not records.flags.c_contiguous:
                raise UsageError(f"{what}: expected a C-contiguous array of {dtype}")
            if not 0 <= at <= len(records):
                raise UsageError(f"{what}: {at} is not in 0..{len(records)}")
        cdef const uint8_t[::1] raw_ticks, raw_rows
        cdef const Tick *tick = NULL
        cdef const DepthRow *row = NULL
        cdef size_t n_ticks = len(ticks), n_rows = len(rows)
        cdef size_t next_tick = at_tick, next_row = at_row
        cdef ns_t until = until_ns
        cdef int stop
        if n_ticks:
            raw_ticks = ticks.view(np.uint8)
            tick = <const Tick *>&raw_ticks[0]
        if n_rows:
            raw_rows = rows.view(np.uint8)
            row = <const DepthRow *>&raw_rows[0]
        with nogil:
            stop = self._step(tick, n_ticks, &next_tick, row, n_rows, &next_row, until)
        return next_tick, next_row, stop

    cdef int _step(self, const Tick *ticks, size_t n_ticks, size_t *at_tick, const DepthRow *rows,
                   size_t n_rows, size_t *at_row, ns_t until_ns) noexcept nogil:
        cdef ns_t now_ns
        cdef int stop
        cdef uint32_t which
        cdef Face *face
        while at_tick[0] < n_ticks:
            now_ns = _time(ticks[at_tick[0]].recv_ns, ticks[at_tick[0]].exch_ns)
            if now_ns > until_ns:
                break
            self._rows(rows, n_rows, at_row, now_ns, False)
            if self.match.pending_reports:
                return REPORTS
            stop = self._tick(&ticks[at_tick[0]], now_ns)
            self._rows(rows, n_rows, at_row, now_ns, True)
            if ticks[at_tick[0]].instrument < self.instruments:
                face = &self.faces[ticks[at_tick[0]].instrument]
                for which in range(self.lane_count):
                    lane_tick(self.lanes[which], ticks[at_tick[0]].instrument, face,
                              self.books[ticks[at_tick[0]].instrument])
                    if not face.deep:
                        lane_depth(self.lanes[which], ticks[at_tick[0]].instrument, face,
                                   self.books[ticks[at_tick[0]].instrument])
                face.oi_sent = face.oi
            at_tick[0] += 1
            if self.match.pending_reports:
                stop |= REPORTS
            if stop != END:
                return stop
        self._rows(rows, n_rows, at_row, until_ns, True)
        return REPORTS if self.match.pending_reports else END

    cdef int _tick(self, const Tick *tick, ns_t now_ns) noexcept nogil:
        cdef Tick bare, deep
        cdef Face *face
        cdef uint32_t traded = 0
        if tick.instrument >= self.instruments:
            return END
        face = &self.faces[tick.instrument]
        if tick.price > 0 and tick.price == face.last and tick.volume \
                and tick.volume <= face.volume:
            # Recorders of other makes repeat the last trade with every quote. Nobody traded.
            bare = tick[0]
            bare.price = 0
            bare.qty = 0
            tick = &bare
        if now_ns > self.now_ns:
            self.now_ns = now_ns
        face.seen_ns = now_ns
        if tick.oi:
            face.oi = tick.oi
            face.oi_high = tick.oi if tick.oi > face.oi_high else face.oi_high
            face.oi_low = tick.oi if face.oi_low == 0 or tick.oi < face.oi_low else face.oi_low
        if not face.deep and (tick.bid or tick.ask):
            face.bid, face.ask = tick.bid, tick.ask
            face.bid_qty, face.ask_qty = tick.bid_qty, tick.ask_qty
        if tick.price > 0:
            if tick.volume > face.volume:
                traded = <uint32_t>(tick.volume - face.volume)
                face.value += tick.price * <int64_t>traded
                face.volume = tick.volume
            face.last = tick.price
            face.ltt_ns = tick.exch_ns if tick.exch_ns else now_ns
            face.ltq = tick.qty
            face.open = face.open if face.open else tick.price
            face.high = tick.price if tick.price > face.high else face.high
            face.low = tick.price if face.low == 0 or tick.price < face.low else face.low
            self._minute(tick, face, traded, now_ns)
        if face.deep and (tick.bid or tick.ask):
            deep = tick[0]
            deep.bid = deep.ask = 0
            deep.bid_qty = deep.ask_qty = 0
            self.match.tick(&deep)
        else:
            self.match.tick(tick)
        if tick.price > 0 and ((face.floor and tick.price <= face.floor)
                               or (face.ceiling and tick.price >= face.ceiling)):
            self.watched = tick.instrument
            return WATCH
        return END

    cdef void _minute(self, const Tick *tick, Face *face, uint32_t traded,
                      ns_t now_ns) noexcept nogil:
        cdef int64_t minute = (now_ns - self.open_ns) // MINUTE
        cdef Bar *bar
        if now_ns < self.open_ns or minute >= self.minutes:
            return
        bar = &self.bars[<size_t>tick.instrument * self.minutes]
        if face.bars == 0 or bar[face.bars - 1].start_ns != self.open_ns + minute * MINUTE:
            if face.bars == self.minutes:
                return
            bar += face.bars
            face.bars += 1
            bar.start_ns = self.open_ns + minute * MINUTE
            bar.instrument = tick.instrument
            bar.open = bar.high = bar.low = tick.price
        else:
            bar += face.bars - 1
        bar.high = tick.price if tick.price > bar.high else bar.high
        bar.low = tick.price if tick.price < bar.low else bar.low
        bar.close = tick.price
        bar.volume += traded
        bar.oi = face.oi
        bar.ticks += 1

    # Rows received before `until_ns`, or `through` it.
    cdef void _rows(self, const DepthRow *rows, size_t count, size_t *at, ns_t until_ns,
                    bint through) noexcept nogil:
        cdef const DepthRow *row
        cdef BookState *book
        cdef Level level
        cdef ns_t now_ns
        while at[0] < count:
            row = &rows[at[0]]
            now_ns = _time(row.recv_ns, row.exch_ns)
            if now_ns > until_ns or (now_ns == until_ns and not through):
                return
            at[0] += 1
            if row.instrument >= self.instruments:
                continue
            book = self.books[row.instrument]
            if row.op == DepthOp.SET:
                level.price, level.qty, level.orders = row.price, row.qty, row.orders
                book_delta(book, <Side>row.side, &level)     # a price out of range is left out
            elif row.side == Side.BUY:
                book.bid.lo = book.bid.hi = book.bid.hint = book.size // 2
            else:
                book.ask.lo = book.ask.hi = book.ask.hint = book.size // 2
            if row.flags & DepthFlag.LAST:
                if now_ns > self.now_ns:
                    self.now_ns = now_ns
                self._book(row.instrument, now_ns)

    # A message is whole: show it, match against it, send it.
    cdef void _book(self, uint32_t instrument, ns_t now_ns) noexcept nogil:
        cdef Face *face = &self.faces[instrument]
        cdef BookState *book = self.books[instrument]
        cdef Level levels[TOP]
        cdef int64_t prices[2][TOP]
        cdef int64_t units[2][TOP]
        cdef int32_t counts[2]
        cdef int32_t at, which, limit
        cdef uint32_t lane
        face.deep = 1
        face.seen_ns = now_ns
        face.bid = face.ask = 0
        face.bid_qty = face.ask_qty = 0
        if book.bid.hi > book.bid.lo:
            face.bid = book.bid.levels[book.bid.hi - 1].price
            face.bid_qty = book.bid.levels[book.bid.hi - 1].qty
        if book.ask.hi > book.ask.lo:
            face.ask = book.ask.levels[book.ask.hi - 1].price
            face.ask_qty = book.ask.levels[book.ask.hi - 1].qty
        # The kernel must always know the best: an order that arrives before the next message meets
        # what it was told last. A crossed book is no quote.
        limit = TOP if self.match.live else 1
        if face.bid and face.ask and face.bid >= face.ask:
            limit = 0
        for which in range(2):
            counts[which] = face_side(face, book, Side.BUY if which == 0 else Side.SELL,
                                      &levels[0], limit)
            for at in range(counts[which]):
                prices[which][at] = levels[at].price
                units[which][at] = levels[at].qty
        self.match.depth(instrument, &prices[0][0], &units[0][0], <size_t>counts[0],
                         &prices[1][0], &units[1][0], <size_t>counts[1], now_ns)
        for lane in range(self.lane_count):
            lane_depth(self.lanes[lane], instrument, face, book)

    def side(self, instrument: int, side: int, levels: int = 5):
        """What is shown of one side of a book, best first.

        Args:
            side: 1 = bids, -1 = asks. levels: at most so many, up to 200.

        Shape:
            LEVEL_DTYPE[n].

        Raises:
            UsageError: no such instrument.
        """
        cdef uint32_t at = self._index(instrument)
        cdef Level found[TOP]
        cdef int32_t limit = min(max(levels, 0), <int>TOP)
        cdef int32_t count = face_side(&self.faces[at], self.books[at], side, &found[0], limit)
        out = np.zeros(count, LEVEL_DTYPE)
        for place in range(count):
            out[place] = (found[place].price, found[place].qty, found[place].orders)
        return out

    def clear(self, instrument: int):
        """Forget the book of an instrument, as after a gap.

        Raises:
            UsageError: no such instrument.
        """
        book_clear(self.books[self._index(instrument)])

    def bars_of(self, instrument: int):
        """The minutes of today so far, the open one last; a copy.

        Shape:
            BAR_DTYPE[n].

        Raises:
            UsageError: no such instrument.
        """
        cdef uint32_t at = self._index(instrument)
        return self._bars[at, : self.faces[at].bars].copy()

    @property
    def shown(self):
        """What is shown of every instrument: FACE_DTYPE[instruments], read only, always current."""
        view = self._faces.view()
        view.flags.writeable = False
        return view
