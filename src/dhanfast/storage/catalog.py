"""The catalog: bars we hold, by instrument and interval, each with its provenance.

Layout (docs/reference/catalog.md describes it byte for byte):

    ROOT/manifest.json                  the only truth: what is not named here does not exist
    ROOT/BANKNIFTY/1m/2022-<sha>.npy    BAR_DTYPE of one IST year, a plain .npy: memory-mappable
    ROOT/.lock                          held while importing

What holds at every instant, kill -9 and power loss included: `manifest.json` is whole, and every
file it names is whole and durable. A change writes new files under new names, then replaces the
manifest (the commit), then deletes what nobody names any more.
"""

import hashlib
import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, Source, interval_name
from dhanfast.storage.durable import TEMP_PREFIX, replace_file, sync_folder
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS, ist_text, midnight_ns

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
LOCK: Final = ".lock"
SYMBOL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9&._ -]{0,62}[A-Za-z0-9&_-])?")
_FILE: Final = re.compile(r"\d{4}-[0-9a-f]{16}\.npy")


class YearFile(msgspec.Struct, frozen=True):
    """One data file of a series: the bars of one IST year."""

    year: int
    file: str
    sha256: str
    rows: int
    first_ns: int
    last_ns: int


class Provenance(msgspec.Struct, frozen=True):
    """Where some bars of a series came from, and how they were read."""

    name: str
    sha256: str
    rows: int
    skipped: int
    first: str
    last: str
    columns: dict[str, str]
    tz: str | None
    stamp: str
    on_bad: str
    generated: bool
    days_replaced: int
    imported_by: str
    imported_at_ns: int
    notes: tuple[str, ...]
    facts: tuple[str, ...]


class Series(msgspec.Struct, frozen=True):
    """The bars of one instrument at one interval."""

    symbol: str
    interval_ns: int
    generated: bool
    files: tuple[YearFile, ...]
    sources: tuple[Provenance, ...]

    @property
    def key(self) -> str:
        """Name of the series and of its folder: BANKNIFTY/1m."""
        return f"{self.symbol}/{interval_name(self.interval_ns)}"

    @property
    def rows(self) -> int:
        """How many bars it holds."""
        return sum(file.rows for file in self.files)


class Manifest(msgspec.Struct, frozen=True):
    """Everything the catalog holds."""

    format: int
    series: dict[str, Series]


