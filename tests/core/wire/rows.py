"""Rows of changes applied to a book, one by one, with every promise of a row checked on the way."""

from typing import Any

from dhanfast._core.types import DepthFlag, DepthOp

Levels = dict[int, tuple[int, int]]


class RowBook:
    """Sides by (instrument, side): {price: (qty, orders)}; apart, the rows of sides not valid."""

    def __init__(self) -> None:
        """No side is known."""
        self.sides: dict[tuple[int, int], Levels] = {}
        self.raw: dict[tuple[int, int], dict[int, tuple[int, int, int]]] = {}

    def apply(self, rows: Any) -> int:
        """Apply the rows of some messages; return how many messages ended (LAST)."""
        ended = 0
        for row in rows:
            key = (int(row["instrument"]), int(row["side"]))
            assert key[1] in (1, -1)
            price, level = int(row["price"]), (int(row["qty"]), int(row["orders"]))
            flags, op = int(row["flags"]), int(row["op"])
            if op == DepthOp.RAW:
                position = flags >> 2
                if position <= max(self.raw.get(key, {-1: 0})):
                    self.raw.pop(key, None)  # another raw side begins
                assert flags & DepthFlag.SNAPSHOT
                self.sides.pop(key, None)
                self.raw.setdefault(key, {})[position] = (price, *level)
            else:
                self._change(key, op, price, level, bool(flags & DepthFlag.SNAPSHOT))
            ended += flags & DepthFlag.LAST
        return ended

    def _change(self, key: tuple[int, int], op: int, price: int, level: tuple[int, int],
                snapshot: bool) -> None:  # fmt: skip
        if op == DepthOp.CLEAR:
            assert (price, level) == (0, (0, 0))
            assert snapshot or self.sides[key], "nothing to clear"
            self.sides[key] = {}
            self.raw.pop(key, None)
            return
        assert op == DepthOp.SET and price > 0
        side = self.sides[key]  # a side begins with a snapshot
        if level[0] == 0:
            assert level[1] == 0 and price in side, "deletes what is not there"
            del side[price]
        else:
            assert side.get(price) != level, "says nothing new"
            assert not (snapshot and price in side)
            side[price] = level
