"""A rule program: a flat array of operations over columns of doubles.

Owner thread:  the engine thread only.
Memory:        columns and states are allocated when the program is built, none after.
Law:           running n rows at once and running them one by one give the same bits, because both
               go through the same operations with the same state.

Rows live in columns of CHUNK doubles. Operations that do not depend on the position run a block of
rows at a time (`run`); those that do run one row at a time (`run_row`), when that row's position is
known. False is 0.0, true is 1.0, unknown (warm-up) is NaN; a comparison with NaN is false.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainfeed cimport CHAIN_FIGURES, ChainFeed
from dhanfast._core.guardlocks cimport GuardLocks
from dhanfast._core.strategy cimport View
from dhanfast._core.types cimport Bar, ns_t

cdef enum:
    ROWS = 256               # rows a column holds; equals the kernel's CHUNK
    INPUTS_MAX = 6
    OUTPUTS_MAX = 7
    NUMBERS_MAX = 4


cpdef enum Field:
    """Columns 0.. that a program is fed with."""

    OPEN = 0
    HIGH = 1
    LOW = 2
    CLOSE = 3
    VOLUME = 4
    OI = 5
    SECOND = 6               # seconds after midnight IST of the bar's start
    WEEKDAY = 7              # 0 = Monday
    SESSION_START = 8        # 1 on the first bar of a session
    BAR_OF_SESSION = 9       # 0 on the first bar of a session
    VIX = 10                 # India VIX in points, as known at the bar's end; NaN = not told
    POSITION = 11            # -1, 0, 1; from here on known only row by row
    ENTRY_PRICE = 12         # rupees, NaN when flat
    BARS_HELD = 13
    FIELDS = 14


cdef struct Op
ctypedef void (*op_fn)(Op *op, size_t at, size_t n) noexcept nogil


cdef struct Op:
    op_fn run                # rows [at, at + n)
    void *state
    double *inputs[INPUTS_MAX]
    double *outputs[OUTPUTS_MAX]
    double numbers[NUMBERS_MAX]
    int32_t input_count
    int32_t output_count


cdef class Program:
    cdef Op *ops
    cdef size_t op_count
    cdef size_t block_count          # ops[:block_count] run by block, the rest row by row
    cdef double *columns
    cdef readonly size_t column_count
    cdef uint8_t used[FIELDS]        # which fields some operation reads
    cdef int64_t bar_of_session
    cdef GuardLocks guards           # what tells India VIX; None = nothing does
    cdef ns_t interval_ns            # of the bars: a value counts for a bar when known by its end
    cdef size_t vix_at               # the first of its recorded values that is not yet known
    cdef int64_t vix                 # 1/100 points, 0 = none yet
    cdef ns_t vix_ns                 # since when it is known
    cdef ChainFeed chain             # what tells figures of the chain; None = nothing does
    cdef uint64_t chain_at           # the first of its sets that is not yet known
    cdef double *chain_to[CHAIN_FIGURES]     # the column of each; NULL = nobody reads it
    cdef readonly size_t rows        # filled by the last `run`

    cdef double *column(self, size_t at) noexcept nogil
    cdef size_t _checked(self, object column) except? 0
    cdef int _bind(self, Op *op, str name, tuple inputs, tuple outputs, tuple numbers) except -1
    cdef void _feed_prices(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil
    cdef void _feed_times(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                          size_t n) noexcept nogil
    cdef void _feed_vix(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil
    cdef void _feed_chain(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil
    cdef void run(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                  size_t n) noexcept nogil
    cdef void run_row(self, size_t row, const View *view) noexcept nogil
