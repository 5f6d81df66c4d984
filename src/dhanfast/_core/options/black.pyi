from enum import IntEnum

class OptionStatus(IntEnum):
    PRICED = 0
    BAD_INPUT = 1
    NO_TIME = 2
    AT_INTRINSIC = 3
    BELOW_INTRINSIC = 4
    AT_BOUND = 5
    ABOVE_BOUND = 6
    LIMIT = 7
