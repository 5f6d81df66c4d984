"""An archive file as a set of blocks: opened, grown, chosen from, one block decoded at a time.

A file is memory-mapped and stays as it was when it was opened; `refresh` takes in what a live
writer has added since. `reader.py` makes batches and tables of it.
"""

import mmap
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Block, Codec
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive import contents as layout
from dhanfast.storage.archive.chunks import ChunkKind
from dhanfast.storage.archive.contents import Damage
from dhanfast.storage.archive.listing import Listing

AROUND: Final = 65_536


@dataclass(frozen=True)
class Selection:
    """What of a stream is wanted, and the blocks that may have it.

    Attributes:
        stream: which. start_ns, end_ns: [start, end) of its `time`, None for open ends.
        keys: numbers of the instruments, None for all.
        blocks: numbers of the blocks to be decoded, in the order of the file.
    """

    stream: Stream
    start_ns: int | None
    end_ns: int | None
    keys: tuple[int, ...] | None
    blocks: tuple[int, ...]


class ArchiveFile:
    """One file of the archive, sealed or still being written: what it holds, block by block.

    Threads may share a reader for reading; `refresh` and `close` want it alone.

    Args:
        path: of the file.

    Raises:
        BadData: it is no archive, or damaged where it must be read to be opened; the message names
            file, byte and remedy.
        FileNotFoundError: there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._decoded = count()
        self._decoded_n = 0
        try:
            if not stat.S_ISREG(os.fstat(self._handle).st_mode):
                raise BadData(f"{self._path}: not an ordinary file")
            self._map()
            try:
                self._contents = layout.read_contents(self._view)
            except Damage as damage:
                self._damaged(damage)
        except BaseException:
            os.close(self._handle)
            raise
        self._closed = False
        self._learn()

    def _map(self) -> None:
        size = os.fstat(self._handle).st_size
        if size == 0:
            raise BadData(f"{self._path}: byte 0: the file is empty: not a dhanfast archive")
        # What was mapped before lives on while somebody looks at it.
        self._view = memoryview(mmap.mmap(self._handle, size, access=mmap.ACCESS_READ))

    def _learn(self) -> None:
        held = self._contents
        self._streams = {stream.name: stream for stream in held.streams.values()}
        self._codecs = {stream.id: Codec(stream) for stream in held.streams.values()}
        self._by_stream = {
            stream.id: np.flatnonzero(held.blocks["stream"] == stream.id)
            for stream in held.streams.values()
        }

    def _damaged(self, damage: Damage) -> NoReturn:
        remedy = (
            "" if damage.foreign else f"; `dhanfast data verify --repair {self._path}` keeps "
            "what is whole"
        )  # fmt: skip
        raise BadData(f"{self._path}: byte {damage.offset}: {damage.why}{remedy}") from damage

    # What the file says of itself

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def head(self) -> dict[str, Any]:
        """The HEAD object: format, producer, created_ns, day, generated, source, streams."""
        return self._contents.head

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams by name."""
        return self._streams

    @property
    def instruments(self) -> Listing:
        """The instruments by number; `.by_symbol` by name."""
        return self._contents.instruments

    @property
    def notes(self) -> list[dict[str, Any]]:
        """Gaps, markers and other notes, as they were written."""
        return self._contents.notes

    @property
    def sealed(self) -> bool:
        """Complete, and never written again."""
        return self._contents.sealed

    @property
    def digest(self) -> str:
        """The seal's SHA-256 of everything before it, in hex; "" when the file is not sealed.

        Opening a file does not compute it: that would read every byte.
        """
        return self._contents.digest.hex()

    @property
    def whole_bytes(self) -> int:
        """Length up to the end of the last whole chunk."""
        return self._contents.whole_bytes

    @property
    def torn_bytes(self) -> int:
        """Bytes behind the last whole chunk: a block half written when the file was opened."""
        return self._contents.torn_bytes

    @property
    def identity(self) -> tuple[int, int, int]:
        """Device and number of the file, and `whole_bytes`: what was read, whatever its name."""
        held = os.fstat(self._handle)
        return held.st_dev, held.st_ino, self.whole_bytes

    @property
    def blocks_decoded(self) -> int:
        """Blocks decompressed since the file was opened."""
        return self._decoded_n

    def rows(self, stream: str = "ticks") -> int:
        """How many rows a stream has.

        Raises:
            UsageError: the file has no such stream.
        """
        return int(self._entries(stream)["rows"].sum(dtype=np.uint64))

    def time_range(self, stream: str = "ticks") -> tuple[int, int] | None:
        """Smallest and largest value of a stream's time field, UTC ns; None when it has no rows.

        Raises:
            UsageError: the file has no such stream, or the stream has no time.
        """
        entries = self._entries(stream)
        if self._streams[stream].time is None:
            raise UsageError(f"stream {stream!r} has no time")
        if not len(entries):
            return None
        return int(entries["time_min"].min()), int(entries["time_max"].max())

    def keys(self, stream: str = "ticks") -> NDArray[np.uint32]:
        """Numbers of the instruments that a stream has rows of, ascending.

        Raises:
            UsageError: the file has no such stream.
        """
        entries = self._entries(stream)
        counts = entries["keys"].astype(np.int64)
        places = np.repeat(entries["first_key"] - (np.cumsum(counts) - counts), counts)
        return np.unique(self._contents.keys[places + np.arange(len(places))])

    def described(self, name: str) -> Stream:
        """A stream by its name.

        Raises:
            UsageError: the file has no such stream; the message names those it has.
        """
        stream = self._streams.get(name)
        if stream is None:
            raise UsageError(
                f"{self._path} has no stream {name!r}; it has {', '.join(self._streams)}"
            )
        return stream

    def _entries(self, stream: str) -> NDArray[Any]:
        entries: NDArray[Any] = self._contents.blocks[self._by_stream[self.described(stream).id]]
        return entries

    # Opening, growing, closing

    def refresh(self) -> int:
        """Take in what a live writer has added.

        Returns:
            how many blocks are new.

        Raises:
            BadData: the file was cut or replaced, or what was added is damaged.
        """
        self._open()
        before = len(self._contents.blocks)
        if os.fstat(self._handle).st_size != len(self._view):
            self._map()
        if not self._contents.sealed:
            try:
                layout.extend(self._contents, self._view)
            except Damage as damage:
                self._damaged(damage)
            self._learn()
        return len(self._contents.blocks) - before

    def close(self) -> None:
        """Let the file go; rows that were given out stay valid."""
        if not self._closed:
            self._closed = True
            os.close(self._handle)
            self._view = memoryview(b"")

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """File, state and rows."""
        state = "sealed" if self.sealed else "unsealed"
        held = ", ".join(f"{name} {self.rows(name):,}" for name in self._streams)
        return f"<{type(self).__name__} {self._path} {state}: {held}>"

    def _open(self) -> None:
        if self._closed:
            raise UsageError(f"{self._path}: the reader is closed")

    # One block

    def _body(self, number: int) -> memoryview:
        """The verified body of a block."""
        entry = self._contents.blocks[number]
        offset = int(entry["offset"])
        self._open()
        view = self._view
        # A page that is no longer in the file would end the process, not raise.
        size = os.fstat(self._handle).st_size
        if size < len(view) and size < offset + 24 + int(entry["length"]):
            raise Damage(size, "the file was cut while it was being read", foreign=True)
        chunk = layout.whole_chunk(view, offset)
        found = (chunk.kind, chunk.size, chunk.stream)
        if found != (ChunkKind.ROWS, int(entry["length"]), int(entry["stream"])):
            raise Damage(offset, "the index names a block here; there is another chunk")
        body: memoryview = chunk.body(view)
        try:
            head = self._codecs[chunk.stream].head(body)
        except BadData as error:
            raise Damage(chunk.body_at, str(error)) from error
        first = int(entry["first_key"])
        facts = ("rows", "first_seq", "time_min", "time_max", "event_min", "event_max")
        said = tuple(int(entry[name]) for name in facts)
        known = tuple(getattr(head, name) for name in facts)
        mine = self._contents.keys[first : first + int(entry["keys"])]
        if said != known or not np.array_equal(mine, head.keys):
            raise Damage(offset, "the block's head and its entry in the index differ")
        return body

    def decoding(self, number: int, work: Callable[[Codec, memoryview], Any]) -> Any:
        """Run `work` on a block's codec and its verified body.

        Args:
            number: of the block, as `select` names it.
            work: called with the two; any thread may do it.

        Raises:
            BadData: damage; the message names file, byte and remedy.
        """
        entry = self._contents.blocks[number]
        try:
            body = self._body(number)
            self._decoded_n = next(self._decoded) + 1
            return work(self._codecs[int(entry["stream"])], body)
        except Damage as damage:
            self._damaged(damage)
        except BadData as error:
            self._damaged(Damage(int(entry["offset"]) + 24, str(error)))
        finally:
            self._let_go(int(entry["offset"]), int(entry["length"]) + 24)

    def _let_go(self, offset: int, length: int) -> None:
        """Take a block's pages out of this process; the system keeps the file in its cache.

        Otherwise a process that reads a file from end to end grows by all of it.
        """
        mapping = self._view.obj
        if isinstance(mapping, mmap.mmap):
            # Linux maps up to 64 kB around a page that is touched: some lie before the block.
            first = max(0, offset - AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
            mapping.madvise(mmap.MADV_DONTNEED, first, min(offset + length, len(mapping)) - first)

    def blaming(self, number: int, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call something that reads on in a block; damage names file and byte.

        Args:
            number: of the block, as `select` names it.
            work: called with `arguments`.

        Raises:
            BadData: damage; the message names file, byte and remedy.
        """
        try:
            return work(*arguments)
        except BadData as error:
            offset = int(self._contents.blocks["offset"][number])
            self._damaged(Damage(offset + 24, str(error)))

    def block(self, number: int) -> Block:
        """Decode a block, all of its rows.

        Raises:
            BadData: damage; the message names file, byte and remedy.
        """
        block: Block = self.decoding(number, _whole)
        return block

    # Choosing

    def select(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
    ) -> Selection:
        """Which blocks a reading would touch.

        Args:
            stream: name of the stream.
            start_ns, end_ns: [start, end) of its time field, UTC ns.
            symbols: instruments by name; None for all.

        Raises:
            UsageError: no such stream or symbol, or the stream has no time or no instruments.
        """
        made = self.described(stream)
        entries = self._entries(stream)
        wanted = np.ones(len(entries), bool)
        if start_ns is not None or end_ns is not None:
            if made.time is None:
                raise UsageError(f"stream {stream!r} has no time to choose by")
            if start_ns is not None:
                wanted &= entries["time_max"] >= start_ns
            if end_ns is not None:
                wanted &= entries["time_min"] < end_ns
        keys: tuple[int, ...] | None = None
        if symbols is not None:
            if made.key is None:
                raise UsageError(f"stream {stream!r} has no instruments to choose by")
            if isinstance(symbols, str):
                raise UsageError(f"symbols: a list of names, was the text {symbols!r}")
            keys = tuple(sorted({self.instruments.number_of(symbol) for symbol in symbols}))
            wanted &= self._having(entries, keys)
        numbers = self._by_stream[made.id][wanted].tolist()
        return Selection(made, start_ns, end_ns, keys, tuple(numbers))

    def blocks_before(self, chosen: Selection, offset: int) -> Selection:
        """A selection without the blocks from a byte of the file on."""
        offsets = self._contents.blocks["offset"]
        kept = tuple(number for number in chosen.blocks if int(offsets[number]) < offset)
        return replace(chosen, blocks=kept)

    def _having(self, entries: NDArray[Any], keys: tuple[int, ...]) -> NDArray[np.bool_]:
        hits = np.concatenate([[0], np.cumsum(np.isin(self._contents.keys, keys))])
        first = entries["first_key"].astype(np.int64)
        having: NDArray[np.bool_] = hits[first + entries["keys"]] > hits[first]
        return having

    def at_edge(self, chosen: Selection, number: int) -> bool:
        """Whether some rows of a chosen block may lie outside the time range."""
        entry = self._contents.blocks[number]
        return (chosen.start_ns is not None and int(entry["time_min"]) < chosen.start_ns) or (
            chosen.end_ns is not None and int(entry["time_max"]) >= chosen.end_ns
        )


def _whole(codec: Codec, body: memoryview) -> Block:
    block = codec.decode(body)
    size = codec.stream.blob
    if size is not None and int(block.rows[size].sum(dtype=np.uint64)) != len(block.blob):
        raise BadData(f"{len(block.blob)} bytes, but not as many as `{size}` of the rows says")
    return block
