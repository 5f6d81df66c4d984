"""The live engine's inputs of a structure of legs: see inputs.pxd for what all runs share.

Owner thread:  the engine thread only; the GIL is held.   Memory: none after construction.

A TICK of instrument 0 is of the index, one of instrument i of column i - 1 of the chain, one of the
number behind the last column of India VIX, which only guards see. It meets
the orders of the legs that trade that contract at once, and the order of the legs goes on after
every input. What else is decided is decided once a second of the market, on a row of the chain.

A structure that follows signals has the strategy on the index beside it (`lead`): ticks of the
index and the time go through its kernel, whose orders an exchange of its own fills. Whether it is
long, short or flat there is all that the legs see of it. One that fails is dropped, and what
becomes of the legs is said by a STRATEGY input (`drop_strategy`).
"""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.callwatch cimport CallWatch
from dhanfast._core.chainnow cimport ChainNow
from dhanfast._core.guards cimport Guards
from dhanfast._core.legrun cimport LegRun
from dhanfast._core.live.desk cimport Desk
from dhanfast._core.live.inputs cimport InputLoop
from dhanfast._core.loops cimport TickLoop
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Tick, ns_t


cdef class LegLoop(InputLoop):
    cdef readonly LegRun run
    cdef readonly ChainNow chain
    cdef readonly Desk desk              # None: the exchange is simulated
    cdef readonly Guards guards          # of the run; None: there are none
    cdef readonly bint vix               # ticks of India VIX come
    cdef uint32_t numbers                # of the feed that are its own: the index and the columns
    cdef ns_t row_ns                     # the market's: the row in hand ends then; 0 = not begun
    cdef ns_t close_ns                   # of the day: no rows after
    # A bought leg was closed by another hand, and nobody has said since that all is to be left.
    cdef readonly bint uncovered
    cdef TickLoop lead                   # of the strategy that is followed; None: by the clock
    cdef ns_t grace_ns                   # how long its bars wait for late ticks
    cdef readonly int led                # the side that the legs were told last: 1, -1, 0 = flat
    cdef public CallWatch watch          # tells of a native strategy that does not return; None

    cdef Status lead_tick(self, const Tick *tick) noexcept
    cdef Status lead_timer(self, ns_t now_ns) noexcept
    cdef Status heed(self, Status status, ns_t now_ns) noexcept

    # Booked by an exit that rests, or by one that is made for it and never leaves.
    cdef bint closed_by_others(self, uint32_t contract, int64_t units, int64_t price,
                               ns_t now_ns) noexcept
    cdef bint covers(self, uint32_t contract) noexcept
