"""A volatility a session, kept for ranks and percentiles: one SQLite file of the user.

One row an underlying, measure and date; of a date the latest moment stays. Every transaction is on
the disk when it has ended, and two programs that write wait for each other.
"""

from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from dhanfast.errors import UsageError
from dhanfast.storage.sqlite_file import SqliteFile

VERSION: Final = 1  # of the file: PRAGMA user_version
VOLATILITY_MAX: Final = 10.0
TABLES: Final = (
    "CREATE TABLE daily (underlying TEXT NOT NULL, measure TEXT NOT NULL, day TEXT NOT NULL, "
    "volatility REAL NOT NULL, at_ns INTEGER NOT NULL, expiry TEXT NOT NULL, "
    "PRIMARY KEY (underlying, measure, day)) WITHOUT ROWID",
)
FRONT: Final = "front"  # at the forward of the nearest expiry


class DayVolatility(NamedTuple):
    """What one session said last."""

    day: date
    volatility: float
    at_ns: int  # when, ns UTC
    expiry: date  # whose


class VolatilityStore:
    """The file; made when the first session is stored.

    Args:
        path: of the file; its folder must exist when something is stored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, VERSION, TABLES, "the history begins anew")

    def put(self, underlying: str, days: list[DayVolatility], measure: str = FRONT) -> int:
        """Store sessions. What is stored of a later moment of the same date stays.

        Args:
            measure: which volatility it is.

        Returns:
            How many rows are new or changed.

        Raises:
            UsageError: a volatility not within 0 and 10.
            BadData: the file is damaged, or of a later version.
            DhanfastError: the disk is full, or another process holds the file for long.
        """
        for one in days:
            if not 0.0 < one.volatility < VOLATILITY_MAX:
                raise UsageError(f"volatility of {underlying} on {one.day} is {one.volatility}: "
                                 f"give a fraction above 0, below {VOLATILITY_MAX:g}")  # fmt: skip
        rows = [(underlying, measure, one.day.isoformat(), one.volatility, one.at_ns,
                 one.expiry.isoformat()) for one in days]  # fmt: skip
        with self._file.writing() as file:
            before = file.total_changes
            file.executemany(
                "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "volatility = excluded.volatility, at_ns = excluded.at_ns, "
                "expiry = excluded.expiry WHERE excluded.at_ns > daily.at_ns",
                rows,
            )
            return file.total_changes - before

    def days(
        self, underlying: str, *, before: date | None = None, measure: str = FRONT
    ) -> list[DayVolatility]:
        """The sessions stored of an underlying, oldest first.

        Args:
            before: only dates before this one.

        Raises:
            BadData: the file is damaged, or of a later version.
        """
        limit = before.isoformat() if before is not None else "9999-12-31"
        with self._file.reading() as file:
            if file is None:
                return []
            found = file.execute(
                "SELECT day, volatility, at_ns, expiry FROM daily WHERE underlying = ? "
                "AND measure = ? AND day < ? ORDER BY day",
                (underlying, measure, limit),
            ).fetchall()
        return [DayVolatility(date.fromisoformat(day), volatility, at_ns, date.fromisoformat(end))
                for day, volatility, at_ns, end in found]  # fmt: skip
