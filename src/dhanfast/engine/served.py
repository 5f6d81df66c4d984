"""What a live engine needs: of the run it serves, and of the services around it.

`engine.live.LiveRun` (one instrument) and `engine.legs_live.LegsRun` (an option structure) are such
runs. The service, its comparison with the broker and what faces see of it are written against these
protocols and against nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from dhanfast._core.guards import Guards
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast._core.timing import LatencyHistogram
from dhanfast.engine.decisions import Decisions
from dhanfast.engine.status import PositionLine
from dhanfast.reports.result import RunResult

if TYPE_CHECKING:
    from dhanfast.engine.seat import Seat


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal of the same day brought back.

    Attributes:
        records: that were repeated. unmet: requests that had not left. open: requests that nobody
        had answered: the broker is asked about them.
    """

    records: int
    unmet: int
    open: int


class WorkingOrders(Protocol):
    """Who executes: a simulated exchange, or the desk of a broker."""

    @property
    def live(self) -> int:
        """Orders that work."""
        ...


class Figures(Protocol):
    """What a run has done, in numbers; a kernel has them.

    Units:
        position: units; 0 = nothing is held. Of a structure the units of every contract, bought
        and sold ones added, so that it is 0 only when nothing is held anywhere.
    """

    @property
    def position(self) -> int:
        """Units held."""
        ...

    @property
    def orders_sent(self) -> int:
        """Orders that have passed the gate."""
        ...

    @property
    def orders_refused(self) -> int:
        """Orders that the gate has refused."""
        ...

    @property
    def bars_seen(self) -> int:
        """Bars, or rows of a chain, that were decided on."""
        ...

    @property
    def broker(self) -> Any:
        """`WorkingOrders`."""
        ...


