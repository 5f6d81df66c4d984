/* Black's formula and its inverse, branchless, DF_W options at once: included once a width.
 *
 * Only + - * / sqrt and integer operations on each lane, with no fused multiply-add, so every width
 * and every machine gives the same bits. What a lane cannot do well it says (`ok` = 0), and the
 * caller does that option by the branching code of _core/options.
 *
 * Before inclusion: DF_W the width, DF_F(name) the name with its width, DF_TARGET the attribute
 * that lets the compiler use wider registers.
 */

#define FN static inline DF_TARGET __attribute__((always_inline))

#if DF_W == 1
typedef double DF_F(real);
typedef int64_t DF_F(bits);
typedef uint64_t DF_F(word);
#define MASK(test) (-(int64_t)(test))
FN int64_t DF_F(as_bits)(double v) { int64_t o; memcpy(&o, &v, 8); return o; }
FN double DF_F(as_real)(int64_t v) { double o; memcpy(&o, &v, 8); return o; }
#else
typedef double DF_F(real) __attribute__((vector_size(8 * DF_W)));
typedef int64_t DF_F(bits) __attribute__((vector_size(8 * DF_W)));
typedef uint64_t DF_F(word) __attribute__((vector_size(8 * DF_W)));
#define MASK(test) (test)
FN DF_F(bits) DF_F(as_bits)(DF_F(real) v) { return (DF_F(bits))v; }
FN DF_F(real) DF_F(as_real)(DF_F(bits) v) { return (DF_F(real))v; }
#endif
#define REAL DF_F(real)
#define BITS DF_F(bits)
#define ALL(x) ((x) - (REAL){0})

#if DF_W == 1
FN REAL DF_F(pick)(BITS mask, REAL yes, REAL no) { return mask ? yes : no; }
FN REAL DF_F(size)(REAL v) { return __builtin_fabs(v); }
#else
FN REAL DF_F(pick)(BITS mask, REAL yes, REAL no) {
    return DF_F(as_real)((mask & DF_F(as_bits)(yes)) | (~mask & DF_F(as_bits)(no)));
}
FN REAL DF_F(size)(REAL v) { return DF_F(as_real)(DF_F(as_bits)(v) & 0x7FFFFFFFFFFFFFFFLL); }
#endif
FN REAL DF_F(least)(REAL a, REAL b) { return DF_F(pick)(MASK(a < b), a, b); }
FN REAL DF_F(most)(REAL a, REAL b) { return DF_F(pick)(MASK(a > b), a, b); }

FN REAL DF_F(root)(REAL v) {
#if DF_W == 1
    return __builtin_sqrt(v);
#else
    REAL out = v;
    for (int i = 0; i < DF_W; i++) out[i] = __builtin_sqrt(v[i]);
    return out;
#endif
}
FN int DF_F(every)(BITS mask) {
#if DF_W == 1
    return mask != 0;
#else
    int64_t all = -1;
    for (int i = 0; i < DF_W; i++) all &= mask[i];
    return all != 0;
#endif
}
FN REAL DF_F(load)(const double *at) { REAL v; memcpy(&v, at, sizeof v); return v; }
FN void DF_F(store)(double *at, REAL v) { memcpy(at, &v, sizeof v); }
FN void DF_F(store_bits)(int64_t *at, BITS v) { memcpy(at, &v, sizeof v); }

/* e^x: 0 below -708, infinity above 709, NaN for NaN; error below 1 ulp. */
FN REAL DF_F(exp)(REAL x) {
    REAL y = DF_F(pick)(MASK(x > -708.0), x, ALL(-708.0));
    y = DF_F(pick)(MASK(y < 709.0), y, ALL(709.0));
    REAL shifted = y * 1.4426950408889634 + 6755399441055744.0; /* 1.5 * 2^52: rounds */
    REAL whole = shifted - 6755399441055744.0;
    REAL r = (y - whole * 6.93147180369123816490e-01) - whole * 1.90821492927058770002e-10;
    REAL r2 = r * r;
    REAL odd = ALL(2.510038549551032e-08), even = ALL(2.7620088445409746e-07);
    odd = odd * r2 + 2.7557268459997064e-06;
    even = even * r2 + 2.4801521295954376e-05;
    odd = odd * r2 + 0.00019841269863053618;
    even = even * r2 + 0.0013888888917213717;
    odd = odd * r2 + 0.008333333333330062;
    even = even * r2 + 0.04166666666662413;
    odd = odd * r2 + 0.16666666666666669;
    even = even * r2 + 0.5000000000000001;
    REAL one = 1.0 + (r + r2 * (odd * r + even));
    BITS power = (BITS)((DF_F(word))DF_F(as_bits)(shifted) << 52);
    REAL value = DF_F(as_real)(DF_F(as_bits)(one) + power);
    value = DF_F(pick)(MASK(x < -708.0), ALL(0.0), value);
    value = DF_F(pick)(MASK(x > 709.0), ALL(__builtin_inf()), value);
    return DF_F(pick)(MASK(x == x), value, x);
}

