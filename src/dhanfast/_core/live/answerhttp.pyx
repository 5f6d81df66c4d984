"""AnswerReader: see answerhttp.pxd."""

cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy, memmove


cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef enum:
    UNKNOWN_LENGTH = -1
    CHUNKED = -2

ANSWER_BYTES_MAX = ANSWER_MAX


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
