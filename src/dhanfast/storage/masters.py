"""Copies of the instrument master, one a day, and how a new one comes in.

Layout (docs/reference/instruments.md):

    ROOT/manifest.json                      the only truth: what is not named here does not exist
    ROOT/2026-07-22-<sha>.dfmaster          the newest copy: mapped, not read
    ROOT/2026-07-21-<sha>.dfmaster.zst      older copies, compressed
    ROOT/.lock                              held while updating

What holds at every instant, kill -9 and power loss included: `manifest.json` is whole, and every
copy it names is whole and durable. A download that is not better than nothing (a web page, half a
file, a file that lost a segment) is refused and the last good copy stays.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from dhanfast.clock import Clock
from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.market.master import SEGMENT_NAMES, Master, expiry_number
from dhanfast.market.master_csv import PARSER, Parsed, parse_master
from dhanfast.market.master_diff import Difference, compare
from dhanfast.storage.catalog import default_root
from dhanfast.storage.durable import TEMP_PREFIX, exclusive, make_folder, replace_file
from dhanfast.storage.master_file import PACKED, master_bytes, pack_master, read_master
from dhanfast.storage.stamps import ist_text

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
LOCK: Final = ".lock"
SUFFIX: Final = ".dfmaster"
SHOWN_MAX: Final = 20  # refused rows kept with a copy
_FILE: Final = re.compile(r"\d{4}-\d\d-\d\d-[0-9a-f]{16}\.dfmaster(\.zst)?")
ROWS_KEPT_MIN: Final = 0.8  # of the rows of the last copy that have not expired
SEGMENT_KEPT_MIN: Final = 0.5
SEGMENT_ROWS_MIN: Final = 50  # smaller segments may come and go


class Copy(msgspec.Struct, frozen=True):
    """One day's master, and where it came from."""

    day: str  # IST date
    file: str
    sha256: str  # of the body of the file, before compression
    rows: int
    form: str
    source: str
    source_sha256: str
    source_bytes: int
    fetched_at_ns: int
    refused: int
    repeated: int
    left_out: dict[str, int]
    notes: tuple[str, ...]
    refused_rows: tuple[str, ...]
    parser: int
    address: str = ""  # what was asked for, when it may be kept: no query
    etag: str = ""
    last_modified: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """Every copy there is, by day."""

    format: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Raw:
    """What a source gave.

    Units:
        source: file name or last address, without query; address: the one asked for; etag and
        last_modified: as the server said, or nothing.
    """

    data: bytes
    source: str
    etag: str = ""
    last_modified: str = ""
    address: str = ""


# Given the newest copy, the file as it is now; None when the server says that it has not changed.
Source = Callable[[Copy | None], Raw | None]


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """How to take a new master.

    Units:
        rows_min: fewer rows are refused; refused_share_max: of the file's rows, 0..1; keep_days:
        copies older than that before the newest are deleted; day: of the copy, None for today.
    """

    form: str | None = None
    day: date | None = None
    rows_min: int = 1
    refused_share_max: float = 0.01
    accept_short: bool = False
    keep_days: int = 730

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            UsageError: with the field's name.
        """
        if self.rows_min < 1:
            raise UsageError(f"rows_min must be at least 1, got {self.rows_min}")
        if not 0 <= self.refused_share_max <= 1:
            raise UsageError(f"refused_share_max must be 0 to 1, got {self.refused_share_max}")
        if self.keep_days < 1:
            raise UsageError(f"keep_days must be at least 1, got {self.keep_days}")


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did. `unchanged`: the file is the one of the copy before."""

    copy: Copy
    unchanged: bool
    since: str | None  # day of the copy it was compared with
    difference: Difference | None
    removed: tuple[str, ...]  # days whose copies were too old


