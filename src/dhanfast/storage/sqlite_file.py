"""One SQLite file of the user: made when something is first stored, whole or not at all.

A transaction is on the disk when it has ended, and programs that write wait for each other. What
SQLite says of a file becomes our errors. A killed program leaves what there was, which may be a
file without tables: it reads as one that does not exist.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dhanfast.errors import BadData, DhanfastError

if TYPE_CHECKING:
    import sqlite3  # at run time on first use: a backtest does not need it

WAIT_S: Final = 30.0  # for another program that is storing


class SqliteFile:
    """A file with tables of ours.

    Args:
        path: its folder must exist when something is stored.
        version: of the tables: PRAGMA user_version.
        tables: statements that make them.
        anew: what begins anew when a damaged file is moved away.
    """

    def __init__(self, path: Path, version: int, tables: tuple[str, ...], anew: str) -> None:
        self.path = path
        self._version, self._tables, self._anew = version, tables, anew

    @contextmanager
    def reading(self) -> Iterator["sqlite3.Connection | None"]:
        """The file, to be asked; None when nothing was ever stored.

        Raises:
            BadData: the file is damaged, or of a later version.
            DhanfastError: another program holds it for long.
        """
        if not self.path.exists():
            yield None
            return
        with self._open() as file:
            yield file if self._known(file) else None

    @contextmanager
    def writing(self) -> Iterator["sqlite3.Connection"]:
        """The file inside a transaction, its tables there; what fails leaves it as it was.

        Raises:
            BadData: the file is damaged, or of a later version.
            DhanfastError: the disk is full, or another program holds the file for long.
        """
        with self._open() as file, file:
            file.execute("BEGIN IMMEDIATE")
            if not self._known(file):
                for statement in self._tables:
                    file.execute(statement)
                file.execute(f"PRAGMA user_version = {self._version}")
            yield file

    def _known(self, file: "sqlite3.Connection") -> bool:
        """Whether the tables are there."""
        version = int(file.execute("PRAGMA user_version").fetchone()[0])
        if version > self._version:
            raise BadData(
                f"{self.path}: written by a later dhanfast (version {version}, this one knows "
                f"{self._version}); use that one"
            )
        return version > 0

    @contextmanager
    def _open(self) -> Iterator["sqlite3.Connection"]:
        import sqlite3

        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as file:
                file.execute("PRAGMA synchronous = FULL")
                yield file
        except sqlite3.OperationalError as error:
            raise DhanfastError(
                f"{self.path}: cannot be used ({error}); nothing was changed. Is the disk full, or "
                "another process holding it?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise BadData(
                f"{self.path}: damaged ({error}); move it away, and {self._anew}"
            ) from error
