"""Our orders against bars; the rules in words are in `match.pyx`."""

from dhanfast._core.types cimport Bar, ns_t
from dhanfast._core.venue cimport Venue


cdef void bar_apply_open(Venue *venue, const Bar *bar, ns_t end_ns) noexcept nogil
cdef void bar_apply_range(Venue *venue, const Bar *bar, ns_t end_ns) noexcept nogil
