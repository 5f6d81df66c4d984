"""One class a format: rows to bytes and back, on one thread, at the settings that suit it best.

`best` chooses among settings by size on the first rows, before anything is timed. `encode` takes
rows and gives bytes (a list of them counts as one), `decode` gives columns or rows, whichever the
format's own library gives first. `check` says whether every field came back.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import zstandard

Rows = np.ndarray[Any, Any]
SAMPLE = 262_144
PART = 65_536


def size_of(made: Any) -> int:
    """Bytes of what `encode` gave."""
    return sum(map(len, made)) if isinstance(made, list) else len(made)


class Format:
    """What the formats have in common."""

    name = ""
    needs: tuple[str, ...] = ()  # distributions
    keeps = "all fields"

    def __init__(self, rows: Rows) -> None:
        self.dtype = rows.dtype
        self.names = rows.dtype.names or ()
        self.best(rows[:SAMPLE])

    def best(self, sample: Rows) -> None:
        """Choose settings."""

    def encode(self, rows: Rows) -> Any:
        """Rows to bytes."""
        raise AssertionError("each format has its own")

    def decode(self, made: Any) -> Any:
        """Bytes to columns {name: array} or rows."""
        raise AssertionError("each format has its own")

    def as_records(self, columns: dict[str, Rows]) -> Rows:
        """Columns put together as packed records."""
        rows = np.empty(len(columns[self.names[0]]), self.dtype)
        for name in self.names:
            rows[name] = columns[name]
        return rows

    def check(self, rows: Rows, made: Any) -> bool:
        """Whether everything the format keeps is as it was."""
        found = self.decode(made)
        return all(np.array_equal(found[name], rows[name]) for name in self.names)


class RawZstd(Format):
    """The structs as they are, one zstd frame."""

    name, needs = "raw struct + zstd", ("zstandard",)

    def encode(self, rows: Rows) -> bytes:
        return zstandard.ZstdCompressor(level=9).compress(rows.tobytes())

    def decode(self, made: bytes) -> Rows:
        return np.frombuffer(zstandard.ZstdDecompressor().decompress(made), self.dtype)


class DeltaZstd(Format):
    """Columns of numpy: difference, byte planes apart, zstd; each column with or without."""

    name, needs = "numpy delta columns + zstd", ("zstandard",)

    def best(self, sample: Rows) -> None:
        self.delta = {}
        for name in self.names:
            sizes = [len(self._column(sample[name], delta)) for delta in (False, True)]
            self.delta[name] = sizes[1] < sizes[0]

    def _column(self, values: Rows, delta: bool) -> bytes:
        values = np.ascontiguousarray(values)
        unsigned = values.view(f"<u{values.itemsize}")
        if delta:
            signed = np.diff(unsigned, prepend=unsigned.dtype.type(0)).view(f"<i{values.itemsize}")
            bits = 8 * values.itemsize - 1
            unsigned = ((signed << 1) ^ (signed >> bits)).view(unsigned.dtype)
        planes = unsigned.view(np.uint8).reshape(len(values), -1).T
        return zstandard.ZstdCompressor(level=9).compress(np.ascontiguousarray(planes))

    def encode(self, rows: Rows) -> list[bytes]:
        return [self._column(rows[name], self.delta[name]) for name in self.names]

    def decode(self, made: list[bytes]) -> dict[str, Rows]:
        columns = {}
        for name, raw in zip(self.names, made, strict=True):
            kind = self.dtype[name]
            planes = np.frombuffer(zstandard.ZstdDecompressor().decompress(raw), np.uint8)
            values = np.ascontiguousarray(planes.reshape(kind.itemsize, -1).T)
            unsigned = values.view(f"<u{kind.itemsize}").reshape(-1)
            if self.delta[name]:
                one = unsigned.dtype.type(1)
                unsigned = (unsigned >> one) ^ (~(unsigned & one) + one)
                unsigned = np.cumsum(unsigned, dtype=unsigned.dtype)
            columns[name] = unsigned.view(kind)
        return columns


class Parquet(Format):
    """pyarrow: zstd, and for each column the encoding that makes it smallest."""

    name, needs = "Parquet zstd", ("pyarrow",)

    def best(self, sample: Rows) -> None:
        chosen: dict[str, str] = {}
        for name in self.names:
            sizes = {}
            for encoding in ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "DICTIONARY"):
                self.encodings = {name: encoding}
                sizes[encoding] = len(self._write(sample, (name,)))
            chosen[name] = min(sizes, key=lambda one: sizes[one])
        self.encodings = chosen

    def _write(self, rows: Rows, names: tuple[str, ...]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({name: np.ascontiguousarray(rows[name]) for name in names})
        plain = {n: e for n, e in self.encodings.items() if e != "DICTIONARY" and n in names}
        sink = io.BytesIO()
        pq.write_table(
            table, sink, compression="zstd", compression_level=9, column_encoding=plain or None,
            use_dictionary=[n for n in names if n not in plain], row_group_size=1 << 20,
            write_statistics=False,
        )  # fmt: skip
        return sink.getvalue()

    def encode(self, rows: Rows) -> bytes:
        return self._write(rows, self.names)

    def decode(self, made: bytes) -> dict[str, Rows]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(pa.BufferReader(made), use_threads=False)
        return {name: table[name].to_numpy() for name in self.names}


class ArrowIpc(Format):
    """Arrow's own file format, zstd."""

    name, needs = "Arrow IPC zstd", ("pyarrow",)

    def encode(self, rows: Rows) -> bytes:
        import pyarrow as pa

        table = pa.table({name: np.ascontiguousarray(rows[name]) for name in self.names})
        sink = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 9), use_threads=False)
        with pa.ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=1 << 18)
        return sink.getvalue()

    def decode(self, made: bytes) -> dict[str, Rows]:
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(use_threads=False)
        table = pa.ipc.open_file(pa.BufferReader(made), options=options).read_all()
        return {name: table[name].to_numpy() for name in self.names}


