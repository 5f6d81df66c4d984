"""Blocks and files written by hand from docs/reference/archive-format.md: slow, and for tests only.

The encoder takes every freedom the format gives (predictors, references, scales, exceptions,
codings), chosen by a seed, so that a reader meets all of them. Nothing of dhanfast is imported.
"""

import hashlib
import json
import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

MASK = (1 << 64) - 1
TABLE = list(range(256))
for _ in range(8):
    TABLE = [(entry >> 1) ^ (0x82F63B78 if entry & 1 else 0) for entry in TABLE]


def crc32c(data: bytes, value: int = 0) -> int:
    """CRC-32C of `data`, going on from the CRC of what came before it."""
    crc = value ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def chunk(kind: int, stream: int, body: bytes) -> bytes:
    """A whole chunk."""
    head = struct.pack("<4sBBHQI", b"DFCK", kind, 0, stream, len(body), crc32c(body))
    return head + struct.pack("<I", crc32c(head)) + body + bytes(-len(body) % 8)


def signed(value: int) -> int:
    """A number modulo 2^64 as the signed one it stands for."""
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


@dataclass
class Made:
    """A column ready for a block: its field, directory entry, bytes, and the base it used."""

    field: int
    entry: bytes
    raw: bytes
    base: int


def column(
    field: int,
    values: Sequence[int],
    keys: Sequence[int],
    rng: random.Random,
    *,
    predictor: int,
    refers: tuple[int, Sequence[int], int] | None = None,
    scale: tuple[int, Sequence[int]] | None = None,
    changes: list[int] | None = None,
    bit: int = 0,
) -> Made:
    """One field; with a `bit`, rows whose residual is 0 are left out and `changes` says which."""
    base = rng.choice([0, values[0] & MASK, rng.getrandbits(64)]) if scale is None else 0
    if predictor == 0 and scale is None:
        base = values[0] & MASK
    w = refers[1] if refers else [0] * len(values)
    last: dict[int, tuple[int, int]] = {}
    deltas = []
    for value, key, other in zip(values, keys, w, strict=True):
        slot = key if predictor in (2, 4) else 0
        before, w_before = last.get(slot, (base, refers[2] if refers else 0))
        start = base if predictor == 0 else before + other - w_before
        deltas.append(signed(value - start))
        last[slot] = (value, other)
    own = max(1, math.gcd(*deltas)) if scale is None and rng.random() < 0.7 else 1
    own = own if own <= MASK >> 1 else 1
    steps = scale[1] if scale else [own] * len(values)
    zigzags, plain = [], rng.random() < 0.4  # plain: not zig-zag
    for delta, step in zip(deltas, steps, strict=True):
        assert delta % step == 0
        r = delta // step
        zigzags.append((r if plain else (r << 1) ^ (r >> 63)) & MASK)
    if changes is not None and bit:
        for row, z in enumerate(zigzags):  # a set bit with a residual of 0 is allowed as well
            changes[row] |= (z != 0 or rng.random() < 0.1) << (bit - 1)
        zigzags = [z for z, row in zip(zigzags, changes, strict=True) if row >> (bit - 1) & 1]
    codes = (predictor, refers[0] if refers else 0, scale[0] if scale else 0, bit, 2 * plain)
    return packed(field, zigzags, rng, codes, base, own, low=rng.choice([0, 0, 1, 3, 8, 17, 32]))


