from typing import Any, Final, NamedTuple

from dhanfast._core.wire.dhan import DhanDecoder

KINDS: Final[dict[int, str]]

class Skipped(NamedTuple):
    off: int
    size: int
    code: int | None
    why: str
    lost: bool

def feed_packets(
    frame: bytes | bytearray | memoryview,
) -> tuple[list[dict[str, Any]], list[Skipped]]: ...
def depth_packets(
    frame: bytes | bytearray | memoryview, levels: int
) -> tuple[list[dict[str, Any]], list[Skipped]]: ...
def decode_many(
    decoder: DhanDecoder,
    frames: bytes | bytearray | memoryview,
    frame_size: int,
    recv_ns: int,
) -> int: ...
