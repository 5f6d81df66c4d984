/* CRC-32C (Castagnoli, reflected, as RFC 3720 has it): by the processor's instruction where there
 * is one, else by tables of eight bytes at a time. Both give the same number. */
#ifndef DF_CRC32C_H
#define DF_CRC32C_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t df_crc_table[8][256];

static inline void df_crc32c_prepare(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
        df_crc_table[0][i] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = df_crc_table[row - 1][i];
            df_crc_table[row][i] = (crc >> 8) ^ df_crc_table[0][crc & 255];
        }
}

static inline uint32_t df_crc32c_plain(uint32_t crc, const uint8_t *at, size_t n) {
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word = 0;
        for (int i = 0; i < 8; i++) word |= (uint64_t)at[i] << (8 * i);
        word ^= crc;
        crc = 0;
        for (int i = 0; i < 8; i++) crc ^= df_crc_table[7 - i][(word >> (8 * i)) & 255];
    }
    for (; n; n--, at++) crc = (crc >> 8) ^ df_crc_table[0][(crc ^ *at) & 255];
    return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
static __attribute__((target("sse4.2"))) uint32_t df_crc32c_fast(uint32_t crc, const uint8_t *at,
                                                                 size_t n) {
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n; n--, at++) crc = _mm_crc32_u8(crc, *at);
    return crc;
}
static inline uint32_t df_crc32c(uint32_t crc, const uint8_t *at, size_t n) {
    return __builtin_cpu_supports("sse4.2") ? df_crc32c_fast(crc, at, n)
                                            : df_crc32c_plain(crc, at, n);
}
#else
static inline uint32_t df_crc32c(uint32_t crc, const uint8_t *at, size_t n) {
    return df_crc32c_plain(crc, at, n);
}
#endif
#endif
