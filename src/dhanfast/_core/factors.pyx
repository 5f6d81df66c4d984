"""Factors: see factors.pxd for what is written when, here is the how."""

cimport cython
from libc.math cimport NAN
from libc.string cimport memcpy, memset

import numpy as np

ROOM_MIN = 1024


def factor_dtype(count):
    """The row of a table of so many factors.

    Args:
        count: of the factors, at least 1.
    Units:
        decided_ns UTC ns; share 1e-6 of the sized lots, 0 = all; the rest as the strategy says.
    """
    return np.dtype([("decided_ns", "<i8"), ("total", "<f8"), ("side", "<i4"), ("share", "<i4"),
                     ("values", "<f8", (count,))])


@cython.final
cdef class Factors:
    """The factor table of a strategy: for each position what its entry was decided on.

    Args:
        names: of the factors, each once.
        weights: of the factors, as parts of their sum.
        room: rows between two `take`, at least 1024.
    Attributes:
        count: rows since the last `take`. lost: rows there was no room for.
    Shape:
        `take`: factor_dtype(len(names))[n], row i of the i-th position that was opened.
    Raises:
        ValueError: no names, a name twice, as many weights as names are not given, no room.
    """

    def __cinit__(self, names, weights, size_t room=8192):
        self.names, self.weights = tuple(names), tuple([float(one) for one in weights])
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"names must be given, each once, were {self.names}")
        if len(self.weights) != len(self.names):
            raise ValueError(f"{len(self.names)} factors need as many weights, "
                             f"were {len(self.weights)}")
        if room < ROOM_MIN:
            raise ValueError(f"room must be at least {ROOM_MIN} rows, was {room}")
        self.room, self._dtype = room, factor_dtype(len(self.names))
        self.size = self._dtype.itemsize
        self._make_rows()
        self._next = np.zeros(1, self._dtype)
        cdef unsigned char[::1] raw = self._next.view(np.uint8)
        self.waiting = <FactorHead *><void *>&raw[0]

    cdef object _make_rows(self):
        self._kept = np.empty(self.room, self._dtype)
        cdef unsigned char[::1] raw = self._kept.view(np.uint8)
        self.rows, self.count = &raw[0], 0

    cdef double *decide(self, ns_t at_ns, int side, double total, int32_t share) noexcept nogil:
        self.waiting.decided_ns, self.waiting.total = at_ns, total
        self.waiting.side, self.waiting.share = side, share
        self.asked = True
        return <double *><void *>(<unsigned char *>self.waiting + sizeof(FactorHead))

    cdef void filled(self, const View *view) noexcept nogil:
        cdef FactorHead *row
        cdef double *values
        cdef size_t i
        if view.position == 0:
            self.held = False
            return
        if self.held:
            return
        self.held = True
        if self.count == self.room:
            self.lost += 1
            return
        row = <FactorHead *><void *>(self.rows + self.count * self.size)
        if self.asked:
            memcpy(row, self.waiting, self.size)
        else:                        # opened by somebody else: nothing was decided here
            memset(row, 0, self.size)
            row.side, row.total = 1 if view.position > 0 else -1, NAN
            values = <double *><void *>(<unsigned char *>row + sizeof(FactorHead))
            for i in range((self.size - sizeof(FactorHead)) // sizeof(double)):
                values[i] = NAN
        self.count += 1
        self.asked = False

    def reserve(self, size_t room):
        """Room for at least so many rows between two `take`; before the first of them.

        Raises:
            ValueError: rows were written.
        """
        if self.count:
            raise ValueError(f"{self.count} rows were written: reserve before the run begins")
        if room > self.room:
            self.room = room
            self._make_rows()

    def take(self):
        """The rows written since the last call; there is room for others then."""
        rows = self._kept[:self.count]
        if self.count:
            self._make_rows()
        return rows
