"""What a live structure has done, in numbers, as the service around it reads them."""

from dhanfast._core.broker import Broker
from dhanfast._core.legrun import LegRun


class LegFigures:
    """What a structure has done, in numbers; see `served.Figures`.

    Args:
        run: native. brokers: of the legs.
    """

    def __init__(self, run: LegRun, brokers: list[Broker]) -> None:
        self._run, self._brokers = run, brokers

    @property
    def live(self) -> int:
        """Orders of all legs that work."""
        return sum(broker.live for broker in self._brokers)

    @property
    def broker(self) -> "LegFigures":
        """Who executes: all of them."""
        return self

    @property
    def position(self) -> int:
        """Units of every contract that is held, bought and sold ones added."""
        books = self._run.portfolio
        return sum(abs(int(books.position(leg)["qty"])) for leg in range(books.count))

    @property
    def orders_sent(self) -> int:
        """Orders that have passed the gate."""
        return int(self._run.counters()["orders_sent"])

    @property
    def orders_refused(self) -> int:
        """Orders that the gate has refused."""
        return int(self._run.counters()["orders_refused"])

    @property
    def bars_seen(self) -> int:
        """Seconds of the market that were decided on."""
        return int(self._run.rows_seen)
