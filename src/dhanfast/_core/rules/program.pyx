"""Program: see program.pxd for the contract."""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport NAN
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from dhanfast._core.chainfeed cimport CHAIN_FIGURES, ChainFeed, ChainRow
from dhanfast._core.rules.basic cimport bind_basic
from dhanfast._core.rules.studies cimport bind_study
from dhanfast._core.vixbands cimport VIX_LEAST, VIX_MOST


cdef extern from "df_bars.h" nogil:
    int df_rupees(double *column, size_t n)


cdef struct Kept:                    # in the place of a state while an operation is kept
    op_fn run                        # the operation itself
    void *state
    double *rows                     # of `owner`: outputs x room
    size_t room
    size_t at                        # rows gone through
    PyObject *owner


cdef void _keep(Op *op, size_t at, size_t n) noexcept nogil:
    """Run the operation and write down what it gave."""
    cdef Kept *kept = <Kept *>op.state
    cdef int32_t i
    op.state = kept.state
    kept.run(op, at, n)
    op.state = kept
    if kept.at + n <= kept.room:
        for i in range(op.output_count):
            memcpy(kept.rows + i * kept.room + kept.at, op.outputs[i] + at, n * sizeof(double))
    kept.at += n


cdef void _recall(Op *op, size_t at, size_t n) noexcept nogil:
    """Give what the operation gave before, without running it; beyond that nothing is known."""
    cdef Kept *kept = <Kept *>op.state
    cdef size_t row
    cdef int32_t i
    for i in range(op.output_count):
        if kept.at + n <= kept.room:
            memcpy(op.outputs[i] + at, kept.rows + i * kept.room + kept.at, n * sizeof(double))
        else:
            for row in range(at, at + n):
                op.outputs[i][row] = NAN
    kept.at += n


