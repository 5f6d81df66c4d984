"""What an order desk hears that no broker should say, or that comes late: told once a kind."""

import logging
from typing import Final

from dhanfast.engine.served import OrdersThere

ODD_WORDS: Final = {
    "FOREIGN": "an update of an order that is not of this journal",
    "STALE": "an update that says less than is known",
    "LATE": "an update of an order that works, and whose end was told",
    "UNASKED": "an answer that nobody waits for",
    "MEANINGLESS": "an answer that does not fit its question: it proves nothing",
    "UNCLEAR": "a status that no document lists: the order is read again",
    "UNPRICED": "a fill without its value: the order is read again",
    "OVERFILLED": "more has filled than was asked for",
    "SHORT": "traded, and not all of it: the order is read again",
    "TURNED": "an update of an order of the other side: it has no effect",
    "TWIN": "an order has another number of the broker's",
    "FILLED_AFTER_END": "a fill after the end of an order was told: it is booked",
    "REVIVED": "an order that was given up is there after all",
    "SWAPPED": "an update of an order of another contract: it has no effect",
}
USUAL: Final = ("FOREIGN", "STALE", "LATE")  # happen on good days, too
_LOG: Final = logging.getLogger("dhanfast.engine")


class OddTeller:
    """Logs each kind of odd event once; how often each has happened is in the heartbeat."""

    def __init__(self) -> None:
        self._count = 0
        self._told: set[str] = set()

    def look(self, remote: OrdersThere) -> None:
        """Tell what is new."""
        if remote.odd_count == self._count:
            return
        self._count = remote.odd_count
        for kind in remote.odd_events().keys() - self._told:
            self._told.add(kind)
            level = logging.INFO if kind in USUAL else logging.WARNING
            _LOG.log(level, "order desk: %s (%s)", ODD_WORDS[kind], kind)


def unusual_text(remote: OrdersThere) -> str:
    """`, KIND count` of each kind that does not happen on good days; empty without any."""
    events = remote.odd_events().items()
    return "".join(f", {kind} {count}" for kind, count in events if kind not in USUAL)
