"""The fused loop: see fused.pxd. Its results are those of Cursor._scatter, which tests compare."""

from dhanfast._core.archive.columns cimport STEP, column_residuals, column_values
from dhanfast._core.types cimport Tick


cdef extern from "df_columns.h":
    int df_bit_count(const uint64_t *words, size_t n, int bit) noexcept nogil


cdef inline uint64_t _take(const uint64_t **at, uint64_t changes, int bit) noexcept nogil:
    # The next residual where the row has one, else 0; no branch, the bits are close to random.
    cdef uint64_t changed = (changes >> bit) & 1
    cdef uint64_t residual = at[0][0] & (<uint64_t>0 - changed)
    at[0] += changed
    return residual


cdef struct Residuals:               # of the rows of a step: sparse but for the two times and flags
    const uint64_t *field[12]
    uint64_t known               # change bits of fields that have a column
    uint64_t bid_follows         # all ones when the bid is told by the price, else 0
    uint64_t ask_follows


cdef void _residuals(Column *columns, const int32_t *ticks, const uint32_t *slots,
                     const uint64_t *changes, uint64_t *work, const uint64_t *zeros, size_t n,
                     Residuals *at) noexcept nogil:
    cdef uint64_t *values
    cdef Column *column
    cdef size_t f, i, count
    at.known = at.bid_follows = at.ask_follows = 0
    # Receive time first: the exchange's may follow it.
    for i in range(12):
        f = 1 if i == 0 else 0 if i == 1 else i
        at.field[f] = zeros
        if f == 6 or ticks[f] < 0:
            continue
        column = &columns[ticks[f]]
        values = work + ticks[f] * STEP
        count = n
        if column.entry.change_bit:
            at.known |= <uint64_t>1 << (column.entry.change_bit - 1)
            count = <size_t>df_bit_count(changes, n, column.entry.change_bit - 1)
        column_residuals(column, count, values)
        if f < 2:
            column_values(column, slots, work + column.reference * STEP
                          if column.reference >= 0 else NULL, n, values)
        elif f == 3 and column.reference >= 0:
            at.bid_follows = ~<uint64_t>0
        elif f == 4 and column.reference >= 0:
            at.ask_follows = ~<uint64_t>0
        at.field[f] = values


cdef void tick_rows(Column *columns, const int32_t *ticks, TickState *states,
                    const uint32_t *slots, const uint64_t *changes, uint64_t *work,
                    const uint64_t *zeros, size_t n, char *out) noexcept nogil:
    cdef Residuals at
    _residuals(columns, ticks, slots, changes, work, zeros, n, &at)
    cdef const uint64_t *price = at.field[2]
    cdef const uint64_t *bid = at.field[3]
    cdef const uint64_t *ask = at.field[4]
    cdef const uint64_t *volume = at.field[5]
    cdef const uint64_t *qty = at.field[7]
    cdef const uint64_t *bid_qty = at.field[8]
    cdef const uint64_t *ask_qty = at.field[9]
    cdef const uint64_t *oi = at.field[10]
    cdef size_t i
    cdef Tick *tick = <Tick *>out
    cdef TickState *state
    cdef uint64_t step, last, best, change
    for i in range(n):
        state = &states[slots[i]]
        change = changes[i] & at.known
        tick[i].exch_ns = <int64_t>at.field[0][i]
        tick[i].recv_ns = <int64_t>at.field[1][i]
        step = state.price_scale
        last = state.price + _take(&price, change, 0) * step
        state.price = last
        tick[i].price = <int64_t>last
        best = state.bid + _take(&bid, change, 1) * step
        state.bid = best
        last = best + (last & at.bid_follows)
        tick[i].bid = <int64_t>last
        best = state.ask + _take(&ask, change, 2) * step
        state.ask = best
        tick[i].ask = <int64_t>(best + (last & at.ask_follows))
        step = state.qty_scale
        last = state.volume + _take(&volume, change, 3) * step
        state.volume = last
        tick[i].volume = last
        tick[i].instrument = <uint32_t>state.instrument
        last = state.qty + _take(&qty, change, 4) * step
        state.qty = last
        tick[i].qty = <uint32_t>last
        last = state.bid_qty + _take(&bid_qty, change, 5) * step
        state.bid_qty = last
        tick[i].bid_qty = <uint32_t>last
        last = state.ask_qty + _take(&ask_qty, change, 6) * step
        state.ask_qty = last
        tick[i].ask_qty = <uint32_t>last
        last = state.oi + _take(&oi, change, 7) * step
        state.oi = last
        tick[i].oi = <uint32_t>last
        last = state.flags + at.field[11][i]
        state.flags = last
        tick[i].flags = <uint32_t>last
