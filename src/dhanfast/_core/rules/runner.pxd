"""A compiled rule program as a strategy of the kernel."""

from libc.stdint cimport uint64_t

from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.rules.program cimport Program
from dhanfast._core.strategy cimport NativeStrategy


cdef class RuleRunner(NativeStrategy):
    cdef readonly Graph graph
    cdef Program program
    cdef size_t row
    cdef double *enter_long
    cdef double *enter_short
    cdef double *exit_long
    cdef double *exit_short
    cdef double *stop
    cdef double *target
    cdef bint row_by_row             # some operation needs the position
    cdef readonly uint64_t conflicts  # bars on which long and short were both true: no entry
