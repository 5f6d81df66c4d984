"""What orders of paper and live days cost, kept for later: one SQLite file of the user.

A session is one engine's day: date, run, mode and journal. It is stored whole in one transaction,
in the place of what was stored of it before: a process killed in the middle leaves what there was,
and a day stored twice counts once. SQLite's own lock makes two engines that end at the same moment
wait for each other; every transaction is on the disk when it has ended.

Rows are those of the run log, so that what is worked out from them is worked out as of a run.
"""

from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE
from dhanfast._core.types import OrderKind
from dhanfast.storage.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3

VERSION: Final = 1  # of the file: PRAGMA user_version
ORDER_FIELDS: Final = tuple(name for name in ORDER_ROW_DTYPE.names or () if name != "spare")
WAY_FIELDS: Final = tuple(name for name in PASSAGE_DTYPE.names or () if name not in ("id", "spare"))
_ROW_FIELDS: Final = (*ORDER_FIELDS, *WAY_FIELDS)


@dataclass(frozen=True, slots=True)
class Session:
    """One engine's day.

    Attributes:
        source: what it is told apart by: date, run, mode and journal. date: YYYYMMDD.
        mode: paper or live. symbol: of the signals. traded: the contract.
        generated: 1 when the market was generated.
    """

    source: str
    date: int
    run: str
    mode: str
    symbol: str
    traded: str
    strategy: str
    generated: int


_SESSION_FIELDS: Final = tuple(field.name for field in fields(Session))


class SlippageStore:
    """The file; made when the first day is stored.

    Args:
        path: of the file; its folder must exist when a day is stored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, VERSION, _tables(), "days are measured anew")

    def put(
        self,
        session: Session,
        orders: NDArray[Any],
        passages: NDArray[Any],
        points: NDArray[np.float64],
    ) -> None:
        """Store a session, in the place of what was stored of it before.

        Args:
            orders, passages: ORDER_ROW_DTYPE and PASSAGE_DTYPE, one an order.
            points: what each cost a unit, rupees, for who reads the file; NaN = not filled.
        Raises:
            BadData: the file is damaged, or of a later version.
            DhanfastError: the disk is full, or another process holds the file for long.
        """
        kinds = [OrderKind(kind).name.lower() for kind in orders["kind"].tolist()]
        columns = [orders[name].tolist() for name in ORDER_FIELDS]
        columns += [passages[name].tolist() for name in WAY_FIELDS]
        named = [None if cost != cost else cost for cost in points.tolist()]
        rows = zip([session.source] * len(orders), kinds, named, *columns, strict=True)
        with self._file.writing() as file:
            file.execute("DELETE FROM orders WHERE source = ?", (session.source,))
            file.execute("DELETE FROM sessions WHERE source = ?", (session.source,))
            _insert(file, "sessions", _SESSION_FIELDS, [astuple(session)])
            _insert(file, "orders", ("source", "type", "points", *_quoted(_ROW_FIELDS)), rows)

    def sessions(
        self, *, date: int | None = None, symbol: str | None = None, generated: bool | None = None
    ) -> list[Session]:
        """The sessions stored, oldest first.

        Args:
            date: YYYYMMDD. symbol, generated: only those.
        Raises:
            BadData: the file is damaged, or of a later version.
        """
        wanted = {"date": date, "symbol": symbol,
                  "generated": None if generated is None else int(generated)}  # fmt: skip
        kept = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in kept) or "1"
        with self._file.reading() as file:
            if file is None:
                return []
            found = file.execute(
                f"SELECT {', '.join(_SESSION_FIELDS)} FROM sessions WHERE {where} "
                "ORDER BY date, source",
                tuple(kept.values()),
            )
            return [Session(*row) for row in found]

    def rows(self, source: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """The orders of a session and how they went, by id.

        Shape:
            ORDER_ROW_DTYPE[n], PASSAGE_DTYPE[n].
        Raises:
            BadData: the file is damaged, or of a later version.
        """
        with self._file.reading() as file:
            found = [] if file is None else file.execute(
                f"SELECT {', '.join(_quoted(_ROW_FIELDS))} FROM orders WHERE source = ? "
                "ORDER BY id",
                (source,),
            ).fetchall()  # fmt: skip
        orders = np.zeros(len(found), ORDER_ROW_DTYPE)
        passages = np.zeros(len(found), PASSAGE_DTYPE)
        for name, values in zip(_ROW_FIELDS, zip(*found, strict=True), strict=False):
            (orders if name in ORDER_FIELDS else passages)[name] = values
        passages["id"] = orders["id"]
        return orders, passages


def _tables() -> tuple[str, ...]:
    """Statements that make the tables."""
    columns = ", ".join(f"{name} INTEGER" for name in _quoted(_ROW_FIELDS))
    named = ", ".join(
        f"{field.name} {'INTEGER' if field.type is int else 'TEXT'} NOT NULL"
        for field in fields(Session)
    )
    return (
        f"CREATE TABLE sessions ({named}, PRIMARY KEY (source))",
        "CREATE TABLE orders (source TEXT NOT NULL REFERENCES sessions, type TEXT NOT NULL, "
        f"points REAL, {columns}, PRIMARY KEY (source, id)) WITHOUT ROWID",
    )


def _quoted(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of columns as SQL takes any of them."""
    return tuple(f'"{name}"' for name in names)


def _insert(file: "sqlite3.Connection", table: str, names: tuple[str, ...], rows: Any) -> None:
    places = ", ".join("?" * len(names))
    file.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", rows)
