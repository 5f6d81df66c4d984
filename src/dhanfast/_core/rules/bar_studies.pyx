"""Indicator operations over bars. Their inputs are fields of a bar and so are always known."""

from libc.stdint cimport int64_t

from dhanfast._core.indicators.adx cimport AdxState, adx_block, adx_init
from dhanfast._core.indicators.atr cimport AtrState, atr_block, atr_init
from dhanfast._core.indicators.cci cimport CciState, cci_block, cci_init, cci_scratch
from dhanfast._core.indicators.donchian cimport (
    DonchianState, donchian_block, donchian_init, donchian_scratch,
)
from dhanfast._core.indicators.keltner cimport KeltnerState, keltner_block, keltner_init
from dhanfast._core.indicators.obv cimport ObvState, obv_block, obv_init
from dhanfast._core.indicators.opening_range cimport (
    OpeningMinutesState, opening_minutes_init, opening_minutes_step,
)
from dhanfast._core.indicators.pivots cimport (
    PIVOT_CLASSIC, PivotsState, pivots_init, pivots_step,
)
from dhanfast._core.indicators.stochastic cimport (
    StochasticState, stochastic_block, stochastic_init, stochastic_scratch,
)
from dhanfast._core.indicators.supertrend cimport (
    SupertrendState, supertrend_block, supertrend_init,
)
from dhanfast._core.indicators.vwap cimport (
    RollingVwapState, VwapState, rolling_vwap_block, rolling_vwap_init, rolling_vwap_scratch,
    vwap_init, vwap_step,
)
from dhanfast._core.rules.basic cimport op_memory
from dhanfast._core.rules.program cimport Op


cdef void _atr(Op *op, size_t at, size_t n) noexcept nogil:
    atr_block(<AtrState *>op.state, op.inputs[0] + at, op.inputs[1] + at, op.inputs[2] + at,
              op.outputs[0] + at, n)


cdef void _adx(Op *op, size_t at, size_t n) noexcept nogil:
    adx_block(<AdxState *>op.state, op.inputs[0] + at, op.inputs[1] + at, op.inputs[2] + at,
              op.outputs[0] + at, op.outputs[1] + at, op.outputs[2] + at, op.outputs[3] + at, n)


cdef void _cci(Op *op, size_t at, size_t n) noexcept nogil:
    cci_block(<CciState *>op.state, op.inputs[0] + at, op.inputs[1] + at, op.inputs[2] + at,
              op.outputs[0] + at, n)


cdef void _donchian(Op *op, size_t at, size_t n) noexcept nogil:
    donchian_block(<DonchianState *>op.state, op.inputs[0] + at, op.inputs[1] + at,
                   op.outputs[0] + at, op.outputs[1] + at, op.outputs[2] + at, n)


cdef void _keltner(Op *op, size_t at, size_t n) noexcept nogil:
    keltner_block(<KeltnerState *>op.state, op.inputs[0] + at, op.inputs[1] + at,
                  op.inputs[2] + at, op.outputs[0] + at, op.outputs[1] + at, op.outputs[2] + at, n)


cdef void _obv(Op *op, size_t at, size_t n) noexcept nogil:
    obv_block(<ObvState *>op.state, op.inputs[0] + at, op.inputs[1] + at, op.outputs[0] + at, n)


cdef void _stochastic(Op *op, size_t at, size_t n) noexcept nogil:
    stochastic_block(<StochasticState *>op.state, op.inputs[0] + at, op.inputs[1] + at,
                     op.inputs[2] + at, op.outputs[0] + at, op.outputs[1] + at, n)


cdef void _supertrend(Op *op, size_t at, size_t n) noexcept nogil:
    supertrend_block(<SupertrendState *>op.state, op.inputs[0] + at, op.inputs[1] + at,
                     op.inputs[2] + at, op.outputs[0] + at, op.outputs[1] + at, n)


cdef void _rolling_vwap(Op *op, size_t at, size_t n) noexcept nogil:
    rolling_vwap_block(<RollingVwapState *>op.state, op.inputs[0] + at, op.inputs[1] + at,
                       op.inputs[2] + at, op.inputs[3] + at, op.outputs[0] + at, n)


cdef void _vwap(Op *op, size_t at, size_t n) noexcept nogil:
    cdef VwapState *state = <VwapState *>op.state
    cdef size_t i
    for i in range(at, at + n):
        op.outputs[1][i] = vwap_step(state, op.inputs[0][i], op.inputs[1][i], op.inputs[2][i],
                                     op.inputs[3][i], op.inputs[4][i] != 0.0)
        op.outputs[0][i], op.outputs[2][i] = state.upper, state.lower


cdef struct OpeningState:
    OpeningMinutesState range
    double open_second       # when the session's first bar began