class Catalog:
    """A folder of bars. Reading needs no lock; changing it is `importing.import_files`' work."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Name a catalog folder; it need not exist.

        Args:
            root: the folder that holds, or shall hold, manifest.json.
        """
        self.root = Path(root)

    def manifest(self) -> Manifest:
        """Read what the catalog holds; an absent catalog holds nothing.

        Raises:
            BadData: the manifest is damaged or of a later format.
        """
        path = self.root / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return Manifest(FORMAT, {})
        except OSError as error:
            raise BadData(f"{path}: cannot be read: {error.strerror}") from error
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except (msgspec.DecodeError, ValueError) as error:
            raise BadData(
                f"{path}: damaged ({error}); restore it, or import the sources into a new folder"
            ) from error
        if manifest.format != FORMAT:
            raise BadData(
                f"{path}: format {manifest.format}, this version reads {FORMAT}; update dhanfast"
            )
        for key, series in manifest.series.items():
            named = all(_FILE.fullmatch(file.file) for file in series.files)
            if series.key != key or not named or not SYMBOL.fullmatch(series.symbol):
                raise BadData(f"{path}: the entry {key!r} is damaged; restore the manifest")
        return manifest

    def find(self, symbol: str | None, interval: str | None = None) -> Series:
        """Choose one series.

        Args:
            symbol: may be left out when the catalog holds one series.
            interval: such as `1m`; may be left out when the symbol has one.

        Raises:
            UsageError: none fits, or several.
        """
        held = self.manifest().series
        fits = [
            series
            for series in held.values()
            if symbol in (None, series.symbol)
            and interval in (None, interval_name(series.interval_ns))
        ]
        if len(fits) == 1:
            return fits[0]
        wanted = "/".join(part for part in (symbol, interval) if part) or "one series"
        names = ", ".join(sorted(series.key for series in fits or held.values())[:12])
        if not held:
            raise UsageError(
                f"{self.root}: the catalog is empty; fill it: dhanfast data import FILE"
            )
        if not fits:
            raise UsageError(f"{self.root} has no {wanted}; it holds {names}")
        raise UsageError(f"{self.root} holds several that fit {wanted}: {names}; name one")

    def read(self, series: Series, first: date | None = None, last: date | None = None) -> BarSet:
        """Read the bars of a series between two IST dates, inclusive.

        Raises:
            BadData: a file is damaged (its hash differs), or nothing lies between the dates.
        """
        for attempt in (1, 2):
            try:
                return self._read(series, first, last)
            except FileNotFoundError as error:
                # An import may have replaced the file after we read the manifest: look again.
                again = self.manifest().series.get(series.key)
                if attempt == 2 or again is None or again == series:
                    raise BadData(
                        f"{error.filename}: missing; restore it, or import its sources anew"
                    ) from error
                series = again
        raise AssertionError("unreachable")

    def _read(self, series: Series, first: date | None, last: date | None) -> BarSet:
        """One attempt at `read`."""
        low = midnight_ns(first) if first else -(1 << 62)
        high = midnight_ns(last) + DAY_NS if last else 1 << 62
        parts, sources = [], []
        for file in series.files:
            if file.last_ns < low or file.first_ns >= high:
                continue
            bars = self.read_year(series, file)
            start, stop = np.searchsorted(bars["start_ns"], [low, high])
            if stop > start:
                parts.append(bars[start:stop])
                sources.append(Source(f"{series.key}/{file.file}", file.sha256, int(stop - start)))
        if not parts:
            span = (
                f"{ist_text(series.files[0].first_ns)} to {ist_text(series.files[-1].last_ns)} IST"
            )
            raise BadData(
                f"{series.key}: no bar from {first or 'its start'} to {last or 'its end'}; "
                f"the catalog covers {span}"
            )
        bars = parts[0] if len(parts) == 1 else np.concatenate(parts)
        notes = tuple(note for source in series.sources for note in source.notes)
        return BarSet(
            series.symbol, bars, series.interval_ns, series.generated, tuple(sources), notes
        )

    def read_year(self, series: Series, file: YearFile) -> NDArray[Any]:
        """Read one data file and prove that it is what was written.

        Raises:
            BadData: its hash or layout differs.
            FileNotFoundError: it is gone.
        """
        path = self.root / series.key / file.file
        with open(path, "rb") as handle:
            data = bytearray(os.fstat(handle.fileno()).st_size)
            handle.readinto(data)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise BadData(
                f"{path}: damaged, its SHA-256 is not the one of the manifest; "
                "restore it, or import its sources again into a new folder"
            )
        return np.frombuffer(data, BAR_DTYPE, offset=len(data) - file.rows * BAR_DTYPE.itemsize)

    def commit(self, changed: Mapping[str, tuple[Series, Mapping[int, NDArray[Any]]]]) -> None:
        """Put new years of some series in place, all of them or none. Call it under the lock.

        Args:
            changed: key -> (the series as it shall be, without the new files; bars by year).

        Raises:
            DhanfastError: the disk is full or refuses; the catalog is as it was.
        """
        old = self.manifest()
        after = dict(old.series)
        written: list[Path] = []
        try:
            for key, (series, years) in changed.items():
                folder = _make_folder(self.root, key)
                files = {file.year: file for file in series.files}
                for year, bars in years.items():
                    files[year] = _write_year(folder, year, bars, written)
                ordered = tuple(files[year] for year in sorted(files))
                after[key] = msgspec.structs.replace(series, files=ordered)
            manifest = Manifest(FORMAT, dict(sorted(after.items())))
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            replace_file(self.root / MANIFEST, text)
        except BaseException:
            self._discard(written)
            raise
        self.sweep(changed)

    def _discard(self, written: list[Path]) -> None:
        """Take new files away after a failure, unless the manifest on disk names them already."""
        try:
            held = self.manifest().series
        except BadData:
            return  # what it names cannot be known; a later import sweeps
        named = {self.root / key / file.file for key in held for file in held[key].files}
        for path in written:
            if path not in named:
                with suppress(OSError):
                    path.unlink()

    def sweep(self, keys: Mapping[str, Any]) -> None:
        """Delete files of some series that the manifest does not name. Call it under the lock."""
        held = self.manifest().series
        for key in keys:
            folder = self.root / key
            named = {file.file for file in held[key].files} if key in held else set()
            for path in folder.glob("*") if folder.is_dir() else ():
                stray = path.name.startswith(TEMP_PREFIX) or _FILE.fullmatch(path.name)
                if stray and path.name not in named:
                    with suppress(OSError):
                        path.unlink()
        for path in self.root.glob(f"{TEMP_PREFIX}*"):
            with suppress(OSError):
                path.unlink()


