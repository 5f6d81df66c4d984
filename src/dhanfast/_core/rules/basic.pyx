"""Basic operations: each a loop over rows, so that a block costs one dispatch."""

from libc.math cimport NAN, fabs, isnan
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc

from dhanfast._core.rules.program cimport Op, op_fn


cdef void *op_memory(size_t state_bytes, size_t doubles) except NULL:
    cdef void *memory = calloc(1, state_bytes + doubles * sizeof(double))
    if memory == NULL:
        raise MemoryError("state of a rule operation")
    return memory


cdef void _add(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] + b[i]


cdef void _sub(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] - b[i]


cdef void _mul(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] * b[i]


cdef void _div(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] / b[i] if b[i] != 0.0 else NAN


cdef void _min(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] if a[i] < b[i] or isnan(a[i]) else b[i]


cdef void _max(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = a[i] if a[i] > b[i] or isnan(a[i]) else b[i]


cdef void _lt(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if a[i] < b[i] else 0.0


cdef void _le(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if a[i] <= b[i] else 0.0


cdef void _eq(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if a[i] == b[i] else 0.0


# Neither 0 nor NaN. One comparison and no branch: half of all branches on a signal are wrong.
cdef inline bint _true(double x) noexcept nogil:
    return fabs(x) > 0.0


cdef void _and(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if _true(a[i]) & _true(b[i]) else 0.0


cdef void _or(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if _true(a[i]) | _true(b[i]) else 0.0


cdef void _not(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = NAN if isnan(a[i]) else (1.0 if a[i] == 0.0 else 0.0)


cdef void _abs(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *a = op.inputs[0]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = fabs(a[i])


cdef void _where(Op *op, size_t at, size_t n) noexcept nogil:
    cdef const double *c = op.inputs[0]
    cdef const double *a = op.inputs[1]
    cdef const double *b = op.inputs[2]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = NAN if isnan(c[i]) else (a[i] if c[i] != 0.0 else b[i])


cdef struct CrossState:
    int64_t seen             # 0 before the first row
    double a
    double b


cdef void _cross(Op *op, size_t at, size_t n) noexcept nogil:
    """1 on the row where a goes from at or below b to above it."""
    cdef CrossState *state = <CrossState *>op.state
    cdef const double *a = op.inputs[0]
    cdef const double *b = op.inputs[1]
    cdef double *out = op.outputs[0]
    cdef size_t i
    for i in range(at, at + n):
        out[i] = 1.0 if state.seen and a[i] > b[i] and state.a <= state.b else 0.0
        state.a, state.b, state.seen = a[i], b[i], 1


cdef struct LatchState:
    int64_t on


cdef void _latch(Op *op, size_t at, size_t n) noexcept nogil:
    """1 from the row where a reaches numbers[0] until it is below numbers[1], or unknown."""
    cdef LatchState *state = <LatchState *>op.state
    cdef const double *a = op.inputs[0]
    cdef double *out = op.outputs[0]
    cdef double begin = op.numbers[0], end = op.numbers[1]
    cdef size_t i
    for i in range(at, at + n):
        state.on = a[i] >= begin or (state.on and a[i] >= end)
        out[i] = <double>state.on


cdef struct ShiftState:
    int64_t length
    int64_t at
    double *ring


cdef void _shift(Op *op, size_t at, size_t n) noexcept nogil:
    """The value of `length` rows before; NaN until there is one."""
    cdef ShiftState *state = <ShiftState *>op.state
    cdef const double *a = op.inputs[0]
    cdef size_t i
    cdef double sample
    for i in range(at, at + n):
        sample = a[i]
        op.outputs[0][i] = state.ring[state.at]
        state.ring[state.at] = sample
        state.at += 1
        if state.at == state.length:
            state.at = 0


cdef int _bind_shift(Op *op) except -1:
    cdef int64_t i, length = <int64_t>op.numbers[0]
    op.state = op_memory(sizeof(ShiftState), length)
    cdef ShiftState *state = <ShiftState *>op.state
    state.length = length
    state.ring = <double *>(<char *>op.state + sizeof(ShiftState))
    for i in range(length):
        state.ring[i] = NAN
    op.run = _shift
    return 1


_PLAIN_NAMES = ("add", "sub", "mul", "div", "min", "max", "lt", "le", "eq", "and", "or", "not",
                "abs", "where")
cdef enum:
    PLAIN = 14
cdef op_fn[PLAIN] _plain
_plain[:] = [_add, _sub, _mul, _div, _min, _max, _lt, _le, _eq, _and, _or, _not, _abs, _where]


cdef int bind_basic(Op *op, str name) except -1:
    if name == "shift":
        return _bind_shift(op)
    if name == "latch":
        op.state = op_memory(sizeof(LatchState), 0)
        op.run = _latch
        return 1
    if name == "cross":
        op.state = op_memory(sizeof(CrossState), 0)
        op.run = _cross
        return 1
    cdef int at
    for at in range(PLAIN):
        if _PLAIN_NAMES[at] == name:
            op.run = _plain[at]
            return 1
    return 0
