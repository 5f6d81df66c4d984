"""Valid archives made invalid: what a disk, a wire or an enemy may do to a file.

A mutant with its checksums put right again reaches what lies behind them: the codec, the index, the
JSON. What a reader must answer is BadData, or the rows that scripts/archive-read finds in the same
bytes (it shares no line with the product).
"""

import hashlib
import json
import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dhanfast._core.archive.crc import crc32c
from dhanfast._core.archive.schema import BARS, DEPTH, FRAMES, TICKS, Stream

from ..storage.archive import plain_codec
from ..storage.archive.built import NOTE, Built, depth, ticks

HEAD_BYTES, SEAL_BYTES = 24, 88
ODD = Stream(7, "odd", np.dtype([("who", "<u4"), ("t", "<i8"), ("e", "<i8"), ("f", "<f4"),
                                 ("d", "<f8"), ("b", "i1"), ("h", "<u2"), ("q", "<u8")]),
             "who", "t", "e", scaling={"q": "qty"})  # fmt: skip
INTERESTING = [0, 1, 2, 7, 8, 127, 128, 255, 256, 511, 512, 513, 65_535, 65_536, 1 << 20,
               (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63,
               (1 << 64) - 1]  # fmt: skip


def _frames(rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], bytes]:
    said = [rng.bytes(int(n)) for n in rng.integers(0, 30, 20)]
    rows = np.zeros(20, FRAMES.dtype)
    rows["recv_ns"], rows["size"] = np.arange(20), [len(one) for one in said]
    return rows, b"".join(said)


def _by_the_codec(sealed: bool) -> bytes:
    rng = np.random.default_rng(5)
    built = Built((TICKS, DEPTH, FRAMES, BARS)).instruments("A", "B", "C")
    for part in range(3):
        built.block("ticks", ticks(60, seed=part))
        built.block("depth", depth(25, seed=part), built.seq + np.cumsum(rng.integers(1, 5, 25)))
        rows, blob = _frames(rng)
        built.block("frames", rows, blob=blob)
        built.json(NOTE, {"kind": "gap", "lost": part})
    built.block("ticks", ticks(700, instruments=[1], seed=9))
    return bytes((built.seal() if sealed else built).data)


def _key_width(body: bytes) -> int:
    """Bytes of a residual in the column of field 0, the key."""
    keys, columns = struct.unpack_from("<I", body, 4)[0], struct.unpack_from("<H", body, 48)[0]
    first = 56 + (4 * keys + 7) // 8 * 8
    entries = [struct.unpack_from("<4B", body, first + 40 * column) for column in range(columns)]
    return max((width for field, _, _, width in entries if field == 0), default=0)