/* ln(a / b) of positive numbers whose quotient is normal. a near b keeps its relative accuracy:
 * a - b is exact there. */
FN REAL DF_F(log_ratio)(REAL a, REAL b) {
    BITS raw = DF_F(as_bits)(a / b);
    /* The exponent, rounded so that the rest lies in [1/sqrt 2, sqrt 2). */
    DF_F(word) above = (DF_F(word))raw - 0x3FE6A09E667F3BCDULL + (1ULL << 62);
    BITS power = (BITS)(above >> 52) - 1024;
    REAL scaled = a * DF_F(as_real)((BITS)((DF_F(word))(1023 - power) << 52));
    REAL s = (scaled - b) / (scaled + b);
    REAL y = s * s;
    REAL y2 = y * y;
    REAL even = ALL(0.07309671726756307), odd = ALL(0.07665743617932867);
    even = even * y2 + 0.09091448091741543;
    odd = odd * y2 + 0.11111105518908294;
    even = even * y2 + 0.14285714313285103;
    odd = odd * y2 + 0.19999999999949095;
    even = even * y2 + 0.3333333333333335;
    REAL q = even + odd * y;
    REAL whole = DF_F(as_real)(power + 0x4338000000000000LL) - 6755399441055744.0;
    return whole * 6.93147180369123816490e-01 +
           (2.0 * s + (2.0 * s * y * q + whole * 1.90821492927058770002e-10));
}

/* Mills' ratio (1 - Phi(z)) / phi(z) for z >= 0; relative error below 5e-16. */
FN REAL DF_F(mills)(REAL z) {
    REAL w = 1.0 / (z + 4.0);
    REAL t = (z - 4.0) * w;
    REAL t2 = t * t;
    /* Four chains, of the powers 0, 1, 2, 3 modulo 4: their additions overlap. */
    REAL t4 = t2 * t2;
    REAL c0 = ALL(4.027496644667924e-08), c1 = ALL(-1.4722998923746307e-09);
    REAL c2 = ALL(-4.232837128668023e-09), c3 = ALL(-3.0073979672398766e-10);
    c0 = c0 * t4 + 6.635890483495518e-07;
    c1 = c1 * t4 + -4.00493929251171e-07;
    c2 = c2 * t4 + -1.974812079272745e-07;
    c3 = c3 * t4 + 4.473060051450323e-08;
    c0 = c0 * t4 + 1.7912419621396938e-06;
    c1 = c1 * t4 + -1.4843277679080294e-05;
    c2 = c2 * t4 + -1.5665301434775512e-06;
    c3 = c3 * t4 + 2.568755311229722e-06;
    c0 = c0 * t4 + 0.0003342443649391365;
    c1 = c1 * t4 + -0.0005792693046478719;
    c2 = c2 * t4 + -4.781834677436329e-06;
    c3 = c3 * t4 + 8.809573121072337e-05;
    c0 = c0 * t4 + 0.1513917623110474;
    c1 = c1 * t4 + -0.018900450861711257;
    c2 = c2 * t4 + -0.008722295248200037;
    c3 = c3 * t4 + 0.004087855681200072;
    c0 = c0 * t4 + 1.8932190633084853;
    c1 = c1 * t4 + -1.5237709108199835;
    c2 = c2 * t4 + 0.9704095548676177;
    c3 = c3 * t4 + -0.4675409629983325;
    return w * ((c0 + c2 * t2) + t * (c1 + c3 * t2));
}

/* The option out of the money at the same strike: everything by sqrt(forward * strike), the
 * distance a = |ln(F/K)|, and e^(-a/2) from the quotient itself. */
typedef struct {
    REAL a, low, root, over, half, discount; /* over = 1/root */
    BITS call_out, sane;
} DF_F(shape);

FN DF_F(shape) DF_F(shaped)(REAL forward, REAL strike, REAL years, REAL rate) {
    DF_F(shape) o;
    REAL low = DF_F(least)(forward, strike), high = DF_F(most)(forward, strike);
    o.sane = MASK(low >= 1e-100) & MASK(high <= 1e100) & MASK(years > 0.0) & MASK(years <= 1e4) &
             MASK(DF_F(size)(rate * years) <= 600.0);
    o.a = DF_F(log_ratio)(high, low);
    o.low = low;
    o.root = DF_F(root)(forward * strike);
    o.over = 1.0 / o.root;
    o.half = low * o.over;
    o.discount = DF_F(exp)(-(rate * years));
    o.call_out = MASK(forward <= strike);
    return o;
}

