"""RuleRunner: reads the six answers of a rule program and says what they ask for."""

cimport cython
from libc.math cimport fabs
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dhanfast._core.factors cimport Factors
from dhanfast._core.rules.graph cimport Expr, Graph
from dhanfast._core.strategy cimport Action, Signal, View
from dhanfast._core.types cimport Bar, Report

import numpy as np


cdef inline bint _true(double x) noexcept nogil:
    return fabs(x) > 0.0             # neither 0 nor NaN


@cython.final
cdef class RuleRunner(NativeStrategy):
    """Runs rules natively: no Python between two bars.

    Args:
        graph: where the expressions were written; it is compiled here.
        enter_long, enter_short: enter when true (both true: neither).
        exit_long, exit_short: close the position when true.
        stop, target: rupees from the fill price, read on the bar of the signal.
        score: (total, names, weights, values) of a score: its series, and of each factor the name,
            the weight as a part of all weights, and the series. None: the rules are no score.
    Attributes:
        factors: what each position of a score was entered on; None without one.
        conflicts: bars on which long and short were both true; there was no entry.
    """

    def __cinit__(self, Graph graph not None, Expr enter_long not None, Expr enter_short not None,
                  Expr exit_long not None, Expr exit_short not None, Expr stop not None,
                  Expr target not None, *, score=None):
        cdef Expr expr
        self.graph, self.program = graph, graph.compile()
        for expr in (enter_long, enter_short, exit_long, exit_short, stop, target):
            self.program.read_field(expr.column)
        self.enter_long = self.program.column(enter_long.column)
        self.enter_short = self.program.column(enter_short.column)
        self.exit_long = self.program.column(exit_long.column)
        self.exit_short = self.program.column(exit_short.column)
        self.stop = self.program.column(stop.column)
        self.target = self.program.column(target.column)
        self.row_by_row = self.program.block_count != self.program.op_count
        if score is not None:
            self._take_score(score)

    cdef object _take_score(self, score):
        cdef Expr expr
        cdef uint64_t[::1] places
        cdef size_t i
        total, names, weights, values = score
        self.factors, self.factor_count = Factors(names, weights), len(values)
        if self.factor_count != len(self.factors.names):
            raise ValueError(f"{len(self.factors.names)} factors need as many series, "
                             f"were {self.factor_count}")
        self._factor_places = places = np.zeros(self.factor_count, np.uint64)
        for i in range(self.factor_count):
            expr = values[i]
            self.program.read_field(expr.column)
            places[i] = <uint64_t>self.program.column(expr.column)
        self.factor_columns = <double **><void *>&places[0]
        expr = total
        self.total = self.program.column(expr.column)

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        self.program.run(bars, index, first, n)
        self.row = 0

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        cdef size_t row = self.row
        cdef bint long_, short_
        self.row = row + 1
        if self.row_by_row:
            self.program.run_row(row, view)
        if view.position > 0 and _true(self.exit_long[row]):
            signal.action = Action.GO_FLAT
            return
        if view.position < 0 and _true(self.exit_short[row]):
            signal.action = Action.GO_FLAT
            return
        long_, short_ = _true(self.enter_long[row]), _true(self.enter_short[row])
        if not (long_ or short_):
            return
        if long_ and short_:
            self.conflicts += 1
            return
        signal.action = Action.GO_LONG if long_ else Action.GO_SHORT
        signal.stop, signal.target = self.stop[row], self.target[row]
        if self.factors is not None and view.can_enter and view.position * signal.action <= 0:
            self.note(row, signal.action, view)

    cdef void note(self, size_t row, int side, const View *view) noexcept nogil:
        """What this entry is decided on, should it fill."""
        cdef size_t i
        cdef double *values = self.factors.decide(view.now_ns, side, self.total[row], 0)
        for i in range(self.factor_count):
            values[i] = self.factor_columns[i][row]

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        if self.factors is not None:
            self.factors.filled(view)