class MasterStore:
    """A folder of masters. Reading needs no lock; `update` changes it."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Name a folder; it need not exist.

        Args:
            root: the folder that holds, or shall hold, manifest.json.
        """
        self.root = Path(root)

    def copies(self) -> tuple[Copy, ...]:
        """Every copy, by day; an absent folder holds none.

        Raises:
            BadData: the manifest is damaged or of a later format.
        """
        path = self.root / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise BadData(f"{path}: cannot be read: {error.strerror}") from error
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
            days = [date.fromisoformat(copy.day) for copy in manifest.copies]
        except (msgspec.DecodeError, ValueError) as error:
            raise BadData(
                f"{path}: damaged ({error}); restore it, or move the folder away and update"
            ) from error
        if manifest.format != FORMAT:
            raise BadData(
                f"{path}: format {manifest.format}, this version reads {FORMAT}; update dhanfast"
            )
        named = all(_FILE.fullmatch(copy.file) for copy in manifest.copies)
        if not named or days != sorted(set(days)):
            raise BadData(f"{path}: its entries are damaged; restore it")
        return manifest.copies

    def as_of(self, day: date) -> Copy:
        """The copy that was known on a day: that day's, or the last one before it.

        Raises:
            OutOfCalendar: no copy is as old as that.
            UsageError: there is no copy at all.
        """
        copies = self.copies()
        if not copies:
            raise UsageError(
                f"{self.root} holds no instrument master; fetch one: dhanfast instruments update"
            )
        for copy in reversed(copies):
            if copy.day <= day.isoformat():
                return copy
        raise OutOfCalendar(
            f"no instrument master is as old as {day}: the first copy is of {copies[0].day}. "
            "Give a later date, or import an old file: "
            f"dhanfast instruments update --from FILE --day {day}"
        )

    def newest(self) -> Copy:
        """The last copy.

        Raises:
            UsageError: there is none.
        """
        return self.as_of(date.max)

    def load(self, copy: Copy) -> Master:
        """The master of a copy, proven to be what was written.

        Raises:
            BadData: the file is damaged or gone.
        """
        for attempt in (1, 2):
            try:
                return read_master(self.root / copy.file, copy.sha256)
            except FileNotFoundError as error:
                # An update may have compressed the file after we read the manifest: look again.
                again = [one for one in self.copies() if one.day == copy.day]
                if attempt == 2 or not again or again[0] == copy:
                    raise BadData(
                        f"{self.root / copy.file}: missing; restore it, or update again"
                    ) from error
                copy = again[0]
        raise AssertionError("unreachable")

    def update(self, source: Source, options: UpdateOptions, clock: Clock) -> Updated:
        """Take a new copy, compare it with the one before, and forget the oldest.

        Args:
            source: fetches the file; it is told the newest copy, and is called under the lock.

        Raises:
            BadData: the file is refused; the copies are as they were.
            DhanfastError: another update is running, or the disk refuses.
            UsageError: a day in the future.
        """
        today = date.fromisoformat(ist_text(clock.now_ns())[:10])
        day = options.day or today
        if day > today:
            raise UsageError(f"day {day} is in the future: today is {today}")
        make_folder(self.root)
        with exclusive(self.root / LOCK, "updating the instrument master"):
            copies = self.copies()
            self._sweep(copies)
            newest = copies[-1] if copies and self._stands(copies[-1], options) else None
            raw = source(newest)
            if raw is None:
                if newest is None:
                    raise BadData("the source says that nothing has changed, but there is no copy")
                return self._repeat(copies, newest, day, options, clock)
            before = max((c for c in copies if c.day <= day.isoformat()), key=_day, default=None)
            same = before and before.source_sha256 == hashlib.sha256(raw.data).hexdigest()
            if before and same and self._stands(before, options):
                return self._repeat(copies, before, day, options, clock)
            return self._take(copies, before, raw, day, options, clock)

    def _stands(self, copy: Copy, options: UpdateOptions) -> bool:
        """Whether a copy is what its file would make today: whole, of this version, as asked."""
        as_asked = options.form in (None, copy.form) and copy.rows >= options.rows_min
        return as_asked and copy.parser == PARSER and self._load_if_whole(copy) is not None

    def _load_if_whole(self, copy: Copy | None) -> Master | None:
        """The master of a copy, or None when there is none or it is damaged."""
        try:
            return self.load(copy) if copy is not None else None
        except BadData:
            return None

    def _take(
        self, copies: tuple[Copy, ...], before: Copy | None, raw: Raw, day: date,
        options: UpdateOptions, clock: Clock,
    ) -> Updated:  # fmt: skip
        """Read a file that differs, judge it, and put it in place."""
        parsed = parse_master(raw.data, name=raw.source, form=options.form)
        old = self._load_if_whole(before)  # a damaged copy must not keep a good one out
        require_whole(parsed, old, day, raw.source, options)
        difference = compare(old, parsed.master, day) if old is not None else None
        data, sha256 = master_bytes(parsed.master)
        copy = Copy(
            day=day.isoformat(), file=f"{day}-{sha256[:16]}{SUFFIX}", sha256=sha256,
            rows=len(parsed.master), form=parsed.master.form, source=raw.source,
            source_sha256=hashlib.sha256(raw.data).hexdigest(), source_bytes=len(raw.data),
            fetched_at_ns=clock.now_ns(), refused=parsed.refused_count, repeated=parsed.repeated,
            left_out=dict(parsed.left_out), notes=parsed.notes,
            refused_rows=tuple(str(one) for one in parsed.refused[:SHOWN_MAX]),
            parser=PARSER, address=raw.address, etag=raw.etag, last_modified=raw.last_modified,
        )  # fmt: skip
        replace_file(self.root / copy.file, data)
        removed = self._commit(copies, copy, options)
        since = before.day if before is not None and old is not None else None
        return Updated(copy, False, since, difference, removed)

    def _repeat(
        self, copies: tuple[Copy, ...], known: Copy, day: date, options: UpdateOptions, clock: Clock
    ) -> Updated:
        """Note that the file of an earlier day is still the one of this day."""
        if day.isoformat() < known.day:
            raise UsageError(f"day {day} is before the copy of {known.day}, which is the same file")
        copy = msgspec.structs.replace(known, day=day.isoformat(), fetched_at_ns=clock.now_ns())
        removed = self._commit(copies, copy, options)
        return Updated(copy, True, known.day, None, removed)

    def _commit(
        self, copies: tuple[Copy, ...], copy: Copy, options: UpdateOptions
    ) -> tuple[str, ...]:
        """Name a copy in the manifest, compress what is no longer the newest, forget the oldest."""
        days = {one.day: one for one in copies} | {copy.day: copy}
        kept = [days[day] for day in sorted(days)]
        limit = date.fromisoformat(kept[-1].day) - timedelta(options.keep_days)
        removed = tuple(one.day for one in kept if one.day < limit.isoformat())
        kept = [one for one in kept if one.day not in removed]
        newest = kept[-1].file
        packed: dict[str, str] = {}
        for one in kept:
            if one.file != newest and not one.file.endswith(PACKED):
                packed[one.file] = one.file + PACKED
        self._write(kept)  # the commit: from here on the new copy is the one that is read
        for plain, target in list(packed.items()):
            try:
                pack_master(self.root / plain, self.root / target)
            except (BadData, FileNotFoundError):
                del packed[plain]  # damaged: it stays as it is, to be restored
        if packed:
            self._write([msgspec.structs.replace(one, file=packed.get(one.file, one.file))
                         for one in kept])  # fmt: skip
        self._sweep(self.copies())
        return removed

    def _write(self, copies: list[Copy]) -> None:
        """Replace the manifest."""
        text = msgspec.json.format(msgspec.json.encode(Manifest(FORMAT, tuple(copies))), indent=1)
        replace_file(self.root / MANIFEST, text)

    def _sweep(self, copies: tuple[Copy, ...]) -> None:
        """Delete files that the manifest does not name. Call it under the lock."""
        named = {copy.file for copy in copies}
        for path in self.root.iterdir():
            stray = path.name.startswith(TEMP_PREFIX) or _FILE.fullmatch(path.name)
            if stray and path.name not in named:
                with suppress(OSError):
                    path.unlink()


