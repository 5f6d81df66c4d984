/* Loops over the columns of an archive block: residuals and their byte planes, fields and rows.
 * All sums and products are modulo 2^64, so that any bit pattern comes back as it was. */
#ifndef DF_COLUMNS_H
#define DF_COLUMNS_H
#include "df_copies.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t df_zigzag(int64_t v) { return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63); }
static inline uint64_t df_unzigzag(uint64_t z) { return (z >> 1) ^ (0 - (z & 1)); }
/* Bits a number needs; 0 needs none. */
static inline int df_bits(uint64_t z) { return z ? 64 - __builtin_clzll(z) : 0; }

/* The numbers from..from+n of planes `stride` apart; `plain` = 0: zig-zag undone. */
#define DF_JOIN_LOOP(expr)                                                             \
    do {                                                                               \
        if (plain) for (size_t i = 0; i < n; i++) out[i] = (expr);                     \
        else for (size_t i = 0; i < n; i++) out[i] = df_unzigzag(expr);                \
    } while (0)
#define DF_P(k) ((uint64_t)(planes + k * stride)[i] << (8 * k))
#define DF_P2 (DF_P(0) | DF_P(1))
#define DF_P4 (DF_P2 | DF_P(2) | DF_P(3))

DF_BODY int df_planes_join_body(const uint8_t *planes, size_t stride, int width, int plain,
                                size_t n, uint64_t *restrict out) {
    switch (width) {
    case 0: memset(out, 0, 8 * n); break;
    case 1: DF_JOIN_LOOP(DF_P(0)); break;
    case 2: DF_JOIN_LOOP(DF_P2); break;
    case 3: DF_JOIN_LOOP(DF_P2 | DF_P(2)); break;
    case 4: DF_JOIN_LOOP(DF_P4); break;
    case 5: DF_JOIN_LOOP(DF_P4 | DF_P(4)); break;
    case 6: DF_JOIN_LOOP(DF_P4 | DF_P(4) | DF_P(5)); break;
    case 7: DF_JOIN_LOOP(DF_P4 | DF_P(4) | DF_P(5) | DF_P(6)); break;
    default: DF_JOIN_LOOP(DF_P4 | DF_P(4) | DF_P(5) | DF_P(6) | DF_P(7));
    }
    return 0;
}
DF_TWO_COPIES(df_planes_join, (const uint8_t *p, size_t stride, int w, int plain, size_t n,
                               uint64_t *out), (p, stride, w, plain, n, out))

/* Put `bits` (1..32) low bits below what the planes gave, from residual number `from` on. Eight
 * bytes beyond the last bit are readable. */
static inline void df_lows_join(const uint8_t *lows, int bits, int plain, size_t from, size_t n,
                                uint64_t *out) {
    uint64_t mask = ((uint64_t)1 << bits) - 1, word;
    size_t at = from * (size_t)bits;
    for (size_t i = 0; i < n; i++, at += (size_t)bits) {
        memcpy(&word, lows + (at >> 3), 8);
        out[i] = (out[i] << bits) | ((word >> (at & 7)) & mask);
    }
    if (!plain)
        for (size_t i = 0; i < n; i++) out[i] = df_unzigzag(out[i]);
}
/* The low `bits` of each residual to a zeroed buffer; the residuals lose them. */
static inline void df_lows_split(uint64_t *z, size_t n, int bits, uint8_t *lows) {
    uint64_t mask = ((uint64_t)1 << bits) - 1, word;
    size_t at = 0;
    for (size_t i = 0; i < n; i++, at += (size_t)bits) {
        memcpy(&word, lows + (at >> 3), 8);
        word |= (z[i] & mask) << (at & 7);
        memcpy(lows + (at >> 3), &word, 8);
        z[i] >>= bits;
    }
}
/* How many of n words have a bit. */
DF_BODY int df_bit_count_body(const uint64_t *words, size_t n, int bit) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) count += (words[i] >> bit) & 1;
    return (int)count;
}
DF_TWO_COPIES(df_bit_count, (const uint64_t *words, size_t n, int bit), (words, n, bit))

/* Whether any of n words is negative as a signed number. */
DF_BODY int df_any_negative_body(const uint64_t *v, size_t n) {
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all |= v[i];
    return (int)(all >> 63);
}
DF_TWO_COPIES(df_any_negative, (const uint64_t *v, size_t n), (v, n))