/* Parts of the normalised premium at total deviation s: see df_options.h for the algebra. */
typedef struct {
    REAL over, h, t, density, near, far; /* over = 1/s */
    BITS inside; /* h >= t: no tail above one half */
} DF_F(parts);

FN DF_F(parts) DF_F(parted)(REAL a, REAL s) {
    DF_F(parts) o;
    o.over = 1.0 / s;
    o.h = a * o.over;
    o.t = 0.5 * s;
    o.density = 0.3989422804014327 * DF_F(exp)(-0.5 * (o.h * o.h + o.t * o.t));
    o.near = DF_F(mills)(DF_F(size)(o.h - o.t));
    o.far = DF_F(mills)(o.h + o.t);
    o.inside = MASK(o.h >= o.t);
    return o;
}

/* (premium - wanted) of the normalised option out of the money. */
FN REAL DF_F(excess)(DF_F(parts) p, REAL half, REAL wanted) {
    REAL inside = p.density * (p.near - p.far) - wanted;
    REAL outside = (half - wanted) - p.density * (p.near + p.far);
    return DF_F(pick)(p.inside, inside, outside);
}

/* First guess of s: the normal model's inverse by a rational function of the straddle, carried to
 * the lognormal model by the series of both in s and a. */
FN REAL DF_F(guess)(REAL a, REAL beta, REAL apart) {
    REAL u = beta + 0.5 * apart;
    REAL ratio = 0.5 * apart / u;
    REAL turn = 0.5 * DF_F(log_ratio)(beta + apart, beta); /* atanh(ratio) */
    REAL eta = DF_F(pick)(MASK(ratio < 1e-4), 1.0 - ratio * ratio * (1.0 / 3.0), ratio / turn);
    REAL above = ALL(37.951539871224895), below = ALL(10.940246588171487);
    above = above * eta + 30.198782738056178;
    below = below * eta + 52.707087733058245;
    above = above * eta + 8.883685996921507;
    below = below * eta + 8.25612063945286;
    above = above * eta + 4.47716046743695;
    below = below * eta + 9.009436632508937;
    above = above * eta + 0.4013219471947043;
    below = below * eta + 1.0;
    REAL y = 0.25 * a * a; /* sinh(a/2) / (a/2) */
    REAL wider = 1.0 + y * (1.0 / 6.0 + y * (1.0 / 120.0 + y * (1.0 / 5040.0)));
    REAL normal = 2.5066282746310002 * u * DF_F(root)(eta) * above / (below * wider);
    REAL z = normal * normal;
    return normal * (1.0 + z * (1.0 / 24.0 + z * (7.0 / 1920.0 + z * (127.0 / 322560.0))));
}

/* Newton's step towards the wanted premium. Its size tells how far the solution is; that of the
 * step below does not, which falls to nothing where the curvature turns and newton is large. */
FN REAL DF_F(newton)(DF_F(parts) p, REAL half, REAL wanted) {
    return -DF_F(excess)(p, half, wanted) / p.density;
}

/* Householder's step of fourth order from Newton's. */
FN REAL DF_F(stepped)(DF_F(parts) p, REAL newton, REAL s) {
    REAL steep = p.h * p.over;
    REAL bend = p.h * steep - 0.25 * s;
    REAL twist = bend * bend - 3.0 * steep * steep - 0.25;
    REAL step = newton * (1.0 + 0.5 * bend * newton) /
                (1.0 + newton * (bend + twist * newton * (1.0 / 6.0)));
    return DF_F(most)(step, -0.5 * s);
}

/* Volatilities of n options, n a multiple of DF_W. `sign` +1 call, -1 put; `seed` NULL or a
 * volatility to start from (0 or NaN: none). ok = 0 where the branching code has to do it. */
