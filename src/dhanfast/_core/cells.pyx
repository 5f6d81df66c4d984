"""Cells of comma-separated text: where they stand, and exact numbers, dates and texts from them.

One line is one record: a quote that is not closed on its line spoils that line only, never the
thousands after it. Numbers are decimal text to scaled int64, digit by digit; no float is involved.

Memory: `scan` allocates once, after counting lines; the readers of columns allocate their result.
Threads: no state; any thread, on data nobody changes meanwhile. Limits: 2**31 - 1 bytes.
"""

import numpy as np

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memchr

from dhanfast.errors import BadData, UsageError

cdef enum:
    COMMA = 44
    QUOTE = 34
    NEWLINE = 10
    RETURN = 13
    SPACE = 32
    TAB = 9
    DELETE = 127
    CELLS_MAX = 1000        # in one line; more is not a table we know
    BYTES_MAX = 0x7FFFFFFF

cdef enum:
    SPOILED_QUOTE = -1      # a quote not closed, or text after a closed one
    SPOILED_BYTE = -2       # a control character

cdef uint32_t DOUBLED = 0x80000000   # in `ends`: the cell holds quotes written twice

cdef enum:
    FAULT_NONE = 0
    FAULT_BLANK = 1
    FAULT_FORM = 2
    FAULT_FINE = 3          # more decimals than are kept
    FAULT_LARGE = 4

BLANK = FAULT_BLANK
NOT_OF_FORM = FAULT_FORM
TOO_FINE = FAULT_FINE
TOO_LARGE = FAULT_LARGE


cdef struct Line:
    size_t next             # first byte of the next line
    int cells               # how many, or what spoiled it
    uint32_t starts[CELLS_MAX]
    uint32_t ends[CELLS_MAX]


cdef inline bint _is_blank(uint8_t byte) noexcept nogil:
    return byte == SPACE or byte == TAB


cdef inline void _keep(Line *line, const uint8_t *at, size_t start, size_t end,
                       bint doubled) noexcept nogil:
    """Note one cell, without the blanks around it."""
    while start < end and _is_blank(at[start]):
        start += 1
    while end > start and _is_blank(at[end - 1]):
        end -= 1
    if line.cells < CELLS_MAX:
        line.starts[line.cells] = <uint32_t>start
        line.ends[line.cells] = <uint32_t>end | (DOUBLED if doubled else 0)
    line.cells += 1


cdef size_t _quoted(Line *line, const uint8_t *at, size_t i, size_t stop) noexcept nogil:
    """A cell whose opening quote is at i; returns where the cell is over, or marks it spoiled."""
    cdef size_t start = i + 1
    cdef bint doubled = False
    i = start
    while i < stop:
        if at[i] != QUOTE:
            i += 1
        elif i + 1 < stop and at[i + 1] == QUOTE:
            doubled = True
            i += 2
        else:
            break
    if i >= stop or (i + 1 < stop and at[i + 1] != COMMA):
        line.cells = SPOILED_QUOTE
        return stop
    _keep(line, at, start, i, doubled)
    return i + 1


cdef void _cut(Line *line, const uint8_t *at, size_t i, size_t size) noexcept nogil:
    """Cut the line that begins at i into cells."""
    cdef const void *found = memchr(at + i, NEWLINE, size - i)
    cdef size_t stop = size if found == NULL else <size_t>(<const uint8_t *>found - at)
    cdef size_t start, k
    line.next = stop + (found != NULL)
    line.cells = 0
    if stop > i and at[stop - 1] == RETURN:
        stop -= 1
    if stop == i:
        return                                   # an empty line: no cells
    for k in range(i, stop):
        if (at[k] < SPACE and at[k] != TAB) or at[k] == DELETE:
            line.cells = SPOILED_BYTE
            return
    while True:
        if i < stop and at[i] == QUOTE:
            i = _quoted(line, at, i, stop)
            if line.cells == SPOILED_QUOTE:
                return
        else:
            start = i
            while i < stop and at[i] != COMMA:
                i += 1
            _keep(line, at, start, i, False)
        if i >= stop:
            return
        i += 1                                   # the comma


