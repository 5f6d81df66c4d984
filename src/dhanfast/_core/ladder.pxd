"""A generated book behind a generated quote: up to 200 levels a side that change a few at a time.

The best level of a side is always the quote it was last given; deeper levels stay where they are
until the quote passes them. A message is the rows that lead from the book before to the book after:
deletions of both sides first, so that no prefix of it is a crossed book.

    remove   levels the new best has passed go, best first
    place    the new best takes its place in front; the last level makes room, or new ones fill up
    stir     now and then one deeper level changes its quantity

Who may call what:   one thread; all memory belongs to the caller, none is allocated.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.types cimport DepthRow

cdef enum:
    LADDER_SLOTS = 256           # a power of two above the deepest book


cdef struct Rung:
    int64_t price            # in ticks
    uint32_t lots
    uint32_t orders


cdef struct Ladder:
    uint32_t head[2]         # slot of the best level; 0 bids, 1 asks
    uint32_t size[2]
    Rung rungs[2][LADDER_SLOTS]


# What every row of a book shares, and where its rows go.
cdef struct Scribe:
    DepthRow *rows
    size_t used
    DepthRow stamp           # clocks, seq, instrument and flags of the next row
    int64_t tick             # paise
    int64_t lot              # units
    uint32_t levels
    uint32_t lots_scale      # sixteenths
    uint32_t gap_scale       # sixteenths


# Most rows one message can have.
cdef inline size_t ladder_rows_max(uint32_t levels) noexcept nogil:
    return 4 * <size_t>levels + 8


# Writes the message of a new quote (prices in ticks, sizes in lots); returns its rows, often 0.
cdef size_t ladder_quote(Ladder *ladder, Scribe *scribe, uint64_t *state, int64_t bid,
                         uint32_t bid_lots, int64_t ask, uint32_t ask_lots) noexcept nogil
