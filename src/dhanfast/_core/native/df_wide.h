/* Products of two 64-bit numbers that need 128 bits on the way. Needs gcc or clang. */
#ifndef DF_WIDE_H
#define DF_WIDE_H
#include <stdint.h>

/* a * b / c to the nearest, halves away from zero. c > 0, and the result must fit in 64 bits. */
static inline int64_t df_mul_div(int64_t a, int64_t b, int64_t c) {
    /* Nearly every product fits in 64 bits: there a division costs a fifth, a constant c none. */
    int64_t product, far = (int64_t)1 << 61;
    if (!__builtin_mul_overflow(a, b, &product) && product < far && product > -far && c < far)
        return (product < 0 ? 2 * product - c : 2 * product + c) / (2 * c);
    __int128 twice = (__int128)a * b * 2;
    return (int64_t)((twice < 0 ? twice - c : twice + c) / ((__int128)c * 2));
}

/* a * b / c rounded up. a, b >= 0, c > 0; INT64_MAX when the result does not fit. */
static inline int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c) {
    int64_t product;
    if (!__builtin_mul_overflow(a, b, &product) && product <= INT64_MAX - c)
        return (product + c - 1) / c;
    __int128 result = ((__int128)a * b + c - 1) / c;
    return result > INT64_MAX ? INT64_MAX : (int64_t)result;
}

/* 1 when a * b leaves 64 bits; otherwise 0, and the product is in `out`. */
static inline int df_mul_overflows(int64_t a, int64_t b, int64_t *out) {
    return __builtin_mul_overflow(a, b, out);
}

/* Multiply to 128 bits and fold: every input bit reaches every output bit. */
static inline uint64_t df_fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#endif
