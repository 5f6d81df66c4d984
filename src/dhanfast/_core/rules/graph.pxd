"""Expressions being written: nodes of a graph that becomes a Program."""

from dhanfast._core.rules.program cimport Program


cdef class Graph:
    cdef list _ops           # (name, inputs, outputs, numbers)
    cdef dict _chain         # column -> ChainFigure that fills it
    cdef list _labels        # of each column
    cdef list _row_by_row    # of each column: it depends on the position
    cdef dict _constants     # column -> value
    cdef dict _seen          # (name, inputs, numbers) -> outputs: equal expressions are one node
    cdef readonly Program program        # None until `compile`
    cdef readonly set needs              # what the data must have: volume, vix, chain
    cdef Py_ssize_t row                  # the row that `Expr.value` reads; -1 = none may be read


cdef class Expr:
    cdef readonly Graph graph
    cdef readonly Py_ssize_t column
