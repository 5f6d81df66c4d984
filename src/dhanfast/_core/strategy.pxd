"""The native strategy contract: what every strategy is to the kernel, whichever door it came by.

Owner thread:  the engine thread only.
A strategy says what it wants (`Signal`); sizing, orders, stops and targets are the kernel's.
Subclass NativeStrategy, override the methods you need, build against the shipped .pxd.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.types cimport Bar, Report, Tick, ns_t


cpdef enum Action:
    """What a strategy wants its position to be."""

    HOLD = 0
    GO_LONG = 1              # be long; ignored while an entry is on its way
    GO_SHORT = -1
    GO_FLAT = 2              # close what is open


cdef struct Signal:
    int32_t action           # Action
    int32_t share            # of the sized lots that an entry takes, 1e-6, rounded down; 0 = all
    double stop              # rupees from the fill price; 0 = none, NaN (unknown) = no entry
    double target            # rupees from the fill price; 0 = none, NaN (unknown) = no entry


cdef struct View:            # what a strategy may know of its own position and time
    ns_t now_ns              # the bar's end, or the tick's receive time
    int64_t position         # signed units held
    double entry_price       # rupees, average; NaN when flat
    int64_t bars_held        # signal bars since the entry filled; 0 when flat
    int32_t session_start    # 1 on the first bar of a session
    int32_t can_enter        # 1 inside the entry window of a normal session


cdef class NativeStrategy:
    cdef readonly bint wants_ticks   # False: `on_tick` is never called and costs nothing
    cdef readonly bint python        # True: its methods need the GIL; the kernel keeps it
    cdef readonly bint wants_chain   # False: `on_chain` is never called and costs nothing
    cdef public int failed           # a Status; anything but OK stops the run after this event
    cdef public object error         # the exception behind `failed`, None when there is none

    # `n` bars, bars[index[i]], that `on_bar` will then see one by one in this order. first[i] is 1
    # on the first bar of a session. Only for evaluating ahead what does not depend on positions.
    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil
    # `signal` arrives as HOLD without stop and target.
    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil
    cdef void on_tick(self, const Tick *tick, const View *view, Signal *signal) noexcept nogil
    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil
    # A new set of figures of the option chain, between two bars or ticks.
    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil
