from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self, final

from dhanfast._core.live.journal_header import JournalHeader

PAYLOAD_MAX: Final[int]
VITAL: Final[int]

class Kind(IntEnum):
    START = 1
    SESSIONS = 2
    TICK = 3
    TICKS = 4
    TIMER = 5
    ANSWER = 6
    UPDATE = 7
    COMMAND = 8
    INTENT = 9
    REPORT = 10
    NOTE = 11
    FEED = 12
    RESUME = 13
    STRATEGY = 14
    CHAIN = 15
    BUDGET = 16

@dataclass(frozen=True)
class Recovery:
    records: int
    end: int
    at_ns: int
    cut_bytes: int
    cut_records: int
    why: str

@final
class Journal:
    def __new__(
        cls,
        path: str,
        header: JournalHeader | None = None,
        *,
        sync_ns: int = 50_000_000,
        segment_bytes: int = 16_777_216,
        reserve_bytes: int = 1_048_576,
        bytes_max: int = 68_719_476_736,
    ) -> Self: ...
    def append_record(
        self, kind: int, payload: bytes, at_ns: int, *, vital: bool = False
    ) -> int: ...
    def sync(self) -> None: ...
    def prepare(self) -> None: ...
    def close(self) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def header(self) -> JournalHeader: ...
    @property
    def recovery(self) -> Recovery | None: ...
    @property
    def tag(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def synced_seq(self) -> int: ...
    @property
    def synced_bytes(self) -> int: ...
    @property
    def syncs(self) -> int: ...
    @property
    def room(self) -> int: ...
    @property
    def trouble(self) -> str: ...
    @property
    def closed(self) -> bool: ...
