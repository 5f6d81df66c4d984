/* Vector loops over bar arrays. Every loop gives the bits of its scalar form: element by element,
 * no fused multiply-add, no reordered sums. On x86-64 an AVX2 copy is taken when the processor
 * has it; elsewhere, and on other compilers' targets, the plain copy. */
#ifndef DF_BARS_H
#define DF_BARS_H
#include "df_copies.h"
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef double df_double4 __attribute__((vector_size(32)));

DF_BODY df_double4 df_load4(const double *from) {
    df_double4 lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

/* 1 when any bar has a NaN, an infinity or high < low. */
DF_BODY int df_unsound_body(const double *high, const double *low, const double *close, size_t n) {
    long long unsound = 0;
    for (size_t i = 0; i < n; i++) {
        double span = high[i] - low[i];
        unsound |= !((span >= 0.0) & (span <= DBL_MAX) & (fabs(close[i]) <= DBL_MAX));
    }
    return unsound != 0;
}

/* range[i] = max(high[i], close[i-1]) - min(low[i], close[i-1]); close[-1] must be readable. */
DF_BODY int df_range_body(const double *restrict high, const double *restrict low,
                          const double *restrict close, double *restrict range, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double last = close[(ptrdiff_t)i - 1];
        double top = high[i] > last ? high[i] : last;
        double bottom = low[i] < last ? low[i] : last;
        range[i] = top - bottom;
    }
    return 0;
}

/* An exponential average taken four samples apart, so that four of them run side by side:
 *   value[t] = keep4 * value[t-4] + ((w0 x[t] + w1 x[t-1]) + (w2 x[t-2] + w3 x[t-3]))
 * `n` is a multiple of four; x[-3..-1] must be readable; `last` holds value[-4..-1]. */
DF_BODY int df_average4_body(const double *x, const double *weights, double keep4,
                              double *last, double *restrict out, size_t n) {
    df_double4 value = df_load4(last);
    for (size_t t = 0; t < n; t += 4) {
        value = keep4 * value + ((weights[0] * df_load4(x + t) + weights[1] * df_load4(x + t - 1))
              + (weights[2] * df_load4(x + t - 2) + weights[3] * df_load4(x + t - 3)));
        memcpy(out + t, &value, sizeof value);
    }
    memcpy(last, &value, sizeof value);
    return 0;
}

/* Paise to rupees in place. */
DF_BODY int df_rupees_body(double *column, size_t n) {
    for (size_t i = 0; i < n; i++) column[i] = column[i] / 100.0;
    return 0;
}

DF_TWO_COPIES(df_unsound, (const double *h, const double *l, const double *c, size_t n),
              (h, l, c, n))
DF_TWO_COPIES(df_rupees, (double *column, size_t n), (column, n))
DF_TWO_COPIES(df_range, (const double *h, const double *l, const double *c, double *r, size_t n),
              (h, l, c, r, n))
DF_TWO_COPIES(df_average4, (const double *x, const double *w, double keep4, double *last,
                            double *out, size_t n), (x, w, keep4, last, out, n))
#endif