/* Zig-zag n words in place. */
DF_BODY int df_zigzag_all_body(uint64_t *v, size_t n) {
    for (size_t i = 0; i < n; i++) v[i] = df_zigzag((int64_t)v[i]);
    return 0;
}
DF_TWO_COPIES(df_zigzag_all, (uint64_t *v, size_t n), (v, n))
DF_BODY int df_count_zeros_body(const uint64_t *v, size_t n) {
    uint64_t zeros = 0;
    for (size_t i = 0; i < n; i++) zeros += v[i] == 0;
    return (int)zeros;
}
DF_TWO_COPIES(df_count_zeros, (const uint64_t *v, size_t n), (v, n))
/* Keep the words that are not 0, in their order; mark their rows. Returns how many. */
static inline size_t df_compact(uint64_t *v, size_t n, uint8_t *changes, uint8_t mark) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t value = v[i];
        v[kept] = value;
        kept += value != 0;
        changes[i] |= value != 0 ? mark : 0;
    }
    return kept;
}
/* How many words have each length in bits. Four tables: equal lengths in a row would wait for each
 * other's store. */
static inline void df_lengths(const uint64_t *v, size_t n, size_t lengths[65]) {
    uint32_t part[4][65];
    size_t i = 0;
    memset(part, 0, sizeof part);
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) part[k][df_bits(v[i + k])]++;
    for (; i < n; i++) part[0][df_bits(v[i])]++;
    for (int bit = 0; bit < 65; bit++)
        lengths[bit] = (size_t)part[0][bit] + part[1][bit] + part[2][bit] + part[3][bit];
}

/* Residual words to planes: the low `width` bytes of each. */
DF_BODY int df_planes_split_body(const uint64_t *restrict z, size_t n, int width,
                                 uint8_t *restrict planes) {
    for (int k = 0; k < width; k++) {
        uint8_t *restrict plane = planes + (size_t)k * n;
        int shift = 8 * k;
        for (size_t i = 0; i < n; i++) plane[i] = (uint8_t)(z[i] >> shift);
    }
    return 0;
}
DF_TWO_COPIES(df_planes_split, (const uint64_t *z, size_t n, int w, uint8_t *p), (z, n, w, p))

/* One field of packed rows to 64-bit words and back. `kind`: its size, negative = signed. */
#define DF_GATHER(type)                                  \
    for (size_t i = 0; i < n; i++, rows += row_bytes) {  \
        type v;                                          \
        memcpy(&v, rows, sizeof v);                      \
        out[i] = (uint64_t)(int64_t)v;                   \
    }                                                    \
    break
static inline void df_gather(const char *rows, size_t row_bytes, int kind, size_t n,
                             uint64_t *restrict out) {
    switch (kind) {
    case 1: DF_GATHER(uint8_t);
    case 2: DF_GATHER(uint16_t);
    case 4: DF_GATHER(uint32_t);
    case -1: DF_GATHER(int8_t);
    case -2: DF_GATHER(int16_t);
    case -4: DF_GATHER(int32_t);
    default: DF_GATHER(int64_t);
    }
}
#define DF_SCATTER(type)                                 \
    for (size_t i = 0; i < n; i++, rows += row_bytes) {  \
        type v = (type)values[i];                        \
        memcpy(rows, &v, sizeof v);                      \
    }                                                    \
    break
static inline void df_scatter(char *restrict rows, size_t row_bytes, int size, size_t n,
                              const uint64_t *restrict values) {
    switch (size) {
    case 1: DF_SCATTER(uint8_t);
    case 2: DF_SCATTER(uint16_t);
    case 4: DF_SCATTER(uint32_t);
    default: DF_SCATTER(uint64_t);
    }
}

/* Division by a number that is known to divide, and the test whether it does: d = odd * 2^shift,
 * the odd part by its inverse modulo 2^64. Granlund and Montgomery, PLDI 1994, section 9. */
typedef struct { uint64_t d, inverse, limit; int shift; } df_divisor;

static inline void df_divisor_set(df_divisor *to, uint64_t d) {
    uint64_t odd, inverse;
    to->d = d;
    to->shift = __builtin_ctzll(d);
    odd = d >> to->shift;
    inverse = odd;                                  /* right to 3 bits; each round doubles them */
    for (int round = 0; round < 5; round++) inverse *= 2 - odd * inverse;
    to->inverse = inverse;
    to->limit = UINT64_MAX / d;
}
static inline int df_divides(const df_divisor *by, uint64_t v) {
    uint64_t q = v * by->inverse;
    if (by->shift) q = (q >> by->shift) | (q << (64 - by->shift));
    return q <= by->limit;
}
static inline int64_t df_quotient(const df_divisor *by, int64_t v) {
    return (int64_t)((uint64_t)(v >> by->shift) * by->inverse);
}
static inline uint64_t df_gcd(uint64_t a, uint64_t b) {
    while (b) { uint64_t rest = a % b; a = b; b = rest; }
    return a;
}
/* Narrow `by` (d = 0: nothing seen yet) so that it divides v too. */
static inline void df_divisor_take(df_divisor *by, int64_t v) {
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (size == 0 || (by->d && df_divides(by, size))) return;
    df_divisor_set(by, by->d ? df_gcd(by->d, size) : size);
}
#endif
