"""Arithmetic, comparison and memory operations of rule programs."""

from dhanfast._core.rules.program cimport Op


# Zeroed memory for an operation's state with `doubles` of scratch behind it; the program frees it.
cdef void *op_memory(size_t state_bytes, size_t doubles) except NULL
# Set op.run (and state) for a basic operation. Returns 1, or 0 when the name is not one of them.
cdef int bind_basic(Op *op, str name) except -1
