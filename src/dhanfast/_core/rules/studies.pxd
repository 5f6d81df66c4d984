"""Indicator operations of rule programs: the indicators of `_core.indicators` over columns."""

from dhanfast._core.rules.program cimport Op


# Set op.run and op.state for an indicator; parameters are in op.numbers. Returns 1, or 0 when the
# name is not one of them.
cdef int bind_study(Op *op, str name) except -1
