"""One WebSocket connection of a feed, read natively: picows' frames straight into an intake.

The payload is decoded where picows received it (`WSFrame.payload_ptr`); it is copied only when the
other side cut a message into several frames. Everything that is rare (text, notices, the end) goes
to the receiver, a Python object:

    receiver.connected(transport)                 the handshake is done
    receiver.notices(records.NOTICE_DTYPE[n])     the feed spoke of itself
    receiver.text(str)                            a text frame; Dhan's feeds send none today
    receiver.gone(code, reason)                   closed: code 1006 when no close frame came

Owner thread:  the event loop's.   Memory: none a frame; a message in parts up to JOINED_MAX.
Times:         one stamp for all frames of one read of the socket: that is when they came. For this
               we must see every frame, so that picows must be told not to answer pings itself
               (enable_auto_pong=False) and asks `is_user_specific_pong` for those of ours.
Pings:         answered here, natively, in the order of arrival.
Errors:        whatever comes is counted. A frame with a reserved bit (compression, which is not
               offered), a part without a beginning, and what a new message cuts off are dropped.
"""

from libc.stdint cimport uint8_t, uint64_t
from picows.picows cimport WSFrame, WSListener, WSTransport

from dhanfast._core.live.intake cimport Intake
from dhanfast._core.types cimport ns_t


cdef enum:
    JOINED_MAX = 1 << 20     # bytes of a message that comes in parts


cdef class FeedListener(WSListener):
    cdef Intake _intake
    cdef object _receiver
    cdef bytearray _joined           # what has come of a message in parts
    cdef bint _joining               # the beginning of a binary message was taken
    cdef bint _skipping              # the rest of a message that is dropped, or is text
    cdef bint _stamped               # the times below are of the read that is being worked off
    cdef ns_t _recv_ns
    cdef readonly ns_t seen_ns       # of the last binary message; 0 = none yet
    cdef ns_t _stamp_ns
    cdef readonly uint64_t messages
    cdef readonly uint64_t bytes
    cdef readonly uint64_t texts
    cdef readonly uint64_t pings
    cdef readonly uint64_t joined
    cdef readonly uint64_t dropped_frames

    cdef int _message(self, const uint8_t *payload, size_t size) except -1
    cdef int _part(self, WSFrame frame) except -1
    cdef int _other(self, WSTransport transport, WSFrame frame) except -1
