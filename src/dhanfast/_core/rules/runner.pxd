"""A compiled rule program as a strategy of the kernel."""

from libc.stdint cimport uint64_t

from dhanfast._core.factors cimport Factors
from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.rules.program cimport Program
from dhanfast._core.strategy cimport NativeStrategy, View


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
    cdef readonly Factors factors    # of a score; None: the rules are none
    cdef object _factor_places       # the array that owns `factor_columns`
    cdef double **factor_columns     # one a factor
    cdef size_t factor_count
    cdef double *total

    cdef object _take_score(self, object score)
    cdef void note(self, size_t row, int side, const View *view) noexcept nogil
