"""TickSink: see sink.pxd. The class itself lets everything fall; those that use ticks extend it."""

import numpy as np

from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import UsageError


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
