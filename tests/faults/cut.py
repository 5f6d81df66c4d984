"""A journal as the death of its writer leaves it: nothing behind its last record."""

import struct
from pathlib import Path

MARKS_AT, OPEN = 144, 1  # of the header: end and number of the last record on the disk, pid, state


def cut_behind(path: Path, record: int) -> None:
    """Forget what was written behind a record."""
    data = path.read_bytes()
    (at,) = struct.unpack_from("<I", data, 32)
    for _ in range(record):
        (length,) = struct.unpack_from("<I", data, at)
        assert length >= 32, f"record {record} is not there"
        at += -(-length // 8) * 8
    synced_end, synced_seq, pid, _ = struct.unpack_from("<QQQQ", data, MARKS_AT)
    head = bytearray(data[:at])
    struct.pack_into("<QQQQ", head, MARKS_AT, min(synced_end, at), min(synced_seq, record),
                     pid, OPEN)  # fmt: skip
    path.write_bytes(head)
