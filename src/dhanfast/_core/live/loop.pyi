from typing import Final

from typing_extensions import disjoint_base

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.guards import Guards
from dhanfast._core.kernel import Kernel
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.inputs import InputLoop
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.remote import Remote
from dhanfast._core.loops import TickLoop
from dhanfast._core.strategy import NativeStrategy

@disjoint_base
class LiveLoop(InputLoop):
    kernel: Final[Kernel]
    ticks: Final[TickLoop]
    remote: Final[Remote | None]
    guards: Final[Guards | None]
    vix: Final[int]
    chain: Final[ChainFeed | None]
    watch: CallWatch | None
    def __new__(
        cls,
        ticks: TickLoop,
        journal: Journal,
        *,
        instrument: int,
        remote: Remote | None = None,
        courier: Courier | None = None,
        grace_ns: int = 300_000_000,
        sync_each: bool = False,
        guards: Guards | None = None,
        vix: int | None = None,
        chain: ChainFeed | None = None,
    ) -> LiveLoop: ...
    def put_strategy(self, strategy: NativeStrategy) -> None: ...
    def drop_strategy(self, way: str) -> None: ...
    @property
    def late(self) -> int: ...
    @property
    def gate_state(self) -> int: ...
