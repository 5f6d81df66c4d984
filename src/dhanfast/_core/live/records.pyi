from enum import IntEnum
from typing import Any, Final

import numpy as np

INTENT_DTYPE: Final[np.dtype[Any]]
ANSWER_DTYPE: Final[np.dtype[Any]]
UPDATE_DTYPE: Final[np.dtype[Any]]

class IntentKind(IntEnum):
    PLACE = 1
    MODIFY = 2
    CANCEL = 3
    QUERY = 4

class Outcome(IntEnum):
    TAKEN = 1
    REFUSED = 2
    UNKNOWN = 3
    ABSENT = 4

class Seen(IntEnum):
    UNCLEAR = 0
    TRANSIT = 1
    PENDING = 2
    TRADED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6

class Origin(IntEnum):
    SOCKET = 1
    REST = 2
