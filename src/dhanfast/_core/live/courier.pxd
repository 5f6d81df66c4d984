"""Who carries requests to a broker.

Owner thread:  the engine thread only; the GIL is held.   Memory: the implementation's.
Law:           every Intent that is carried gets exactly one Answer, sooner or later, also when the
               connection dies or the courier is shut. A courier never sends a request twice.
"""

from dhanfast._core.live.records cimport Answer, Intent


cdef class Courier:
    cdef public object on_answer     # called with the bytes of each Answer; set by the engine

    # The bytes leave inside this call when a connection is free. Answers may come inside it too.
    cdef void carry(self, const Intent *intent) noexcept
    # Give an Answer to whoever listens.
    cdef void answer(self, const Answer *answer) noexcept
