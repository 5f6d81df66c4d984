/* A memory-mapped journal: what keeps it ahead of its writer and behind on no promise.
 *
 * The file is mapped piece by piece into one reserved range of addresses, so records lie side by
 * side and a pointer is an offset. Every mapped byte has its place on the disk already (fallocate):
 * a full disk is met when the file grows, in `df_journal_tend`, never as SIGBUS in the writer.
 *
 * Threads: the writer moves `at`, `seq`; whoever holds `lock` moves everything else. */
#ifndef DF_JOURNAL_H
#define DF_JOURNAL_H
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DF_PAGE 4096u
#define DF_AHEAD (256u << 10)    /* bytes before the writer that are in memory already */
#define DF_BEHIND (4u << 20)     /* synced bytes behind it that may stay mapped */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23   /* Linux 5.14; older kernels refuse: the writer takes the faults */
#endif

/* Give a file a name that nobody has; never replaces. Returns 0 or errno. */
static inline int df_name_new(const char *from, const char *to) {
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (link(from, to) != 0) return errno; /* file systems without it */
    unlink(from);
    return 0;
}

typedef struct {
    char *base;                  /* of the reserved addresses; NULL when closed */
    uint64_t at;                 /* where the next record goes */
    uint64_t seq;                /* of the last record */
    uint64_t limit;              /* mapped and allocated up to here */
    uint64_t reserve;            /* bytes at the end that only vital records may use */
    uint32_t epoch;
    int32_t broken;              /* errno of a failed write to the disk: for good */
    char pad[64];                /* what others write is not on the writer's cache lines */
    uint64_t synced;             /* on the disk up to here, and */
    uint64_t synced_seq;         /* up to this record */
    int32_t full;                /* errno of the last attempt to grow; 0 when it worked */
    int32_t fd;
    int32_t wake;                /* eventfd that ends the thread */
    int32_t serving;
    int32_t period_ms;
    uint64_t segment;            /* bytes by which the file grows */
    uint64_t bytes_max;
    uint64_t released;           /* unmapped from memory up to here */
    uint64_t syncs;
    pthread_mutex_t lock;
    pthread_t thread;
} df_journal;

/* Take the next segment, now: on the disk first, then in memory. Returns 0 or errno. */
static inline int df_journal_grow(df_journal *j) {
    if (j->limit + j->segment > j->bytes_max) return j->full = EFBIG;
    int error = posix_fallocate(j->fd, (off_t)j->limit, (off_t)j->segment);
    if (error) return j->full = error;
    void *at = mmap(j->base + j->limit, j->segment, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                    j->fd, (off_t)j->limit);
    if (at == MAP_FAILED) return j->full = errno;
    __atomic_store_n(&j->limit, j->limit + j->segment, __ATOMIC_RELEASE);
    return j->full = 0;
}

/* Write to the disk what is committed; `lock` is held. Returns 0 or errno. */
static inline int df_journal_flush(df_journal *j) {
    /* `seq` before `at`: the end that is seen covers at least the record that is seen. */
    uint64_t seq = __atomic_load_n(&j->seq, __ATOMIC_ACQUIRE);
    uint64_t end = __atomic_load_n(&j->at, __ATOMIC_ACQUIRE);
    if (j->broken) return j->broken;
    if (end == j->synced) return 0;
    uint64_t from = j->synced & ~(uint64_t)(DF_PAGE - 1);
    if (msync(j->base + from, end - from, MS_SYNC) != 0) {
        __atomic_store_n(&j->broken, errno, __ATOMIC_RELEASE);
        return j->broken;
    }
    __atomic_store_n(&j->synced_seq, seq, __ATOMIC_RELEASE);
    __atomic_store_n(&j->synced, end, __ATOMIC_RELEASE);
    j->syncs++;
    uint64_t marks[2] = {end, seq};
    memcpy(j->base + 144, marks, sizeof marks);
    return 0;
}

/* Room for `wanted` bytes and more, warm pages ahead, none behind; `lock` is held. */
static inline void df_journal_tend(df_journal *j, uint64_t wanted) {
    uint64_t at = __atomic_load_n(&j->at, __ATOMIC_ACQUIRE);
    while (j->limit - at < wanted + j->segment / 2 + j->reserve && df_journal_grow(j) == 0) {}
    uint64_t from = at & ~(uint64_t)(DF_PAGE - 1);
    uint64_t size = j->limit - from < DF_AHEAD ? j->limit - from : DF_AHEAD;
    /* Also the page at hand, which a sync has just made read-only: its fault is taken here. */
    if (size) madvise(j->base + from, size, MADV_POPULATE_WRITE);
    if (j->synced > j->released + 2 * (uint64_t)DF_BEHIND) {
        uint64_t to = (j->synced - DF_BEHIND) & ~(uint64_t)(DF_PAGE - 1);
        madvise(j->base + j->released, to - j->released, MADV_DONTNEED);
        j->released = to;
    }
}

static inline int df_journal_sync(df_journal *j) {
    pthread_mutex_lock(&j->lock);
    int error = df_journal_flush(j);
    pthread_mutex_unlock(&j->lock);
    return error;
}

static inline int df_journal_prepare(df_journal *j, uint64_t wanted) {
    pthread_mutex_lock(&j->lock);
    df_journal_tend(j, wanted);
    int error = j->full;
    pthread_mutex_unlock(&j->lock);
    return error;
}

static void *df_journal_serve(void *given) {
    df_journal *j = (df_journal *)given;
    struct pollfd end = {.fd = j->wake, .events = POLLIN, .revents = 0};
    while (poll(&end, 1, j->period_ms) <= 0) {
        pthread_mutex_lock(&j->lock);
        df_journal_flush(j);
        df_journal_tend(j, 0);
        pthread_mutex_unlock(&j->lock);
    }
    return NULL;
}

static inline int df_journal_start(df_journal *j) {
    j->wake = eventfd(0, EFD_CLOEXEC);
    if (j->wake < 0) return errno;
    int error = pthread_create(&j->thread, NULL, df_journal_serve, j);
    j->serving = error == 0;
    return error;
}

static inline void df_journal_stop(df_journal *j) {
    if (!j->serving) return;
    uint64_t one = 1;
    ssize_t told = write(j->wake, &one, sizeof one);
    (void)told;
    pthread_join(j->thread, NULL);
    j->serving = 0;
}

/* Reserve addresses and map what the file has. Returns 0 or errno. */
static inline int df_journal_map(df_journal *j) {
    void *base = mmap(NULL, j->bytes_max, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
    if (base == MAP_FAILED) return errno;
    j->base = (char *)base;
    void *at = mmap(base, j->limit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, j->fd, 0);
    return at == MAP_FAILED ? errno : 0;
}
#endif
