"""Archive files put together byte by byte from the format's page, independent of the writer."""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.crc import crc32c
from dhanfast._core.archive.schema import DEPTH, TICKS, Stream

MAGIC = b"DFARCH1\n"
HEAD, INSTRUMENTS, ROWS, INDEX, SEAL, NOTE = 1, 2, 3, 4, 5, 6
NINE = 1_767_325_500_000_000_000  # 2026-01-02 09:15 IST


def chunk(kind: int, stream: int, body: bytes) -> bytes:
    """One chunk, padded."""
    head = struct.pack("<4sBBHQI", b"DFCK", kind, 0, stream, len(body), crc32c(body))
    return head + struct.pack("<I", crc32c(head)) + body + bytes(-len(body) % 8)


@dataclass
class Built:
    """A file being put together.

    Attributes:
        data: its bytes so far. index: (offset, body) of every block. rows: what it holds, by
        stream, as (sequence numbers, rows) of every block.
    """

    streams: tuple[Stream, ...] = (TICKS, DEPTH)
    head: dict[str, Any] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    index: list[tuple[int, int, bytes]] = field(default_factory=list)
    rows: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        described = {
            "format": 1, "producer": "built.py", "created_ns": NINE, "day": 20260102,
            "generated": True, "source": "a test",
            "streams": [stream.to_json() for stream in self.streams],
        } | self.head  # fmt: skip
        self.data += MAGIC
        self.json(HEAD, described)

    def json(self, kind: int, value: Any) -> "Built":
        """A chunk of JSON."""
        self.data += chunk(kind, 0, json.dumps(value).encode())
        return self

    def instruments(self, *symbols: str, first: int = 0, **facts: Any) -> "Built":
        """Instruments numbered from `first` on."""
        told = [{"index": first + at, "symbol": symbol, "kind": "FUT", "tick": 5, "lot": 75,
                 "price_scale": 100, "qty_scale": 1} | facts
                for at, symbol in enumerate(symbols)]  # fmt: skip
        return self.json(INSTRUMENTS, told)

    def block(
        self, name: str, rows: NDArray[Any], seq: NDArray[Any] | None = None, blob: bytes = b""
    ) -> "Built":
        """A block of rows, numbered on from the last one unless `seq` is given."""
        stream = next(stream for stream in self.streams if stream.name == name)
        if seq is None:
            seq = self.seq + np.arange(len(rows), dtype=np.uint64)
        seq = np.ascontiguousarray(seq, np.uint64)
        self.seq = int(seq[-1]) + 1
        body = Codec(stream).encode(rows, int(seq[0]), seq, blob)
        return self.raw_block(stream.id, body).keep(name, seq, rows)

    def keep(self, name: str, seq: NDArray[Any], rows: NDArray[Any]) -> "Built":
        """Remember what a reader must find."""
        self.rows.setdefault(name, []).append((seq, rows.copy()))
        return self

    def raw_block(self, stream: int, body: bytes) -> "Built":
        """A ROWS chunk with these bytes."""
        self.index.append((len(self.data), stream, body))
        self.data += chunk(ROWS, stream, body)
        return self

    def all(self, name: str = "ticks") -> NDArray[Any]:
        """The rows of a stream."""
        stream = next(stream for stream in self.streams if stream.name == name)
        parts = [rows for _, rows in self.rows.get(name, [])]
        return np.concatenate([np.empty(0, stream.dtype), *parts])

    def index_body(self) -> bytes:
        """The INDEX of the blocks so far."""
        entries, keys = bytearray(), bytearray()
        for offset, stream, body in self.index:
            rows, count, seq, *times = struct.unpack_from("<IIQqqqq", body)
            entries += struct.pack("<QQIHHQqqqqIIQ", offset, len(body), rows, stream, 0, seq,
                                   *times, count, len(keys) // 4, 0)  # fmt: skip
            keys += body[56 : 56 + 4 * count]
        return struct.pack("<Q", len(self.index)) + entries + keys

    def seal(self, index: bytes | None = None, rows: int | None = None) -> "Built":
        """INDEX and SEAL."""
        at = len(self.data)
        if rows is None:
            rows = sum(struct.unpack_from("<I", body)[0] for _, _, body in self.index)
        self.data += chunk(INDEX, 0, self.index_body() if index is None else index)
        digest = hashlib.sha256(self.data).digest()
        self.data += chunk(SEAL, 0, struct.pack("<8sQQQ32s", b"DFSEALED", at, rows, 0, digest))
        return self

    def write(self, path: Path) -> Path:
        """The file."""
        path.write_bytes(self.data)
        return path


def ticks(count: int, *, start_ns: int = NINE, instruments: Sequence[int] = (0, 1, 2),
          seed: int = 7, step_ns: int = 1_000_000) -> NDArray[Any]:  # fmt: skip
    """Ticks like a market's: both clocks, prices on a tick of 5 paise, volumes that grow."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, TICKS.dtype)
    rows["recv_ns"] = start_ns + np.cumsum(rng.integers(0, 2 * step_ns, count))
    rows["exch_ns"] = rows["recv_ns"] // 1_000_000_000 * 1_000_000_000
    rows["instrument"] = rng.choice(np.array(instruments, np.uint32), count)
    rows["price"] = 2_500_000 + 5 * np.cumsum(rng.integers(-3, 4, count))
    rows["bid"], rows["ask"] = rows["price"] - 5, rows["price"] + 5
    rows["qty"] = 75 * rng.integers(1, 20, count)
    rows["volume"] = np.cumsum(rows["qty"].astype(np.uint64))
    rows["bid_qty"], rows["ask_qty"] = 75 * rng.integers(0, 99, (2, count))
    rows["oi"] = 75 * rng.integers(0, 1 << 20, count)
    return rows


def depth(count: int, *, start_ns: int = NINE, seed: int = 8) -> NDArray[Any]:
    """Changes of levels."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, DEPTH.dtype)
    rows["recv_ns"] = start_ns + np.cumsum(rng.integers(0, 1_000_000, count))
    rows["exch_ns"] = rows["recv_ns"] - 1_000
    rows["seq"] = np.arange(count)
    rows["price"] = 2_500_000 + 5 * rng.integers(-20, 21, count)
    rows["qty"] = 75 * rng.integers(0, 99, count)
    rows["instrument"] = rng.integers(0, 3, count)
    rows["side"] = rng.choice(np.array([-1, 1], np.int8), count)
    return rows