def require_whole(
    parsed: Parsed, old: Master | None, day: date, name: str, options: UpdateOptions
) -> None:
    """Refuse a file that lost too much, or of which too much had to be refused.

    Raises:
        BadData: with the figures, and the option that takes it all the same.
    """
    master = parsed.master
    if parsed.refused_count > options.refused_share_max * max(parsed.rows, 1):
        first = "; ".join(str(one) for one in parsed.refused[:3])
        raise BadData(
            f"{name}: {parsed.refused_count:,} of {parsed.rows:,} rows would be refused, more than "
            f"{options.refused_share_max:.2%} ({first}). Download it again, or allow more with "
            "--refused-max; the last good copy stays"
        )
    if len(master) < options.rows_min:
        raise BadData(
            f"{name}: {len(master):,} contracts are fewer than {options.rows_min:,}; download it "
            "again, or allow it with --rows-min; the last good copy stays"
        )
    if old is None or options.accept_short:
        return
    expiry = old.numbers("expiry")
    alive = (expiry == 0) | (expiry >= expiry_number(day))
    if len(master) < ROWS_KEPT_MIN * int(alive.sum()):
        raise BadData(
            f"{name}: {len(master):,} contracts, where the last copy has {int(alive.sum()):,} that "
            "have not expired; download it again, or take it with --accept-short; the last good "
            "copy stays"
        )
    before = np.bincount(old.keys[alive] >> 32, minlength=16)
    after = np.bincount(master.keys >> 32, minlength=16)
    for number, segment in SEGMENT_NAMES.items():
        held, got = int(before[number]), int(after[number])
        if held >= SEGMENT_ROWS_MIN and got < SEGMENT_KEPT_MIN * held:
            raise BadData(
                f"{name}: {got:,} contracts of {segment}, where the last copy has {held:,}; "
                "download it again, or take it with --accept-short; the last good copy stays"
            )


def _day(copy: Copy) -> str:
    """The day of a copy."""
    return copy.day


def default_masters(environ: Mapping[str, str]) -> Path:
    """The user's own folder of masters, beside the catalog.

    Args:
        environ: DHANFAST_HOME, else XDG_DATA_HOME/dhanfast, else ~/.local/share/dhanfast.
    """
    return default_root(environ).with_name("instruments")
