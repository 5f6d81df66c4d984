"""Snapshots of chains into a Parquet file, one by one, so that a kill at any moment costs none.

    with ChainRecorder("nifty.parquet") as recorder:
        recorder.append(rows)

See `chain_tail` for how. The file is that of `read_chains`, at any moment.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.chain_tail import (
    HEAD,
    MAGIC,
    batch_of,
    chain_schema,
    frame_of,
    read_tail,
    tail_path,
)
from dhanfast.storage.chains import Snapshot
from dhanfast.storage.durable import make_folder, replacing, sync_folder
from dhanfast.storage.parquet_rows import GENERATED_KEY

FOLD_ROWS: Final = 50_000  # rows of a tail that are folded in, at least
FOLD_SHARE: Final = 4  # and a fourth of the file, so that a row is copied a few times at most
BATCH_ROWS: Final = 65_536


class ChainRecorder:
    """Appends snapshots to a chain file; one process a file.

    Args:
        path: FILE.parquet; begun where there is none.
        generated: the market is a generated one; a file never has both kinds.
        fold_rows: rows of the tail that are folded in, at least.

    Raises:
        UsageError: the name does not end in .parquet.
        BadData: the file is none that was begun here, or of the other kind.
        DhanfastError: another process records into it; the disk refuses.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        generated: bool = False,
        fold_rows: int = FOLD_ROWS,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix != ".parquet":
            raise UsageError(f"{self.path}: a file of chains is called NAME.parquet")
        self.kept = 0
        self._generated, self._fold_rows = generated, fold_rows
        self._rows = self._tail_rows = self._end = 0
        make_folder(self.path.parent)
        self._handle = self._locked()
        try:
            self._last_ns = self._begun()
        except BaseException:
            os.close(self._handle)
            raise

    @property
    def last_ns(self) -> int:
        """The time of the newest snapshot in the file, ns UTC; 0 of an empty one."""
        return self._last_ns

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def append(self, *snapshots: Snapshot) -> bool:
        """Put chains of one moment or of successive ones into the file, all or none of them.

        They are on the disk when it returns.

        Returns:
            False when the first is not later than all that the file holds: nothing was kept.

        Raises:
            DhanfastError: the disk is full or refuses; what the file held before stays, and these
                chains too when it was the folding that failed: `kept` has counted them.
        """
        times = [rows.at_ns for rows in snapshots]
        if times != sorted(times):
            raise UsageError("snapshots are kept in the order of their time")
        if not times or times[0] <= self._last_ns:
            return False
        import pyarrow as pa

        table = pa.Table.from_batches([batch_of(rows) for rows in snapshots]).combine_chunks()
        first = self._rows == 0
        if first:
            self._fold(table)
        else:
            self._frame(table.to_batches()[0])
        self._last_ns = times[-1]
        self.kept += len(snapshots)
        if not first and self._tail_rows >= max(self._fold_rows, self._rows // FOLD_SHARE):
            self._fold(None)
        return True

    def close(self) -> None:
        """Fold the tail in and free the file; once.

        Raises:
            DhanfastError: the disk refuses; the tail stays and is read with the file.
        """
        if self._handle < 0:
            return
        try:
            if self._tail_rows:
                self._fold(None)
            with suppress(OSError):
                os.unlink(tail_path(self.path))  # still locked: nobody else writes to it
        finally:
            os.close(self._handle)
            self._handle = -1

    # ---- the tail ----

    def _locked(self) -> int:
        """The tail, open and this process's alone."""
        place = tail_path(self.path)
        while True:
            try:
                handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise DhanfastError(f"{place}: cannot be opened ({error.strerror})") from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), os.stat(place)):
                    return handle
            except FileNotFoundError:
                pass  # the one before has just ended and taken it away
            except OSError as error:
                os.close(handle)
                raise DhanfastError(
                    f"{self.path}: another process records into it; end that one or give another "
                    "name"
                ) from error
            os.close(handle)

    def _begun(self) -> int:
        """Take up what there is; the time of its newest snapshot.

        Raises:
            BadData: it is not ours.
        """
        if not self.path.exists():
            if os.fstat(self._handle).st_size > HEAD.size:
                read_tail(self.path, 0)  # refuses the tail of a file that was taken away
            return 0
        self._rows, last_ns = self._looked_at()
        left = read_tail(self.path, self._rows)
        if left is not None:
            last_ns = int(left.column("ts")[-1].as_py())
            self._tail_rows = left.num_rows
            self._fold(None)
        else:
            self._restart()
        return last_ns

    def _looked_at(self) -> tuple[int, int]:
        """Rows and newest time of the Parquet file.

        Raises:
            BadData: another kind of file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
                groups = file.metadata.num_row_groups
                if not schema.equals(chain_schema(), check_metadata=False) or not rows:
                    raise BadData(f"{self.path}: not begun by --keep, so nothing is added to it; "
                                  "give another name")  # fmt: skip
                last = file.read_row_group(groups - 1, columns=["ts"]).column("ts")[-1]
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.path}: not a Parquet file we can read: {error}") from error
        held = (schema.metadata or {}).get(GENERATED_KEY) == b"true"
        if held != self._generated:
            words = ("generated", "real") if held else ("real", "generated")
            raise BadData(f"{self.path}: holds chains of a {words[0]} market and these are of a "
                          f"{words[1]} one; give another name")  # fmt: skip
        return rows, int(last.as_py())

    def _frame(self, batch: Any) -> None:
        """Append to the tail, durable; what is left of a frame that failed is written over."""
        frame, at = memoryview(frame_of(batch)), self._end
        try:
            while frame:
                done = os.pwrite(self._handle, frame, at)
                frame, at = frame[done:], at + done
            os.fsync(self._handle)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, self._end)
            raise DhanfastError(
                f"{self.path}: a snapshot cannot be kept ({error.strerror}); what it held stays"
            ) from error
        self._end = at
        self._tail_rows += batch.num_rows

    def _restart(self) -> None:
        """An empty tail after the rows of the file, in one step: a reader sees the old or this."""
        place = tail_path(self.path)
        try:
            handle = os.open(f"{place}.new", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
                             0o644)  # fmt: skip
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.pwrite(handle, HEAD.pack(MAGIC, self._rows), 0)
                os.fsync(handle)
                os.replace(f"{place}.new", place)
            except BaseException:
                os.close(handle)
                raise
        except OSError as error:
            raise DhanfastError(
                f"{place}: cannot be written ({error.strerror}); what the file held stays"
            ) from error
        os.close(self._handle)
        self._handle, self._end = handle, HEAD.size
        sync_folder(self.path.parent)

    def _fold(self, first: Any) -> None:
        """Write the Parquet file anew with the rows of the tail, or with the very first ones."""
        import pyarrow.parquet as pq

        flag = b"true" if self._generated else b"false"
        schema = chain_schema().with_metadata({GENERATED_KEY: flag})
        more: Any = first if first is not None else read_tail(self.path, self._rows)
        with (
            replacing(self.path) as target,
            pq.ParquetWriter(target, schema, compression="zstd") as writer,
        ):
            if self._rows:
                with pq.ParquetFile(self.path) as old:
                    for batch in old.iter_batches(BATCH_ROWS):
                        writer.write_batch(batch)
            writer.write_table(more)
        self._rows += more.num_rows
        self._tail_rows = 0  # whatever becomes of the new tail: the old one is read as folded
        self._restart()
