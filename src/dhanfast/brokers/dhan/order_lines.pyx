"""The hot half of the courier: which connection takes a request, its bytes, what became of it.

Owner thread:  the event loop's, which is the engine's; the GIL is held throughout.

A request is in exactly one place, and leaves each with what the arrow says:

    carry ──▶ queue ──▶ line ──▶ settled       queue ──▶ REFUSED   its time passed, the desk was
      │                  ▲                                         shut, an exit needed its place
      └──────────────────┘                     line  ──▶ UNKNOWN   time-out, connection lost, no
                                                                   answer that can be read

    line: nothing ──▶ ready ──▶ busy ──▶ ready          busy ──▶ gone (answered, and closed)
                        └─────▶ gone

A line whose `send` failed before a byte was taken hands the request on: that is the only case in
which a request is tried on a second connection, because it never left on the first.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport ECONNRESET, EINVAL, ENOBUFS, EPROTO, ESHUTDOWN, ETIMEDOUT, errno
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

import asyncio
from collections import deque

import numpy as np

from dhanfast._core.live.answerhttp cimport AnswerReader, Reading
from dhanfast._core.live.courier cimport Courier
from dhanfast._core.live.orderhttp cimport REQUEST_MAX, RequestBook, plain_answer
from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast._core.live.records cimport Answer, Intent, IntentKind, Outcome
from dhanfast._core.types cimport OrderFlag
from dhanfast.errors import UsageError
from dhanfast.security.redact import logger


cdef extern from "<sys/socket.h>" nogil:
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    ssize_t send(int fd, const void *data, size_t size, int flags)

cdef enum:
    SENT = 1                 # bytes have left: from here on it is answered by the line alone
    DEAD = 0                 # nothing has left: another line may have it
    BAD = -1                 # no request can be made of it
    RANKS = 3

_LOG = logger("dhanfast.brokers.dhan.courier")


cdef class OrderLine:
    """One connection, as an asyncio protocol: at most one request in flight.

    Args:
        desk: whose it is.
        number: of its place there.
    Attributes:
        gone: a future that is done when the connection has ended.
        requests: sent so far, pings too.
        keep_s: the server's idle limit, 0 when it does not say.
    """

    cdef OrderDesk _desk
    cdef object _transport
    cdef object _timer
    cdef AnswerReader _reader
    cdef Intent _intent
    cdef int _fd             # -1: bytes go through the transport (encrypted, or not a socket)
    cdef bint _ready
    cdef bint _busy
    cdef bint _pinging
    cdef bint _retired       # takes nothing more, whatever is still awaited
    cdef double _deadline
    cdef double _since       # when it last was used
    cdef int64_t _era        # of the token that the request in flight carries
    cdef readonly object gone
    cdef readonly int number
    cdef readonly int64_t requests
    cdef readonly int keep_s

    def __cinit__(self, OrderDesk desk not None, int number):
        self._desk = desk
        self.number = number
        self._fd = -1
        self._reader = AnswerReader()
        self.gone = desk._loop().create_future()

    def connection_made(self, transport):
        """The connection is there: take requests."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        plug = transport.get_extra_info("socket")
        if plug is not None and transport.get_extra_info("ssl_object") is None:
            self._fd = plug.fileno()
        self._since = self._desk._loop().time()
        self._ready = True
        self._desk._join(self)

    cdef int _launch(self, const Intent *intent):
        cdef int64_t size = self._desk._book.write(intent, self._desk._out)
        cdef int sent
        if size < 0:
            return BAD
        self._intent = intent[0]
        self._pinging = False
        sent = self._write(self._desk._out, size)
        if sent == SENT:
            self._await(self._desk._request_s)
        return sent

    cdef int _write(self, const char *data, int64_t size):
        cdef ssize_t taken = 0
        if self._transport.is_closing():
            self._ready = False
            return DEAD
        if self._fd >= 0:
            taken = send(self._fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
            if taken <= 0:
                # Not one byte was taken: a dead connection, or one that does not move.
                _LOG.warning("line %d: nothing could be sent (errno %d)", self.number, errno)
                self._ready = False
                self._transport.abort()
                return DEAD
        self._reader.reset()
        self._ready = False
        self._busy = True
        self._era = self._desk._era
        self.requests += 1
        if taken < size:
            try:
                self._transport.write(data[taken:size])
            except (OSError, RuntimeError) as error:
                # Nobody can say how much of it left: the end of the connection answers it.
                _LOG.warning("line %d: sending failed: %s", self.number, type(error).__name__)
                self._transport.abort()
        return SENT

    cdef void _await(self, double within_s):
        # One timer a line, armed again when it fires early: requests are far more frequent than
        # time-outs, and a timer costs as much as a request.
        loop = self._desk._loop()
        self._since = loop.time()
        self._deadline = self._since + within_s
        if self._timer is None:
            self._timer = loop.call_later(within_s, self._tick)

    def _tick(self):
        self._timer = None
        if not self._busy:
            return
        loop = self._desk._loop()
        cdef double left = self._deadline - loop.time()
        if left > 0.0:
            self._timer = loop.call_later(left, self._tick)
        else:
            self.give_up(ETIMEDOUT)

    def data_received(self, data):
        """Bytes of an answer.

        Args:
            data: bytes.
        """
        cdef bytes raw = data
        cdef int reading
        if not self._busy:
            _LOG.warning("line %d: %d bytes that nobody asked for", self.number, len(data))
            self.retire()
            return
        reading = self._reader.feed(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
        if reading == Reading.WHOLE:
            self._answered()
        elif reading == Reading.BAD:
            self.give_up(EPROTO)

    cdef void _answered(self):
        cdef AnswerReader reader = self._reader
        cdef Intent intent = self._intent
        cdef bint pinged = self._pinging
        cdef Answer answer
        # The buffer is the next request's: what is wanted of it is taken now.
        cdef bint plain = not pinged and plain_answer(
            &intent, reader.status, reader._buffer + reader._body_at, reader._body_size, &answer)
        body = None if plain else reader.body
        cdef int status = reader.status, retry_after_s = reader.retry_after_s
        cdef int64_t era = self._era
        self._busy = self._pinging = False
        if reader.keep_s:
            self.keep_s = reader.keep_s
        if reader.keeps and reader.spare == 0 and not self._retired:
            self._ready = True                               # whether it closes, `_write` asks
        else:
            self.retire()
        try:
            self._desk._pump()       # the next request leaves before anybody hears of this one
        finally:
            self._desk._heard_era = era
            if plain:
                self._desk._tell(&answer)
            elif pinged:
                self._desk._pong(status, body)
            else:
                self._desk._settle(&intent, status, body, retry_after_s)

    def eof_received(self):
        """The other side has ended: so do we."""
        return False

    def connection_lost(self, error):
        """The connection has ended; a request in flight may have been read or not.

        Args:
            error: why, or None.
        """
        self._ready = False
        if self._busy:
            if self._reader.end() == Reading.WHOLE:
                self._answered()
            else:
                self._unanswered((error.errno if isinstance(error, OSError) else 0) or ECONNRESET)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._desk._leave(self)
        if not self.gone.done():
            self.gone.set_result(None)

    cdef void _unanswered(self, int code):
        cdef Intent intent = self._intent
        cdef bint pinged = self._pinging
        self._busy = self._pinging = False
        if not pinged:
            self._desk._finish(&intent, Outcome.UNKNOWN, -code, 0, 0, b"", 0)

    def give_up(self, int code):
        """End the connection now; a request in flight is answered UNKNOWN.

        Args:
            code: errno of the reason.
        """
        self._ready = False
        if self._transport is not None:
            self._transport.abort()
        if self._busy:
            self._unanswered(code)

    def retire(self):
        """Take no more requests and close; one in flight is still awaited."""
        self._ready = False
        self._retired = True
        if self._transport is not None and not self._busy:
            self._transport.close()

    def ping(self, request, double within_s):
        """Send a request of our own, to keep the connection warm.

        Args:
            request: bytes. within_s: seconds to answer.
        Returns:
            False when the connection is busy or gone.
        """
        cdef bytes raw = request
        if not self._ready:
            return False
        self._pinging = True
        if self._write(raw, len(raw)) != SENT:
            self._pinging = False
            return False
        self._await(within_s)
        return True

    def pause_writing(self):
        """A request did not leave at once; only one is in flight, so there is nothing to stop."""

    def resume_writing(self):
        """It has left."""

    @property
    def transport(self):
        """The connection as asyncio knows it; None before it is there."""
        return self._transport

    @property
    def ready(self):
        """Whether it would take a request now."""
        return self._ready

    @property
    def busy(self):
        """Whether a request is in flight."""
        return self._busy

    @property
    def idle_s(self):
        """Seconds since it was last used; 0 while it is."""
        return 0.0 if self._busy else self._desk._loop().time() - self._since


cdef class OrderDesk(Courier):
    """Gives each request to a connection, and each Intent exactly one Answer.

    Args:
        clock: stamps answers.
        request_s: a request that is not answered for so long is UNKNOWN.
        queue_s: one that finds no free connection for so long is REFUSED; it never left.
        queue_max: requests that may wait. Exits and cancels take the place of what enters.
    Attributes:
        on_pong: called with status and body of the answer to a ping.
    Raises:
        UsageError: a setting out of range.
    """

    cdef RequestBook _book
    cdef object _clock
    cdef object _event_loop
    cdef double _request_s
    cdef double _queue_s
    cdef int _queue_max
    cdef int _queued
    cdef int _flying
    cdef bint _shut
    cdef int64_t _era        # counts tokens
    cdef int64_t _heard_era  # of the request whose answer is being judged
    cdef list _lines
    cdef list _queues        # by rank, of (deadline, bytes of Intent)
    cdef object _expiry
    cdef char _out[REQUEST_MAX]
    cdef public object on_pong

    def __cinit__(self, clock, *, double request_s=10.0, double queue_s=2.0, int queue_max=64,
                  loop=None, **more):
        if not 0.01 <= request_s <= 600.0:
            raise UsageError(f"request_s must be from 0.01 to 600 s, was {request_s}")
        if not 0.0 <= queue_s <= 600.0:
            raise UsageError(f"queue_s must be from 0 to 600 s, was {queue_s}")
        if not 0 <= queue_max <= 10_000:
            raise UsageError(f"queue_max must be from 0 to 10,000, was {queue_max}")
        self._clock = clock
        self._request_s, self._queue_s, self._queue_max = request_s, queue_s, queue_max
        self._event_loop = loop
        self._lines = []
        self._queues = [deque() for _ in range(RANKS)]

    cdef object _loop(self):
        if self._event_loop is None:
            self._event_loop = asyncio.get_running_loop()
        return self._event_loop

    cdef bint _has_loop(self):
        # Outside of an event loop nothing can leave.
        if self._event_loop is None:
            try:
                self._event_loop = asyncio.get_running_loop()
            except RuntimeError:
                return False
        return True

    def open_book(self, RequestBook book not None):
        """Say how requests are written; before this they wait.

        Args:
            book: with a token. Called again when the token is another one.
        """
        self._book = book
        self._era += 1

    cdef void carry(self, const Intent *intent) noexcept:
        cdef int rank = rank_of(intent)
        self._flying += 1
        if self._shut or not self._has_loop():
            self._finish(intent, Outcome.REFUSED, -ESHUTDOWN, 0, 0, b"", 0)
        elif self._waiting(rank) or not self._give(intent):
            self._enqueue(intent, rank)

    def carry_intent(self, intent):
        """Carry one request; its Answer comes by `on_answer`, perhaps inside this call.

        Args:
            intent: an INTENT_DTYPE record, or its bytes.
        Raises:
            UsageError: it is neither.
        """
        cdef bytes raw
        if isinstance(intent, bytes):
            raw = intent
        elif getattr(intent, "dtype", None) == INTENT_DTYPE:
            raw = intent.tobytes()
        else:
            raise UsageError("intent: expected a record of INTENT_DTYPE, or its bytes")
        if len(raw) != sizeof(Intent):
            raise UsageError(f"intent: a record has {sizeof(Intent)} bytes, had {len(raw)}")
        self.carry(<const Intent *>PyBytes_AS_STRING(raw))

    cdef bint _waiting(self, int rank):
        # Whether somebody of this rank or a better one came before.
        cdef int better
        for better in range(rank + 1):
            if self._queues[better]:
                return True
        return False

    cdef bint _give(self, const Intent *intent):
        # True: a line has it, or it is answered.
        cdef OrderLine line
        cdef int sent
        if self._book is None:
            return False
        for line in self._lines:
            if line._ready:
                sent = line._launch(intent)
                if sent == SENT:
                    return True
                if sent == BAD:
                    self._finish(intent, Outcome.REFUSED, -EINVAL, 0, 0, b"", 0)
                    return True
        return False

    cdef void _enqueue(self, const Intent *intent, int rank):
        cdef Intent loser
        cdef bytes raw = (<const char *>intent)[:sizeof(Intent)]
        cdef double now = self._loop().time()
        cdef bint full = self._queued >= self._queue_max
        if full and not self._youngest(rank, &loser):
            self._finish(intent, Outcome.REFUSED, -ENOBUFS, 0, 0, b"", 0)
            return
        self._queues[rank].append((now + self._queue_s, raw))
        self._queued += 1
        if self._expiry is None:
            self._expiry = self._loop().call_later(self._queue_s, self._expire)
        if full:
            self._finish(&loser, Outcome.REFUSED, -ENOBUFS, 0, 0, b"", 0)

    cdef bint _youngest(self, int rank, Intent *out):
        # Take the youngest of the worst rank below `rank` out of the queue.
        cdef int worse
        cdef bytes raw
        for worse in range(RANKS - 1, rank, -1):
            if self._queues[worse]:
                _, raw = self._queues[worse].pop()
                memcpy(out, PyBytes_AS_STRING(raw), sizeof(Intent))
                self._queued -= 1
                return True
        return False

    def _expire(self):
        # What has waited for too long never leaves.
        cdef Intent intent
        cdef bytes raw
        cdef double now = self._loop().time()
        try:
            for queue in self._queues:
                while queue and queue[0][0] <= now:
                    _, raw = queue.popleft()
                    memcpy(&intent, PyBytes_AS_STRING(raw), sizeof(Intent))
                    self._queued -= 1
                    self._finish(&intent, Outcome.REFUSED, -ETIMEDOUT, 0, 0, b"", 0)
        finally:
            # Whoever listens may raise or carry more: the next time is set in any case.
            self._expiry = None
            if self._queued > 0:
                soonest = min(queue[0][0] for queue in self._queues if queue)
                self._expiry = self._loop().call_later(max(0.0, soonest - now), self._expire)

    cdef void _pump(self):
        # Give waiting requests to lines that are free, exits first.
        cdef Intent intent
        cdef bytes raw
        cdef double now
        if self._queued == 0:
            return
        now = self._loop().time()
        for queue in self._queues:
            while queue and self._any_ready():
                due, raw = queue.popleft()
                self._queued -= 1
                memcpy(&intent, PyBytes_AS_STRING(raw), sizeof(Intent))
                if due <= now:
                    self._finish(&intent, Outcome.REFUSED, -ETIMEDOUT, 0, 0, b"", 0)
                elif not self._give(&intent):
                    queue.appendleft((due, raw))
                    self._queued += 1
                    return

    cdef bint _any_ready(self):
        cdef OrderLine line
        if self._book is None:
            return False
        for line in self._lines:
            if line._ready:
                return True
        return False

    cdef void _settle(self, const Intent *intent, int status, bytes body, int retry_after_s):
        # An answer came whole: what it says is judged, whatever happens it is answered.
        cdef int outcome = Outcome.UNKNOWN, error = 0, seen = 0, wait_s = 0
        broker_id = b""
        record = np.zeros(1, INTENT_DTYPE)
        cdef unsigned char[::1] raw = record.view(np.uint8)
        memcpy(&raw[0], intent, sizeof(Intent))
        try:
            outcome, error, seen, broker_id, wait_s = self.judge(
                record[0], status, body, retry_after_s)
        finally:
            self._finish(intent, outcome, status, error, seen, broker_id, wait_s)

    cdef void _finish(self, const Intent *intent, int outcome, int code, int error, int seen,
                      bytes broker_id, int retry_after_s):
        cdef Answer answer
        cdef const char *text = broker_id
        memset(&answer, 0, sizeof(Answer))
        answer.intent = intent.id
        answer.code, answer.error = <int32_t>code, <int32_t>error
        answer.outcome, answer.seen = <unsigned char>outcome, <unsigned char>seen
        answer.retry_after_s = <unsigned char>(retry_after_s if retry_after_s < 255 else 255)
        memcpy(answer.broker_id, text, min(len(broker_id), sizeof(answer.broker_id)))
        self._tell(&answer)

    cdef void _tell(self, Answer *answer):
        answer.at_ns = self._clock.now_ns()
        self._flying -= 1
        self.answer(answer)

    cdef void _pong(self, int status, bytes body):
        if self.on_pong is not None:
            self.on_pong(status, body)

    cdef void _join(self, OrderLine line):
        if self._shut:
            line.retire()
            return
        self._lines.append(line)
        self._pump()

    cdef void _leave(self, OrderLine line):
        if line in self._lines:
            self._lines.remove(line)

    def judge(self, intent, int status, bytes body, int retry_after_s):
        """What an answer means: outcome, error number, Seen, broker's order id, seconds to wait.

        This class does not know any broker's answers: everything is UNKNOWN.
        """
        return int(Outcome.UNKNOWN), 0, 0, b"", 0

    def shut(self):
        """Take no more requests; those that wait are REFUSED, those in flight are still awaited."""
        cdef Intent intent
        cdef bytes raw
        cdef OrderLine line
        self._shut = True
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for queue in self._queues:
            while queue:
                _, raw = queue.popleft()
                self._queued -= 1
                memcpy(&intent, PyBytes_AS_STRING(raw), sizeof(Intent))
                self._finish(&intent, Outcome.REFUSED, -ESHUTDOWN, 0, 0, b"", 0)
        for line in list(self._lines):
            line.retire()

    @property
    def lines(self):
        """Connections that are there, busy ones too."""
        return list(self._lines)

    @property
    def ready_lines(self):
        """How many would take a request now."""
        return sum(1 for line in self._lines if line.ready)

    @property
    def outdated(self):
        """Whether the answer that is being judged is to a request with an earlier token."""
        return self._heard_era != self._era

    @property
    def queued(self):
        """Requests that wait for a connection."""
        return self._queued

    @property
    def in_flight(self):
        """Requests that are carried and not answered yet, those that wait too."""
        return self._flying

    @property
    def is_shut(self):
        """Whether it takes no more requests."""
        return self._shut


cdef int rank_of(const Intent *intent) noexcept nogil:
    # Exits and cancels first, then what asks about an order, then what enters.
    if intent.flags & OrderFlag.EXIT or intent.kind == IntentKind.CANCEL:
        return 0
    return 1 if intent.kind == IntentKind.QUERY else 2
