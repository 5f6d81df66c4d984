"""Volume-weighted average price: anchored at each session start, and over the last n bars.

Owner thread: one at a time per state. Memory: the rolling form borrows `scratch`, 2 * (period + 1)
doubles; the anchored form needs none. Volume in any one unit; only its proportions matter.
"""

from libc.math cimport NAN, sqrt


cdef struct VwapState:
    double value             # NaN before the first session start, and until a weight has come
    double sigma             # weighted standard deviation of the prices around `value`
    double upper             # value + width * sigma
    double lower             # value - width * sigma
    double anchor            # first typical price of the session: sums hold distances from it
    double weight_sum
    double first_sum         # of weight * distance
    double second_sum        # of weight * distance ** 2
    double width             # sigmas between the average and a band
    double empty_weight      # weight of a bar whose volume is 0
    int anchored             # 1 once a session start has been seen


cdef inline size_t vwap_scratch(double width, double empty_weight) noexcept nogil:
    return 0


cdef inline void vwap_clear(VwapState *state) noexcept nogil:
    state.value = NAN
    state.sigma = NAN
    state.upper = NAN
    state.lower = NAN
    state.weight_sum = 0.0
    state.first_sum = 0.0
    state.second_sum = 0.0


cdef inline void vwap_init(
    VwapState *state, double width, double empty_weight, double *scratch
) noexcept nogil:
    vwap_clear(state)
    state.anchor = NAN
    state.width = width
    state.empty_weight = empty_weight
    state.anchored = 0


cdef inline double vwap_step(
    VwapState *state, double high, double low, double close, double volume, int session_start
) noexcept nogil:
    cdef double price = (high + low + close) / 3.0
    cdef double weight = volume if volume > 0.0 else state.empty_weight
    cdef double distance, mean, variance
    if session_start:
        vwap_clear(state)
        state.anchor = price
        state.anchored = 1
    if not state.anchored or not weight > 0.0:
        return state.value
    distance = price - state.anchor
    state.weight_sum += weight
    state.first_sum += weight * distance
    state.second_sum += weight * distance * distance
    mean = state.first_sum / state.weight_sum
    variance = state.second_sum / state.weight_sum - mean * mean
    # Equal prices may leave a rounding error below zero.
    state.sigma = sqrt(variance if variance > 0.0 else 0.0)
    state.value = state.anchor + mean
    state.upper = state.value + state.width * state.sigma
    state.lower = state.value - state.width * state.sigma
    return state.value


# `upper` and `lower` may be NULL: they are then not written.
cdef void vwap_block(
    VwapState *state, const double *high, const double *low, const double *close,
    const double *volume, const unsigned char *session_start,
    double *out, double *upper, double *lower, size_t n
) noexcept nogil


cdef struct RollingVwapState:
    # Two halves make the window: bars since `at` was last 0, summed as they come, and older bars,
    # whose sums from each place to the end of the last lap stand in the scratch. Nothing is ever
    # subtracted, so an error cannot outlive its window however long the run.
    double value             # NaN while the window holds no weight
    double *weights          # [period + 1]: places < at: raw weights; others: sums to the end
    double *products         # [period + 1]: the same for weight * price
    double weight_sum        # of this lap
    double product_sum
    double empty_weight      # weight of a bar whose volume is 0
    int period
    int at                   # next place to write, 0..period - 1
    int warmup_left          # bars still to come before the window is full


cdef inline size_t rolling_vwap_scratch(int period, double empty_weight) noexcept nogil:
    return 2 * (<size_t>period + 1)


cdef inline void rolling_vwap_init(
    RollingVwapState *state, int period, double empty_weight, double *scratch
) noexcept nogil:
    cdef int i
    state.value = NAN
    state.weights = scratch
    state.products = scratch + period + 1
    for i in range(2 * (period + 1)):
        scratch[i] = 0.0
    state.weight_sum = 0.0
    state.product_sum = 0.0
    state.empty_weight = empty_weight
    state.period = period
    state.at = 0
    state.warmup_left = period


cdef inline void rolling_vwap_turn(RollingVwapState *state) noexcept nogil:
    """End of a lap: turn the raw places into sums from each place to the end."""
    cdef double weight = 0.0, product = 0.0
    cdef int i
    for i in range(state.period - 1, -1, -1):
        weight += state.weights[i]
        product += state.products[i]
        state.weights[i] = weight
        state.products[i] = product
    state.at = 0
    state.weight_sum = 0.0
    state.product_sum = 0.0


cdef inline double rolling_vwap_step(
    RollingVwapState *state, double high, double low, double close, double volume
) noexcept nogil:
    cdef double weight = volume if volume > 0.0 else state.empty_weight
    cdef double product = weight * ((high + low + close) / 3.0)
    cdef double total
    state.weight_sum += weight
    state.product_sum += product
    total = state.weight_sum + state.weights[state.at + 1]
    state.value = (
        (state.product_sum + state.products[state.at + 1]) / total if total > 0.0 else NAN)
    state.weights[state.at] = weight
    state.products[state.at] = product
    state.at += 1
    if state.at == state.period:
        rolling_vwap_turn(state)
    if state.warmup_left > 0:
        state.warmup_left -= 1
    return state.value


cdef void rolling_vwap_block(
    RollingVwapState *state, const double *high, const double *low, const double *close,
    const double *volume, double *out, size_t n
) noexcept nogil


cdef class Vwap:
    cdef VwapState _state
    cpdef double update(
        self, double high, double low, double close, double volume, bint session_start=*
    ) except? -1.0


cdef class RollingVwap:
    cdef RollingVwapState _state
    cdef double *_scratch
    cpdef double update(
        self, double high, double low, double close, double volume) except? -1.0
