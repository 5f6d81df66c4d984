from enum import IntEnum

class Predictor(IntEnum):
    CONST = 0
    ROW = 1
    KEY = 2
    ROW_FOLLOW = 3
    KEY_FOLLOW = 4
