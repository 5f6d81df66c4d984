"""What a seat needs of whose strategy it is: a run of one future, or the lead of a structure."""

from typing import Any, Protocol

from numpy.typing import NDArray

from dhanfast._core.live.legloop import LegLoop
from dhanfast._core.live.loop import LiveLoop
from dhanfast._core.strategy import NativeStrategy
from dhanfast.strategies.base import Log
from dhanfast.strategies.plugins import Found


class Seated(Protocol):
    """A strategy at work: `live.LiveRun` and `leg_signals.Lead` are such."""

    @property
    def loop(self) -> LiveLoop | LegLoop:
        """Takes the inputs."""
        ...

    @property
    def kernel(self) -> Any:
        """What runs the strategy: position, bars seen."""
        ...

    @property
    def interval_ns(self) -> int:
        """Length of a signal bar."""
        ...

    def runner_of(self, found: Found, log: Log) -> NativeStrategy:
        """A strategy as this run runs it."""
        ...

    def bars_so_far(self) -> NDArray[Any]:
        """The signal bars of the day until now, BAR_DTYPE."""
        ...

    def entry_price(self) -> float:
        """Average price of what the strategy holds, rupees; NaN when it holds nothing."""
        ...

    def held_text(self) -> str:
        """What the run holds, in words."""
        ...

    def seated(self, found: Found, runner: NativeStrategy) -> None:
        """This one decides from now on."""
        ...

    def tell(self, at_ns: int, text: str) -> None:
        """A line of the result's log."""
        ...
