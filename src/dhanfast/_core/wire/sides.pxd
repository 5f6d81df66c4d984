"""One side of a book from snapshot to snapshot: what changed, as rows.

Feeds that send whole sides again and again (five levels in Dhan's full packet, twenty or two
hundred in its depth feeds) come in here as levels and leave as DepthRows: rows applied in order
give the side that was sent, exactly. A side is valid when its levels with a quantity have positive
prices that get strictly worse; levels without a quantity are dropped. The first valid side, and
the first after one that was not valid, is a snapshot: CLEAR, then SET for each level, all flagged
SNAPSHOT. A side that is not valid comes as RAW rows, also flagged, at the positions it was sent
in.
"""

from libc.stdint cimport int32_t, uint32_t

from dhanfast._core.book cimport Level
from dhanfast._core.types cimport DepthRow


cdef enum:
    SIDE_LEVELS_MAX = 200


cdef enum SideKnown:
    SIDE_UNKNOWN
    SIDE_VALID
    SIDE_RAW


cdef struct SideState:
    Level *levels            # room for the feed's levels; the valid side, best first
    int32_t count
    int32_t known            # SideKnown


# Rows that `count` levels can make at most.
cdef inline size_t side_rows_max(size_t count) noexcept nogil:
    return 2 * count + 1


# The levels with a quantity, in order, into `kept`; -1 when they are not a valid side. `sign`:
# Side.
cdef int32_t side_kept(const Level *sent, int32_t count, int sign, Level *kept) noexcept nogil
# Take a side of `count` levels as sent; `stamp` is a row with times, seq, instrument and side set,
# the rest 0. Rows go to `out`, room for side_rows_max(count) of them, NULL = not wanted; returns
# how many. `raw[0]` becomes true when the side was not valid. LAST is for the caller to set.
cdef size_t side_take(SideState *side, const Level *sent, int32_t count, const DepthRow *stamp,
                      DepthRow *out, bint *raw) noexcept nogil
