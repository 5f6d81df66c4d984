"""RequestBook: see orderhttp.pxd."""

cimport cython
from libc.errno cimport EINVAL
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen, strncmp

import re

from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast._core.live.records cimport BROKER_ID_MAX, IntentKind, Outcome, Seen
from dhanfast._core.types cimport OrderKind, Side, Validity
from dhanfast.errors import UsageError


cdef enum:
    TOKEN_MAX = 8192
    BROKER_ID = 24
    WORDS = 7

_PLAIN = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_BASE = re.compile(r"(?=.{0,255}$)(/[A-Za-z0-9._~-]+)*")
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TAG = re.compile(r"[A-Za-z0-9_]{1,10}")
_VALUE = re.compile(r"[\x21-\x7e]+")
_PATH = re.compile(r"/[\x21-\x7e]*")
cdef int64_t _PAISE_MAX = 1_000_000_000_000
cdef int64_t _QTY_MAX = 1_000_000_000


cdef const char *_WORDS[WORDS]
_WORDS[:] = [b"TRANSIT", b"PENDING", b"PART_TRADED", b"TRADED", b"CANCELLED", b"REJECTED",
             b"EXPIRED"]
cdef unsigned char _SEEN[WORDS]
_SEEN[:] = [Seen.TRANSIT, Seen.PENDING, Seen.PENDING, Seen.TRADED, Seen.CANCELLED, Seen.REJECTED,
            Seen.EXPIRED]


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
        cdef int64_t _time, total = 0
        with nogil:
            for _time in range(times):
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


cdef bint plain_answer(const Intent *intent, int status, const char *body, size_t size,
                       Answer *out) noexcept nogil:
    cdef size_t at = 12, id_end, word
    cdef int i
    if (not 200 <= status < 300 or intent.kind == IntentKind.QUERY or size < 40
            or strncmp(body, b'{"orderId":"', 12) != 0):
        return False
    while at < size and (48 <= body[at] <= 57 or 65 <= body[at] <= 90 or 97 <= body[at] <= 122):
        at += 1
    id_end = at
    if (id_end == 12 or id_end - 12 > BROKER_ID_MAX or size - at < 20
            or strncmp(body + at, b'","orderStatus":"', 17) != 0):
        return False
    word = size - at - 19
    if body[size - 2] != 34 or body[size - 1] != 125:
        return False
    for i in range(WORDS):
        if word == strlen(_WORDS[i]) and strncmp(body + at + 17, _WORDS[i], word) == 0:
            memset(out, 0, sizeof(Answer))
            out.intent = intent.id
            out.code = status
            out.outcome = Outcome.TAKEN
            out.seen = _SEEN[i]
            memcpy(out.broker_id, body + 12, id_end - 12)
            return True
    return False
