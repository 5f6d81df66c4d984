"""Indicator operations over one series: the indicator's own block function over columns.

State stands behind op.state with its scratch after it. The series may be another expression that is
still warming up: rows whose input is NaN are answered with NaN and not shown to the indicator, so
that chained indicators warm up one after the other, and one NaN later on does not poison the rest.
"""

from libc.math cimport NAN, isnan
from libc.stdint cimport int64_t

from dhanfast._core.indicators.bollinger cimport (
    BollingerState, bollinger_block, bollinger_init, bollinger_scratch,
)
from dhanfast._core.indicators.ema cimport EmaState, ema_block, ema_init, ema_scratch
from dhanfast._core.indicators.linreg cimport LinregState, linreg_block, linreg_init, linreg_scratch
from dhanfast._core.indicators.macd cimport MacdState, macd_block, macd_init, macd_scratch
from dhanfast._core.indicators.percentile cimport (
    PercentileState, percentile_block, percentile_init, percentile_scratch,
)
from dhanfast._core.indicators.realised_volatility cimport (
    RealisedVolatilityState,
    realised_volatility_block,
    realised_volatility_init,
    realised_volatility_scratch,
)
from dhanfast._core.indicators.roc cimport RocState, roc_block, roc_init, roc_scratch
from dhanfast._core.indicators.rolling cimport (
    MomentsState,
    RollingMaxState,
    RollingMinState,
    ZscoreState,
    moments_block,
    moments_init,
    moments_scratch,
    rolling_max_block,
    rolling_max_init,
    rolling_max_scratch,
    rolling_min_block,
    rolling_min_init,
    rolling_min_scratch,
    zscore_block,
    zscore_init,
    zscore_scratch,
)
from dhanfast._core.indicators.rsi cimport RsiState, rsi_block, rsi_init, rsi_scratch
from dhanfast._core.indicators.sma cimport SmaState, sma_block, sma_init, sma_scratch
from dhanfast._core.indicators.wma cimport WmaState, wma_block, wma_init, wma_scratch
from dhanfast._core.rules.bar_studies cimport bind_bar_study
from dhanfast._core.rules.basic cimport op_memory
from dhanfast._core.rules.program cimport Op

ctypedef void (*run_fn)(Op *op, size_t at, size_t n) noexcept nogil


# Run `known` over the stretches of [at, at + n) whose input is known; NaN elsewhere.
cdef inline void _over_known(Op *op, size_t at, size_t n, run_fn known) noexcept nogil:
    cdef const double *samples = op.inputs[0]
    cdef size_t i = at, start
    cdef int k
    while i < at + n:
        start = i
        while i < at + n and not isnan(samples[i]):
            i += 1
        if i > start:
            known(op, start, i - start)
        while i < at + n and isnan(samples[i]):
            for k in range(op.output_count):
                op.outputs[k][i] = NAN
            i += 1


