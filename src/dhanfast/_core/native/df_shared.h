/* Memory shared between processes: a fence and word copies that no compiler may tear or move. */
#ifndef DF_SHARED_H
#define DF_SHARED_H
#include <stddef.h>
#include <stdint.h>

static inline uint64_t df_load_relaxed(const uint64_t *at) {
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}
static inline void df_store_relaxed(uint64_t *at, uint64_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}
static inline void df_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void df_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

/* A record is copied word by word with relaxed atomics: a reader may see an old and a new word side
   by side (the stamp tells it so), but it is never undefined behaviour. */
static inline void df_words_publish(uint64_t *to, const void *from, size_t words) {
    const char *bytes = (const char *)from;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        __builtin_memcpy(&word, bytes + 8 * i, 8);
        __atomic_store_n(to + i, word, __ATOMIC_RELAXED);
    }
}
static inline void df_words_fetch(void *to, const uint64_t *from, size_t words) {
    char *bytes = (char *)to;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = __atomic_load_n(from + i, __ATOMIC_RELAXED);
        __builtin_memcpy(bytes + 8 * i, &word, 8);
    }
}
#endif
