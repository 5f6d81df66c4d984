"""What stands around a strategy in a run: its filters, its blend's books, its factor table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.factors import Factors, factor_dtype
from dhanfast._core.kernel import Kernel
from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.blend_books import begin_books, blend_in, members_of
from dhanfast.engine.filter_build import filters_of, windows_of
from dhanfast.engine.settings import Settings
from dhanfast.reports.signals import FactorRows, VetoRows, entry_text
from dhanfast.strategies.plugins import innermost

ROOM = 8192  # rows of vetoes at least


class Decisions:
    """Filters, books and factors of one engine.

    Args:
        strategy: as the kernel would run it alone.
        sessions: SESSION_DTYPE of the run.
        settings: of the run. interval_ns: of the bars it sees. bars: how many will come, 0 = any.
        trades_max: rows of trades the run's log has room for: entries have as many.
    Attributes:
        runs: what the kernel runs: the strategy, or its filters around it.
        filters: None when all are off. blend: None when the strategy is none.
    """

    def __init__(
        self,
        strategy: NativeStrategy,
        sessions: NDArray[Any],
        settings: Settings,
        interval_ns: int,
        bars: int,
        trades_max: int,
    ) -> None:
        self._settings = settings
        self.blend = blend_in(strategy)
        if self.blend is not None:
            begin_books(self.blend, sessions, settings, interval_ns)
        self.filters = filters_of(
            settings.filters, strategy, sessions, interval_ns, max(ROOM, bars + 1024)
        )
        self.runs: NativeStrategy = strategy if self.filters is None else self.filters
        self._factors: Factors | None = getattr(innermost(strategy), "factors", None)
        if self._factors is not None:
            self._factors.reserve(trades_max + 1)
        self._vetoes: list[NDArray[Any]] = []
        self._entries: list[NDArray[Any]] = []
        self._untold: list[NDArray[Any]] | None = None  # rows of entries, once somebody asks
        self._over = False  # another strategy than the first has decided

    def attach(self, kernel: Kernel) -> None:
        """The kernel that runs it."""
        if self.filters is not None:
            self.filters.attach(kernel)

    def extend(self, sessions: NDArray[Any]) -> None:
        """More sessions after those there are, between two events."""
        if self.filters is not None:
            self.filters.see(windows_of(self._settings.filters, sessions))
        if self.blend is not None:
            self.blend.extend(sessions)

    def drain(self) -> None:
        """Take away what was written, so that there is room for more."""
        if self.filters is not None and self.filters.row_count:
            self._vetoes.append(self.filters.take())
        if self._factors is not None and self._factors.count and not self._over:
            rows = self._factors.take()
            self._entries.append(rows)
            if self._untold is not None:
                self._untold.append(rows)

    def another(self) -> None:
        """Somebody else decides from here on: factors are told of the entries before it alone.

        Row i is of trade i, and the first one, put back, does not know of trades in between.
        """
        self.drain()
        self._over = True

    def finish(self) -> None:
        """End of data: books of members close what they hold."""
        if self.blend is not None:
            self.blend.finish()

    def counters(self, unsized: int) -> dict[str, int]:
        """How often what happened.

        Args:
            unsized: entries that came to no lot.
        """
        found: dict[str, int] = {}
        if self.filters is not None:
            vetoed = self.filters.vetoed
            found["entries_vetoed"] = sum(vetoed.values())
            found |= {f"vetoed_{name}": count for name, count in vetoed.items()}
            if self.filters.lost:
                found["vetoes_without_a_row"] = self.filters.lost
        if self.blend is not None:
            found["blend_conflicts"] = self.blend.conflicts
            found["blend_blocked"] = self.blend.kept_out
            found["signals_without_size"] = unsized
        return found

    def told(self, trades: int) -> dict[str, Any]:
        """Fields of a result: vetoes and factors since the last call, members until now.

        Args:
            trades: how many the log has just handed over: the factors of so many are, and no other.
        """
        self.drain()
        return {"vetoes": self._veto_rows(), "factors": self._factor_rows(trades),
                "members": () if self.blend is None else members_of(self.blend)}  # fmt: skip

    def _veto_rows(self) -> VetoRows | None:
        if self.filters is None:
            return None
        rows = np.concatenate([*self._vetoes, self.filters.take()])
        self._vetoes = []
        return VetoRows(self.filters.names, rows, dict(self.filters.vetoed))

    def _factor_rows(self, trades: int) -> FactorRows | None:
        if self._factors is None:
            return None
        self.drain()
        rows = np.concatenate([np.empty(0, factor_dtype(len(self._factors.names))), *self._entries])
        self._entries = [rows[trades:]]
        return FactorRows(self._factors.names, self._factors.weights, rows[:trades])

    @property
    def vetoed(self) -> dict[str, int]:
        """{filter: entries it took back} of the filters that had a veto."""
        return {} if self.filters is None else self.filters.vetoed

    def notes(self) -> list[str]:
        """What somebody should know of members now: those that have spent their budget."""
        if self.blend is None:
            return []
        words = {"day": "until the next session", "good": "for good"}
        return [
            f"member {name} is off {words[now['off']]}: its book has lost its budget"
            for name, now in zip(self.blend.names, self.blend.members_now(), strict=True)
            if now["off"] in words
        ]

    def entry_lines(self) -> list[tuple[int, str]]:
        """What entries were decided on, that filled since the last call: (UTC ns, text).

        The first call begins: it gives none.
        """
        self.drain()
        rows, self._untold = self._untold or [], []
        if self._factors is None:
            return []
        names, weights = self._factors.names, self._factors.weights
        return [(int(row["decided_ns"]), entry_text(names, weights, row))
                for part in rows for row in part]  # fmt: skip