cdef void _sma_known(Op *op, size_t at, size_t n) noexcept nogil:
    sma_block(<SmaState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _sma(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _sma_known)


cdef void _ema_known(Op *op, size_t at, size_t n) noexcept nogil:
    ema_block(<EmaState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _ema(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _ema_known)


cdef void _wma_known(Op *op, size_t at, size_t n) noexcept nogil:
    wma_block(<WmaState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _wma(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _wma_known)


cdef void _slope_known(Op *op, size_t at, size_t n) noexcept nogil:
    linreg_block(<LinregState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _slope(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _slope_known)


cdef void _rsi_known(Op *op, size_t at, size_t n) noexcept nogil:
    rsi_block(<RsiState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _rsi(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _rsi_known)


cdef void _roc_known(Op *op, size_t at, size_t n) noexcept nogil:
    roc_block(<RocState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _roc(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _roc_known)


cdef void _macd_known(Op *op, size_t at, size_t n) noexcept nogil:
    macd_block(<MacdState *>op.state, op.inputs[0] + at,
               op.outputs[0] + at, op.outputs[1] + at, op.outputs[2] + at, n)


cdef void _macd(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _macd_known)


cdef void _zscore_known(Op *op, size_t at, size_t n) noexcept nogil:
    zscore_block(<ZscoreState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _zscore(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _zscore_known)


cdef void _highest_known(Op *op, size_t at, size_t n) noexcept nogil:
    rolling_max_block(<RollingMaxState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _highest(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _highest_known)


cdef void _lowest_known(Op *op, size_t at, size_t n) noexcept nogil:
    rolling_min_block(<RollingMinState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _lowest(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _lowest_known)


cdef void _percentile_known(Op *op, size_t at, size_t n) noexcept nogil:
    percentile_block(<PercentileState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _percentile(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _percentile_known)


cdef void _bollinger_known(Op *op, size_t at, size_t n) noexcept nogil:
    bollinger_block(<BollingerState *>op.state, op.inputs[0] + at,
                    op.outputs[0] + at, op.outputs[1] + at, op.outputs[2] + at, n)


cdef void _bollinger(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _bollinger_known)


cdef void _realised_volatility_known(Op *op, size_t at, size_t n) noexcept nogil:
    realised_volatility_block(
        <RealisedVolatilityState *>op.state, op.inputs[0] + at, op.outputs[0] + at, n)


cdef void _realised_volatility(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _realised_volatility_known)


cdef void _std_known(Op *op, size_t at, size_t n) noexcept nogil:
    moments_block(<MomentsState *>op.state, op.inputs[0] + at, NULL, op.outputs[0] + at, n)


cdef void _std(Op *op, size_t at, size_t n) noexcept nogil:
    _over_known(op, at, n, _std_known)


cdef inline double *_behind(void *state, size_t bytes) noexcept nogil:
    return <double *>(<char *>state + bytes)


cdef int _bind_average(Op *op, str name, int64_t period) except -1:
    if name == "sma":
        op.state = op_memory(sizeof(SmaState), sma_scratch(period))
        sma_init(<SmaState *>op.state, period, _behind(op.state, sizeof(SmaState)))
        op.run = _sma
    elif name == "ema":
        op.state = op_memory(sizeof(EmaState), ema_scratch(period))
        ema_init(<EmaState *>op.state, period, _behind(op.state, sizeof(EmaState)))
        op.run = _ema
    elif name == "wma":
        op.state = op_memory(sizeof(WmaState), wma_scratch(period))
        wma_init(<WmaState *>op.state, period, _behind(op.state, sizeof(WmaState)))
        op.run = _wma
    elif name == "slope":
        op.state = op_memory(sizeof(LinregState), linreg_scratch(period))
        linreg_init(<LinregState *>op.state, period, _behind(op.state, sizeof(LinregState)))
        op.run = _slope
    else:
        return 0
    return 1


cdef int _bind_momentum(Op *op, str name, int64_t period) except -1:
    cdef int64_t slow = <int64_t>op.numbers[1]
    cdef int64_t signal = <int64_t>op.numbers[2]
    if name == "rsi":
        op.state = op_memory(sizeof(RsiState), rsi_scratch(period))
        rsi_init(<RsiState *>op.state, period, _behind(op.state, sizeof(RsiState)))
        op.run = _rsi
    elif name == "roc":
        op.state = op_memory(sizeof(RocState), roc_scratch(period))
        roc_init(<RocState *>op.state, period, _behind(op.state, sizeof(RocState)))
        op.run = _roc
    elif name == "macd":
        op.state = op_memory(sizeof(MacdState), macd_scratch(period, slow, signal))
        macd_init(<MacdState *>op.state, period, slow, signal,
                  _behind(op.state, sizeof(MacdState)))
        op.run = _macd
    else:
        return 0
    return 1


cdef int _bind_window(Op *op, str name, int64_t period) except -1:
    if name == "std":
        op.state = op_memory(sizeof(MomentsState), moments_scratch(period))
        moments_init(<MomentsState *>op.state, period, <int64_t>op.numbers[1],
                     _behind(op.state, sizeof(MomentsState)))
        op.run = _std
    elif name == "zscore":
        op.state = op_memory(sizeof(ZscoreState), zscore_scratch(period))
        zscore_init(<ZscoreState *>op.state, period, 0, _behind(op.state, sizeof(ZscoreState)))
        op.run = _zscore
    elif name == "highest":
        op.state = op_memory(sizeof(RollingMaxState), rolling_max_scratch(period))
        rolling_max_init(<RollingMaxState *>op.state, period,
                         _behind(op.state, sizeof(RollingMaxState)))
        op.run = _highest
    elif name == "lowest":
        op.state = op_memory(sizeof(RollingMinState), rolling_min_scratch(period))
        rolling_min_init(<RollingMinState *>op.state, period,
                         _behind(op.state, sizeof(RollingMinState)))
        op.run = _lowest
    elif name == "percentile":
        op.state = op_memory(sizeof(PercentileState), percentile_scratch(period, op.numbers[1]))
        percentile_init(<PercentileState *>op.state, period, op.numbers[1],
                        _behind(op.state, sizeof(PercentileState)))
        op.run = _percentile
    else:
        return _bind_spread(op, name, <int>period)
    return 1


cdef int _bind_spread(Op *op, str name, int period) except -1:
    cdef double number = op.numbers[1]
    if name == "bollinger":
        op.state = op_memory(sizeof(BollingerState), bollinger_scratch(period, number, number))
        bollinger_init(<BollingerState *>op.state, period, number, number,
                       _behind(op.state, sizeof(BollingerState)))
        op.run = _bollinger
    elif name == "realised_volatility":
        op.state = op_memory(sizeof(RealisedVolatilityState),
                             realised_volatility_scratch(period, number))
        realised_volatility_init(<RealisedVolatilityState *>op.state, period, number,
                                 _behind(op.state, sizeof(RealisedVolatilityState)))
        op.run = _realised_volatility
    else:
        return 0
    return 1


cdef int bind_study(Op *op, str name) except -1:
    cdef int64_t period = <int64_t>op.numbers[0]
    return (_bind_average(op, name, period) or _bind_momentum(op, name, period)
            or _bind_window(op, name, period) or bind_bar_study(op, name))