cdef bint _fits(const Line *line, const uint8_t *at, int width, bint spare) noexcept nogil:
    """As wide as the header, or one empty cell at the end too many or (spare) too few."""
    if line.cells == width or (spare and line.cells == width - 1):
        return True
    if line.cells == width + 1 and line.cells <= CELLS_MAX:
        return line.starts[width] == line.ends[width]
    return False


def count_lines(const unsigned char[::1] data not None):
    """Upper bound of the lines in some bytes, the last one without an end included."""
    cdef size_t i, lines = 1, size = data.shape[0]
    with nogil:
        for i in range(size):
            lines += data[i] == NEWLINE
    return lines


def header(const unsigned char[::1] data not None, size_t start=0):
    """The cells of the first line that is not empty, and where the next line begins.

    Args:
        data: UTF-8 text.
        start: byte to begin at.
    Returns:
        (names, next byte, number of the header's line); no names when there is no line.
    Raises:
        BadData: a quote that is not closed, or a control character, in that line.
    """
    cdef Line line
    cdef const uint8_t *at
    cdef int i, number = 0
    cdef size_t size = data.shape[0]
    if size > BYTES_MAX:
        raise BadData(f"{size:,} bytes are more than the {BYTES_MAX:,} that can be read; cut it")
    if size == 0:
        return [], 0, 0
    at = &data[0]
    while start < size:
        number += 1
        _cut(&line, at, start, size)
        if line.cells < 0 or line.cells > CELLS_MAX:
            raise BadData("the header line is not comma-separated text; download the file again")
        if line.cells > 0:
            names = [_text(at, line.starts[i], line.ends[i]).decode("utf-8", "replace")
                     for i in range(line.cells)]
            return names, line.next, number
        start = line.next
    return [], size, number


def scan(const unsigned char[::1] data not None, size_t start, int number,
         const int32_t[::1] slots not None, bint spare=False):
    """Find the cells of every line after the header.

    Args:
        data: the text.
        start, number: what `header` returned: where to begin, and the header's line number.
        slots: for each column of the header the place in the result, or -1 to leave it out.
        spare: lines may lack the last cell (the header ends with a comma, some lines do not).
    Shape:
        starts, ends: uint32[columns kept, rows]; lines: uint32[rows] of 1-based line numbers;
        spoiled: int64[k, 4]: line, cells found (-1 a quote, -2 a control character), first byte,
        byte after the line. Empty lines are neither.
    Returns:
        (starts, ends, lines, spoiled)
    Raises:
        UsageError: slots that are not distinct places.
    """
    cdef int width = slots.shape[0], kept = 0, i
    for i in range(width):
        kept += slots[i] >= 0
    places = sorted(slot for slot in slots if slot >= 0)
    if places != list(range(kept)) or width == 0 or width > CELLS_MAX:
        raise UsageError(f"slots must name the places 0..{kept - 1} once each, got {places}")
    cdef size_t size = data.shape[0], row = 0, odd = 0, rows_max
    if size > BYTES_MAX:
        raise UsageError(f"data must be below {BYTES_MAX:,} bytes, got {size:,}")
    rows_max = count_lines(data[start:]) if start < size else 0
    starts = np.empty((kept, rows_max), np.uint32)
    ends = np.empty((kept, rows_max), np.uint32)
    lines = np.empty(rows_max, np.uint32)
    spoiled = np.empty((rows_max, 4), np.int64)
    cdef uint32_t[:, ::1] first = starts, last = ends
    cdef uint32_t[::1] lined = lines
    cdef int64_t[:, ::1] bad = spoiled
    cdef Line line
    if start < size:
        with nogil:
            while start < size:
                number += 1
                _cut(&line, &data[0], start, size)
                if line.cells != 0 and not _fits(&line, &data[0], width, spare):
                    bad[odd, 0] = number
                    bad[odd, 1] = line.cells
                    bad[odd, 2] = <int64_t>start
                    bad[odd, 3] = <int64_t>line.next
                    odd += 1
                elif line.cells != 0:
                    if line.cells < width:       # the spare cell: empty
                        line.starts[width - 1] = line.ends[width - 1] = 0
                    lined[row] = number
                    for i in range(width):
                        if slots[i] >= 0:
                            first[slots[i], row] = line.starts[i]
                            last[slots[i], row] = line.ends[i]
                    row += 1
                start = line.next
    return starts[:, :row], ends[:, :row], lines[:row], spoiled[:odd].copy()