class Pcodec(Format):
    """pcodec, a column at a time."""

    name, needs = "pcodec", ("pcodec",)

    def encode(self, rows: Rows) -> list[bytes]:
        from pcodec import ChunkConfig, standalone

        config = ChunkConfig()
        return [
            standalone.simple_compress(np.ascontiguousarray(rows[name]), config)
            for name in self.names
        ]

    def decode(self, made: list[bytes]) -> dict[str, Rows]:
        from pcodec import standalone

        return {
            name: standalone.simple_decompress(raw)
            for name, raw in zip(self.names, made, strict=True)
        }


class Blosc2(Format):
    """blosc2 with zstd, a column at a time; for each the filters that make it smallest."""

    name, needs = "blosc2 zstd", ("blosc2",)

    def best(self, sample: Rows) -> None:
        import blosc2

        blosc2.set_nthreads(1)
        filters = blosc2.Filter
        shuffles = ([filters.SHUFFLE], [filters.BITSHUFFLE])
        choices = (
            *shuffles,
            *([filters.DELTA, *shuffle] for shuffle in shuffles),
            [filters.SHUFFLE, filters.BYTEDELTA],
        )
        self.filters = {}
        for name in self.names:
            column = np.ascontiguousarray(sample[name])
            sizes = [len(self._column(column, choice)) for choice in choices]
            self.filters[name] = choices[int(np.argmin(sizes))]

    def _column(self, values: Rows, filters: list[Any]) -> bytes:
        import blosc2

        made = blosc2.compress2(
            values, typesize=values.itemsize, codec=blosc2.Codec.ZSTD, clevel=7, filters=filters,
            filters_meta=[values.itemsize if f == blosc2.Filter.BYTEDELTA else 0 for f in filters],
            nthreads=1,
        )  # fmt: skip
        assert isinstance(made, bytes)
        return made

    def encode(self, rows: Rows) -> list[bytes]:
        return [
            self._column(np.ascontiguousarray(rows[name]), self.filters[name])
            for name in self.names
        ]

    def decode(self, made: list[bytes]) -> dict[str, Rows]:
        import blosc2

        return {
            name: np.frombuffer(blosc2.decompress2(raw, nthreads=1), self.dtype[name])
            for name, raw in zip(self.names, made, strict=True)
        }


