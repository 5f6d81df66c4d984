"""Messages of a long run: to the console and to a file, with secrets masked.

    2026-11-23 09:20:01 | INFO     | dhanfast.engine | text

The time is IST. The console gets plain ASCII, so that none crashes on a sign it does not have; the
file is UTF-8, made for the user alone.
"""

import logging
import os
from pathlib import Path
from typing import Final, TextIO

from dhanfast.app.config import Config
from dhanfast.security.redact import RedactFilter
from dhanfast.storage.stamps import ist_text

FORMAT: Final = "%(asctime)s | %(levelname)-8s | %(name)s | %(message)s"


class IstFormatter(logging.Formatter):
    """Lines with IST times.

    Args:
        ascii_only: other signs become question marks.
    """

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(FORMAT)
        self._ascii_only = ascii_only

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of a record, to the second."""
        return ist_text(int(record.created) * 1_000_000_000)[:19].replace("T", " ")

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = super().format(record)
        return line.encode("ascii", "replace").decode("ascii") if self._ascii_only else line


def start_logging(config: Config, stream: TextIO) -> list[logging.Handler]:
    """Send what is logged to a stream, and to the file of `log.file`.

    Args:
        stream: the console.

    Returns:
        The handlers, for `stop_logging`.
    Raises:
        OSError: the file cannot be opened.
    """
    console = logging.StreamHandler(stream)
    console.setFormatter(IstFormatter(ascii_only=True))
    handlers: list[logging.Handler] = [console]
    if config.log.file:
        path = config.folders.root / Path(config.log.file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        to_file = logging.FileHandler(path, encoding="utf-8")
        to_file.setFormatter(IstFormatter(ascii_only=False))
        handlers.append(to_file)
    root = logging.getLogger()  # what libraries have to say is seen as well
    root.setLevel(config.log.level.upper())
    logging.getLogger("dhanfast.feed.picows").setLevel(logging.WARNING)
    for handler in handlers:
        handler.addFilter(RedactFilter())  # whichever logger it came from
        root.addHandler(handler)
    return handlers


def stop_logging(handlers: list[logging.Handler]) -> None:
    """Take handlers away again and close their files."""
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
        handler.close()
