"""Results of code that runs without the GIL, and the one door to exceptions."""

cpdef enum Status:
    """What native code answers; anything but OK becomes an exception in `check`."""

    OK = 0
    RING_FULL = 1          # the consumer is a whole ring behind
    BAD_PACKET = 2         # bytes do not match the wire format
    POOL_FULL = 3          # a fixed-size pool (orders, reports) has no free place
    LOG_FULL = 4           # the decision log must be drained before the loop may go on
    UNKNOWN_ORDER = 5      # no working order has this id
    NOT_APPROVED = 6       # the seal of an ApprovedOrder does not match: no gate made it
    BAD_PRICE = 7          # zero, negative or low > high
    OUT_OF_ORDER = 8       # an event is older than the one before it
    OUT_OF_CALENDAR = 9    # an event lies outside every known session
    PYTHON_ERROR = 10      # a Python strategy raised; the exception is raised after the loop
    TANGLED_FILLS = 11     # an entry filled against a position that was still open
    JOURNAL_FULL = 12      # the journal has no room: the disk is full, or growth came too late
    DISK_ERROR = 13        # the journal could not be written to the disk


# Returns 0 or raises. Call it once, after the nogil block, never inside a loop.
cdef int check(Status status) except -1
