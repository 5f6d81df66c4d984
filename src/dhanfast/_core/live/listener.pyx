"""FeedListener: see listener.pxd for the contract."""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from dhanfast._core.live.intake cimport Intake


@cython.final
cdef class FeedListener(WSListener):
    """Reads one connection of a feed into an intake.

    Args:
        intake: of the whole feed; several listeners of one thread may share it.
        receiver: who is told what is rare; see listener.pxd for its four methods.
    Attributes:
        seen_ns: when the last binary message came, by the intake's clock of silence; 0 before.
        messages, bytes: taken. texts: text messages. pings: answered.
        joined: messages that came in parts.
        dropped_frames: that could not be part of a message.
    """

    def __cinit__(self, Intake intake not None, receiver):
        self._intake, self._receiver = intake, receiver
        self._joined = bytearray()

    cpdef on_ws_connected(self, WSTransport transport):
        """Called by picows after the handshake."""
        self._receiver.connected(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """Called by picows for each frame."""
        if not self._stamped:
            self._intake.stamp(&self._recv_ns, &self._stamp_ns)
        self._stamped = not frame.last_in_buffer
        if frame.msg_type == WSMsgType.BINARY and frame.fin and not (
                self._joining or self._skipping or frame.rsv1 or frame.rsv2 or frame.rsv3):
            self._message(<const uint8_t *>frame.payload_ptr, <size_t>frame.payload_size)
        else:
            self._other(transport, frame)

    cpdef on_ws_disconnected(self, WSTransport transport):
        """Called by picows when the connection is gone."""
        handshake = transport.close_handshake
        code, reason = 1006, ""
        if handshake is not None and handshake.recv is not None:
            code, reason = int(handshake.recv.code), handshake.recv.reason or ""
        self._receiver.gone(code, reason)

    cpdef is_user_specific_pong(self, WSFrame frame):
        """Called by picows while it waits for the answer to a ping of ours; it keeps that one."""
        if frame.msg_type != WSMsgType.PONG:
            return False
        if frame.last_in_buffer:
            self._stamped = False
        return True

    cdef int _message(self, const uint8_t *payload, size_t size) except -1:
        self.messages += 1
        self.bytes += size
        self.seen_ns = self._stamp_ns
        self._intake.take(payload, size, self._recv_ns, self._stamp_ns)
        if self._intake.out.notice_count:
            self._receiver.notices(self._intake.take_notices())
        return 0

    cdef int _other(self, WSTransport transport, WSFrame frame) except -1:
        if frame.msg_type == WSMsgType.PING:
            self.pings += 1
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            code = frame.get_close_code()
            transport.send_close(WSCloseCode.OK if code == WSCloseCode.NO_INFO else code)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            pass
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.dropped_frames += 1
            self._joining, self._skipping = False, not frame.fin
        elif frame.msg_type == WSMsgType.TEXT:
            self._cut_off()
            self._skipping = not frame.fin
            self.texts += 1
            if frame.fin:
                self._receiver.text(frame.get_payload_as_bytes().decode("utf-8", "replace"))
        else:
            self._part(frame)
        return 0

    cdef int _part(self, WSFrame frame) except -1:
        # A beginning, a middle or an end of a binary message.
        cdef size_t have
        if frame.msg_type == WSMsgType.BINARY:
            self._cut_off()
            if frame.fin:                    # only the message before it was in parts
                self._message(<const uint8_t *>frame.payload_ptr, <size_t>frame.payload_size)
                return 0
            self._joining = True
        elif not self._joining:
            self.dropped_frames += not self._skipping
            self._skipping = self._skipping and not frame.fin
            return 0
        self._joined += frame.get_payload_as_bytes()
        have = <size_t>len(self._joined)
        if have > JOINED_MAX:
            self._cut_off()
            self._skipping = not frame.fin
        elif frame.fin:
            self._joining = False
            self.joined += 1
            self._message(<const uint8_t *>PyByteArray_AS_STRING(self._joined), have)
            self._joined.clear()
        return 0

    def _cut_off(self):
        # A message in parts that will not end: drop what came of it.
        self.dropped_frames += self._joining
        self._joining = self._skipping = False
        self._joined.clear()
