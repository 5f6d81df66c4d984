/* The requests of one broker account, counted in a file that all its engines have mapped.
 *
 * There is no lock, so nobody who is killed can hold one. A request is counted by putting its time
 * into the ring's next place with one compare-and-swap: before it nothing has happened, behind it
 * the request is counted, whatever becomes of its maker. `head` follows; whoever finds that it has
 * not, moves it for the one who could not.
 *
 *   stamps rise strictly, so a place is taken exactly when it holds more than the place before:
 *
 *        head-2   head-1 |  head
 *         100      140   |    60      free: 60 is of the lap before
 *         100      140   |   170      taken by somebody who did not come to move `head`
 *
 *   day     the number of a day in India << 40 | `head` when that day began
 *
 * Times are nanoseconds of CLOCK_MONOTONIC, which nobody sets, plus an offset that makes them UTC
 * as it was when the file was first used since the machine's start. */
#ifndef DF_BUDGET_H
#define DF_BUDGET_H
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define DF_BUDGET_STAMPS 8192                      /* a power of two, above the hour's limit */
#define DF_BUDGET_SEATS 32                         /* engines of a day */
#define DF_BUDGET_FIRST (UINT64_C(1) << 23)        /* `head` of a new file: room to count back */
#define DF_BUDGET_LAST (UINT64_C(1) << 39)
#define DF_BUDGET_DAY_SHIFT 40
#define DF_BUDGET_BASE ((UINT64_C(1) << DF_BUDGET_DAY_SHIFT) - 1)
#define DF_BUDGET_SLACK INT64_C(1000000000)        /* no stamp is further ahead of a clock */
#define DF_BUDGET_TRIES 4096                       /* each failure is another's success */
#define DF_BUDGET_BROKEN INT64_C(-1)
#define DF_BUDGET_WINDOWS 3

enum { DF_BUDGET_URGENT = 1, DF_BUDGET_FORCE = 2, DF_BUDGET_LOOK = 4 };

typedef struct {
    uint64_t key;                /* of the engine's name; 0 = free */
    uint64_t counted;            /* day << 40 | requests of it; its engine alone writes it */
    int64_t since_ns;            /* UTC */
    char name[64];
    char spare[8];
} df_budget_seat;

typedef struct {
    char magic[8];
    uint32_t version;
    uint32_t bytes;
    uint8_t account[32];
    char boot[48];               /* the kernel's name of this start of the machine */
    int64_t offset_ns;           /* to be added to CLOCK_MONOTONIC of that start */
    uint32_t crc;                /* CRC-32C of what stands before */
    char spare[20];
    uint64_t head;               /* requests ever counted, from DF_BUDGET_FIRST */
    uint64_t day;
    int64_t closed_until_ns;     /* the broker said that somebody was too fast */
    char spare1[872];
    df_budget_seat seats[DF_BUDGET_SEATS];
    int64_t stamps[DF_BUDGET_STAMPS];
} df_budget;

typedef struct {
    int64_t span[DF_BUDGET_WINDOWS];
    int32_t limit[DF_BUDGET_WINDOWS];
    int32_t kept[DF_BUDGET_WINDOWS];
    int32_t day_limit;
    int32_t day_kept;
} df_budget_rules;

_Static_assert(sizeof(df_budget_seat) == 96, "a seat has 96 bytes");
_Static_assert(sizeof(df_budget) == 4096 + 8 * DF_BUDGET_STAMPS, "a page, then the stamps");