cdef void _opening_range(Op *op, size_t at, size_t n) noexcept nogil:
    cdef OpeningState *state = <OpeningState *>op.state
    cdef size_t i
    cdef bint first
    for i in range(at, at + n):
        first = op.inputs[3][i] != 0.0
        if first:
            state.open_second = op.inputs[2][i]
        op.outputs[0][i] = opening_minutes_step(
            &state.range, op.inputs[0][i], op.inputs[1][i],
            <int64_t>(op.inputs[2][i] - state.open_second) * 1_000_000_000, first)
        op.outputs[1][i] = state.range.low


cdef struct SessionSumState:
    double total


cdef void _session_sum(Op *op, size_t at, size_t n) noexcept nogil:
    """Sum since the session's first bar, this one included; what is unknown adds nothing."""
    cdef SessionSumState *state = <SessionSumState *>op.state
    cdef size_t i
    cdef double value
    for i in range(at, at + n):
        value = op.inputs[0][i]
        if op.inputs[1][i] != 0.0:
            state.total = 0.0
        if value == value:
            state.total += value
        op.outputs[0][i] = state.total


cdef void _pivots(Op *op, size_t at, size_t n) noexcept nogil:
    cdef PivotsState *state = <PivotsState *>op.state
    cdef size_t i
    cdef int k
    for i in range(at, at + n):
        pivots_step(state, op.inputs[0][i], op.inputs[1][i], op.inputs[2][i],
                    op.inputs[3][i] != 0.0)
        for k in range(4):                   # the pivot and three resistances ...
            op.outputs[k][i] = state.levels[k]
        for k in range(3):                   # ... and three supports, which start at 5
            op.outputs[4 + k][i] = state.levels[5 + k]


cdef inline double *_behind(void *state, size_t bytes) noexcept nogil:
    return <double *>(<char *>state + bytes)


cdef int bind_bar_study(Op *op, str name) except -1:
    cdef int64_t first = <int64_t>op.numbers[0]
    cdef int64_t second = <int64_t>op.numbers[1]
    cdef int64_t third = <int64_t>op.numbers[2]
    if name == "atr":
        op.state = op_memory(sizeof(AtrState), 0)
        atr_init(<AtrState *>op.state, <int>first, NULL)
        op.run = _atr
    elif name == "adx":
        op.state = op_memory(sizeof(AdxState), 0)
        adx_init(<AdxState *>op.state, <int>first, NULL)
        op.run = _adx
    elif name == "cci":
        op.state = op_memory(sizeof(CciState), cci_scratch(first))
        cci_init(<CciState *>op.state, first, _behind(op.state, sizeof(CciState)))
        op.run = _cci
    elif name == "donchian":
        op.state = op_memory(sizeof(DonchianState), donchian_scratch(<int>first))
        donchian_init(<DonchianState *>op.state, <int>first,
                      _behind(op.state, sizeof(DonchianState)))
        op.run = _donchian
    elif name == "keltner":
        op.state = op_memory(sizeof(KeltnerState), 0)
        keltner_init(<KeltnerState *>op.state, <int>first, <int>second, op.numbers[2], NULL)
        op.run = _keltner
    elif name == "obv":
        op.state = op_memory(sizeof(ObvState), 0)
        obv_init(<ObvState *>op.state, NULL)
        op.run = _obv
    elif name == "stochastic":
        op.state = op_memory(sizeof(StochasticState), stochastic_scratch(first, second, third))
        stochastic_init(<StochasticState *>op.state, first, second, third,
                        _behind(op.state, sizeof(StochasticState)))
        op.run = _stochastic
    elif name == "supertrend":
        op.state = op_memory(sizeof(SupertrendState), 0)
        supertrend_init(<SupertrendState *>op.state, <int>first, op.numbers[1], NULL)
        op.run = _supertrend
    else:
        return _bind_session_study(op, name, first)
    return 1


cdef int _bind_session_study(Op *op, str name, int64_t first) except -1:
    if name == "vwap":
        op.state = op_memory(sizeof(VwapState), 0)
        vwap_init(<VwapState *>op.state, op.numbers[0], 0.0, NULL)
        op.run = _vwap
    elif name == "rolling_vwap":         # a bar without volume weighs 1, as version 1 counted it
        op.state = op_memory(sizeof(RollingVwapState), rolling_vwap_scratch(<int>first, 1.0))
        rolling_vwap_init(<RollingVwapState *>op.state, <int>first, 1.0,
                          _behind(op.state, sizeof(RollingVwapState)))
        op.run = _rolling_vwap
    elif name == "opening_range":
        op.state = op_memory(sizeof(OpeningState), 0)
        opening_minutes_init(&(<OpeningState *>op.state).range, first * 1_000_000_000,
                             <int64_t>(op.numbers[1] * 1e9), NULL)
        op.run = _opening_range
    elif name == "session_sum":
        op.state = op_memory(sizeof(SessionSumState), 0)
        op.run = _session_sum
    elif name == "pivots":
        op.state = op_memory(sizeof(PivotsState), 0)
        pivots_init(<PivotsState *>op.state, PIVOT_CLASSIC, NULL)
        op.run = _pivots
    else:
        return 0
    return 1
