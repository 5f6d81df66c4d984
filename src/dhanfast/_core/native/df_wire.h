/* The ten float32 prices of a five-level book to integers at once, two lanes at a time. GCC and
 * Clang lower the vector types to what the target offers, SSE2 and NEON included. */
#ifndef DF_WIRE_H
#define DF_WIRE_H
#include <stdint.h>
#include <string.h>

typedef float df_v2f __attribute__((vector_size(8)));
typedef double df_v2d __attribute__((vector_size(16)));
typedef int64_t df_v2l __attribute__((vector_size(16)));
typedef uint64_t df_v2u __attribute__((vector_size(16))); /* may wrap: garbage is not used */

/* 2^52 + 2^51: added to a double below 2^51 it leaves the nearest integer in the low bits. */
#define DF_ROUND 6755399441055744.0

/* `sent`: five rows of 20 bytes whose last 8 are the bid's and the ask's price. Writes those of the
 * first `rows` as `tick` times the nearest ticks, bids at even places. Returns 1 when every price
 * of all five is in range and as near to its tick as a float32 can say, else 0: then nothing in
 * `prices` counts. `rows` is a constant where this is called. */
static inline int df_five_levels(const uint8_t *sent, double per_tick, double tick,
                                 double ticks_max, double relative, int64_t *prices, int rows) {
    const df_v2d round = {DF_ROUND, DF_ROUND};
    const df_v2d none = {0.0, 0.0}, most = {ticks_max, ticks_max};
    df_v2l good = {-1, -1};
    df_v2u found;
    int i;
    for (i = 0; i < 5; i++) {
        df_v2f narrow;
        df_v2d ticks, whole, off;
        memcpy(&narrow, sent + 20 * i + 12, 8);
        ticks = __builtin_convertvector(narrow, df_v2d) * per_tick;
        good &= (ticks >= none) & (ticks <= most); /* a NaN is neither */
        whole = (ticks + round) - round;
        off = (df_v2d)((df_v2l)(ticks - whole) & INT64_MAX);
        good &= off <= ticks * relative + 1e-6;
        if (i < rows) {
            found = (df_v2u)(whole * tick + round) - (df_v2u)round;
            memcpy(prices + 2 * i, &found, 16);
        }
    }
    return (good[0] & good[1]) != 0;
}

/* Are two books of 100 bytes the same? Without a branch before the end: they rarely are. */
static inline int df_same_book(const uint8_t *one, const uint8_t *other) {
    df_v2l left, right, differ = {0, 0};
    uint32_t last[2];
    int i;
    for (i = 0; i < 6; i++) {
        memcpy(&left, one + 16 * i, 16);
        memcpy(&right, other + 16 * i, 16);
        differ |= left ^ right;
    }
    memcpy(&last[0], one + 96, 4);
    memcpy(&last[1], other + 96, 4);
    return (differ[0] | differ[1] | (last[0] ^ last[1])) == 0;
}
#endif
