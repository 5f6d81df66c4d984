"""Which broker's security is which of our instruments: a hash made once, looked up in the hot path.

A security id is unique only together with its segment, so the key is both. Cells hold the key and
a slot; a slot is an instrument's place in the table, and decoders keep their state by it. At most
half of the cells are taken, so a search ends.

Prices: n * tick in parts of the currency unit (`price_scale` of them: 100 = paise). A price that
lies farther from the tick than its float can be off is not of that tick (an index, a closing
average, a wrong table): it is kept to the nearest part instead, and the caller counts it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.types cimport paise_t


cdef enum:
    PRICE_PARTS_MAX = 10_000_000_000     # book.PRICE_MAX
    INSTRUMENT_MAX = 16_777_215
    SLOT_NONE = 0xFFFFFFFF


cdef struct WireCell:
    uint64_t key             # segment << 32 | security id; UINT64_MAX when empty
    uint64_t slot


cdef struct WireEntry:
    uint64_t key
    int64_t tick             # parts
    double per_tick          # ticks in one currency unit
    double parts             # parts in one currency unit
    double ticks_max
    uint32_t instrument
    uint32_t spare


cdef struct WireTableState:
    WireCell *cells
    WireEntry *entries       # by slot
    uint32_t *slot_of        # by instrument; SLOT_NONE
    uint64_t mask
    uint32_t shift
    uint32_t count
    uint64_t instruments     # length of slot_of


cdef inline uint32_t table_find(const WireTableState *table, uint32_t segment,
                                uint32_t security_id) noexcept nogil:
    cdef uint64_t key = <uint64_t>segment << 32 | security_id
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15) >> table.shift
    while table.cells[at].key != key:
        if table.cells[at].slot == SLOT_NONE:
            return SLOT_NONE
        at = (at + 1) & table.mask
    return <uint32_t>table.cells[at].slot


# -1 when the price cannot be one (negative, not a number, out of range), 1 when it is not on the
# tick, else 0. `relative` is how far a value of the wire's float may be off: F32_ERROR or
# F64_ERROR.
cdef inline int price_parts(const WireEntry *entry, double price, double relative,
                            paise_t *parts) noexcept nogil:
    cdef double ticks = price * entry.per_tick
    cdef double off
    cdef int64_t whole
    if not (0.0 <= ticks <= entry.ticks_max):
        parts[0] = 0
        return -1
    whole = <int64_t>(ticks + 0.5)
    off = ticks - <double>whole
    if (off if off >= 0 else -off) <= ticks * relative + 1e-6:
        parts[0] = whole * entry.tick
        return 0
    parts[0] = <int64_t>(price * entry.parts + 0.5)
    return 1


cdef inline double f32_error() noexcept nogil:
    return 6.1e-8            # half of 2^-23, and what the multiplication adds


cdef inline double f64_error() noexcept nogil:
    return 1e-12


cdef inline uint32_t table_slot(const WireTableState *table, uint32_t instrument) noexcept nogil:
    return table.slot_of[instrument] if instrument < table.instruments else SLOT_NONE


cdef class WireTable:
    cdef WireTableState state
