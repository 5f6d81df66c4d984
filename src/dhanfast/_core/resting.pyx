"""The pool of simulated orders; see resting.pxd for what holds when."""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)


cdef int pool_open(Pool *pool, uint32_t size, uint64_t reports_min) noexcept nogil:
    cdef uint64_t buckets = 16, reports = 16
    cdef uint32_t at
    while buckets < 2 * <uint64_t>size:
        buckets *= 2
    while reports < reports_min:
        reports *= 2
    memset(pool, 0, sizeof(Pool))
    pool.places = <Place *>calloc(size, sizeof(Place))
    pool.buckets = <int32_t *>calloc(buckets, sizeof(int32_t))
    pool.reports = <Report *>calloc(reports, sizeof(Report))
    if pool.places == NULL or pool.buckets == NULL or pool.reports == NULL:
        pool_close(pool)
        return -1
    pool.size = size
    pool.bucket_mask = buckets - 1
    pool.report_mask = reports - 1
    memset(pool.buckets, 0xFF, buckets * sizeof(int32_t))      # every bucket NOWHERE
    for at in range(size):
        pool.places[at].chain = <int32_t>at + 1 if at + 1 < size else NOWHERE
    return 0


cdef void pool_close(Pool *pool) noexcept nogil:
    free(pool.places)
    free(pool.buckets)
    free(pool.reports)
    memset(pool, 0, sizeof(Pool))


cdef int32_t pool_take(Pool *pool, const Order *order) noexcept nogil:
    cdef int32_t at = pool.first_free
    cdef int32_t *bucket = &pool.buckets[order.id & pool.bucket_mask]
    cdef Place *place
    if pool.live >= pool.size:
        return NOWHERE
    place = &pool.places[at]
    pool.first_free = place.chain
    place.order = order[0]
    place.limit = place.active_ns = place.gone = 0
    place.arrival = place.visit = 0
    place.share_ns = place.share_used = 0
    place.taker = place.priced = 0
    place.left = order.qty
    place.queue = QUEUE_UNKNOWN
    place.next = place.prev = place.list = NOWHERE
    place.state = PlaceState.SENT
    place.chain = bucket[0]
    bucket[0] = at
    pool.live += 1
    pool.top = max(pool.top, <uint32_t>at + 1)
    return at


cdef int32_t pool_find(const Pool *pool, uint64_t order_id) noexcept nogil:
    cdef int32_t at = pool.buckets[order_id & pool.bucket_mask]
    while at != NOWHERE and pool.places[at].order.id != order_id:
        at = pool.places[at].chain
    return at


cdef void pool_release(Pool *pool, int32_t at) noexcept nogil:
    cdef Place *place = &pool.places[at]
    cdef int32_t *link = &pool.buckets[place.order.id & pool.bucket_mask]
    DF_ASSERT(place.state != PlaceState.FREE and place.list == NOWHERE)
    while link[0] != at:
        link = &pool.places[link[0]].chain
    link[0] = place.chain
    place.chain = pool.first_free
    pool.first_free = at
    place.state = PlaceState.FREE
    pool.live -= 1


# Does place `a` come before place `b` on this list?
cdef inline bint _comes_first(const Place *a, const Place *b, int32_t which) noexcept nogil:
    cdef paise_t mine = a.limit if which <= SELL_LIMIT else a.order.trigger
    cdef paise_t other = b.limit if which <= SELL_LIMIT else b.order.trigger
    if mine == other:
        return a.arrival < b.arrival
    if which == BUY_LIMIT or which == SELL_STOP:
        return mine > other
    return mine < other


cdef void list_insert(Pool *pool, int32_t *heads, int32_t at, int32_t which) noexcept nogil:
    cdef Place *place = &pool.places[at]
    cdef int32_t before = NOWHERE
    cdef int32_t after = heads[which]
    DF_ASSERT(place.list == NOWHERE)
    while after != NOWHERE and _comes_first(&pool.places[after], place, which):
        before = after
        after = pool.places[after].next
    place.list = which
    place.prev = before
    place.next = after
    if before == NOWHERE:
        heads[which] = at
    else:
        pool.places[before].next = at
    if after != NOWHERE:
        pool.places[after].prev = at


cdef void list_remove(Pool *pool, int32_t *heads, int32_t at) noexcept nogil:
    cdef Place *place = &pool.places[at]
    if place.list == NOWHERE:
        return
    if place.prev == NOWHERE:
        heads[place.list] = place.next
    else:
        pool.places[place.prev].next = place.next
    if place.next != NOWHERE:
        pool.places[place.next].prev = place.prev
    place.next = place.prev = place.list = NOWHERE


cdef void report_order(Pool *pool, const Place *place, ReportKind kind, ns_t time_ns, paise_t price,
                       int64_t qty, int reason) noexcept nogil:
    cdef Report *report = &pool.reports[pool.report_head & pool.report_mask]
    DF_ASSERT(pool_room(pool) > 0)
    report.order_id = place.order.id
    report.time_ns = time_ns
    report.price = price
    report.qty = qty
    report.left = place.left
    report.instrument = place.order.instrument
    report.strategy = place.order.strategy
    report.side = place.order.side
    report.kind = <uint8_t>kind
    report.reason = <uint8_t>reason
    report.flags = place.order.flags
    report.why = place.order.reason
    report.spare[0] = report.spare[1] = report.spare[2] = 0
    pool.report_head += 1