def _make_folder(root: Path, key: str) -> Path:
    """Make a series' folder, durable before anything is named in it."""
    folder = root / key
    if not folder.is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DhanfastError(f"{folder}: cannot be made: {error.strerror}") from error
        sync_folder(folder.parent)
        sync_folder(root)
    return folder


def _write_year(folder: Path, year: int, bars: NDArray[Any], written: list[Path]) -> YearFile:
    """Write one year as .npy under a name made of its content."""
    head = io.BytesIO()
    shape = {"descr": np.lib.format.dtype_to_descr(BAR_DTYPE), "fortran_order": False,
             "shape": bars.shape}  # fmt: skip
    np.lib.format.write_array_header_1_0(head, shape)
    body = np.ascontiguousarray(bars).view(np.uint8).data
    digest = hashlib.sha256(head.getvalue())
    digest.update(body)
    sha256 = digest.hexdigest()
    path = folder / f"{year}-{sha256[:16]}.npy"
    written.append(path)
    replace_file(path, head.getvalue(), body)
    stamps = bars["start_ns"]
    return YearFile(year, path.name, sha256, len(bars), int(stamps[0]), int(stamps[-1]))


def years_of(bars: NDArray[Any]) -> NDArray[np.int64]:
    """The IST year of each bar's start."""
    local = (bars["start_ns"] + IST_OFFSET_NS).astype("datetime64[ns]")
    return local.astype("datetime64[Y]").astype(np.int64) + 1970


def default_root(environ: Mapping[str, str]) -> Path:
    """The user's own catalog.

    Args:
        environ: DHANFAST_HOME, else XDG_DATA_HOME/dhanfast, else ~/.local/share/dhanfast.
    """
    home = environ.get("DHANFAST_HOME")
    if home:
        return Path(home).expanduser() / "catalog"
    data = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "dhanfast" / "catalog"


def locate(
    source: str | os.PathLike[str], symbol: str | None, environ: Mapping[str, str]
) -> tuple[Catalog, str | None, str | None]:
    """Turn what a user typed into a catalog, a symbol and an interval.

    Args:
        source: a catalog folder, a folder inside one, `SYMBOL` or `SYMBOL/1m`.
        symbol: a symbol said apart, which must not contradict.

    Raises:
        UsageError: nothing of that name.
    """
    path = Path(source)
    parts: tuple[str, ...]
    if path.is_dir():
        path = path.resolve()
        for root in (path, path.parent, path.parent.parent):
            if (root / MANIFEST).is_file():
                parts = path.relative_to(root).parts
                break
        else:
            raise UsageError(f"{source}: a folder without {MANIFEST}, so no catalog")
    else:
        root = default_root(environ)
        parts = tuple(os.fspath(source).split("/"))
        if len(parts) > 2 or not SYMBOL.fullmatch(parts[0]) or path.suffix in (".csv", ".parquet"):
            raise UsageError(f"{source}: no such file")
        if not any(key.split("/")[0] == parts[0] for key in Catalog(root).manifest().series):
            raise UsageError(f"{source}: no such file, and the catalog {root} has no {parts[0]}")
    named = parts[0] if parts else symbol
    if symbol is not None and named != symbol:
        raise UsageError(f"--symbol {symbol} contradicts {source}; leave one out")
    return Catalog(root), named, parts[1] if len(parts) > 1 else None


def read_series(
    source: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> BarSet:
    """Read a series named by folder or by symbol; see `bars.read_bars`.

    Raises:
        UsageError: no such series.
        BadData: a damaged file, or nothing between the dates.
    """
    catalog, named, interval = locate(source, symbol, os.environ)
    return catalog.read(catalog.find(named, interval), first, last)
