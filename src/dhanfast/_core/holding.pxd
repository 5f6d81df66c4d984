"""A position that is held: its stop follows the market, its time runs out.

Owner thread:  the engine thread only.   Memory: none.

Where a stop should be is told by `stops`; here it becomes requests of the dealer. The caller has
heard the exchange out, and `settle`s nothing afterwards: that is done here.
"""

from dhanfast._core.dealer cimport Dealer
from dhanfast._core.types cimport ns_t, paise_t


# The market was between these prices, `last` at the end of it: leave when it has touched the stop
# that is watched here, else move the stop where it should be by now. While an exit is worked by an
# algorithm both go on: a touch ends the algorithm. `at_ns`: when requests can be sent.
cdef void watch_price(Dealer dealer, paise_t low, paise_t high, paise_t last, ns_t now_ns,
                      ns_t at_ns) noexcept nogil
# Leave a position that has been held for long enough.
cdef void time_stop(Dealer dealer, ns_t now_ns) noexcept nogil
cdef bint is_time_over(Dealer dealer, ns_t now_ns) noexcept nogil
