"""Golden frames, and memory that ends where a message ends."""

import ctypes
import json
import mmap
import struct
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "fixtures" / "dhan"
SINGLE = ("ticker", "prev_close", "oi", "quote", "full", "market_status", "disconnect",
          "legacy_depth")  # fmt: skip
FEED = (*SINGLE, "stream_mixed", "edge_cases")
DEPTH = ("depth20", "depth200", "depth_edge_cases")


@cache
def frames(name: str) -> list[bytes]:
    """The messages of a golden file."""
    data = (FOLDER / f"{name}.bin").read_bytes()
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


@cache
def cases(name: str) -> list[dict[str, Any]]:
    """What belongs to each message of a golden file."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    assert len(found) == len(frames(name))
    return found


class Guarded:
    """Messages that end at the end of readable memory: one byte beyond is a crash."""

    ROOM = 1 << 20

    def __init__(self) -> None:
        """Map the room and a page behind it that nobody may read."""
        page = mmap.PAGESIZE
        self._map = mmap.mmap(-1, self.ROOM + page)
        self._view = memoryview(self._map)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(start + self.ROOM), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, message: bytes) -> memoryview:
        """The message's bytes, the last one before the guard; valid until the next call."""
        start = self.ROOM - len(message)
        self._view[start : self.ROOM] = message
        return self._view[start : self.ROOM]