cdef inline uint8_t _upper(uint8_t byte) noexcept nogil:
    return byte - 32 if 97 <= byte <= 122 else byte


cdef bint _says_nothing(const uint8_t *at, size_t size) noexcept nogil:
    """Empty, or one of the words that stand for it: NA, N/A, NAN, NULL, NONE."""
    cdef uint8_t a, b, c
    if size == 0:
        return True
    if size < 2 or size > 4 or _upper(at[0]) != 78:
        return False
    a = _upper(at[1])
    b = _upper(at[2]) if size > 2 else 0
    c = _upper(at[3]) if size > 3 else 0
    if size == 2:
        return a == 65
    if size == 3:
        return (a == 47 and b == 65) or (a == 65 and b == 78)
    return (a == 85 and b == 76 and c == 76) or (a == 79 and b == 78 and c == 69)


cdef int _decimal(const uint8_t *at, size_t size, int decimals, int64_t *value) noexcept nogil:
    """[+-]digits[.digits] times 10**decimals, exactly; a fault otherwise, and 0."""
    cdef size_t i = 0, digits = 0
    cdef int64_t sum = 0, digit
    cdef int places = -1                         # digits seen after the point; -1 before it
    cdef bint minus = False
    cdef int fault = FAULT_NONE
    value[0] = 0
    if _says_nothing(at, size):
        return FAULT_BLANK
    if at[0] == 45 or at[0] == 43:
        minus = at[0] == 45
        i = 1
    while i < size:
        if at[i] == 46:
            if places >= 0:
                return FAULT_FORM
            places = 0
        elif 48 <= at[i] <= 57:
            digit = at[i] - 48
            digits += 1
            if places >= decimals:
                if digit:
                    fault = FAULT_FINE
            else:
                if sum > (INT64_MAX - digit) / 10:
                    fault = FAULT_LARGE
                    sum = 0
                sum = sum * 10 + digit
                if places >= 0:
                    places += 1
        else:
            return FAULT_FORM
        i += 1
    if digits == 0:
        return FAULT_FORM
    if places < 0:
        places = 0
    while places < decimals:
        if sum > INT64_MAX / 10:
            return FAULT_LARGE
        sum *= 10
        places += 1
    if fault == FAULT_NONE:
        value[0] = -sum if minus else sum
    return fault


def decimals(const unsigned char[::1] data not None, const uint32_t[::1] starts not None,
             const uint32_t[::1] ends not None, int places):
    """One column as whole numbers of 10**-places.

    Args:
        data: the text; `starts`, `ends`: one row of each of `scan`.
        places: decimals kept, 0..12; zeros beyond them are nothing, other digits a fault.
    Shape:
        int64[rows]; uint8[rows]: 0, or BLANK, NOT_OF_FORM, TOO_FINE, TOO_LARGE (the value is 0).
    Raises:
        UsageError: places out of range; columns of different lengths or beyond the text.
    """
    if not 0 <= places <= 12:
        raise UsageError(f"places must be 0..12, got {places}")
    cdef size_t row, rows = _check(data, starts, ends)
    values = np.zeros(rows, np.int64)
    faults = np.zeros(rows, np.uint8)
    cdef int64_t[::1] value = values
    cdef uint8_t[::1] fault = faults
    with nogil:
        for row in range(rows):
            if ends[row] & DOUBLED:
                fault[row] = FAULT_FORM
            else:
                fault[row] = _decimal(&data[0] + starts[row], ends[row] - starts[row], places,
                                      &value[row])
    return values, faults


cdef inline int _digits(const uint8_t *at, int count) noexcept nogil:
    """The number that `count` digits are, or -1."""
    cdef int i, number = 0
    for i in range(count):
        if at[i] < 48 or at[i] > 57:
            return -1
        number = number * 10 + (at[i] - 48)
    return number


cdef bint _is_time(const uint8_t *at, size_t size) noexcept nogil:
    """HH:MM or HH:MM:SS, of a day."""
    cdef int hour, minute, second = 0
    if size != 5 and size != 8:
        return False
    hour, minute = _digits(at, 2), _digits(at + 3, 2)
    if size == 8:
        second = _digits(at + 6, 2) if at[5] == 58 else -1
    return at[2] == 58 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60


