from enum import IntEnum
from typing import Final

from typing_extensions import disjoint_base

class Hold(IntEnum):
    RESUME = 0
    PAUSE = 1
    CANCEL = 2

@disjoint_base
class Broker:
    instruments: Final[int]
    live: Final[int]
    pending_reports: Final[int]
    wake_ns: Final[int]
    measures: Final[bool]
    in_parts: Final[bool]
