# cython: language_level=3
"""A listener that looks at nothing: what picows itself costs a frame. Compiled by the bench."""

from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport


cdef class IdleListener(WSListener):
    cdef readonly unsigned long long messages

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if frame.msg_type == WSMsgType.BINARY:
            self.messages += 1