cdef int _date(const uint8_t *at, size_t size, int32_t *value) noexcept nogil:
    """YYYY-MM-DD, with or without a time: year * 10000 + month * 100 + day; 0001-01-01 is 0."""
    cdef int year, month, day, days
    value[0] = 0
    if _says_nothing(at, size):
        return FAULT_BLANK
    if size < 10 or at[4] != 45 or at[7] != 45:
        return FAULT_FORM
    year, month, day = _digits(at, 4), _digits(at + 5, 2), _digits(at + 8, 2)
    if size > 10:
        if (at[10] != SPACE and at[10] != 84) or not _is_time(at + 11, size - 11):
            return FAULT_FORM
    if year < 1 or not 1 <= month <= 12 or day < 1:
        return FAULT_FORM
    days = 31
    if month == 4 or month == 6 or month == 9 or month == 11:
        days = 30
    elif month == 2:
        days = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    if day > days:
        return FAULT_FORM
    if not (year == 1 and month == 1 and day == 1):
        value[0] = year * 10000 + month * 100 + day
    return FAULT_NONE


def dates(const unsigned char[::1] data not None, const uint32_t[::1] starts not None,
          const uint32_t[::1] ends not None):
    """One column of dates; a time after the date is checked and left out.

    Args:
        data: the text; `starts`, `ends`: one row of each of `scan`.
    Shape:
        int32[rows] of YYYYMMDD, 0 for none (blank, or 0001-01-01); uint8[rows] of faults as in
        `decimals`.
    Raises:
        UsageError: columns of different lengths or beyond the text.
    """
    cdef size_t row, rows = _check(data, starts, ends)
    values = np.zeros(rows, np.int32)
    faults = np.zeros(rows, np.uint8)
    cdef int32_t[::1] value = values
    cdef uint8_t[::1] fault = faults
    with nogil:
        for row in range(rows):
            if ends[row] & DOUBLED:
                fault[row] = FAULT_FORM
            else:
                fault[row] = _date(&data[0] + starts[row], ends[row] - starts[row], &value[row])
    return values, faults


def texts(const unsigned char[::1] data not None, const uint32_t[::1] starts not None,
          const uint32_t[::1] ends not None):
    """One column of text, end to end, as Arrow keeps strings.

    Args:
        data: the text; `starts`, `ends`: one row of each of `scan`.
    Shape:
        int32[rows + 1] of offsets, uint8[total] of bytes.
    Raises:
        UsageError: columns of different lengths or beyond the text.
    """
    cdef size_t row, rows = _check(data, starts, ends), i, end, total = 0, used = 0
    for row in range(rows):
        total += (ends[row] & ~DOUBLED) - starts[row]
    offsets = np.zeros(rows + 1, np.int32)
    blob = np.empty(total, np.uint8)
    cdef int32_t[::1] offset = offsets
    cdef uint8_t[::1] out = blob
    with nogil:
        for row in range(rows):
            end = ends[row] & ~DOUBLED
            i = starts[row]
            while i < end:
                out[used] = data[i]
                used += 1
                # Quotes written twice stand for one; they come in pairs by construction.
                i += 2 if data[i] == QUOTE and ends[row] & DOUBLED else 1
            offset[row + 1] = <int32_t>used
    return offsets, blob[:used]


cdef bytes _text(const uint8_t *at, uint32_t start, uint32_t end):
    """One cell."""
    cdef uint32_t stop = end & ~DOUBLED
    cell = (<const char *>at)[start:stop]
    return cell.replace(b'""', b'"') if end & DOUBLED else cell


cdef size_t _check(const unsigned char[::1] data, const uint32_t[::1] starts,
                   const uint32_t[::1] ends) except? 0:
    """Columns fit each other and the text, whoever made them."""
    cdef size_t row, rows = starts.shape[0], size = data.shape[0]
    cdef bint fits = True
    if <size_t>ends.shape[0] != rows:
        raise UsageError(f"starts has {rows} rows and ends {ends.shape[0]}; take both of one scan")
    if rows and not size:
        raise UsageError("data is empty and the columns are not; pass the text that was scanned")
    with nogil:
        for row in range(rows):
            if starts[row] > (ends[row] & ~DOUBLED) or (ends[row] & ~DOUBLED) > size:
                fits = False
                break
    if not fits:
        raise UsageError(f"row {row} lies outside the text; pass the text that was scanned")
    return rows
