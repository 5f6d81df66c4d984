"""The table of instruments a decoder is given; see table.pxd for the hash."""

cimport cython
from libc.stdint cimport UINT64_MAX
from libc.stdlib cimport calloc, free, malloc

from typing import NamedTuple

import numpy as np

from dhanfast.errors import BadData


class WireInstrument(NamedTuple):
    """One security of a broker's feed and what it is to us.

    Units:
        tick in parts of the currency unit, price_scale parts to a unit (100: paise, the default).
        instrument is the index that stands in the records.
    """

    segment: int
    security_id: int
    instrument: int
    tick: int = 5
    price_scale: int = 100


_LIMITS = (
    ("segment", 0, 255),
    ("security_id", 0, 0xFFFFFFFF),
    ("instrument", 0, <int>INSTRUMENT_MAX),
    ("tick", 1, 100_000_000),
    ("price_scale", 1, 1_000_000),
)


@cython.final
cdef class WireTable:
    """Securities by (segment, security id), fixed at construction.

    Args:
        instruments: `WireInstrument`s or tuples of its fields in that order.
    Units:
        see `WireInstrument`.
    Raises:
        BadData: a field is out of range; a security or an instrument is there twice.
        MemoryError: no room for the hash.
    """

    def __cinit__(self, instruments):
        rows = [WireInstrument(*row) for row in instruments]
        _check(rows)
        cdef uint64_t cells = 8
        cdef uint32_t bits = 3
        cdef uint64_t i, at
        cdef WireEntry *entry
        while cells < 2 * <uint64_t>len(rows):
            cells *= 2
            bits += 1
        self.state.mask = cells - 1
        self.state.shift = 64 - bits
        self.state.count = <uint32_t>len(rows)
        self.state.instruments = 1 + max((row.instrument for row in rows), default=0)
        self.state.cells = <WireCell *>malloc(cells * sizeof(WireCell))
        self.state.entries = <WireEntry *>calloc(len(rows) + 1, sizeof(WireEntry))
        self.state.slot_of = <uint32_t *>malloc(self.state.instruments * sizeof(uint32_t))
        if not (self.state.cells and self.state.entries and self.state.slot_of):
            raise MemoryError(f"table of {len(rows)} instruments")
        for i in range(cells):
            self.state.cells[i].key = UINT64_MAX
            self.state.cells[i].slot = SLOT_NONE
        for i in range(self.state.instruments):
            self.state.slot_of[i] = SLOT_NONE
        for i, row in enumerate(rows):
            entry = &self.state.entries[i]
            entry.key = <uint64_t>row.segment << 32 | <uint64_t>row.security_id
            entry.tick = row.tick
            entry.parts = row.price_scale
            entry.per_tick = entry.parts / <double>entry.tick
            entry.ticks_max = <double>PRICE_PARTS_MAX / <double>entry.tick
            entry.instrument = row.instrument
            self.state.slot_of[entry.instrument] = <uint32_t>i
            at = (entry.key * <uint64_t>0x9E3779B97F4A7C15) >> self.state.shift
            while self.state.cells[at].slot != SLOT_NONE:
                at = (at + 1) & self.state.mask
            self.state.cells[at].key = entry.key
            self.state.cells[at].slot = i

    def __dealloc__(self):
        free(self.state.cells)
        free(self.state.entries)
        free(self.state.slot_of)

    def __len__(self):
        """Securities in the table."""
        return self.state.count

    def find(self, uint32_t segment, uint32_t security_id):
        """The instrument of a security, None when it is not in the table."""
        cdef uint32_t slot = table_find(&self.state, segment, security_id)
        return None if slot == SLOT_NONE else self.state.entries[slot].instrument

    def snap(self, uint32_t instrument, double price, bint single=True):
        """A price of the wire in parts, and whether it is on the tick.

        Args:
            instrument: its index.
            price: in the currency unit, as the wire's float says it.
            single: the wire's float has 32 bits, else 64.

        Raises:
            BadData: the instrument is not in the table, or this cannot be a price.
        """
        cdef paise_t parts = 0
        cdef uint32_t slot = table_slot(&self.state, instrument)
        if slot == SLOT_NONE:
            raise BadData(f"instrument {instrument} is not in the table")
        verdict = price_parts(&self.state.entries[slot], price,
                              f32_error() if single else f64_error(), &parts)
        if verdict < 0:
            raise BadData(f"{price} is not a price: it must be 0 or more and below "
                          f"{<long long>PRICE_PARTS_MAX} parts")
        return parts, verdict == 0


cdef object _check(list rows):
    # Refuse what is out of range or there twice, by the name of the field.
    for row in rows:
        for name, low, high in _LIMITS:
            value = getattr(row, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not (
                    low <= value <= high):
                raise BadData(f"{name} of security {row.segment}:{row.security_id} is {value!r}; "
                              f"a whole number from {low} to {high}")
    seen = {}
    for row in rows:
        for what, key in (("security", (row.segment, row.security_id)),
                          ("instrument", row.instrument)):
            if seen.setdefault((what, key), row) is not row:
                raise BadData(f"{what} {key} is in the table twice; give each once")
