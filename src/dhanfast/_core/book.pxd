"""Order book of one instrument, price levels: 5, 20 or 200 a side, or any number up to 1024.

Owner thread:  one; the thread that decodes the depth feed.
Memory:        one allocation at construction, none after.
Units:         paise, units. Prices are in 1..PRICE_MAX.

Each side is one sorted array whose best level stands at the END, inside a buffer three times its
size. Most changes are near the best price and move few levels; one deep in the book moves whichever
part is shorter, the better or the worse one, as the array may slide inside its buffer. The search
starts where the last change was: feeds send the levels of a message in order of price.

        buffer:  . . . . . [lo  worst ... best  hi) . . . . .

A book holds the best `levels_max` of each side. When it is full, the worst level gives way, and
`truncated` says that levels beyond the worst one may exist. A gap in the message numbers sets
`gap`; both stay until the next snapshot. A snapshot that is refused changes nothing.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Side, paise_t


cdef enum:
    LEVELS_MAX = 1024
    PRICE_MAX = 10_000_000_000      # Rs 10 crore: cost_to_take stays inside int64
    UNITS_MAX = 100_000_000


cdef packed struct Level:           # 16 bytes: moves as one register
    paise_t price
    uint32_t qty                    # units; 0 = no such level
    uint32_t orders                 # 0 when the feed does not say


cdef packed struct Delta:           # 24 bytes: one change of one level
    Level level                     # qty 0 deletes
    int32_t side                    # Side: BUY = bid, SELL = ask
    int32_t spare


cdef struct BookSide:
    Level *levels                   # the whole buffer
    int32_t lo                      # the worst level
    int32_t hi                      # one past the best
    int32_t truncated
    int32_t hint                    # where the last change was; may be stale


cdef struct BookState:
    BookSide bid
    BookSide ask
    int32_t levels_max
    int32_t size                    # of a side's buffer, levels
    uint64_t seq                    # newest message; 0 before the first
    uint64_t gaps                   # holes in the message numbers, ever
    int32_t gap                     # 1 from a hole to the next snapshot


cdef struct TakeCost:
    int64_t filled                  # units that are there, at most those asked for
    int64_t cost                    # paise x units
    paise_t worst                   # price of the last unit; 0 when nothing is there


# Both sides at once, best first; entries end at the first with price or qty 0. BAD_PRICE: not
# strictly getting worse, or out of range; the book is unchanged.
cdef Status book_snapshot(BookState *book, const Level *bids, size_t bid_count, const Level *asks,
                          size_t ask_count, uint64_t seq) noexcept nogil
# One level: set it, or delete it with qty 0 (deleting what is not there is no error: it may lie
# beyond the worst level kept). BAD_PRICE: out of range.
cdef Status book_delta(BookState *book, Side side, const Level *level) noexcept nogil
# Before a message's deltas: does it follow the newest one? OUT_OF_ORDER: it is old, drop it.
# A hole sets `gap`; the deltas may still be applied.
cdef Status book_message(BookState *book, uint64_t previous_seq, uint64_t seq) noexcept nogil
cdef void book_clear(BookState *book) noexcept nogil
# What `units` cost now: BUY takes asks, SELL hits bids.
cdef TakeCost book_take(const BookState *book, Side side, int64_t units) noexcept nogil
# (bids - asks) / (bids + asks) of the quantities of the best n levels; NaN for an empty book.
cdef double book_imbalance(const BookState *book, int32_t levels) noexcept nogil


# NULL when the side is empty.
cdef inline const Level *book_best(const BookSide *side) noexcept nogil:
    return &side.levels[side.hi - 1] if side.hi > side.lo else NULL


# 0 when a side is empty, so that a missing price is never taken for one.
cdef inline paise_t book_bid(const BookState *book) noexcept nogil:
    return book.bid.levels[book.bid.hi - 1].price if book.bid.hi > book.bid.lo else 0


cdef inline paise_t book_ask(const BookState *book) noexcept nogil:
    return book.ask.levels[book.ask.hi - 1].price if book.ask.hi > book.ask.lo else 0


# Bid at or above ask: locked (equal) or crossed. Real books are not; a feed's may be for a moment.
cdef inline bint book_crossed(const BookState *book) noexcept nogil:
    cdef paise_t ask = book_ask(book)
    return ask > 0 and book_bid(book) > ask


cdef inline bint book_locked(const BookState *book) noexcept nogil:
    cdef paise_t ask = book_ask(book)
    return ask > 0 and book_bid(book) == ask


cdef inline double book_microprice(const BookState *book) noexcept nogil:
    cdef const Level *bid = book_best(&book.bid)
    cdef const Level *ask = book_best(&book.ask)
    cdef double weight
    if bid == NULL or ask == NULL:
        return <double>0.0 / <double>0.0
    weight = <double>bid.qty + <double>ask.qty
    return (<double>bid.price * ask.qty + <double>ask.price * bid.qty) / weight


cdef class Book:
    cdef BookState state
