"""Indicators that many trials share: computed once by a process, then read.

Two trials over the same days see the same bars, so an indicator with the same periods gives the
same doubles in both: `rsi(14)` in every trial that searches something else. The rows are those that
the operation itself gave, to the bit. What depends on a position or on the India VIX told to the
run is never shared. An indicator is kept from its second trial on: one that no other trial has
costs nothing.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.rules.graph import Graph
from dhanfast.errors import DhanfastError

BYTES: Final = 64 * 2**20  # of each process
SEEN_MAX: Final = 100_000

Table = NDArray[np.float64]


class Memo:
    """What indicators gave over stretches of bars.

    Args:
        room: bytes for all of them; those of the stretch used longest ago make way.
    Attributes:
        used: bytes. recalled, computed: operations of trials that were read, and that were not.
    """

    def __init__(self, room: int = BYTES) -> None:
        self._room = room
        self._tables: OrderedDict[Hashable, dict[Any, Table]] = OrderedDict()
        self._seen: set[Any] = set()
        self._open: list[tuple[int, Any, Table | None]] = []  # (operation, key, what it writes to)
        self._program: Any = None
        self._stretch: Hashable = None
        self._rows = 0
        self.used = self.recalled = self.computed = 0

    def begin(self, graph: Graph | None, stretch: Hashable, rows: int) -> None:
        """Have a run that is about to begin read what is kept, and write down what is to be.

        Args:
            graph: the strategy's; None: it has no indicators that could be shared.
            stretch: which bars: equal for equal bars. rows: the most that there are.
        """
        self._open, self._program = [], None
        if graph is None or rows == 0:
            return
        self._program, self._stretch, self._rows = graph.compile(), stretch, rows
        tables = self._tables.setdefault(stretch, {})
        self._tables.move_to_end(stretch)
        for op, key in enumerate(graph.meanings()):
            outputs = 0 if key is None else self._program.outputs(op)
            if not outputs:
                continue
            table = tables.get(key)
            if table is not None:
                self._program.keep(op, table, True)
                self._open.append((op, key, None))
                self.recalled += 1
                continue
            self.computed += 1
            if self._again((stretch, key)) and self._space(8 * outputs * rows):
                table = np.empty((outputs, rows))
                self._program.keep(op, table, False)
                self._open.append((op, key, table))

    def end(self) -> None:
        """The run has ended well: keep what it has written.

        Raises:
            DhanfastError: it had other rows than the run that was kept.
        """
        for op, key, table in self._open:
            reached = self._program.reached(op)
            tables = self._tables[self._stretch]
            if table is None:
                if reached != tables[key].shape[1]:
                    raise DhanfastError(
                        f"a trial showed {reached:,} bars to an indicator, the one before it "
                        f"{tables[key].shape[1]:,}: they were to be of the same days"
                    )
            elif 0 < reached <= self._rows:
                tables[key] = np.ascontiguousarray(table[:, :reached])
                self.used += tables[key].nbytes
        self._open, self._program = [], None

    def _again(self, key: Any) -> bool:
        """Whether a trial before has asked for it."""
        if key in self._seen:
            return True
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(key)
        return False

    def _space(self, wanted: int) -> bool:
        """Make room, of stretches that are not used now."""
        opened = sum(table.nbytes for _, _, table in self._open if table is not None)
        while self.used + opened + wanted > self._room:
            oldest = next(iter(self._tables))
            if oldest == self._stretch:
                return False
            self.used -= sum(table.nbytes for table in self._tables.pop(oldest).values())
        return True
