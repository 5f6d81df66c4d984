"""The tick archive: files of compressed columns, written as ticks arrive and read for ever.

In a notebook:

    from dhanfast.storage.archive import open_archive
    with open_archive("2026-01-02.dfa") as day:
        table = day.to_arrow("ticks", symbols=["NIFTY"])
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dhanfast.storage.archive.reader import ArchiveReader

__all__ = ["open_archive"]


def open_archive(path: str | os.PathLike[str]) -> "ArchiveReader":
    """Open a file of the archive, sealed or still being written.

    Args:
        path: of the file.

    Returns:
        its reader: batches, records, `to_numpy`, `to_arrow`.

    Raises:
        BadData: it is no archive, or damaged; the message names file, byte and remedy.
        FileNotFoundError: there is none.
    """
    from dhanfast.storage.archive.reader import ArchiveReader

    return ArchiveReader(path)
