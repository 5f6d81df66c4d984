"""What filters took back and what entries were decided on, told by a running engine once."""

import logging
from collections.abc import Callable
from typing import Any

from dhanfast.engine.served import ServedRun

_LOG = logging.getLogger("dhanfast.filters")


class VetoNotes:
    """Says what filters do in a live run, as guards' vetoes are said, and why it has entered.

    Args:
        run: whose filters and factors. note: into the journal, for people.
    """

    def __init__(self, run: ServedRun, note: Callable[..., None]) -> None:
        self._run, self._note = run, note
        # What a restart repeats is in the journal already.
        self._counts: dict[str, int] | None = None
        self._said: set[str] = set()  # since an order passed
        self._passed = self._position = 0

    def look(self) -> None:
        """Tell what is new; cheap when nothing is."""
        decisions, counts = self._run.decisions, self._run.vetoed
        before, self._counts = self._counts, counts
        entered = self._run.kernel.position
        if before is None or entered != self._position:
            self._position = entered
            for at_ns, text in () if decisions is None else decisions.entry_lines():
                _LOG.info("%s", text)
                self._note(entry=text, time_ns=at_ns)
        if before is None or counts == before:
            return
        if self._run.kernel.orders_sent != self._passed:
            self._passed = self._run.kernel.orders_sent
            self._said.clear()
        for name, count in counts.items():
            if count > before.get(name, 0) and name not in self._said:
                self._said.add(name)
                text = f"filter {name} keeps an entry out ({count:,} so far)"
                _LOG.info("%s", text)
                self._tell(name, count, text)

    def _tell(self, name: str, count: int, text: str) -> None:
        words: dict[str, Any] = {"filter": name, "vetoes": count, "text": text}
        self._note(**words)
