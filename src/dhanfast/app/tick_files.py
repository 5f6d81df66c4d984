"""Which ticks a user means: a file of any name or a day of the archive folder; at what speed."""

import datetime as dt
import math
import os
from collections.abc import Mapping
from pathlib import Path

from dhanfast.clock import checked_speed
from dhanfast.errors import UsageError

SUFFIX = ".dfa"


def catalog_root(given: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """The catalog folder: given, or the user's own."""
    from dhanfast.storage.catalog import default_root

    return given if given is not None else default_root(environ or os.environ)


def is_archive(source: str) -> bool:
    """Whether a source names a tick archive: by its suffix, or by how the file begins."""
    path = Path(source)
    if path.suffix == SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            return file.read(8) == b"DFARCH1\n"
    except OSError:
        return False


def archives_of(source: str, catalog: Path | None) -> list[Path]:
    """The files of ticks that a source names.

    Args:
        source: a file, or a date: the archives with ticks of that day in the catalog.
        catalog: its folder; None for the user's own.

    Raises:
        UsageError: there is no such file, or nothing of that day.
        BadData: an archive is damaged.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    try:
        day = dt.date.fromisoformat(source)
    except ValueError:
        raise UsageError(
            f"{source}: no such file; name an archive (.dfa), or a day as YYYY-MM-DD"
        ) from None
    from dhanfast.storage.archive.catalog import archives_of_day
    from dhanfast.storage.archive.reader import ArchiveReader

    found = []
    for held in archives_of_day(catalog_root(catalog), day):
        with ArchiveReader(held) as reader:
            if "ticks" in reader.streams and reader.rows("ticks"):
                found.append(held)
    if not found:
        raise UsageError(f"{catalog_root(catalog)}: the archives of {day} hold no ticks")
    return found


def speed_of(text: str) -> float:
    """`1x`, `2.5x`, `10` or `max` as a factor.

    Raises:
        UsageError: none of these. ConfigError: an impossible speed.
    """
    if text.strip().lower() == "max":
        return math.inf
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not math.isfinite(speed):
        raise UsageError(f"--speed {text!r}: write 1x, 10x or another factor, or max")
    return checked_speed(speed)
