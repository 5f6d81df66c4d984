"""Columns of ticks to Tick structs in one loop: what `Cursor` does column by column, at once.

Owner thread:  the cursor's.   Memory: none.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.archive.columns cimport Column
from dhanfast._core.archive.decode cimport TickState


# The next n rows of a block whose columns the cursor has found fit (Cursor._fuse). `ticks`: the
# column of each field of a Tick, -1 for a field that is 0; `changes`: which of the eight fields
# from price to oi have a residual, a bit each; `work`: STEP values a column; `zeros`: STEP of them.
cdef void tick_rows(Column *columns, const int32_t *ticks, TickState *states,
                    const uint32_t *slots, const uint64_t *changes, uint64_t *work,
                    const uint64_t *zeros, size_t n, char *out) noexcept nogil
