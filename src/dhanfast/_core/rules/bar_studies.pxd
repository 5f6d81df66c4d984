"""Indicator operations that read whole bars: prices, volume and session starts."""

from dhanfast._core.rules.program cimport Op


# As `bind_study`, for indicators over bars.
cdef int bind_bar_study(Op *op, str name) except -1
