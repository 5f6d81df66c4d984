from collections.abc import Sequence
from typing import Final, final

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.chainnow import ChainNow
from dhanfast._core.guards import Guards
from dhanfast._core.legrun import LegRun
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.desk import Desk
from dhanfast._core.live.inputs import InputLoop
from dhanfast._core.live.journal import Journal
from dhanfast._core.loops import TickLoop
from dhanfast._core.strategy import NativeStrategy

@final
class LegLoop(InputLoop):
    run: Final[LegRun]
    chain: Final[ChainNow]
    desk: Final[Desk | None]
    guards: Final[Guards | None]
    vix: Final[bool]
    uncovered: Final[bool]
    led: Final[int]
    watch: CallWatch | None
    def __new__(
        cls,
        run: LegRun,
        chain: ChainNow,
        journal: Journal,
        *,
        desk: Desk | None = None,
        courier: Courier | None = None,
        sync_each: bool = False,
        vix: bool = False,
        lead: TickLoop | None = None,
        grace_ns: int = 300_000_000,
    ) -> LegLoop: ...
    def begin_day(
        self,
        *,
        slots: Sequence[int],
        entry_ns: int,
        until_ns: int,
        exit_ns: int,
        trade: bool,
        date: int,
        open_ns: int,
        close_ns: int,
    ) -> None: ...
    def put_strategy(self, strategy: NativeStrategy) -> None: ...
    def drop_strategy(self, way: str) -> None: ...
    @property
    def gate_state(self) -> int: ...
    @property
    def works(self) -> int: ...
    @property
    def flat(self) -> bool: ...