class InputLoop(Protocol):
    """Takes the inputs of a run and journals them; `LiveLoop`, `LegLoop`."""

    latency: LatencyHistogram | None
    answered: LatencyHistogram | None
    error: Exception | None

    @property
    def stopped(self) -> bool:
        """Nothing is used any more."""
        ...

    @property
    def entries_lost(self) -> bool:
        """The journal is full: exits only."""
        ...

    @property
    def blind(self) -> bool:
        """No tick has come since the start, or since the feed was lost."""
        ...

    @property
    def inputs(self) -> int:
        """Used so far."""
        ...

    @property
    def input_ns(self) -> int:
        """Market time of the last."""
        ...

    @property
    def gate_state(self) -> int:
        """What the gate lets through: 0 everything, 1 and 2 exits only."""
        ...

    def set_market(self, wall_ns: int, market_ns: int, speed: float = 1.0) -> None:
        """The market's time at a time of the machine, and how fast it runs."""
        ...

    def use_answer(self, answer: Any) -> None:
        """What became of a request."""
        ...

    def use_update(self, update: Any) -> None:
        """The state of an order."""
        ...

    def poll(self, wall_ns: int) -> int:
        """Let time pass; when to come again."""
        ...

    def command(
        self, command: int, wall_ns: int, *, units: int = 0, price: int = 0, contract: int = 0
    ) -> None:
        """Do what an operator says, now."""
        ...

    def settle_failure(self) -> None:
        """A strategy that failed on the last input of a journal, which does not tell of it."""
        ...

    def replay(self, records: Iterable[tuple[int, bytes]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Repeat a journal; requests that never left, and those that nobody answered."""
        ...

    def market_time(self, wall_ns: int) -> int:
        """The market's time at a time of the machine, UTC ns."""
        ...


class OrdersThere(Protocol):
    """The broker's side of a run: `Remote`, or the `Desk` of several."""

    @property
    def odd_count(self) -> int:
        """Odd events so far."""
        ...

    @property
    def requests(self) -> int:
        """Sent so far."""
        ...

    @property
    def doubts(self) -> int:
        """Requests whose fate was not known."""
        ...

    @property
    def lost(self) -> int:
        """Orders that never were."""
        ...

    def odd_events(self) -> Mapping[str, int]:
        """How often of each kind."""
        ...

    def orders_there(self) -> Sequence[Mapping[str, Any]]:
        """Each order that works or may work at the broker."""
        ...

    def wait_of(self, wall_ns: int, *, urgent: bool = False) -> int:
        """Nanoseconds until another request may leave."""
        ...

    def prepay(self, wall_ns: int, *, urgent: bool = False) -> int:
        """As `wait_of`; at 0 it is counted where all engines of the account are."""
        ...

    def share(self, budget: SharedBudget) -> None:
        """Ask the budget of all engines of the account as well."""
        ...

    def begin_life(self) -> None:
        """A life of the engine has begun again."""
        ...


class FeedService(Protocol):
    """Brings ticks into the run's loop until it is closed."""

    async def run(self) -> None:
        """Until `close`, or an end that is final."""
        ...

    async def close(self) -> None:
        """End it within a deadline."""
        ...

    def status(self) -> Any:
        """How it is: `brokers.dhan.feed_status.FeedStatus`."""
        ...

    def seen_ns(self, instrument: int) -> int:
        """When the last packet of an instrument came, UTC ns; 0 = never."""
        ...


class UpdateService(Protocol):
    """Brings order updates into the run's loop until it is closed."""

    @property
    def online(self) -> bool:
        """Whether updates are heard now."""
        ...

    async def run(self) -> None:
        """Until `close`."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class CourierService(Protocol):
    """Keeps the connections that requests leave by."""

    async def run(self) -> None:
        """Until `close`."""
        ...

    async def close(self) -> None:
        """Await what is in flight, then end."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What is held, as a status shows it.

    Units:
        paise; `contracts` of a structure that are held, 0 for a run of one instrument.
    """

    average: int
    last: int
    contracts: int = 0


class ServedRun(Protocol):
    """A live run, as the engine serves it.

    Attributes:
        instrument: the feed's number whose silence keeps entries out.
    """

    journal: Journal
    instrument: int

    @property
    def loop(self) -> InputLoop:
        """Takes the inputs."""
        ...

    @property
    def seat(self) -> "Seat | None":
        """Who decides, and how another one takes its place; None: a structure by the clock."""
        ...

    def decider(self, name: str) -> str:
        """Who decides, for the eye.

        Args:
            name: of what the engine was started with.
        """
        ...

    @property
    def remote(self) -> OrdersThere | None:
        """The broker's side; None on paper."""
        ...

    @property
    def kernel(self) -> Figures:
        """What it has done."""
        ...

    @property
    def portfolio(self) -> Any:
        """The books."""
        ...

    @property
    def guards(self) -> Guards | None:
        """The rules that keep entries out for a while."""
        ...

    @property
    def decisions(self) -> Decisions | None:
        """Books and factors; None of a structure, which has none."""
        ...

    @property
    def vetoed(self) -> dict[str, int]:
        """{filter: entries it took back} of the filters that had a veto."""
        ...

    @property
    def trades_mark(self) -> int:
        """A number that changes when guards and sizes have been told of a trade."""
        ...

    def size_explained(self) -> dict[str, Any]:
        """What the rules of sizing know of trades that have closed, and of the last size."""
        ...

    @property
    def flat(self) -> bool:
        """Nothing is held, and nothing is on its way."""
        ...

    @property
    def late(self) -> int:
        """Ticks that came when time had closed their bar."""
        ...

    @property
    def barred(self) -> str:
        """Why this run must make no entry now; empty = nothing stands in the way."""
        ...

    def held_text(self) -> str:
        """What is held, in words."""
        ...

    def held_now(self) -> Held:
        """What is held, in figures."""
        ...

    def position_lines(self, name: str) -> list[PositionLine]:
        """What is held, or was today, contract by contract.

        Args:
            name: of what a run of one instrument trades.
        """
        ...

    def hold_orders(self, name: str, now_ns: int) -> dict[str, Any]:
        """Pause, resume or cancel orders that are worked; what was done, for who asked.

        Args:
            name: one of `worked.HOLDS`. now_ns: UTC ns of the engine's clock.
        Raises:
            DhanfastError: nothing works orders.
        """
        ...

    def notes_now(self) -> list[str]:
        """What somebody should know of its orders now."""
        ...

    def texts_so_far(self) -> Sequence[tuple[int, str]]:
        """What it has told of itself beside its orders: (UTC ns of the market, text)."""
        ...

    def rows_so_far(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Trades and orders that have ended, rows of the run log."""
        ...

    def recover(self, records: Iterable[tuple[int, bytes]], wall_ns: int) -> Recovered:
        """Bring the run to where the journal ends, and settle what had not been answered."""
        ...

    def so_far(self) -> RunResult | None:
        """The result of what has happened until now; None without a row."""
        ...

    def finish(self) -> RunResult:
        """The end of the day: bill it and hand over the result."""
        ...

    def tell(self, at_ns: int, text: str) -> None:
        """A line of the result's log."""
        ...