static DF_TARGET void DF_F(df_implied)(size_t n, const double *price, const double *forward,
                                       const double *strike, const double *years,
                                       const double *rate, const double *sign, const double *seed,
                                       double *volatility, int64_t *ok) {
    for (size_t i = 0; i < n; i += DF_W) {
        REAL f = DF_F(load)(forward + i), k = DF_F(load)(strike + i);
        REAL span = DF_F(load)(years + i);
        DF_F(shape) o = DF_F(shaped)(f, k, span, DF_F(load)(rate + i));
        REAL inner = DF_F(load)(sign + i) * (f - k);
        inner = DF_F(pick)(MASK(inner > 0.0), inner, ALL(0.0));
        REAL flat = DF_F(load)(price + i) / o.discount;
        REAL beta = (flat - inner) * o.over;
        BITS good = o.sane & MASK(beta > 1e-30) & MASK(beta < 0.9 * o.half) &
                    MASK(beta * o.root > 1e-9 * flat);
        REAL apart = DF_F(size)(f - k) * o.over;
        REAL root_years = DF_F(root)(span);
        REAL s = DF_F(guess)(o.a, beta, apart);
        if (seed) {
            REAL last = DF_F(load)(seed + i) * root_years;
            s = DF_F(pick)(MASK(last > 0.0), last, s);
        }
        DF_F(parts) p = DF_F(parted)(o.a, s);
        REAL newton = DF_F(newton)(p, o.half, beta);
        /* Of fourth order: from this near the first step ends below the last digit. */
        REAL curve = DF_F(most)(ALL(1.0), p.h * p.h);
        BITS near = MASK(DF_F(size)(newton) * curve < 1e-4 * s);
        s = s + DF_F(stepped)(p, newton, s);
        if (!DF_F(every)(near)) {
            p = DF_F(parted)(o.a, s);
            newton = DF_F(newton)(p, o.half, beta);
            s = DF_F(pick)(near, s, s + DF_F(stepped)(p, newton, s));
            curve = DF_F(most)(ALL(1.0), p.h * p.h);
            near |= MASK(DF_F(size)(newton) * curve < 3e-4 * s);
        }
        good &= MASK(p.t > 6e-4 * (1.0 + p.h)) & MASK(p.h < 30.0) & near;
        DF_F(store)(volatility + i, s / root_years);
        DF_F(store_bits)(ok + i, good);
    }
}

/* Premium (out[0]) and, with all, delta, gamma, vega, theta, rho, vanna, volga, charm of n
 * options, n a multiple of DF_W; with all = 2 those up to vega. ok = 0 where the branching code has
 * to do it. */
static DF_TARGET void DF_F(df_greeks)(size_t n, const double *volatility, const double *forward,
                                      const double *strike, const double *years,
                                      const double *rate, const double *sign, int all,
                                      double *const *out, int64_t *ok) {
    for (size_t i = 0; i < n; i += DF_W) {
        REAL f = DF_F(load)(forward + i), k = DF_F(load)(strike + i);
        REAL v = DF_F(load)(volatility + i), span = DF_F(load)(years + i);
        REAL r = DF_F(load)(rate + i), side = DF_F(load)(sign + i);
        DF_F(shape) o = DF_F(shaped)(f, k, span, r);
        REAL root_years = DF_F(root)(span);
        REAL s = v * root_years;
        DF_F(parts) p = DF_F(parted)(o.a, s);
        BITS good = o.sane & MASK(p.t > 6e-4 * (1.0 + p.h)) & MASK(p.t < 15.0) &
                    MASK(p.h < 30.0) & (MASK(side == 1.0) | MASK(side == -1.0));
        BITS call = MASK(side > 0.0);
        REAL inner = DF_F(pick)(MASK(side * (f - k) > 0.0), side * (f - k), ALL(0.0));
        REAL value = o.discount * (inner + o.root * DF_F(excess)(p, o.half, ALL(0.0)));
        DF_F(store)(out[0] + i, value);
        DF_F(store_bits)(ok + i, good);
        if (!all)
            continue;
        /* Phi(d1) and Phi(-d1), each from the smaller tail, so that neither loses digits. */
        REAL tail = p.density * p.near / o.half, rest = 1.0 - tail;
        REAL far = p.density * p.far * o.half;
        REAL below = DF_F(pick)(o.call_out, DF_F(pick)(p.inside, tail, rest), 1.0 - far);
        REAL above = DF_F(pick)(o.call_out, DF_F(pick)(p.inside, rest, tail), far);
        REAL delta = DF_F(pick)(call, below, -above);
        REAL first = DF_F(pick)(o.call_out, p.t - p.h, p.h + p.t);
        REAL second = first - s;
        REAL mass = o.discount * o.root * p.density; /* discount * F * phi(d1) */
        REAL vega = mass * root_years;
        delta = o.discount * delta;
        DF_F(store)(out[1] + i, delta);
        DF_F(store)(out[2] + i, mass / (f * f * s));
        DF_F(store)(out[3] + i, vega);
        if (all == 2)
            continue;
        DF_F(store)(out[4] + i, r * value - 0.5 * mass * v / root_years);
        DF_F(store)(out[5] + i, -span * value);
        DF_F(store)(out[6] + i, -(mass / f) * second / v);
        DF_F(store)(out[7] + i, vega * first * second / v);
        DF_F(store)(out[8] + i, r * delta + 0.5 * (mass / f) * second / span);
    }
}

#undef FN
#undef MASK
#undef REAL
#undef BITS
#undef ALL
