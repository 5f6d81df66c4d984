"""A journal's records by the letter of docs/reference/journal-format.md: nothing of ours inside."""

import struct
from pathlib import Path

TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    TABLE.append(_byte)


def crc32c(data: bytes) -> int:
    """CRC-32C, a byte at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def record(seq: int, epoch: int, kind: int, payload: bytes, at_ns: int, flags: int = 0) -> bytes:
    """The bytes of one record."""
    rest = struct.pack("<QqHHI", seq, at_ns, kind, flags, epoch) + payload
    raw = struct.pack("<II", len(rest) + 8, crc32c(rest)) + rest
    return raw.ljust(-(-len(raw) // 8) * 8, b"\0")


def records(path: Path) -> list[tuple[int, int, int, bytes]]:
    """(kind, at_ns, seq, payload) of every record before the first that is not whole."""
    data = path.read_bytes()
    (epoch,) = struct.unpack_from("<I", data, 16)
    (at,) = struct.unpack_from("<I", data, 32)
    found: list[tuple[int, int, int, bytes]] = []
    while at + 32 <= len(data):
        length, crc, seq, at_ns, kind, _, whose = struct.unpack_from("<IIQqHHI", data, at)
        rest = data[at + 8 : at + length]
        if length < 32 or len(rest) != length - 8 or crc32c(rest) != crc:
            break
        if whose != epoch or seq != len(found) + 1:
            break
        found.append((kind, at_ns, seq, rest[24:]))
        at += -(-length // 8) * 8
    return found
