"""Who receives decoded ticks, inside the callback that received their frame.

Owner thread:  the engine thread only; the GIL is held.   Memory: none.
"""

from dhanfast._core.types cimport Tick, ns_t


cpdef enum FeedEvent:
    """What a feed says about itself."""

    LOST = 1                 # the connection is gone: from here books are unknown
    BACK = 2                 # subscribed again: each instrument's next record is a seed


cdef class TickSink:
    # The ticks of one message, in order. They are the caller's and are gone after the call.
    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept
    # FeedEvent of the whole feed.
    cdef void feed_event(self, int event, ns_t at_ns) noexcept
