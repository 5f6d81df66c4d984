"""ChainFeed: see chainfeed.pxd."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from dhanfast._core.records import record_of
from dhanfast.errors import UsageError

FIGURES = tuple(one.name.lower() for one in ChainFigure)
OF_INTEREST = FIGURES[<int>ChainFigure.PCR:]
CHAIN_DTYPE = np.dtype([("at_ns", "<i8"), *[(name, "<f8") for name in FIGURES]])
if CHAIN_DTYPE.itemsize != sizeof(ChainRow) or len(FIGURES) != CHAIN_FIGURES:
    raise ImportError(f"ChainRow: the C struct has {sizeof(ChainRow)} bytes, the dtype "
                      f"{CHAIN_DTYPE.itemsize}")


@cython.final
cdef class ChainFeed:
    """Sets of figures of one chain, as they became known.

    Args:
        rows: CHAIN_DTYPE[n], ascending by `at_ns`, of a run over what is recorded; kept, not copied
            and never written. None: they are told one by one, and the last 256 are kept.
        figures: names of the figures that the sets may have; the others are NaN.
        age_ns: a set that is older counts as unknown; 0: however old.
    Attributes:
        count: sets so far. figures: as given, a frozenset. age_ns: as given.
    Units:
        at_ns UTC nanoseconds; figures as of `ChainFigure`.
    Raises:
        UsageError: another dtype, sets that do not ascend, no such figure, an age below 0.
    """

    def __cinit__(self, rows=None, *, figures=FIGURES, int64_t age_ns=0):
        unknown = sorted(set(figures) - set(FIGURES))
        if unknown:
            raise UsageError(f"no chain figure {unknown[0]!r}: give some of {', '.join(FIGURES)}")
        if age_ns < 0:
            raise UsageError(f"age_ns is {age_ns}: give 0 or more")
        self.figures, self.age_ns, self.told = frozenset(figures), age_ns, rows is None
        if self.told:
            table = np.zeros(SETS_KEPT, CHAIN_DTYPE)
        else:
            table = np.ascontiguousarray(rows)
            if table.dtype != CHAIN_DTYPE or table.ndim != 1:
                raise UsageError(f"chain sets must be one-dimensional of CHAIN_DTYPE, were "
                                 f"{table.dtype}")
            if (np.diff(table["at_ns"]) <= 0).any():
                raise UsageError("chain sets do not ascend by at_ns: sort them, one a moment")
            self.count = len(table)
        self.room, self._owner = len(table), table
        cdef const unsigned char[::1] raw
        if self.room:
            raw = table.view(np.uint8)
            self.rows = <ChainRow *><const void *>&raw[0]    # those handed in are never written

    cdef bint add(self, const ChainRow *row) noexcept nogil:
        if not self.told or (self.count and row.at_ns <= self.row(self.count - 1).at_ns):
            return False
        self.rows[self.count % self.room] = row[0]
        self.count += 1
        return True

    cdef const ChainRow *row(self, uint64_t at) noexcept nogil:
        if at >= self.count or self.count - at > self.room:
            return NULL
        return &self.rows[at % self.room]

    cdef uint64_t known(self, uint64_t at, ns_t now_ns) noexcept nogil:
        if self.count > self.room and at < self.count - self.room:
            at = self.count - self.room
        while at < self.count and self.rows[at % self.room].at_ns <= now_ns:
            at += 1
        return at

    cdef const ChainRow *fresh(self, uint64_t at, ns_t now_ns) noexcept nogil:
        cdef const ChainRow *found = self.row(at - 1) if at > 0 else NULL
        if found == NULL or (self.age_ns and now_ns - found.at_ns > self.age_ns):
            return NULL
        return found

    def tell(self, row):
        """A new set, of a feed that is told set by set.

        Args:
            row: a record of CHAIN_DTYPE, or a mapping of its fields; those left out are 0.
        Returns:
            False when it is not later than the last, and was dropped.
        Raises:
            UsageError: the sets were handed in; not one record.
        """
        cdef const unsigned char[::1] raw
        if not self.told:
            raise UsageError("the sets of this feed were handed in: it is told no others")
        raw = record_of(row, CHAIN_DTYPE, "chain set").view(np.uint8)
        return self.add(<const ChainRow *>&raw[0])

    @property
    def sets(self):
        """The sets that are kept, oldest first.

        Shape:
            CHAIN_DTYPE[n], a copy.
        """
        if self.count <= self.room:
            return self._owner[:self.count].copy()
        return np.roll(self._owner, -<Py_ssize_t>(self.count % self.room))
