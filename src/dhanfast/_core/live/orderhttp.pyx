"""RequestBook and AnswerReader: see orderhttp.pxd."""

cimport cython
from libc.errno cimport EINVAL
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcpy, memmove

import re

from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast._core.live.records cimport IntentKind
from dhanfast._core.types cimport OrderKind, Side, Validity
from dhanfast.errors import UsageError


cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef enum:
    TOKEN_MAX = 8192
    BROKER_ID = 24
    UNKNOWN_LENGTH = -1
    CHUNKED = -2
    DIGITS_MAX = 19          # of an order id: with the tag, 30 signs

ANSWER_BYTES_MAX = ANSWER_MAX
_PLAIN = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_BASE = re.compile(r"(?=.{0,255}$)(/[A-Za-z0-9._~-]+)*")
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TAG = re.compile(r"[A-Za-z0-9_]{1,10}")
_VALUE = re.compile(r"[\x21-\x7e]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
cdef int64_t _PAISE_MAX = 1_000_000_000_000
cdef int64_t _QTY_MAX = 1_000_000_000


cdef inline char *put(char *to, const Piece *piece) noexcept nogil:
    memcpy(to, piece.at, piece.size)
    return to + piece.size


cdef inline char *put_text(char *to, const char *text, size_t size) noexcept nogil:
    memcpy(to, text, size)
    return to + size


cdef inline char *put_number(char *to, uint64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <char>(48 + value % 10)
        value //= 10
        if value == 0:
            break
    memcpy(to, &digits[at], 20 - at)
    return to + (20 - at)


cdef inline char *put_rupees(char *to, uint64_t paise) noexcept nogil:
    cdef uint64_t rest = paise % 100
    to = put_number(to, paise // 100)
    to[0] = 46                                               # .
    to[1] = <char>(48 + rest // 10)
    to[2] = <char>(48 + rest % 10)
    return to + 3


cdef inline size_t id_size(const char *broker_id) noexcept nogil:
    # Of an id of letters, digits, - and _; 0 for any other. It goes into a path: nothing of
    # what an id must not hold may reach the wire.
    cdef size_t size = 0
    cdef char sign
    while size < BROKER_ID and broker_id[size] != 0:
        sign = broker_id[size]
        if not (48 <= sign <= 57 or 65 <= sign <= 90 or 97 <= sign <= 122
                or sign == 45 or sign == 95):
            return 0
        size += 1
    return size


cdef inline void put_length(char *to, uint32_t size) noexcept nogil:
    # Three digits: every body has 100 to 999 bytes, see RequestBook.__cinit__.
    to[0] = <char>(48 + size // 100)
    to[1] = <char>(48 + size // 10 % 10)
    to[2] = <char>(48 + size % 10)


cdef Piece kept(list parts, bytes text):
    # A piece that lasts as long as the list.
    cdef Piece piece
    parts.append(text)
    piece.at = text
    piece.size = <uint32_t>len(text)
    return piece


def _require(field, value, pattern, remedy):
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(f"{field}: {value!r} cannot stand in a request: {remedy}")
    return value


@cython.final
cdef class RequestBook:
    """Bytes of order requests of one account: place, modify, cancel, read.

    Bodies parse equal to the official client's for the same order. Keys stand in another order,
    prices have two decimals always, and the correlation id is never left out.

    Args:
        host: of the Host header, with its port when it has one.
        base: path before /orders, such as /v2.
        client_id: of the account.
        tag: what correlation ids begin with, 1..10 letters and digits.
        instruments: (exchange segment, security id, product) by Intent.instrument.
        leg: legName of a modify. The broker's sources disagree whether an ordinary order has it:
            its client sends what it is given, one page has NA.
    Attributes:
        base, client_id, tag: as given.
    Raises:
        UsageError: a value that cannot stand in a header, a path or a body.
    Source:
        DhanHQ v2, orders: place, modify, cancel, read by id and by correlation id.
    """

    def __cinit__(self, host, base, client_id, tag, instruments, *, leg="ENTRY_LEG"):
        self._host = _require("host", host, _PLAIN, "a name or an address, with a port or without")
        self.base = _require("base", base, _BASE, "a path such as /v2, or empty")
        self.client_id = _require("client_id", client_id, _ID, "letters and digits")
        self.tag = _require("tag", tag, _TAG, "1 to 10 letters and digits")
        self._leg = _require("leg", leg, _ID, "ENTRY_LEG, or NA")
        cdef list parts = []
        cdef uint32_t i = 0
        table = list(instruments)
        self._count = <uint32_t>len(table)
        self._instruments = <Piece *>calloc(max(1, self._count), sizeof(Piece))
        if self._instruments == NULL:
            raise MemoryError("no memory for the parts of instruments")
        for segment, security_id, product in table:
            _require("segment", segment, _ID, "such as NSE_FNO")
            _require("security_id", security_id, _ID, "digits")
            _require("product", product, _ID, "INTRADAY, MARGIN or CNC")
            self._instruments[i] = kept(parts, (
                f'"exchangeSegment":"{segment}","productType":"{product}",'
                f'"securityId":"{security_id}","quantity":').encode())
            i += 1
        self._fixed = parts

    def __dealloc__(self):
        free(self._instruments)

    def set_token(self, token):
        """Prepare every template with a token; requests that are made later carry it.

        Args:
            token: as the broker takes it.
        Raises:
            UsageError: it cannot stand in a header; the text does not show it.
        """
        if not isinstance(token, str) or len(token) > TOKEN_MAX or not _VALUE.fullmatch(token):
            raise UsageError("token: it is empty, too long, or has signs that no header takes")
        common = (f" HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n"
                  f"Content-Type: application/json\r\naccess-token: {token}\r\n"
                  f"client-id: {self.client_id}\r\n")
        cdef list parts = []
        cdef int number = 0
        post = f"POST {self.base}/orders{common}Content-Length: "
        for side in ("BUY", "SELL"):
            for kind in ("LIMIT", "STOP_LOSS"):
                for validity in ("DAY", "IOC"):
                    self._place[number] = kept(parts, (
                        f'{post}000\r\n\r\n{{"dhanClientId":"{self.client_id}",'
                        f'"transactionType":"{side}","orderType":"{kind}","validity":"{validity}",'
                        '"disclosedQuantity":0,"afterMarketOrder":false,"boProfitValue":null,'
                        '"boStopLossValue":null,').encode())
                    self._length_at[number] = <uint32_t>len(post)
                    self._body_at[number] = <uint32_t>len(post) + 7
                    number += 1
        self._modify = kept(parts, f"PUT {self.base}/orders/".encode())
        self._modify_rest = kept(parts, f"{common}Content-Length: ".encode())
        self._modify_body = kept(parts, (
            f'{{"dhanClientId":"{self.client_id}","legName":"{self._leg}",'
            '"disclosedQuantity":0,"orderId":"').encode())
        self._cancel = kept(parts, f"DELETE {self.base}/orders/".encode())
        self._read = kept(parts, f"GET {self.base}/orders/".encode())
        self._plain_rest = kept(parts, f"{common}\r\n".encode())
        self._tag = kept(parts, f'"correlationId":"{self.tag}-'.encode())
        self._parts = parts

    cdef int64_t write(self, const Intent *intent, char *out) noexcept nogil:
        cdef char *to = out
        cdef size_t size
        if self._plain_rest.size == 0:
            return -EINVAL                                   # no token was set
        if intent.kind == IntentKind.PLACE:
            return self._write_place(intent, out)
        if intent.kind == IntentKind.MODIFY:
            return self._write_modify(intent, out)
        size = id_size(intent.broker_id)
        if intent.kind == IntentKind.CANCEL:
            if size == 0:
                return -EINVAL
            to = put_text(put(to, &self._cancel), intent.broker_id, size)
        elif intent.kind == IntentKind.QUERY:
            to = put(to, &self._read)
            if intent.broker_id[0] != 0:
                if size == 0:
                    return -EINVAL
                to = put_text(to, intent.broker_id, size)
            else:
                if not 0 < intent.order < 10_000_000_000_000_000_000ULL:
                    return -EINVAL
                to = put_text(to, b"external/", 9)
                to = put_text(to, self._tag.at + 17, self._tag.size - 17)
                to = put_number(to, intent.order)
        else:
            return -EINVAL
        return put(to, &self._plain_rest) - out

    cdef int64_t _write_place(self, const Intent *intent, char *out) noexcept nogil:
        cdef int number
        cdef char *to
        cdef bint stop = intent.order_kind == OrderKind.SL
        if (not (stop or intent.order_kind == OrderKind.LIMIT)
                or not (intent.side == Side.BUY or intent.side == Side.SELL)
                or not (intent.validity == Validity.DAY or intent.validity == Validity.IOC)
                or intent.instrument >= self._count
                or not 0 < intent.qty <= _QTY_MAX
                or not 0 < intent.price <= _PAISE_MAX
                or (not 0 < intent.trigger <= _PAISE_MAX if stop else intent.trigger != 0)
                or not 0 < intent.order < 10_000_000_000_000_000_000ULL):
            return -EINVAL
        number = (4 * (intent.side == Side.SELL) + 2 * stop + (intent.validity == Validity.IOC))
        to = put(out, &self._place[number])
        to = put(to, &self._instruments[intent.instrument])
        to = put_number(to, <uint64_t>intent.qty)
        to = put_text(to, b',"price":', 9)
        to = put_rupees(to, <uint64_t>intent.price)
        to = put_text(to, b',"triggerPrice":', 16)
        to = put_rupees(to, <uint64_t>intent.trigger)
        to[0] = 44                                           # ,
        to = put_number(put(to + 1, &self._tag), intent.order)
        to = put_text(to, b'"}', 2)
        put_length(out + self._length_at[number], <uint32_t>(to - out) - self._body_at[number])
        return to - out

    cdef int64_t _write_modify(self, const Intent *intent, char *out) noexcept nogil:
        cdef char *to = out
        cdef char *length
        cdef size_t size = id_size(intent.broker_id)
        cdef bint stop = intent.order_kind == OrderKind.SL
        if (size == 0 or not (stop or intent.order_kind == OrderKind.LIMIT)
                or not (intent.validity == Validity.DAY or intent.validity == Validity.IOC)
                or not 0 < intent.qty <= _QTY_MAX
                or not 0 < intent.price <= _PAISE_MAX
                or (not 0 < intent.trigger <= _PAISE_MAX if stop else intent.trigger != 0)):
            return -EINVAL
        to = put_text(put(to, &self._modify), intent.broker_id, size)
        length = to = put(to, &self._modify_rest)
        to = put_text(to, b"000\r\n\r\n", 7)
        to = put_text(put(to, &self._modify_body), intent.broker_id, size)
        if stop:
            to = put_text(to, b'","orderType":"STOP_LOSS"', 25)
        else:
            to = put_text(to, b'","orderType":"LIMIT"', 21)
        if intent.validity == Validity.IOC:
            to = put_text(to, b',"validity":"IOC","quantity":', 29)
        else:
            to = put_text(to, b',"validity":"DAY","quantity":', 29)
        to = put_number(to, <uint64_t>intent.qty)
        to = put_text(to, b',"price":', 9)
        to = put_rupees(to, <uint64_t>intent.price)
        to = put_text(to, b',"triggerPrice":', 16)
        to = put_rupees(to, <uint64_t>intent.trigger)
        to[0] = 125                                          # }
        to += 1
        put_length(length, <uint32_t>(to - length) - 7)
        return to - out

    def request(self, intent):
        """The bytes that leave for a request.

        Args:
            intent: an INTENT_DTYPE record.
        Raises:
            UsageError: no token yet, or the request cannot be made: a kind other than limit and
                stop-limit, a price or quantity that is not positive or beyond all bounds, an
                instrument that is not in the table, an order id that is none.
        """
        if getattr(intent, "dtype", None) != INTENT_DTYPE:
            raise UsageError("intent: expected a record of INTENT_DTYPE")
        cdef bytes raw = intent.tobytes()
        cdef const char *at = raw
        cdef char out[REQUEST_MAX]
        cdef int64_t size = self.write(<const Intent *>at, out)
        if size < 0:
            raise UsageError(f"intent {intent['id']}: no request can be made of it: {intent}")
        return out[:size]

    def _write_often(self, intent, int64_t times):
        # For the bench: nothing but requests.
        cdef bytes raw = intent.tobytes()
        cdef const char *at = raw
        cdef char out[REQUEST_MAX]
        cdef int64_t i, total = 0
        with nogil:
            for i in range(times):
                total += self.write(<const Intent *>at, out)
        return total

    def ping(self, path):
        """A GET of another path of the account, to keep a connection warm.

        Args:
            path: behind `base`, such as /profile.
        Raises:
            UsageError: not a path, or no token yet.
        """
        _require("ping path", path, _PATH, "a path that begins with a slash")
        if self._plain_rest.size == 0:
            raise UsageError("no token was set")
        return f"GET {self.base}{path}".encode() + self._plain_rest.at[:self._plain_rest.size]


@cython.final
cdef class AnswerReader:
    """Reads one HTTP/1.1 answer from bytes as they come; everything about it has a bound.

    An answer with a length, in chunks, without a body, or up to the end of the connection.
    What smuggles or confuses is refused: two lengths, a length beside chunks, folded headers,
    blanks before a colon. Interim answers (1xx) are passed over.

    Attributes:
        status: of the answer. keeps: whether the connection may be used again.
        retry_after_s, keep_s: seconds that the server named, 0 = none.
        spare: bytes behind the answer, which nobody asked for.
    """

    def __cinit__(self):
        self._buffer = <char *>malloc(ANSWER_MAX)
        if self._buffer == NULL:
            raise MemoryError("no buffer for answers")
        self.reset()

    def __dealloc__(self):
        free(self._buffer)

    cdef void reset(self) noexcept nogil:
        self._have = self._body_at = self._body_size = self._chunk_at = self.spare = 0
        self._length = UNKNOWN_LENGTH
        self.status = self.retry_after_s = self.keep_s = 0
        self.keeps = True
        self._headed = False

    cdef int feed(self, const char *data, size_t size) noexcept nogil:
        if size > ANSWER_MAX - self._have:
            return Reading.BAD
        memcpy(self._buffer + self._have, data, size)
        self._have += size
        return self._progress()

    cdef int _progress(self) noexcept nogil:
        cdef int found
        while not self._headed:
            found = self._head()
            if found != Reading.WHOLE:
                return found
            if 100 <= self.status < 200:                     # interim: drop it, read the next
                if self.status == 101:
                    return Reading.BAD
                self._have -= self._body_at
                memmove(self._buffer, self._buffer + self._body_at, self._have)
                self._length = UNKNOWN_LENGTH
                self._headed = False
        if self._length == CHUNKED:
            return self._chunks()
        if self._length >= 0:
            self._body_size = self._have - self._body_at
            if self._body_size < <size_t>self._length:
                return Reading.MORE
            self.spare = self._body_size - <size_t>self._length
            self._body_size = <size_t>self._length
            return Reading.WHOLE
        self._body_size = self._have - self._body_at         # up to the end of the connection
        return Reading.MORE

    cdef int end(self) noexcept nogil:
        self.keeps = False
        if self._headed and self._length == UNKNOWN_LENGTH:
            return Reading.WHOLE
        return Reading.BAD

    cdef int _head(self) noexcept nogil:
        cdef size_t at = 0, size
        cdef const char *line
        cdef const char *stop
        cdef size_t limit = self._have if self._have < HEAD_MAX else HEAD_MAX
        cdef int number = 0
        # The head is read when all of it is there.
        if not _has_blank_line(self._buffer, limit):
            return Reading.BAD if limit == HEAD_MAX else Reading.MORE
        while True:
            line = self._buffer + at
            stop = <const char *>memchr(line, 10, limit - at)
            if stop == NULL:
                return Reading.BAD
            size = stop - line
            at += size + 1
            if size == 0 or line[size - 1] != 13:
                return Reading.BAD                           # a bare line feed
            size -= 1
            if number == 0:
                if not _status_line(line, size, &self.status):
                    return Reading.BAD
                self.keeps = line[7] == 49                   # HTTP/1.1 keeps unless told otherwise
            elif size == 0:
                break
            elif self._header(line, size) != 0:
                return Reading.BAD
            number += 1
        self._body_at = self._chunk_at = at
        self._headed = True
        if self.status == 204 or self.status == 304:
            self._length = 0
        return Reading.WHOLE

    cdef int _header(self, const char *line, size_t size) noexcept nogil:
        # 0, or -1 for one that must not be.
        cdef const char *colon = <const char *>memchr(line, 58, size)
        cdef size_t name
        cdef const char *value
        cdef size_t i, left
        cdef int64_t number = 0
        if colon == NULL or colon == line:
            return -1
        name = colon - line
        for i in range(name):
            if line[i] <= 32 or line[i] == 127:
                return -1                                    # folded, or a blank before the colon
        value = colon + 1
        left = size - name - 1
        while left > 0 and (value[0] == 32 or value[0] == 9):
            value += 1
            left -= 1
        while left > 0 and (value[left - 1] == 32 or value[left - 1] == 9):
            left -= 1
        if name == 14 and strncasecmp(line, b"content-length", 14) == 0:
            number = _digits(value, left)
            if number < 0 or number > ANSWER_MAX or self._length != UNKNOWN_LENGTH:
                return -1
            self._length = number
        elif name == 17 and strncasecmp(line, b"transfer-encoding", 17) == 0:
            if left != 7 or strncasecmp(value, b"chunked", 7) != 0 or (
                    self._length != UNKNOWN_LENGTH):
                return -1
            self._length = CHUNKED
        elif name == 10 and strncasecmp(line, b"connection", 10) == 0:
            if left == 5 and strncasecmp(value, b"close", 5) == 0:
                self.keeps = False
        elif name == 11 and strncasecmp(line, b"retry-after", 11) == 0:
            number = _digits(value, left)
            self.retry_after_s = <int>(number if 0 <= number < 255 else 255 if number > 0 else 0)
        elif name == 10 and strncasecmp(line, b"keep-alive", 10) == 0:
            self.keep_s = _timeout(value, left)
        return 0

    cdef int _chunks(self) noexcept nogil:
        # Chunks are moved together behind the head as they come.
        cdef size_t at, left, size
        cdef const char *line
        cdef const char *stop
        cdef int64_t wanted
        while True:
            at = self._chunk_at
            left = self._have - at
            line = self._buffer + at
            stop = <const char *>memchr(line, 10, left)
            if stop == NULL:
                return Reading.BAD if left > 64 else Reading.MORE
            size = stop - line
            if size < 2 or size > 64 or line[size - 1] != 13:
                return Reading.BAD
            wanted = _hex(line, size - 1)
            if wanted < 0 or wanted > ANSWER_MAX:
                return Reading.BAD
            if wanted == 0:
                # No trailers: the blank line follows at once.
                if left < size + 3:
                    return Reading.MORE
                if line[size + 1] != 13 or line[size + 2] != 10:
                    return Reading.BAD
                self.spare = left - (size + 3)
                return Reading.WHOLE
            if left < size + 1 + <size_t>wanted + 2:
                return Reading.MORE
            if line[size + 1 + wanted] != 13 or line[size + 2 + wanted] != 10:
                return Reading.BAD
            memmove(self._buffer + self._body_at + self._body_size, line + size + 1, wanted)
            self._body_size += <size_t>wanted
            self._chunk_at = at + size + 3 + <size_t>wanted

    def take(self, const unsigned char[::1] data not None):
        """Take bytes of the connection.

        Returns:
            Reading. After WHOLE or BAD, `clear` before the next.
        """
        return Reading(self.feed(<const char *>&data[0], data.shape[0]) if data.shape[0]
                       else self._progress())

    def finish(self):
        """The connection has ended.

        Returns:
            Reading: WHOLE for an answer that lasts as long as the connection, else BAD.
        """
        return Reading(self.end())

    def clear(self):
        """Begin with the next answer."""
        self.reset()

    @property
    def body(self):
        """What has been read of the body."""
        return self._buffer[self._body_at:self._body_at + self._body_size]


cdef bint _has_blank_line(const char *data, size_t size) noexcept nogil:
    cdef size_t i
    if size < 4:
        return False
    for i in range(size - 3):
        if data[i] == 13 and data[i + 1] == 10 and data[i + 2] == 13 and data[i + 3] == 10:
            return True
    return False


cdef bint _status_line(const char *line, size_t size, int *status) noexcept nogil:
    # HTTP/1.x ddd[ reason]
    cdef int i
    if size < 12 or strncasecmp(line, b"HTTP/1.", 7) != 0 or line[8] != 32:
        return False
    if line[7] != 48 and line[7] != 49:
        return False
    status[0] = 0
    for i in range(9, 12):
        if not 48 <= line[i] <= 57:
            return False
        status[0] = status[0] * 10 + (line[i] - 48)
    return status[0] >= 100 and (size == 12 or line[12] == 32)


cdef int64_t _digits(const char *text, size_t size) noexcept nogil:
    cdef int64_t value = 0
    cdef size_t i
    if size == 0 or size > 10:
        return -1
    for i in range(size):
        if not 48 <= text[i] <= 57:
            return -1
        value = value * 10 + (text[i] - 48)
    return value


cdef int64_t _hex(const char *text, size_t size) noexcept nogil:
    # A chunk's size; what follows a semicolon is an extension.
    cdef int64_t value = 0
    cdef size_t i
    cdef char sign
    for i in range(size):
        sign = text[i]
        if sign == 59 and i > 0:
            return value
        if 48 <= sign <= 57:
            sign -= 48
        elif 97 <= sign <= 102:
            sign -= 87
        elif 65 <= sign <= 70:
            sign -= 55
        else:
            return -1
        if i >= 8:
            return -1
        value = value * 16 + sign
    return value


cdef int _timeout(const char *value, size_t size) noexcept nogil:
    # timeout=5, max=100
    cdef size_t i, digits = 0
    cdef int64_t number
    for i in range(size):
        if size - i > 8 and strncasecmp(value + i, b"timeout=", 8) == 0:
            while i + 8 + digits < size and 48 <= value[i + 8 + digits] <= 57:
                digits += 1
            number = _digits(value + i + 8, digits)
            return <int>(number if 0 <= number < 86_400 else 0)
    return 0
