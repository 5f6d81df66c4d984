from typing import Final

from typing_extensions import disjoint_base

@disjoint_base
class Broker:
    instruments: Final[int]
    live: Final[int]
    pending_reports: Final[int]
