from typing import Any, Final, final

from dhanfast._core.filters import Filters
from dhanfast._core.guards import Guards

@final
class LegRisk:
    guards: Final[Guards | None]
    judge: Final[Any]
    filters: Final[Filters | None]
    error: Final[Exception | None]
    file_times: Final[int]
    times: Final[int]
    guarded: Final[int]
    refused: Final[int]
    smaller: Final[int]
    not_again: Final[int]
    told_closed: Final[int]
    def __new__(
        cls, guards: Guards | None = None, judge: object = None, filters: Filters | None = None
    ) -> LegRisk: ...
    def told(self, number: int, required: int, funds: int, now_ns: int) -> None: ...
    def counters(self) -> dict[str, int]: ...
