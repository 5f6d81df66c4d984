"""Turn a Status into the exception that callers can catch."""

from dhanfast.errors import (
    BadData,
    BadPacket,
    DhanfastError,
    JournalFailed,
    OrderRefused,
    OutOfCalendar,
    PoolFull,
    RingFull,
)

_MEANING = {
    int(Status.RING_FULL): (RingFull, "ring is full: the consumer is a whole ring behind"),
    int(Status.BAD_PACKET): (BadPacket, "packet length or code does not match the wire format"),
    int(Status.POOL_FULL): (PoolFull, "native pool is full: raise its capacity"),
    int(Status.LOG_FULL): (PoolFull, "decision log is full: drain it"),
    int(Status.UNKNOWN_ORDER): (OrderRefused, "no working order has this id"),
    int(Status.NOT_APPROVED): (OrderRefused, "order does not carry this risk gate's approval"),
    int(Status.BAD_PRICE): (BadData, "a price is zero or negative, or low is above high"),
    int(Status.OUT_OF_ORDER): (BadData, "an event is older than the one before it"),
    int(Status.TANGLED_FILLS): (
        OrderRefused, "an entry filled against a position that was still open: a reversal's exit "
        "filled in parts and its entry came first; use on_opposite=close, or do not let orders "
        "fill in parts of a bar"),
    int(Status.JOURNAL_FULL): (
        JournalFailed, "the journal has no room left: free disk space; no entry may be sent"),
    int(Status.DISK_ERROR): (
        JournalFailed, "the journal could not be written to the disk: what it holds in memory may "
        "not survive a power cut; stop, and look at the disk"),
    int(Status.OUT_OF_CALENDAR): (OutOfCalendar, "an event lies outside every known session"),
}


cdef int check(Status status) except -1:
    if status == Status.OK:
        return 0
    kind, text = _MEANING.get(<int>status, (DhanfastError, f"unknown native status {<int>status}"))
    raise kind(text)


def raise_for(Status status):
    """Raise the exception that `status` stands for; return None for OK.

    Raises:
        DhanfastError: the subclass that belongs to the status.
    """
    check(status)
