"""Layouts of what decoders write, as numpy sees them, checked against the C structs at import."""

cimport cython

from typing import NamedTuple

import numpy as np

from dhanfast._core.archive.schema import STATS_DTYPE
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE

NOTICE_DTYPE = np.dtype([
    ("recv_ns", "<i8"), ("code", "<u4"), ("segment", "<u4"), ("security_id", "<u4"),
    ("reason", "<u4"),
])
COUNT_NAMES = tuple(member.name.lower() for member in WireCount)[:<int>WireCount.COUNTS]

for _name, _dtype, _size in (("StatsRow", STATS_DTYPE, sizeof(StatsRow)),
                             ("Notice", NOTICE_DTYPE, sizeof(Notice))):
    if _dtype.itemsize != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the dtype {_dtype.itemsize}")
if <size_t>WireCount.COUNTS * 8 != sizeof(((<WireCounters *>NULL)).counts):
    raise ImportError("WireCounters.counts is not as long as WireCount")


class Decoded(NamedTuple):
    """Rows that a decoder made of one message, in the order of its packets.

    Shape:
        ticks is TICK_DTYPE, depth DEPTH_DTYPE, stats STATS_DTYPE, notices NOTICE_DTYPE; each may
        be empty.
    """

    ticks: np.ndarray
    depth: np.ndarray
    stats: np.ndarray
    notices: np.ndarray


@cython.final
cdef class WireSink:
    """Arrays that a decoder's Python door writes into, emptied as often as they fill.

    Args:
        rows: room of each array; at least what one packet can make.
    """

    def __cinit__(self, size_t rows):
        self._parts = []
        self._ticks = np.empty(rows, TICK_DTYPE)
        self._depth = np.empty(rows, DEPTH_DTYPE)
        self._stats = np.empty(rows, STATS_DTYPE)
        self._notices = np.empty(rows, NOTICE_DTYPE)
        cdef unsigned char[::1] ticks = self._ticks.view(np.uint8)
        cdef unsigned char[::1] depth = self._depth.view(np.uint8)
        cdef unsigned char[::1] stats = self._stats.view(np.uint8)
        cdef unsigned char[::1] notices = self._notices.view(np.uint8)
        self.out.ticks = <Tick *>&ticks[0]
        self.out.rows = <DepthRow *>&depth[0]
        self.out.stats = <StatsRow *>&stats[0]
        self.out.notices = <Notice *>&notices[0]
        self.out.tick_max = self.out.row_max = self.out.stat_max = self.out.notice_max = rows

    cdef void flush(self):
        # Copies what is there; the arrays are free again.
        self._parts.append((
            self._ticks[:self.out.tick_count].copy(), self._depth[:self.out.row_count].copy(),
            self._stats[:self.out.stat_count].copy(),
            self._notices[:self.out.notice_count].copy(),
        ))
        self.out.tick_count = self.out.row_count = 0
        self.out.stat_count = self.out.notice_count = 0

    cdef object take(self):
        # Everything since the last call.
        self.flush()
        parts, self._parts = self._parts, []
        if len(parts) == 1:
            return Decoded(*parts[0])
        return Decoded(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def count_names(counts):
    """Counters by name, the zeros left out.

    Args:
        counts: as long as `COUNT_NAMES`.
    """
    return {name: count for name, count in zip(COUNT_NAMES, counts, strict=True) if count}
