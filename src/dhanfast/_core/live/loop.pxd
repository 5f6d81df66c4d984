"""The live engine's inputs of one strategy on one instrument: see inputs.pxd for what all share.

Owner thread:  the engine thread only; the GIL is held.   Memory: none after construction.

A TICK of instrument 0 is of what is traded, one of instrument 1 is India VIX: only guards see it.
"""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.callwatch cimport CallWatch
from dhanfast._core.chainfeed cimport ChainFeed
from dhanfast._core.guards cimport Guards
from dhanfast._core.kernel cimport Kernel
from dhanfast._core.live.inputs cimport InputLoop
from dhanfast._core.live.remote cimport Remote
from dhanfast._core.loops cimport TickLoop
from dhanfast._core.types cimport ns_t

cdef enum:
    VIX_TICK = 1             # a journaled tick's instrument
    NO_VIX = 0xFFFFFFFF


cdef class LiveLoop(InputLoop):
    cdef readonly Kernel kernel
    cdef readonly TickLoop ticks
    cdef readonly Remote remote          # None: the exchange is simulated
    cdef readonly Guards guards          # of the gate; None: there are none
    cdef uint32_t instrument             # of the feed, that is traded
    cdef readonly uint32_t vix           # of the feed, India VIX; NO_VIX: not wanted
    cdef readonly ChainFeed chain        # what it tells of the option chain; None: nobody asks
    cdef ns_t grace_ns                   # a bar closes so long after its end
    cdef public CallWatch watch          # tells of a native strategy that does not return; None
