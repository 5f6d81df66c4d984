"""Requests that leave for a broker, and what comes back: layouts and units, nothing else.

    Intent   one request: journaled before its bytes leave
    Answer   what became of one request
    Update   the state of one order at the broker, however it was learnt

Answers and updates are inputs of the engine like ticks: the journal holds them all, in the order in
which they were used. Prices are paise, times UTC ns, quantities units. Every struct is packed; its
size is asserted at import against the numpy dtype beside it.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t, paise_t

cdef enum:
    BROKER_ID_MAX = 24       # bytes of a broker's order id, NUL padded


cpdef enum IntentKind:
    """What a request asks for."""

    PLACE = 1
    MODIFY = 2
    CANCEL = 3
    QUERY = 4                # read one order: by broker_id when known, else by correlation id


cpdef enum Outcome:
    """What became of a request."""

    TAKEN = 1                # the broker says that it did it; a QUERY: an Update came before
    REFUSED = 2              # the broker proved that it did not do it
    UNKNOWN = 3              # nobody can tell: time-out, reset, 5xx or no JSON after bytes had left
    ABSENT = 4               # answer to a QUERY: there is no such order


cpdef enum Seen:
    """Status of an order at the broker. Quantities count before it."""

    UNCLEAR = 0              # a status that no document lists: taken as live, asked again
    TRANSIT = 1
    PENDING = 2              # also when some of it has filled
    TRADED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6


cpdef enum Origin:
    """How an Update was learnt."""

    SOCKET = 1
    REST = 2


cdef packed struct Intent:   # 104 bytes
    uint64_t id              # rises by one a request, from 1
    uint64_t order           # Order.id; the correlation id is the journal's tag and this number
    ns_t at_ns
    paise_t price            # limit; 0 = none
    paise_t trigger          # SL only
    int64_t qty              # whole quantity of the order, what has filled included
    char broker_id[24]       # MODIFY, CANCEL; QUERY when known
    uint32_t instrument      # place in the run's instrument table
    uint32_t group           # of the order, for logs
    uint8_t kind             # IntentKind
    int8_t side              # Side
    uint8_t order_kind       # OrderKind: LIMIT or SL; MARKET and SLM never leave
    uint8_t validity         # Validity
    uint8_t flags            # OrderFlag bits
    uint8_t reason           # Reason
    uint8_t tries            # how often the same has been asked before
    uint8_t spare[17]


cdef packed struct Answer:   # 64 bytes
    uint64_t intent          # Intent.id
    ns_t at_ns
    char broker_id[24]       # of a PLACE that was TAKEN
    int32_t code             # HTTP status, or -errno when there was none
    int32_t error            # 901.. of DH-901.., 8xx of a data error, 0 = none
    uint8_t outcome          # Outcome
    uint8_t seen             # Seen, when the answer tells it
    uint8_t retry_after_s    # of a 429; 0 = not said
    uint8_t spare[13]


cdef packed struct Update:   # 96 bytes
    uint64_t order           # Order.id, from the correlation id; 0 = not of this journal
    ns_t at_ns               # received
    ns_t broker_ns           # the broker's own time of it; 0 = none
    paise_t price            # in force at the broker
    paise_t trigger
    paise_t value            # of all that has filled: average price x filled, to the paisa
    int64_t qty              # whole quantity
    int64_t filled           # of it, so far
    char broker_id[24]
    uint32_t instrument      # place in the run's instrument table; UINT32_MAX = not in it
    uint8_t seen             # Seen
    uint8_t origin           # Origin
    uint8_t order_kind       # OrderKind
    int8_t side              # Side
