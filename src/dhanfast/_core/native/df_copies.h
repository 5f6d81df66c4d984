/* One body, two copies: on x86-64 the AVX2 one is taken when the processor has it; elsewhere, and
 * on other compilers' targets, the plain one. */
#ifndef DF_COPIES_H
#define DF_COPIES_H
#define DF_BODY static inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__GNUC__)
#define DF_TWO_COPIES(name, params, args)                                           \
    static __attribute__((target("avx2"), noinline)) int name##_avx2 params {       \
        return name##_body args;                                                    \
    }                                                                               \
    static __attribute__((noinline)) int name##_plain params { return name##_body args; } \
    static inline int name params {                                                 \
        return __builtin_cpu_supports("avx2") ? name##_avx2 args : name##_plain args; \
    }
#else
#define DF_TWO_COPIES(name, params, args) \
    static inline int name params { return name##_body args; }
#endif
#endif
