"""Indicator operations: state behind op.state, the indicator's own block function over columns.

An indicator over a field (prices, volumes) runs its block function. One over another expression may
meet NaN while that expression warms up: it then waits, row by row, until its input is known, so
that chained indicators warm up one after the other.
"""

from libc.math cimport NAN, isnan
from libc.stdint cimport int64_t

from dhanfast._core.indicators.atr cimport AtrState, atr_block, atr_init
from dhanfast._core.indicators.ema cimport EmaState, ema_block, ema_init, ema_scratch
from dhanfast._core.rules.basic cimport op_memory
from dhanfast._core.rules.program cimport Op


cdef inline double *_scratch(void *state, size_t bytes) noexcept nogil:
    return <double *>(<char *>state + bytes)


# Rows at the start of [at, at + n) whose input is still unknown: their outputs are NaN.
cdef inline size_t _unknown(Op *op, size_t at, size_t n) noexcept nogil:
    cdef size_t i = 0
    cdef int k
    while i < n and isnan(op.inputs[0][at + i]):
        for k in range(op.output_count):
            op.outputs[k][at + i] = NAN
        i += 1
    return i


cdef void _ema(Op *op, size_t at, size_t n) noexcept nogil:
    cdef size_t skip = _unknown(op, at, n)
    ema_block(<EmaState *>op.state, op.inputs[0] + at + skip, op.outputs[0] + at + skip, n - skip)


cdef void _atr(Op *op, size_t at, size_t n) noexcept nogil:
    atr_block(<AtrState *>op.state, op.inputs[0] + at, op.inputs[1] + at, op.inputs[2] + at,
              op.outputs[0] + at, n)


cdef int bind_study(Op *op, str name) except -1:
    cdef int64_t period = <int64_t>op.numbers[0]
    if name == "ema":
        op.state = op_memory(sizeof(EmaState), ema_scratch(period))
        ema_init(<EmaState *>op.state, period, _scratch(op.state, sizeof(EmaState)))
        op.run = _ema
    elif name == "atr":
        op.state = op_memory(sizeof(AtrState), 0)
        atr_init(<AtrState *>op.state, <int>period, NULL)
        op.run = _atr
    else:
        return 0
    return 1
