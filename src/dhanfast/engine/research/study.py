"""The file of a search: what was asked, and each trial that is done; a killed search goes on.

One line a record: eight hexadecimal digits of the CRC-32 of the rest, a space, JSON, a newline. The
first is the head, then one a trial, in the order they were done. A line is written with one call:
what a kill leaves is at most a last line that is cut off, and that trial is run again. Any other
line that does not fit its sum is damage, and named.
"""

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dhanfast.engine.research.trial import Row
from dhanfast.errors import BadData, ConfigError, DhanfastError, UsageError
from dhanfast.storage.durable import exclusive

FORMAT: Final = "dhanfast-study-1"
HEAD: Final = b'{"format":"dhanfast-study'  # how the first line's text begins
GROWS: Final = "trials"  # the only part of a head that may change between two runs


class Study:
    """A search's file, open for more.

    Args:
        path: of the file; its folder must exist.
        head: what is searched, JSON-able.
        resume: go on with a file that is there.
    Attributes:
        rows: the trials it had, by number.
    Raises:
        UsageError: there is one and `resume` was not said, or there is none to go on with.
        ConfigError: it is of another search; the message names what differs.
        BadData: it is damaged; the message names the line.
        DhanfastError: another process has it, or the disk refuses.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self.rows: dict[int, Row] = {}
        head = json.loads(json.dumps(head))  # tuples are lists in a file
        there = path.exists() and path.stat().st_size > 0
        if there and not resume:
            raise UsageError(
                f"study: {path} is there already; go on with it by --resume, or name another file"
            )
        if not path.parent.is_dir():
            raise UsageError(f"study: the folder {path.parent} does not exist")
        with ExitStack() as stack:
            stack.enter_context(exclusive(path.with_name(path.name + ".lock"), "searching", path))
            whole = 0
            if there:
                held, self.rows, whole = read_study(path)
                _same(path, held, head)
            try:
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                os.ftruncate(self._file, whole)
                os.lseek(self._file, whole, os.SEEK_SET)
            except OSError as error:
                raise DhanfastError(f"study: {path}: {error.strerror}") from error
            if not whole:
                self._write([{"format": FORMAT, **head}])
            self._stack = stack.pop_all()

    def add(self, rows: Iterable[Row]) -> None:
        """Keep trials that are done.

        Raises:
            DhanfastError: the disk refuses; what was kept before stands.
        """
        self._write([row.as_dict() for row in rows])

    def _write(self, records: list[dict[str, Any]]) -> None:
        raw = b"".join(_line(record) for record in records)
        try:
            while raw:
                raw = raw[os.write(self._file, raw) :]
        except OSError as error:
            raise DhanfastError(
                f"study: {self.path} cannot be written ({error.strerror}); the trials before are "
                "kept: free some space and go on with --resume"
            ) from error

    def close(self) -> None:
        """Make it durable and let others have it."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)
            self._stack.close()

    def __enter__(self) -> Self:
        """The study itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_study(path: Path) -> tuple[dict[str, Any], dict[int, Row], int]:
    """Read a search's file.

    Returns:
        (head, trials by number, bytes up to the end of the last whole line). The head is {} when
        not even that was written whole.
    Raises:
        BadData: a line other than the last is damaged, or the file is none of a search.
        UsageError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"study: {path} cannot be read: {error.strerror}") from error
    lines = data.split(b"\n")
    rest = lines.pop()  # cut off, or empty
    records = [_record(path, number, line) for number, line in enumerate(lines, 1)]
    if not records:
        if not _begun(rest):
            raise BadData(f"study: {path} is not the file of a search")
        return {}, {}, 0
    head = records[0]
    rows: dict[int, Row] = {}
    if head.get("format") != FORMAT:
        raise BadData(
            f"study: {path} has format {head.get('format')!r}, this version reads {FORMAT}"
        )
    for number, record in enumerate(records[1:], 2):
        try:
            row = Row.of_dict(record)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _damaged(path, number, f"not a trial: {error}") from error
        rows[row.number] = row
    return head, rows, len(data) - len(rest)


def _begun(rest: bytes) -> bool:
    """Whether a first line may be the beginning of a head that was cut off."""
    text = rest[9:]
    return all(byte in b"0123456789abcdef " for byte in rest[:9]) and (
        text.startswith(HEAD) or HEAD.startswith(text)
    )


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    digits, space, text = line.partition(b" ")
    try:
        fits = bool(space) and len(digits) == 8 and int(digits, 16) == zlib.crc32(text)
        record = json.loads(text) if fits else None
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise _damaged(path, number, "its checksum does not fit")
    return record


def _damaged(path: Path, number: int, why: str) -> BadData:
    return BadData(
        f"study: {path}, line {number}: {why}; the file is damaged. Bring it back from a copy, or "
        "delete this line: its trial is then run again with --resume (line 1 is the head)"
    )


def _same(path: Path, held: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    """Refuse to go on with another search."""
    if not held:
        return
    for name in sorted({*held, *head} - {"format", GROWS}):
        if held.get(name) != head.get(name):
            raise ConfigError(
                f"study: {path} is of another search: {name} was {_short(held.get(name))}, is "
                f"{_short(head.get(name))}; repeat the command it was begun with, or name another "
                "file"
            )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
