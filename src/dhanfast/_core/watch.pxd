"""Watch: a strategy around a strategy, which writes down every decision of the one inside.

Owner thread:  the engine thread only.
Memory:        the rows are allocated at construction; only the bars that are probed make objects.
Law:           what is watched decides as if nobody watched: the same calls in the same order with
               the same arguments. With `flat` its wishes are written down and go no further, so
               that every decision is one of somebody who holds nothing.
"""

from libc.stdint cimport int32_t, int64_t

from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.strategy cimport NativeStrategy, Signal
from dhanfast._core.types cimport ns_t


cdef packed struct Decision:     # 48 bytes: what was said on one bar
    ns_t start_ns            # of the bar
    int64_t position         # signed units held when it was asked
    double stop              # rupees from the fill, as it was said
    double target
    int64_t took_ns          # inside on_bar and, since the bar before, on_chain; monotonic
    int32_t action           # Action
    int32_t session_start    # 1 on the first bar of a session


cdef class Watch(NativeStrategy):
    cdef readonly NativeStrategy inner
    cdef readonly Graph graph        # None: its indicators cannot be seen
    cdef readonly dict states        # start_ns of a probed bar -> {name: value}
    cdef readonly size_t count       # decisions written
    cdef readonly size_t room
    cdef Decision *rows
    cdef object _kept                # the array that owns `rows`
    cdef const int64_t *probes       # ascending starts of bars
    cdef object _probed
    cdef size_t probe_count, probe_at
    cdef size_t row                  # of the block that `prepare` began
    cdef bint flat
    # What `on_chain` wished since the last bar: of several sets the last that wished anything. It
    # is a decision of the bar that ends then, unless on_bar has a wish of its own.
    cdef Signal wished
    cdef int64_t wished_ns           # inside on_chain since the last bar, monotonic
    cdef object _state_of

    cdef void note(self, ns_t start_ns) noexcept
