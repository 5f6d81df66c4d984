from enum import IntEnum

class Status(IntEnum):
    OK = 0
    RING_FULL = 1
    BAD_PACKET = 2
    POOL_FULL = 3
    LOG_FULL = 4
    UNKNOWN_ORDER = 5
    NOT_APPROVED = 6
    BAD_PRICE = 7
    OUT_OF_ORDER = 8
    OUT_OF_CALENDAR = 9
    PYTHON_ERROR = 10
    TANGLED_FILLS = 11
    JOURNAL_FULL = 12
    DISK_ERROR = 13

def raise_for(status: Status) -> None: ...
