"""Who receives decoded records, inside the callback that received their frame.

Owner thread:  the engine thread only; the GIL is held.   Memory: none.
"""

from dhanfast._core.types cimport DepthRow, Tick, ns_t


cpdef enum FeedEvent:
    """What a feed says about itself."""

    LOST = 1                 # the connection is gone: from here books are unknown
    BACK = 2                 # subscribed again: each instrument's next record is a seed


cdef class TickSink:
    # The ticks of one message, in order. They are the caller's and are gone after the call.
    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept
    # FeedEvent of the whole feed.
    cdef void feed_event(self, int event, ns_t at_ns) noexcept


# Ticks to Python functions; an error of theirs is told to sys.unraisablehook.
cdef class TickCall(TickSink):
    cdef object _on_ticks
    cdef object _on_event


cdef class DepthSink:
    # Rows of one message of a depth feed, in order, as TickSink.take. A side is whole at LAST.
    cdef void take(self, const DepthRow *rows, size_t count, ns_t recv_ns) noexcept
    cdef void feed_event(self, int event, ns_t at_ns) noexcept


cdef class DepthCall(DepthSink):
    cdef object _on_rows
    cdef object _on_event