HFT_EVENT = np.dtype([
    ("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"),
    ("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8"),
])  # fmt: skip


class HftNpz(Format):
    """hftbacktest's .npz of 64-byte events, numpy's own zip; one event a tick."""

    name, keeps = "hftbacktest npz", "times, price, quantity"

    def encode(self, rows: Rows) -> bytes:
        events = np.zeros(len(rows), HFT_EVENT)
        events["ev"], events["exch_ts"], events["local_ts"] = (
            0xE0000002,
            rows["exch_ns"],
            rows["recv_ns"],
        )
        events["px"], events["qty"] = rows["price"] * 0.05, rows["qty"]
        sink = io.BytesIO()
        np.savez_compressed(sink, data=events)
        return sink.getvalue()

    def decode(self, made: bytes) -> Rows:
        events: Rows = np.load(io.BytesIO(made))["data"]
        return events

    def check(self, rows: Rows, made: Any) -> bool:
        found = self.decode(made)
        return np.array_equal(found["local_ts"], rows["recv_ns"]) and np.array_equal(
            found["qty"], rows["qty"]
        )


MBP1 = np.dtype([
    ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"),
    ("ts_event", "<u8"), ("price", "<i8"), ("size", "<u4"), ("action", "S1"), ("side", "S1"),
    ("flags", "u1"), ("depth", "u1"), ("ts_recv", "<u8"), ("ts_in_delta", "<i4"),
    ("sequence", "<u4"), ("bid_px", "<i8"), ("ask_px", "<i8"), ("bid_sz", "<u4"),
    ("ask_sz", "<u4"), ("bid_ct", "<u4"), ("ask_ct", "<u4"),
])  # fmt: skip


class Dbn(Format):
    """Databento's binary encoding, MBP-1 records of 80 bytes in one zstd frame; its own reader."""

    name, needs, keeps = "DBN zstd", ("databento",), "all but volume and OI"

    def best(self, sample: Rows) -> None:
        import databento_dbn as dbn

        self.metadata = bytes(
            dbn.Metadata(
                dataset="XNAS.ITCH", schema=dbn.Schema.MBP_1, start=0,
                stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
                symbols=[], partial=[], not_found=[], mappings=[],
            ).encode()
        )  # fmt: skip

    def encode(self, rows: Rows) -> bytes:
        made = np.zeros(len(rows), MBP1)
        made["length"], made["rtype"], made["publisher_id"] = MBP1.itemsize // 4, 1, 1
        made["action"], made["side"] = b"T", b"N"
        pairs = {"ts_event": "exch_ns", "ts_recv": "recv_ns", "price": "price", "size": "qty",
                 "bid_px": "bid", "ask_px": "ask", "bid_sz": "bid_qty", "ask_sz": "ask_qty",
                 "instrument_id": "instrument"}  # fmt: skip
        for theirs, ours in pairs.items():
            if ours in self.names:
                made[theirs] = rows[ours]
        made["price"] *= 10_000_000
        made["bid_px"] *= 10_000_000
        made["ask_px"] *= 10_000_000
        return zstandard.ZstdCompressor(level=9).compress(self.metadata + made.tobytes())

    def decode(self, made: bytes) -> Rows:
        import databento

        found: Rows = databento.DBNStore.from_bytes(made).to_ndarray()
        return found

    def check(self, rows: Rows, made: Any) -> bool:
        found = self.decode(made)
        return np.array_equal(found["ts_recv"], rows["recv_ns"]) and np.array_equal(
            found["size"], rows["qty"]
        )


PEERS: tuple[type[Format], ...] = (
    DeltaZstd,
    Parquet,
    ArrowIpc,
    RawZstd,
    Pcodec,
    Blosc2,
    HftNpz,
    Dbn,
)
