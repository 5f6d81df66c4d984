"""A folder that bars are downloaded into, piece by piece, and that a kill leaves whole.

    DIR/download.json                      format, and where the bars come from
    DIR/.lock                              held while downloading
    DIR/pieces/KEY/series.json             the only truth of a series: what is asked for, and its
                                           pieces, each with its days, rows and SHA-256
    DIR/pieces/KEY/FIRST_LAST-<sha>.parquet   one answer of the broker, checked; prices in paise
    DIR/BANKNIFTY_1m.parquet               made of the pieces when all of them are there

What holds at every instant, kill -9 and power loss included: series.json is whole, and so is every
piece that it names. A piece is written under a new name and made durable, then series.json is
replaced, which is the commit. The files at the top are made anew from the pieces, each at once, so
a file of bars is never half of one; one that is missing or too old comes back with the next run.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.durable import TEMP_PREFIX, exclusive, make_folder, replace_file

FORMAT: Final = 1
ORIGIN: Final = "download.json"
SERIES: Final = "series.json"
PIECES: Final = "pieces"
BASE: Final = ("start_ns", "open", "high", "low", "close", "volume", "oi")  # int64 all
ROLLING: Final = ("strike", "spot", "iv")  # of options by their distance from the money
KEY: Final = re.compile(r"[A-Z0-9][A-Za-z0-9&.+_-]{0,79}")
_FILE: Final = re.compile(r"\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d-[0-9a-f]{16}\.parquet")
Columns = dict[str, NDArray[Any]]


class Origin(msgspec.Struct, frozen=True):
    """Where the bars of a folder come from; one folder never mixes two."""

    format: int
    broker: str
    generated: bool


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a series is: one contract, or one distance from the money, at one interval.

    Units:
        strike in paise; interval_s of a bar, 86,400 for days; money in steps from the strike that
        is nearest to the underlying.
    """

    name: str  # BANKNIFTY, BANKNIFTY22JUN34000CE, BANKNIFTY-WEEK1-ATM+2-CE
    file: str  # the file at the top, without its ending, that its bars go into
    kind: str  # INDEX, EQUITY, FUTURE, OPTION, EXPIRED
    hours: str  # segment of the calendar whose hours hold
    segment: str
    security_id: int
    instrument: str
    interval_s: int
    underlying: str
    expiry: str = ""
    strike: int = 0
    right: str = ""
    cycle: str = ""  # of EXPIRED: WEEK or MONTH
    code: int = 0
    money: int = 0

    @property
    def key(self) -> str:
        """Name of its folder."""
        return f"{self.name}_{interval_text(self.interval_s)}"


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the broker: the bars of some days in a row.

    Attributes:
        first, last: IST dates, both included. empty: nothing came although there was trading.
        notes: what was done to its rows.
    """

    first: str
    last: str
    file: str
    sha256: str
    rows: int
    fetched_ns: int
    notes: tuple[str, ...] = ()

    @property
    def days(self) -> tuple[date, date]:
        """Its first and last day."""
        return date.fromisoformat(self.first), date.fromisoformat(self.last)


class Series(msgspec.Struct, frozen=True):
    """A series and its pieces, oldest first; they never overlap."""

    line: Line
    pieces: tuple[Piece, ...] = ()

    @property
    def rows(self) -> int:
        """How many bars it holds."""
        return sum(piece.rows for piece in self.pieces)


def interval_text(seconds: int) -> str:
    """1m, 15m, 60m, 1d."""
    return "1d" if seconds == 86_400 else f"{seconds // 60}m"


class DownloadFolder:
    """One folder of downloads. Reading needs no lock; change it inside `changing`.

    Args:
        root: need not exist.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    # ---- reading ----

    def origin(self) -> Origin:
        """Where its bars come from.

        Raises:
            UsageError: it is no folder of downloads. BadData: damaged, or of a later format.
        """
        path = self.root / ORIGIN
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"{self.root}: no folder of downloads (it has no {ORIGIN}); "
                "fill one: dhanfast data download index NIFTY --from DATE --out DIR"
            ) from None
        except OSError as error:
            raise BadData(f"{path}: cannot be read: {error.strerror}") from error
        try:
            origin = msgspec.json.decode(data, type=Origin)
        except (msgspec.DecodeError, ValueError) as error:
            raise BadData(f"{path}: damaged ({error}); restore it, or use a new folder") from error
        if origin.format != FORMAT:
            raise BadData(
                f"{path}: format {origin.format}, this version reads {FORMAT}; update dhanfast"
            )
        return origin

    def series(self) -> dict[str, Series]:
        """Everything that is held, by key.

        Raises:
            BadData: a series.json is damaged.
        """
        found = {}
        for path in sorted((self.root / PIECES).glob(f"*/{SERIES}")):
            held = self.find(path.parent.name)
            if held is not None:
                found[path.parent.name] = held
        return found

    def find(self, key: str) -> Series | None:
        """One series; None when there is none of that key.

        Raises:
            BadData: its series.json is damaged.
        """
        path = self.root / PIECES / key / SERIES
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadData(f"{path}: cannot be read: {error.strerror}") from error
        try:
            held = msgspec.json.decode(data, type=Series)
            spans = [piece.days for piece in held.pieces]
        except (msgspec.DecodeError, ValueError) as error:
            raise BadData(
                f"{path}: damaged ({error}); delete {path.parent} and download it again"
            ) from error
        edges = [day for span in spans for day in span]
        named = all(_FILE.fullmatch(piece.file) for piece in held.pieces)
        apart = all(one[1] < two[0] for one, two in pairwise(spans))
        if held.line.key != key or not named or edges != sorted(edges) or not apart:
            raise BadData(f"{path}: its entries are damaged; delete {path.parent} and download it")
        return held

    def read(self, key: str, piece: Piece) -> Columns:
        """The bars of a piece, proven to be what was written.

        Units:
            start_ns UTC ns, prices paise, volume and oi units, iv percent.

        Raises:
            BadData: the file is gone or damaged; the message says what to do.
        """
        path = self.root / PIECES / key / piece.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadData(f"{path}: {error.strerror}; download again, it is fetched anew") from None
        if hashlib.sha256(data).hexdigest() != piece.sha256:
            raise BadData(
                f"{path}: damaged, its SHA-256 is not the one noted; delete it and download again"
            )
        return _columns_of(data)

    # ---- changing ----

    @contextmanager
    def changing(self, broker: str, generated: bool) -> Iterator[None]:
        """Hold the folder while the block runs; make it when it is missing.

        Raises:
            DhanfastError: another process downloads into it, or the disk refuses.
            UsageError: what it holds comes from elsewhere; or it holds files of others.
        """
        make_folder(self.root)
        strangers = [one.name for one in self.root.iterdir() if not one.name.startswith(".")]
        if strangers and not (self.root / ORIGIN).exists():
            raise UsageError(
                f"--out {self.root}: holds {sorted(strangers)[0]} and is no folder of downloads; "
                "name an empty or a new one"
            )
        with exclusive(self.root / ".lock", "downloading into it"):
            self._settle(Origin(FORMAT, broker, generated))
            yield

    def _settle(self, wanted: Origin) -> None:
        """Note where bars come from, or see that it is still so; sweep what a kill left."""
        if not (self.root / ORIGIN).exists():
            replace_file(self.root / ORIGIN, msgspec.json.format(msgspec.json.encode(wanted)))
        held = self.origin()
        if held != wanted:
            words = {True: "a generated market", False: "recorded bars"}
            raise UsageError(
                f"--out {self.root}: holds {words[held.generated]} of {held.broker}, not "
                f"{words[wanted.generated]} of {wanted.broker}; name another folder"
            )
        for left in (*self.root.glob(f"{TEMP_PREFIX}*"),
                     *self.root.glob(f"{PIECES}/*/{TEMP_PREFIX}*")):  # fmt: skip
            with suppress(OSError):
                left.unlink()

    def agreed(self, line: Line) -> Series:
        """The series of a line as it stands, without pieces whose files are gone or damaged.

        Raises:
            UsageError: another contract is kept under this name.
        """
        held = self.find(line.key)
        if held is None:
            return Series(line)
        if held.line != line:
            raise UsageError(
                f"{self.root}: {line.key} is held as security {held.line.security_id} of "
                f"{held.line.segment}, and now is {line.security_id} of {line.segment}; "
                "name another folder"
            )
        return Series(line, tuple(piece for piece in held.pieces if self._whole(line.key, piece)))

    def _whole(self, key: str, piece: Piece) -> bool:
        """Whether a piece is what was written."""
        try:
            with open(self.root / PIECES / key / piece.file, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == piece.sha256
        except OSError:
            return False

    def keep(
        self, series: Series, first: date, last: date, columns: Mapping[str, NDArray[Any]],
        fetched_ns: int, notes: tuple[str, ...] = (),
    ) -> Series:  # fmt: skip
        """Add the bars of some days; pieces that lie within these days are replaced.

        Returns:
            the series as it is now.

        Raises:
            DhanfastError: the disk is full or refuses; nothing was changed.
        """
        folder = self.root / PIECES / series.line.key
        make_folder(folder)
        data = _bytes_of(columns)
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{first}_{last}-{sha256[:16]}.parquet"
        rows = len(columns["start_ns"])
        piece = Piece(first=str(first), last=str(last), file=name, sha256=sha256, rows=rows,
                      fetched_ns=fetched_ns, notes=notes)  # fmt: skip
        others = [one for one in series.pieces if not _within(one, first, last)]
        for one in others:
            if one.days[0] <= last and one.days[1] >= first:
                raise DhanfastError(f"{folder}: {one.file} overlaps {first} to {last}")
        ordered = tuple(sorted((*others, piece), key=lambda one: one.first))
        after = Series(series.line, ordered)
        replace_file(folder / name, data)
        replace_file(folder / SERIES, msgspec.json.format(msgspec.json.encode(after), indent=1))
        named = {one.file for one in ordered}
        for old in folder.glob("*.parquet"):
            if _FILE.fullmatch(old.name) and old.name not in named:
                with suppress(OSError):
                    old.unlink()
        return after


def _within(piece: Piece, first: date, last: date) -> bool:
    """Whether all days of a piece lie in a span."""
    return first <= piece.days[0] and piece.days[1] <= last


def _bytes_of(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """A piece as Parquet; the same bars give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _columns_of(data: bytes) -> Columns:
    """The columns of a piece."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data), use_threads=False)
    return {name: table.column(name).to_numpy() for name in table.column_names}
