"""The folder of an archive: a file a day, YYYY-MM-DD.dfa; .2.dfa, .3.dfa when one was not enough.

A day gets a second part when its first cannot be gone on with: it is sealed, damaged, or of rows of
another shape. Nothing is renamed or overwritten.
"""

import os
import re
from datetime import date
from pathlib import Path
from typing import Final

from dhanfast.errors import DhanfastError
from dhanfast.market.calendar import exchange_date
from dhanfast.storage.archive.chunks import SUFFIX, Chunk, ChunkKind, chunk_at
from dhanfast.storage.durable import sync_folder

NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.([2-9]|[1-9]\d+))?" + re.escape(SUFFIX))
SEAL_BYTES: Final = 88


def day_number(day: date) -> int:
    """An exchange date as YYYYMMDD."""
    return day.year * 10_000 + day.month * 100 + day.day


def is_sealed(path: Path) -> bool:
    """True when a file ends with a SEAL chunk; its digest is not looked at.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < SEAL_BYTES:
            return False
        file.seek(size - SEAL_BYTES)
        chunk = chunk_at(file.read(SEAL_BYTES), 0)
    return isinstance(chunk, Chunk) and chunk.kind == ChunkKind.SEAL


class ArchiveFolder:
    """Daily files below a root, which is made when it is missing.

    Args:
        root: the folder; one recorder writes into it.

    Attributes:
        root: the folder.

    Raises:
        DhanfastError: it cannot be made.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        try:
            missing = [each for each in (self.root, *self.root.parents) if not each.exists()]
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DhanfastError(f"{self.root}: cannot be made ({error.strerror})") from error
        for each in reversed(missing):
            sync_folder(each.parent)

    def path(self, day: date, part: int = 1) -> Path:
        """Name of a day's file; parts count from 1."""
        more = "" if part == 1 else f".{part}"
        return self.root / f"{day.isoformat()}{more}{SUFFIX}"

    def parts(self, day: date) -> list[Path]:
        """The files of a day that are there, in the order of their parts."""
        return [path for _, path in self._parts().get(day, [])]

    def next_part(self, day: date) -> Path:
        """Name of the part behind those that are there."""
        known = self._parts().get(day, [])
        return self.path(day, known[-1][0] + 1 if known else 1)

    def days(self) -> list[date]:
        """The days that have files, in order."""
        return sorted(self._parts())

    def unsealed(self, before_ns: int) -> list[Path]:
        """Files of days before the day of an instant that nobody has sealed."""
        today = exchange_date(before_ns)
        return [
            path for day in self.days() if day < today for path in self.parts(day)
            if not is_sealed(path)
        ]  # fmt: skip

    def _parts(self) -> dict[date, list[tuple[int, Path]]]:
        found: dict[date, list[tuple[int, Path]]] = {}
        for path in self.root.iterdir():
            match = NAME.fullmatch(path.name)
            if match:
                try:
                    day = date.fromisoformat(match[1])
                except ValueError:
                    continue  # 2025-13-45: not ours
                found.setdefault(day, []).append((int(match[2] or 1), path))
        return {day: sorted(parts) for day, parts in found.items()}
