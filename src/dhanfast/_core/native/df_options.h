/* Options out of df_lane.h at the widths this compiler and processor have, and the choice of one.
 *
 * The algebra. With a = |ln(F/K)|, s = volatility * sqrt(years), h = a/s, t = s/2, the premium of
 * the option out of the money, over discount * sqrt(F K), is
 *
 *     b(a, s) = e^(-a/2) Phi(t - h) - e^(a/2) Phi(-t - h)
 *             = n (M(h - t) - M(h + t))            h >= t
 *             = e^(-a/2) - n (M(t - h) + M(h + t))  h < t
 *
 * where M is Mills' ratio and n = exp(-(h^2 + t^2)/2) / sqrt(2 pi) = db/ds. The option in the money
 * adds the exact forward - strike.
 */
#ifndef DF_OPTIONS_H
#define DF_OPTIONS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DF_TARGET
#define DF_W 1
#define DF_F(name) name##_1
#include "df_lane.h"
#undef DF_W
#undef DF_F
#define DF_W 2
#define DF_F(name) name##_2
#include "df_lane.h"
#undef DF_W
#undef DF_F
#undef DF_TARGET

#if defined(__x86_64__)
#define DF_WIDE 1
#define DF_TARGET __attribute__((target("avx2")))
#define DF_W 4
#define DF_F(name) name##_4
#include "df_lane.h"
#undef DF_W
#undef DF_F
#undef DF_TARGET
#define DF_TARGET __attribute__((target("avx512f,avx512dq")))
#define DF_W 8
#define DF_F(name) name##_8
#include "df_lane.h"
#undef DF_W
#undef DF_F
#undef DF_TARGET
#endif

/* The widest form that this processor runs: 8, 4 or 2 options at once. */
static int df_lanes_widest(void) {
#ifdef DF_WIDE
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return 8;
    if (__builtin_cpu_supports("avx2"))
        return 4;
#endif
    return 2;
}

static void df_implied(int lanes, size_t n, const double *price, const double *forward,
                       const double *strike, const double *years, const double *rate,
                       const double *sign, const double *seed, double *volatility, int64_t *ok) {
#ifdef DF_WIDE
    if (lanes == 8) {
        df_implied_8(n, price, forward, strike, years, rate, sign, seed, volatility, ok);
        return;
    }
    if (lanes == 4) {
        df_implied_4(n, price, forward, strike, years, rate, sign, seed, volatility, ok);
        return;
    }
#endif
    if (lanes == 2)
        df_implied_2(n, price, forward, strike, years, rate, sign, seed, volatility, ok);
    else
        df_implied_1(n, price, forward, strike, years, rate, sign, seed, volatility, ok);
}

static void df_greeks(int lanes, size_t n, const double *volatility, const double *forward,
                      const double *strike, const double *years, const double *rate,
                      const double *sign, int all, double *const *out, int64_t *ok) {
#ifdef DF_WIDE
    if (lanes == 8) {
        df_greeks_8(n, volatility, forward, strike, years, rate, sign, all, out, ok);
        return;
    }
    if (lanes == 4) {
        df_greeks_4(n, volatility, forward, strike, years, rate, sign, all, out, ok);
        return;
    }
#endif
    if (lanes == 2)
        df_greeks_2(n, volatility, forward, strike, years, rate, sign, all, out, ok);
    else
        df_greeks_1(n, volatility, forward, strike, years, rate, sign, all, out, ok);
}

static inline double df_exp(double x) { return exp_1(x); }
static inline double df_log_ratio(double a, double b) { return log_ratio_1(a, b); }
static inline double df_mills(double z) { return mills_1(z); }
#endif
