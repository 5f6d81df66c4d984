from typing import Any, Final, NamedTuple

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