@cython.final
cdef class Program:
    """Operations over columns, built once.

    Args:
        columns: how many columns in all; the first 14 are the fields of `Field`.
        constants: {column: value}, filled once.
        ops: (name, inputs, outputs, numbers, row_by_row) in the order to run, every operation after
            the ones it reads; those with row_by_row after all others.
    Attributes:
        column_count: how many columns there are.
        rows: filled by the last block.
    Raises:
        ValueError: a column or an operation that does not exist, or the order is broken.
        MemoryError: columns or states could not be allocated.
    Source:
        Block-at-a-time execution: Boncz, Zukowski, Nes (2005), "MonetDB/X100: Hyper-Pipelining
        Query Execution", CIDR.
    """

    def __cinit__(self, Py_ssize_t columns, dict constants, list ops):
        cdef Py_ssize_t i
        if columns < Field.FIELDS:
            raise ValueError(f"columns must be at least {<int>Field.FIELDS}, was {columns}")
        self.column_count = columns
        self.columns = <double *>malloc(columns * ROWS * sizeof(double))
        self.ops = <Op *>calloc(max(len(ops), 1), sizeof(Op))
        if self.columns == NULL or self.ops == NULL:
            raise MemoryError(f"rule program of {columns} columns")
        for i in range(columns * ROWS):
            self.columns[i] = NAN
        for column, value in constants.items():
            for i in range(ROWS):
                self.column(self._checked(column))[i] = value
        self.bar_of_session = -1
        for name, inputs, outputs, numbers, row_by_row in ops:
            self._bind(&self.ops[self.op_count], name, inputs, outputs, numbers)
            self.op_count += 1
            if not row_by_row:
                if self.block_count != self.op_count - 1:
                    raise ValueError(f"operation {name} must come before those run row by row")
                self.block_count = self.op_count

    def __dealloc__(self):
        cdef size_t i
        cdef Kept *kept
        if self.ops != NULL:
            for i in range(self.op_count):
                if self.ops[i].run == _keep or self.ops[i].run == _recall:
                    kept = <Kept *>self.ops[i].state
                    free(kept.state)
                    Py_DECREF(<object>kept.owner)
                free(self.ops[i].state)
        free(self.ops)
        free(self.columns)

    cdef size_t _checked(self, object column) except? 0:
        if not 0 <= column < self.column_count:
            raise ValueError(f"column must be in 0..{self.column_count - 1}, was {column}")
        return column

    cdef int _bind(self, Op *op, str name, tuple inputs, tuple outputs, tuple numbers) except -1:
        if len(inputs) > INPUTS_MAX or len(outputs) > OUTPUTS_MAX or len(numbers) > NUMBERS_MAX:
            raise ValueError(f"operation {name} has too many inputs, outputs or numbers")
        op.input_count, op.output_count = len(inputs), len(outputs)
        for i, column in enumerate(inputs):
            op.inputs[i] = self.column(self._checked(column))
            if column < Field.FIELDS:
                self.used[<size_t>column] = 1
        for i, column in enumerate(outputs):
            op.outputs[i] = self.column(self._checked(column))
        for i, number in enumerate(numbers):
            op.numbers[i] = number
        if not (bind_basic(op, name) or bind_study(op, name)):
            raise ValueError(f"no operation is called {name!r}")
        return 0

    def read_field(self, Py_ssize_t column):
        """Have a field filled even though no operation reads it (an output is the field itself)."""
        self._checked(column)
        if column < Field.FIELDS:
            self.used[column] = 1

    def see(self, GuardLocks guards not None, int64_t interval_ns):
        """Have India VIX told by the guards of the run.

        Args:
            interval_ns: length of the bars, above 0: a value counts when known by a bar's end.
        Raises:
            ValueError: bars without a length.
        """
        if interval_ns <= 0:
            raise ValueError(f"interval_ns must be above 0, was {interval_ns}")
        self.guards, self.interval_ns = guards, interval_ns
        self.vix_at, self.vix, self.vix_ns = 0, 0, 0

    def fill_with(self, Py_ssize_t column, int figure):
        """Have a column filled with a figure of the option chain.

        Args:
            column: after those of `Field`. figure: a `ChainFigure`.
        Raises:
            ValueError: no such column or figure.
        """
        if column < Field.FIELDS or not 0 <= figure < CHAIN_FIGURES:
            raise ValueError(f"column {column} cannot be filled with figure {figure}")
        self.chain_to[figure] = self.column(self._checked(column))

    def see_chain(self, ChainFeed chain not None, int64_t interval_ns):
        """Have figures of the option chain told by a feed.

        Args:
            interval_ns: length of the bars, above 0: a set counts when known by a bar's end.
        Raises:
            ValueError: bars without a length.
        """
        if interval_ns <= 0:
            raise ValueError(f"interval_ns must be above 0, was {interval_ns}")
        self.chain, self.interval_ns, self.chain_at = chain, interval_ns, 0

    cdef double *column(self, size_t at) noexcept nogil:
        return self.columns + at * ROWS

    cdef void run(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                  size_t n) noexcept nogil:
        cdef size_t i
        self.rows = n
        self._feed_prices(bars, index, n)
        self._feed_times(bars, index, first, n)
        if self.used[<int>Field.VIX] and self.guards is not None:
            self._feed_vix(bars, index, n)
        if self.chain is not None:
            self._feed_chain(bars, index, n)
        for i in range(self.block_count):
            self.ops[i].run(&self.ops[i], 0, n)

    cdef void _feed_prices(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil:
        cdef size_t i
        cdef double *to
        # Paise first, a column at a time; the division then runs over a column at once.
        if self.used[<int>Field.OPEN]:
            to = self.column(Field.OPEN)
            for i in range(n):
                to[i] = <double>bars[index[i]].open
            df_rupees(to, n)
        if self.used[<int>Field.HIGH]:
            to = self.column(Field.HIGH)
            for i in range(n):
                to[i] = <double>bars[index[i]].high
            df_rupees(to, n)
        if self.used[<int>Field.LOW]:
            to = self.column(Field.LOW)
            for i in range(n):
                to[i] = <double>bars[index[i]].low
            df_rupees(to, n)
        if self.used[<int>Field.CLOSE]:
            to = self.column(Field.CLOSE)
            for i in range(n):
                to[i] = <double>bars[index[i]].close
            df_rupees(to, n)
        if self.used[<int>Field.VOLUME]:
            to = self.column(Field.VOLUME)
            for i in range(n):
                to[i] = <double>bars[index[i]].volume
        if self.used[<int>Field.OI]:
            to = self.column(Field.OI)
            for i in range(n):
                to[i] = <double>bars[index[i]].oi

    cdef void _feed_times(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                          size_t n) noexcept nogil:
        cdef size_t i
        cdef int64_t seconds
        cdef double *to
        if self.used[<int>Field.SECOND]:
            to = self.column(Field.SECOND)
            for i in range(n):
                seconds = bars[index[i]].start_ns // 1_000_000_000 + 19_800
                to[i] = <double>(seconds % 86_400)
        if self.used[<int>Field.WEEKDAY]:
            to = self.column(Field.WEEKDAY)
            for i in range(n):              # 1970-01-01 was a Thursday
                seconds = bars[index[i]].start_ns // 1_000_000_000 + 19_800
                to[i] = <double>((seconds // 86_400 + 3) % 7)
        if self.used[<int>Field.SESSION_START]:
            to = self.column(Field.SESSION_START)
            for i in range(n):
                to[i] = <double>first[i]
        if self.used[<int>Field.BAR_OF_SESSION]:
            to = self.column(Field.BAR_OF_SESSION)
            for i in range(n):
                self.bar_of_session = 0 if first[i] else self.bar_of_session + 1
                to[i] = <double>self.bar_of_session

    cdef void _feed_vix(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil:
        """Recorded values by their time; one that came since by the feed when it is newer."""
        cdef double *to = self.column(Field.VIX)
        cdef int64_t value
        cdef ns_t age = self.guards.rules.vix.vix_age
        cdef ns_t end_ns
        cdef size_t i
        for i in range(n):
            end_ns = bars[index[i]].start_ns + self.interval_ns
            while self.vix_at < self.guards.vix_len \
                    and self.guards.vix_times[self.vix_at] <= end_ns:
                value = self.guards.vix_values[self.vix_at]
                if VIX_LEAST <= value <= VIX_MOST:
                    self.vix, self.vix_ns = value, self.guards.vix_times[self.vix_at]
                self.vix_at += 1
            if self.guards.vix_state.value != 0 and self.guards.vix_state.value_ns > self.vix_ns:
                self.vix, self.vix_ns = (self.guards.vix_state.value,
                                         self.guards.vix_state.value_ns)
            if self.vix == 0 or (age and end_ns - self.vix_ns > age):
                to[i] = NAN
            else:
                to[i] = self.vix / 100.0

    cdef void _feed_chain(self, const Bar *bars, const uint32_t *index, size_t n) noexcept nogil:
        """Of each bar the last set that is known at its end; a set counts as one, whole."""
        cdef const ChainRow *found
        cdef ns_t end_ns
        cdef size_t i
        cdef int each
        for i in range(n):
            end_ns = bars[index[i]].start_ns + self.interval_ns
            self.chain_at = self.chain.known(self.chain_at, end_ns)
            found = self.chain.fresh(self.chain_at, end_ns)
            for each in range(CHAIN_FIGURES):
                if self.chain_to[each] != NULL:
                    self.chain_to[each][i] = NAN if found == NULL else found.figures[each]

    cdef void run_row(self, size_t row, const View *view) noexcept nogil:
        cdef size_t i
        self.column(Field.POSITION)[row] = <double>((view.position > 0) - (view.position < 0))
        self.column(Field.ENTRY_PRICE)[row] = view.entry_price
        self.column(Field.BARS_HELD)[row] = <double>view.bars_held
        for i in range(self.block_count, self.op_count):
            self.ops[i].run(&self.ops[i], row, 1)

    def outputs(self, Py_ssize_t op):
        """How many columns an operation by the block gives; 0 when it has no state to save.

        Raises:
            ValueError: there is no such operation.
        """
        if not 0 <= op < <Py_ssize_t>self.op_count:
            raise ValueError(f"op must be in 0..{self.op_count - 1}, was {op}")
        if op >= <Py_ssize_t>self.block_count or self.ops[op].state == NULL:
            return 0
        return self.ops[op].output_count

    def keep(self, Py_ssize_t op, object rows not None, bint recall):
        """Write down what an operation gives from the first row on, or take it from there.

        Args:
            op: one by the block, with a state. rows: what it gave; held as long as the program.
            recall: take it from `rows` and do not run it.
        Shape:
            rows is float64[outputs, most rows of a run].
        Raises:
            ValueError: no such operation, rows of another shape, or it is kept already.
        """
        cdef Kept *kept
        cdef double[:, ::1] table = rows
        if self.outputs(op) == 0 or table.shape[0] != self.outputs(op) or table.shape[1] == 0:
            raise ValueError(f"operation {op} gives {self.outputs(op)} columns to keep, rows has "
                             f"{table.shape[0]} x {table.shape[1]}")
        if self.ops[op].run == _keep or self.ops[op].run == _recall:
            raise ValueError(f"operation {op} is kept already")
        kept = <Kept *>calloc(1, sizeof(Kept))
        if kept == NULL:
            raise MemoryError("rule program: no memory to keep an operation")
        kept.run, kept.state = self.ops[op].run, self.ops[op].state
        kept.rows, kept.room = &table[0, 0], table.shape[1]
        kept.owner = <PyObject *>rows
        Py_INCREF(rows)
        self.ops[op].state = kept
        self.ops[op].run = _recall if recall else _keep

    def reached(self, Py_ssize_t op):
        """How many rows an operation that is kept has gone through.

        Raises:
            ValueError: it is not kept.
        """
        if self.outputs(op) == 0 or not (
                self.ops[op].run == _keep or self.ops[op].run == _recall):
            raise ValueError(f"operation {op} is not kept")
        return (<Kept *>self.ops[op].state).at

    def values(self, Py_ssize_t row):
        """All columns at one row of the last block, a list of floats."""
        if not 0 <= row < ROWS:
            raise ValueError(f"row must be in 0..{ROWS - 1}, was {row}")
        return [self.columns[i * ROWS + row] for i in range(self.column_count)]