static inline int df_budget_swap(uint64_t *at, uint64_t from, uint64_t to) {
    return __atomic_compare_exchange_n(at, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline int64_t *df_budget_place(df_budget *b, uint64_t at) {
    return &b->stamps[at & (DF_BUDGET_STAMPS - 1)];
}

/* When the limits let a request leave; 0 = now, INT64_MAX = not today. */
static inline int64_t df_budget_until(df_budget *b, const df_budget_rules *rules, uint64_t head,
                                      uint64_t used, int64_t at_ns, int urgent) {
    int64_t until = 0;
    if (!urgent) {
        int64_t closed = __atomic_load_n(&b->closed_until_ns, __ATOMIC_RELAXED);
        if (used + (uint64_t)rules->day_kept >= (uint64_t)rules->day_limit) return INT64_MAX;
        if (closed > at_ns) until = closed;
    }
    for (int i = 0; i < DF_BUDGET_WINDOWS; i++) {
        int32_t room = urgent ? rules->limit[i] : rules->limit[i] - rules->kept[i];
        int64_t oldest = __atomic_load_n(df_budget_place(b, head - (uint64_t)room),
                                         __ATOMIC_RELAXED);
        if (oldest > at_ns - rules->span[i] && oldest + rules->span[i] > until)
            until = oldest + rules->span[i];
    }
    return until;
}

/* Count a request of `day` at `now_ns`, if the limits let it leave. 0: they do (and it is counted,
 * unless this was but a look). Else as df_budget_until; DF_BUDGET_BROKEN: no sense in the file. */
static int64_t df_budget_take(df_budget *b, const df_budget_rules *rules, int64_t now_ns,
                              uint64_t day, int how) {
    for (int tries = 0; tries < DF_BUDGET_TRIES; tries++) {
        uint64_t word = __atomic_load_n(&b->day, __ATOMIC_ACQUIRE);
        uint64_t head = __atomic_load_n(&b->head, __ATOMIC_ACQUIRE);
        int64_t last, there, at_ns, until;
        if (head < DF_BUDGET_FIRST || head >= DF_BUDGET_LAST) return DF_BUDGET_BROKEN;
        last = __atomic_load_n(df_budget_place(b, head - 1), __ATOMIC_ACQUIRE);
        there = __atomic_load_n(df_budget_place(b, head), __ATOMIC_ACQUIRE);
        if (there > last) {
            df_budget_swap(&b->head, head, head + 1);
            continue;
        }
        if ((word >> DF_BUDGET_DAY_SHIFT) < day) {
            df_budget_swap(&b->day, word, (day << DF_BUDGET_DAY_SHIFT) | head);
            continue;
        }
        if ((word & DF_BUDGET_BASE) > head) continue;     /* the day began just now */
        at_ns = now_ns > last ? now_ns : last + 1;
        if (!(how & DF_BUDGET_FORCE)) {
            if (last > now_ns + DF_BUDGET_SLACK) return DF_BUDGET_BROKEN;
            until = df_budget_until(b, rules, head, head - (word & DF_BUDGET_BASE), at_ns,
                                    how & DF_BUDGET_URGENT);
            if (until || (how & DF_BUDGET_LOOK)) return until;
        }
        if (df_budget_swap((uint64_t *)df_budget_place(b, head), (uint64_t)there,
                           (uint64_t)at_ns)) {
            df_budget_swap(&b->head, head, head + 1);
            return 0;
        }
    }
    return DF_BUDGET_BROKEN;
}

/* No request that is not urgent before this time. */
static inline void df_budget_close(df_budget *b, int64_t until_ns) {
    int64_t before = __atomic_load_n(&b->closed_until_ns, __ATOMIC_RELAXED);
    while (before < until_ns
           && !__atomic_compare_exchange_n(&b->closed_until_ns, &before, until_ns, 0,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

/* Requests of the day whose times nobody needs any more. */
static inline void df_budget_count_back(df_budget *b, uint64_t day, uint64_t count) {
    for (int tries = 0; tries < DF_BUDGET_TRIES; tries++) {
        uint64_t word = __atomic_load_n(&b->day, __ATOMIC_ACQUIRE);
        uint64_t head = __atomic_load_n(&b->head, __ATOMIC_ACQUIRE);
        if ((word >> DF_BUDGET_DAY_SHIFT) < day) {
            df_budget_swap(&b->day, word, (day << DF_BUDGET_DAY_SHIFT) | head);
            continue;
        }
        if ((word & DF_BUDGET_BASE) < count
            || df_budget_swap(&b->day, word, word - count)) return;
    }
}

/* ---- a file that is cut short while it is mapped ----
 *
 * Touching what is gone is a SIGBUS, which would end an engine that holds a position. Zeros of our
 * own are put in its place: df_budget_take then finds no sense in them, and says so. */

#define DF_BUDGET_MAPS 64
static df_budget *df_budget_maps[DF_BUDGET_MAPS];
static struct sigaction df_budget_before;
static int df_budget_guarded;

static void df_budget_bus(int number, siginfo_t *info, void *context) {
    char *at = (char *)info->si_addr;
    for (int i = 0; i < DF_BUDGET_MAPS; i++) {
        char *base = (char *)df_budget_maps[i];
        if (base != NULL && at >= base && at < base + sizeof(df_budget)
            && mmap(base, sizeof(df_budget), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) return;
    }
    if (df_budget_before.sa_flags & SA_SIGINFO) {
        df_budget_before.sa_sigaction(number, info, context);
    } else if (df_budget_before.sa_handler != SIG_DFL
               && df_budget_before.sa_handler != SIG_IGN) {
        df_budget_before.sa_handler(number);
    } else {
        signal(number, SIG_DFL);           /* the same touch ends the process as it should */
    }
}

/* Map a file whose size was checked; NULL with errno set. */
static df_budget *df_budget_map(int fd) {
    df_budget *b = mmap(NULL, sizeof(df_budget), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (b == MAP_FAILED) return NULL;
    for (int i = 0; i < DF_BUDGET_MAPS; i++) {
        if (df_budget_maps[i] == NULL) {
            df_budget_maps[i] = b;
            break;
        }
    }
    if (!df_budget_guarded) {
        struct sigaction ours;
        memset(&ours, 0, sizeof ours);
        ours.sa_sigaction = df_budget_bus;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&ours.sa_mask);
        df_budget_guarded = sigaction(SIGBUS, &ours, &df_budget_before) == 0;
    }
    return b;
}

static void df_budget_unmap(df_budget *b) {
    for (int i = 0; i < DF_BUDGET_MAPS; i++)
        if (df_budget_maps[i] == b) df_budget_maps[i] = NULL;
    munmap(b, sizeof(df_budget));
}
#endif
