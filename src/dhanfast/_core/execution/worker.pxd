"""The worker: works parent orders by an algorithm, between the kernel and what executes orders.

Owner thread:  the engine thread only.   Memory: none after construction.

Orders flagged WORKED become parents (`Jobs`: ALGO). A parent's children are sent when its plan
(`schedule`) says so, priced by `route`, each sealed by the gate. Everything else passes through as
it is, but for positions above the freeze quantity (`jobs.pxd`). What holds:
    never more   what has filled and what children may still fill is never above the parent
    legal        every child is whole lots (an odd rest leaves whole), at most freeze, on the tick
    pressing     a square-off, a stop, panic: `hurry` sends all that is left of an exit at once
    bounded      after the deadline no child is sent but what the remainder policy asks for; an exit
                 leaves at once at its deadline, whatever the policy
    ended        nothing is sent after a cancel; the parent ends when its children have
Time is the market's. What is due between two events is done as of when it was due, so that a run
that is woken in time and one that only sees ticks send the same children. On bars a child is sent
between two bars: it meets the next one's open.
"""

from dhanfast._core.execution.algos cimport Algos


cdef class Worker(Algos):
    # The market is at the stop of a position that is being worked out of: out at once.
    cdef void watch_stop(self) noexcept nogil
    cdef void know_volume(self) noexcept nogil
