"""Random draws and short series of the seeded market: the same bits on any machine.

Only integers and IEEE-exact operations: + - * / and square root in double, no fused multiply-add
(the build forbids it), nothing of libm. Words come from splitmix64; a stream is named by seed, day
and kind, so that no draw depends on how many were made elsewhere.

Who may call what:   any thread; the state belongs to the caller.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from *:
    """
    static inline int df_leading_zeros(unsigned long long word) {
        return __builtin_clzll(word);   /* undefined for 0: callers set the lowest bit */
    }
    """
    int df_leading_zeros(uint64_t word) noexcept nogil


cdef inline uint64_t draw_word(uint64_t *state) noexcept nogil:
    cdef uint64_t word
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    word = state[0]
    word = (word ^ (word >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    word = (word ^ (word >> 27)) * <uint64_t>0x94D049BB133111EB
    return word ^ (word >> 31)


# The first state of the stream `kind` of one day of one market.
cdef inline uint64_t draw_stream(uint64_t seed, uint64_t day, uint64_t kind) noexcept nogil:
    cdef uint64_t state = seed
    cdef uint64_t mixed = draw_word(&state) ^ (day * <uint64_t>0xD1342543DE82EF95)
    mixed = draw_word(&mixed) ^ (kind * <uint64_t>0xA24BAED4963EE407)
    return draw_word(&mixed)


# Nearly normal: the sum of the four 16-bit parts of a word, over sqrt((65536^2 - 1) / 3).
cdef inline double draw_normal(uint64_t *state) noexcept nogil:
    cdef uint64_t word = draw_word(state)
    cdef int64_t total = <int64_t>((word & 0xFFFF) + ((word >> 16) & 0xFFFF)
                                   + ((word >> 32) & 0xFFFF) + (word >> 48))
    return <double>(total - 131070) / 37837.22686584823


cdef inline double draw_uniform(uint64_t *state) noexcept nogil:
    return <double>(draw_word(state) >> 11) * (1.0 / 9007199254740992.0)


# Unit exponential deviate, -ln(u): leading zeros give the power of two, an odd series the rest.
cdef inline double draw_exponential(uint64_t *state) noexcept nogil:
    cdef uint64_t word = draw_word(state) | 1
    cdef int zeros = df_leading_zeros(word)
    cdef double part, s, square
    word <<= zeros
    part = <double>(word >> 11) * (1.0 / 9007199254740992.0)    # in [0.5, 1)
    s = (part - 1.0) / (part + 1.0)
    square = s * s
    return <double>zeros * 0.6931471805599453 - 2.0 * s * (
        1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square / 9.0))))


# A quantile table of 64 equal steps (65 knots) at 32 random bits: 6 choose the step, 26 the place.
cdef inline uint32_t draw_quantile(const uint32_t *knots, uint32_t bits) noexcept nogil:
    cdef uint32_t step = bits >> 26
    cdef uint64_t low = knots[step]
    return <uint32_t>(low + (((knots[step + 1] - low) * (bits & 0x3FFFFFF)) >> 26))


# e^x for |x| < 4 to 1e-6: a short series at x / 64, squared six times.
cdef inline double short_exp(double x) noexcept nogil:
    cdef double y = x / 64.0
    cdef int _i
    y = 1.0 + y * (1.0 + y / 2.0 * (1.0 + y / 3.0 * (1.0 + y / 4.0)))
    for _i in range(6):
        y = y * y
    return y


# Levels are positive, so that truncation is the floor; below the first tick nothing trades.
cdef inline int64_t snap_level(double level, int64_t tick) noexcept nogil:
    cdef int64_t snapped = <int64_t>(level / <double>tick + 0.5) * tick
    return snapped if snapped > tick else tick
