"""Sinks: see sink.pxd. The bases let everything fall; those that use records extend them."""

cimport cython
from libc.string cimport memcpy

import numpy as np

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import UsageError


cdef object _records(const void *first, size_t count, object dtype):
    # A copy that is the receiver's to keep.
    records = np.empty(count, dtype)
    cdef unsigned char[::1] raw
    if count:
        raw = records.view(np.uint8)
        memcpy(&raw[0], first, raw.shape[0])
    return records


cdef class TickSink:
    """Receives ticks on the engine thread, in the frame's own callback."""

    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept:
        pass

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        pass

    def take_ticks(self, ticks, recv_ns: int):
        """Hand over ticks as a decoder does.

        Args:
            ticks: TICK_DTYPE[n], C-contiguous.
            recv_ns: when their message came, UTC ns.
        Raises:
            UsageError: not a C-contiguous TICK_DTYPE array.
        """
        if getattr(ticks, "dtype", None) != TICK_DTYPE or not ticks.flags.c_contiguous:
            raise UsageError("ticks: expected a C-contiguous array of TICK_DTYPE")
        if ticks.size == 0:
            return
        cdef const unsigned char[::1] raw = ticks.reshape(-1).view(np.uint8)
        self.take(<const Tick *>&raw[0], ticks.size, recv_ns)

    def tell_event(self, event: int, at_ns: int):
        """Say what a feed says about itself.

        Args:
            event: FeedEvent. at_ns: UTC ns.
        """
        self.feed_event(event, at_ns)


@cython.final
cdef class TickCall(TickSink):
    """Ticks to a Python function: for tools; the engine's own sink is native.

    Args:
        on_ticks: called with (TICK_DTYPE array, its own copy; receive time in UTC ns) a message.
        on_event: called with (FeedEvent, UTC ns); None: nobody asks.
    """

    def __cinit__(self, on_ticks, on_event=None):
        self._on_ticks, self._on_event = on_ticks, on_event

    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept:
        self._on_ticks(_records(ticks, count, TICK_DTYPE), recv_ns)

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        if self._on_event is not None:
            self._on_event(event, at_ns)


cdef class DepthSink:
    """Receives rows of a depth feed on the engine thread, in the frame's own callback."""

    cdef void take(self, const DepthRow *rows, size_t count, ns_t recv_ns) noexcept:
        pass

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        pass

    def take_rows(self, rows, recv_ns: int):
        """Hand over rows as a decoder does.

        Args:
            rows: DEPTH_DTYPE[n], C-contiguous.
            recv_ns: when their message came, UTC ns.
        Raises:
            UsageError: not a C-contiguous DEPTH_DTYPE array.
        """
        if getattr(rows, "dtype", None) != DEPTH_DTYPE or not rows.flags.c_contiguous:
            raise UsageError("rows: expected a C-contiguous array of DEPTH_DTYPE")
        if rows.size == 0:
            return
        cdef const unsigned char[::1] raw = rows.reshape(-1).view(np.uint8)
        self.take(<const DepthRow *>&raw[0], rows.size, recv_ns)

    def tell_event(self, event: int, at_ns: int):
        """Say what a feed says about itself.

        Args:
            event: FeedEvent. at_ns: UTC ns.
        """
        self.feed_event(event, at_ns)


@cython.final
cdef class DepthCall(DepthSink):
    """Rows of a depth feed to a Python function, for tools.

    Args:
        on_rows: called with (DEPTH_DTYPE array, its own copy; receive time in UTC ns) a message.
        on_event: called with (FeedEvent, UTC ns); None: nobody asks.
    """

    def __cinit__(self, on_rows, on_event=None):
        self._on_rows, self._on_event = on_rows, on_event

    cdef void take(self, const DepthRow *rows, size_t count, ns_t recv_ns) noexcept:
        self._on_rows(_records(rows, count, DEPTH_DTYPE), recv_ns)

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        if self._on_event is not None:
            self._on_event(event, at_ns)