def packed(
    field: int,
    zigzags: list[int],
    rng: random.Random,
    codes: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0),
    base: int = 0,
    own: int = 1,
    *,
    low: int = 0,
    exceptions: bool = True,
    widest: int = 8,
) -> Made:
    """Residuals as planes, low bits and exceptions, compressed or not, with the entry."""
    predictor, refers, scale, bit, unsigned = codes
    needed = [((z >> low).bit_length() + 7) // 8 for z in zigzags] or [0]
    widths = [max(needed), min(needed), sorted(needed)[len(needed) // 2], widest]
    width = rng.choice(widths if exceptions else widths[::3])
    odd = [place for place, z in enumerate(zigzags) if needed[place] > width]
    plain = [0 if place in odd else z for place, z in enumerate(zigzags)]
    raw = b"".join(bytes(z >> low >> 8 * plane & 255 for z in plain) for plane in range(width))
    raw += struct.pack(f"<{len(odd)}I", *odd)
    raw += struct.pack(f"<{len(odd)}Q", *(zigzags[place] for place in odd))
    number = sum((z & (1 << low) - 1) << n * low for n, z in enumerate(plain))
    bits = number.to_bytes((len(zigzags) * low + 7) // 8 + 8, "little") if low else b""
    coding = rng.randrange(2)
    stored = zstandard.ZstdCompressor(level=3).compress(raw) if coding else raw
    entry = struct.pack(
        "<BBBBBBBBIIIIQQ", field, predictor, refers, width, coding | unsigned, scale, low, bit,
        len(odd), len(stored), len(raw), len(bits), base, own,
    )  # fmt: skip
    return Made(field, entry, stored + bits, base)


def key_scales(stream: dict[str, Any], rows: Sequence[Sequence[int]], group: str) -> dict[int, int]:
    """The largest step that divides every change (and first value) of a group's fields, a key."""
    names = [name for name, _ in stream["fields"]]
    place = names.index(stream["key"])
    fields = [n for n, name in enumerate(names) if stream["scaling"].get(name) == group]
    last: dict[tuple[int, int], int] = {}
    found: dict[int, int] = {}
    for row in rows:
        for field in fields:
            delta = signed(row[field] - last.get((row[place], field), 0))
            found[row[place]] = math.gcd(found.get(row[place], 0), delta)
            last[row[place], field] = row[field]
    return {key: step if 0 < step <= MASK >> 1 else 1 for key, step in found.items()}


def encode(
    stream: dict[str, Any],
    rows: Sequence[Sequence[int]],
    first_seq: int,
    seqs: Sequence[int] | None = None,
    blob: bytes = b"",
    seed: int = 0,
) -> bytes:
    """The body of a ROWS chunk; rows are values in the order of the fields, floats as bits."""
    rng = random.Random(seed)
    names = [name for name, _ in stream["fields"]]
    key_at = names.index(stream["key"]) if stream["key"] else -1
    keys = [row[key_at] if stream["key"] else 0 for row in rows]
    key_list = sorted(set(keys)) if stream["key"] else []
    parts: list[Made] = []
    scales: dict[str, dict[int, int]] = {}
    for field, group in ((253, "price"), (254, "qty")):
        if key_list and group in stream["scaling"].values() and rng.random() < 0.6:
            scales[group] = key_scales(stream, rows, group)
            steps = [scales[group].get(key, 1) for key in key_list]
            parts.append(column(field, steps, key_list, rng, predictor=1))
    if len(key_list) > 1:
        numbers = [key_list.index(key) for key in keys]
        parts.append(packed(key_at, numbers, rng, exceptions=False, widest=4))
    changes, bits, where = [0] * len(rows), iter(range(1, 65)), len(parts)
    done: list[tuple[int, Sequence[int], int]] = []
    for field in rng.sample(range(len(names)), len(names)):
        values = [row[field] for row in rows]
        if field == key_at or (not any(values) and rng.random() < 0.5):
            continue
        group = stream["scaling"].get(names[field])
        how: dict[str, Any] = {"changes": changes, "bit": rng.choice([0, next(bits)])}
        if group in scales:
            how["scale"] = (1 if group == "price" else 2, [scales[group][key] for key in keys])
            how["predictor"] = 2
        else:
            how["predictor"] = rng.randrange(5 if done else 3)
            how["refers"] = rng.choice(done) if how["predictor"] >= 3 else None
        parts.append(column(field, values, keys, rng, **how))
        done.append((field, values, parts[-1].base))
    if any(changes) or any(made.entry[7] for made in parts):
        parts.insert(where, packed(251, changes, rng, exceptions=False))
    if seqs is not None:
        parts.append(column(255, seqs, keys, rng, predictor=1))
    if stream["blob"]:
        stored = zstandard.ZstdCompressor().compress(blob)
        entry = struct.pack("<BBBBBBBBIIIIQQ", 252, 0, 0, 0, 1, 0, 0, 0, 0, len(stored), len(blob),
                            0, 0, 1)  # fmt: skip
        parts.append(Made(252, entry, stored, 0))
    spans = []
    for role in ("time", "event"):
        values = [row[names.index(stream[role])] for row in rows] if stream[role] else [0]
        spans += [min(values), max(values)]
    head = struct.pack("<IIQqqqqHHI", len(rows), len(key_list), first_seq, *spans, len(parts), 0, 0)
    table = struct.pack(f"<{len(key_list)}I", *key_list) + bytes(-4 * len(key_list) % 8)
    return b"".join([head, table, *(made.entry for made in parts), *(made.raw for made in parts)])


def archive(head: dict[str, Any], chunks: Sequence[bytes], *, sealed: bool = False) -> bytes:
    """A whole file of ready chunks."""
    data = b"DFARCH1\n" + chunk(1, 0, json.dumps(head).encode())
    entries, keys, total, count = b"", b"", 0, 0
    for each in chunks:
        kind, stream, length = struct.unpack_from("<4xBxHQ", each)
        if kind == 3:
            at = 24
            rows, many, seq, *spans = struct.unpack_from("<IIQqqqq", each, at)
            entries += struct.pack("<QQIHHQqqqqIIQ", len(data), length, rows, stream, 0, seq,
                                   *spans, many, len(keys) // 4, 0)  # fmt: skip
            keys += each[at + 56 : at + 56 + 4 * many]
            total, count = total + rows, count + 1
        data += each
    if sealed:
        index_at = len(data)
        data += chunk(4, 0, struct.pack("<Q", count) + entries + keys)
        digest = hashlib.sha256(data).digest()
        data += chunk(5, 0, struct.pack("<8sQQQ32s", b"DFSEALED", index_at, total, 0, digest))
    return data
