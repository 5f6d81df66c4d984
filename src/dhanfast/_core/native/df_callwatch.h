/* A thread that looks how long a call has been going on, and needs no interpreter to do so.
 *
 * The engine's thread says when a call into a user's code begins and ends: one store each. A call
 * that is over its limit gets a signal, by which Python's own handler raises inside it. One that
 * does not end then is told of on standard error: whatever holds the interpreter cannot stop this
 * thread from writing.
 *
 * Threads: `begun_ns` is written by the engine's thread and read here; the counters the other way
 * round; the rest is set before the thread begins. */
#ifndef DF_CALLWATCH_H
#define DF_CALLWATCH_H
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DF_STUCK_NS INT64_C(1000000000)      /* behind the limit: it cannot be interrupted */
#define DF_TOLD_AGAIN_NS INT64_C(10000000000)

typedef struct {
    int64_t begun_ns;            /* CLOCK_MONOTONIC; 0 = no call is going on */
    int32_t only_told;           /* that call is native: nothing can be raised in it */
    char pad[52];                /* what this thread writes is on another cache line */
    int64_t limit_ns;
    uint64_t signals;            /* sent */
    uint64_t stuck;              /* calls that could not be interrupted */
    int32_t fd;                  /* where it is told; -1 = nowhere */
    int32_t serving;
    int32_t ending;
    char who[96];
    pthread_t target;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} df_callwatch;

static inline int64_t df_callwatch_now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static inline void df_callwatch_begin(df_callwatch *w, int64_t now_ns, int32_t only_told) {
    __atomic_store_n(&w->only_told, only_told, __ATOMIC_RELAXED);
    __atomic_store_n(&w->begun_ns, now_ns, __ATOMIC_RELEASE);
}

static inline int64_t df_callwatch_begun(df_callwatch *w) {
    return __atomic_load_n(&w->begun_ns, __ATOMIC_ACQUIRE);
}

static inline void df_callwatch_say(df_callwatch *w, int64_t took_ns) {
    char words[512];
    int size = snprintf(words, sizeof words,
        "dhanfast: %s: a callback of the strategy has not returned for %.1f s and cannot be "
        "interrupted: nothing is decided meanwhile. What protects the position now is the order "
        "that rests at the broker. End the engine (kill -9 %d), then: dhanfast panic\n",
        w->who, (double)took_ns / 1e9, (int)getpid());
    if (w->fd >= 0 && size > 0) {
        size_t left = (size_t)size < sizeof words ? (size_t)size : sizeof words - 1;
        ssize_t done = write(w->fd, words, left);
        (void)done;              /* nobody else can be told */
    }
}

static void *df_callwatch_serve(void *given) {
    df_callwatch *w = given;
    int64_t period_ns = w->limit_ns / 4, seen_ns = 0, sent_ns = 0, told_ns = 0;
    if (period_ns > INT64_C(100000000)) period_ns = INT64_C(100000000);
    if (period_ns < INT64_C(1000000)) period_ns = INT64_C(1000000);
    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct timespec until;
        int64_t next_ns = df_callwatch_now() + period_ns;
        until.tv_sec = (time_t)(next_ns / INT64_C(1000000000));
        until.tv_nsec = (long)(next_ns % INT64_C(1000000000));
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
        if (w->ending) break;
        int64_t begun_ns = df_callwatch_begun(w), now_ns = df_callwatch_now();
        if (begun_ns != seen_ns) { seen_ns = begun_ns; sent_ns = told_ns = 0; }
        if (begun_ns == 0 || now_ns - begun_ns <= w->limit_ns) continue;
        int32_t only_told = __atomic_load_n(&w->only_told, __ATOMIC_RELAXED);
        /* Again after each further limit: it may have been swallowed. */
        if (!only_told && (sent_ns == 0 || now_ns - sent_ns >= w->limit_ns)) {
            sent_ns = now_ns;
            __atomic_fetch_add(&w->signals, 1, __ATOMIC_RELAXED);
            pthread_kill(w->target, SIGURG);
        }
        if (now_ns - begun_ns <= w->limit_ns + DF_STUCK_NS) continue;
        if (told_ns == 0) __atomic_fetch_add(&w->stuck, 1, __ATOMIC_RELAXED);
        if (told_ns == 0 || now_ns - told_ns >= DF_TOLD_AGAIN_NS) {
            told_ns = now_ns;
            df_callwatch_say(w, now_ns - begun_ns);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Returns 0 or errno. The calling thread is the one that is watched. */
static inline int df_callwatch_start(df_callwatch *w) {
    sigset_t all, before;
    pthread_condattr_t of;
    int error = pthread_mutex_init(&w->lock, NULL);
    if (error) return error;
    pthread_condattr_init(&of);
    pthread_condattr_setclock(&of, CLOCK_MONOTONIC);
    error = pthread_cond_init(&w->wake, &of);
    pthread_condattr_destroy(&of);
    if (error) return error;
    w->target = pthread_self();
    w->ending = 0;
    sigfillset(&all);                        /* the process's signals are for other threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&w->thread, NULL, df_callwatch_serve, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) w->serving = 1;
    return error;
}

static inline void df_callwatch_stop(df_callwatch *w) {
    if (!w->serving) return;
    pthread_mutex_lock(&w->lock);
    w->ending = 1;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    w->serving = 0;
}
#endif