def _by_the_page(sealed: bool) -> bytes:
    """Blocks of the plain encoder, which takes every freedom of the format."""
    rng = random.Random(3)
    stream = ODD.to_json()
    head = {"format": 1, "producer": "fuzz", "created_ns": 1, "day": None, "generated": True,
            "source": "fuzz", "streams": [stream]}  # fmt: skip
    listed = [{"index": number, "symbol": f"S{number}"} for number in (3, 70_000)]
    chunks = [plain_codec.chunk(2, 0, json.dumps(listed).encode())]
    for seed in range(40):
        rows = [
            [rng.choice([3, 70_000]), seed * 100 + n, rng.getrandbits(63), rng.getrandbits(32),
             rng.getrandbits(64), rng.randrange(-128, 128), rng.getrandbits(16), 25 * n]
            for n in range(30)
        ]  # fmt: skip
        seqs = [100 * seed + 2 * n for n in range(30)] if seed % 2 else None
        body = plain_codec.encode(stream, rows, 100 * seed, seqs, seed=seed)
        if _key_width(body) <= 4 and len(chunks) <= 6:  # no key is wider, and the codec refuses it
            chunks.append(plain_codec.chunk(3, stream["id"], body))
    return plain_codec.archive(head, chunks, sealed=sealed)


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid files, small enough for thousands of mutants a minute."""
    return tuple(make(sealed) for make in (_by_the_codec, _by_the_page) for sealed in (True, False))


def chunks_of(data: bytes | bytearray) -> list[tuple[int, int]]:
    """(offset, end of the body) of what looks like a chunk, sound or not."""
    found, at = [], 8
    while (at := data.find(b"DFCK", at)) >= 0:
        if at % 8 == 0 and at + HEAD_BYTES <= len(data):
            (length,) = struct.unpack_from("<Q", data, at + 8)
            found.append((at, min(at + HEAD_BYTES + length, len(data))))
        at += 4
    return found


def put_right(data: bytearray) -> None:
    """Make checksums, index and seal fit the bytes again."""
    places = chunks_of(data)
    for at, end in places:
        if data[at + 4] == 5 and end - at == SEAL_BYTES:
            index = [place for place, _ in places if data[place + 4] == 4 and place < at]
            if index:
                struct.pack_into("<Q", data, at + HEAD_BYTES + 8, index[-1])
            data[end - 32 : end] = hashlib.sha256(data[:at]).digest()
        struct.pack_into("<I", data, at + 16, crc32c(bytes(data[at + HEAD_BYTES : end])))
        struct.pack_into("<I", data, at + 20, crc32c(bytes(data[at : at + 20])))


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _number(data: bytearray, rng: random.Random, first: int = 0, end: int | None = None) -> None:
    size = rng.choice([1, 2, 4, 8])
    last = (len(data) if end is None else end) - size
    if last >= first:
        at = rng.randrange(first, last + 1)
        value = rng.choice([*INTERESTING, rng.getrandbits(64)])
        data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _splice(data: bytearray, rng: random.Random) -> None:
    """A piece of a file over, into or out of another one; often whole chunks."""
    other = rng.choice([bytes(data), *seeds()])
    if rng.random() < 0.6:
        at, end = rng.choice(chunks_of(other) or [(0, 8)])
        piece = other[at : (end + 7) & ~7]
    else:
        at = rng.randrange(len(other))
        piece = other[at : at + rng.choice([1, 8, 64, 4096])]
    places = chunks_of(data) or [(8, 8)]
    to = rng.choice(places)[0] if rng.random() < 0.6 else rng.randrange(len(data) + 1)
    data[to : to + rng.choice([0, len(piece), rng.randrange(4096)])] = piece


def _zeros(data: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.choice([8, 64, 512])
    data[at : at + size] = bytes(min(size, len(data) - at))


def _block_number(data: bytearray, rng: random.Random) -> None:
    """A number in the head or the directory of a block."""
    blocks = [(at, end) for at, end in chunks_of(data) if data[at + 4] == 3]
    if blocks:
        at, end = rng.choice(blocks)
        begin = at + HEAD_BYTES
        for _ in range(rng.choice([1, 1, 2, 3])):
            _number(data, rng, begin, min(begin + rng.choice([56, 400, 1_000]), end))


def _index_number(data: bytearray, rng: random.Random) -> None:
    places = [(at, end) for at, end in chunks_of(data) if data[at + 4] in (4, 5)]
    if places:
        at, end = rng.choice(places)
        _number(data, rng, at + HEAD_BYTES, end)


def _entries(data: bytearray, rng: random.Random) -> None:
    """Directory entries of a block changed places, or one stands twice."""
    blocks = [(at, end) for at, end in chunks_of(data) if data[at + 4] == 3 and end - at > 200]
    if blocks:
        at, _ = rng.choice(blocks)
        (keys,) = struct.unpack_from("<I", data, at + HEAD_BYTES + 4)
        first = at + HEAD_BYTES + 56 + (4 * (keys & 0xFF) + 7) // 8 * 8
        one, two = (first + 40 * rng.randrange(8) for _ in range(2))
        a, b = data[one : one + 40], data[two : two + 40]
        data[two : two + 40] = a
        if rng.random() < 0.5:
            data[one : one + 40] = b


def _words(data: bytearray, rng: random.Random) -> None:
    """A JSON chunk with another value somewhere."""
    texts = [(at, end) for at, end in chunks_of(data) if data[at + 4] in (1, 2, 6)]
    if texts:
        at, end = rng.choice(texts)
        try:
            value = json.loads(bytes(data[at + HEAD_BYTES : end]))
        except (ValueError, RecursionError):
            return
        body = json.dumps(_changed(value, rng)).encode()
        new = bytearray(data[at : at + HEAD_BYTES]) + body + bytes(-len(body) % 8)
        struct.pack_into("<Q", new, 8, len(body))
        data[at : (end + 7) & ~7] = new


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {key: kept for key, kept in value.items() if key != name}
        return value | {name: _changed(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    return rng.choice([None, True, -1, 0, 1, 4, 1 << 32, 1 << 64, 1e308, "", "A", "price", "i8",
                       "u4", "ticks", [], {}, [[]], "x" * 300])  # fmt: skip


KINDS: dict[str, Callable[[bytearray, random.Random], None]] = {
    "flip": _flip, "number": _number, "truncate": _truncate, "splice": _splice, "zeros": _zeros,
    "block": _block_number, "index": _index_number, "entries": _entries, "words": _words,
}  # fmt: skip


def mutant(seed: int) -> tuple[bytes, str]:
    """A file made of a number, and how it was made; the same number gives the same file."""
    rng = random.Random(seed)
    data = bytearray(rng.choice(seeds()))
    kinds = [rng.choice(list(KINDS)) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    for kind in kinds:
        if data:
            KINDS[kind](data, rng)
    fixed = rng.random() < 0.7
    if fixed:
        put_right(data)
    return bytes(data), "+".join(kinds) + (", checksums right" if fixed else "")
