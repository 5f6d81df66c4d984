"""Full packets of the live feed, as `dhanfast bench latency` sends and expects them."""

import struct
from typing import Final

SEGMENT: Final = 2
TRADED_ID: Final = 1001
FILLERS: Final = 49
FULL: Final = struct.Struct("<BHBIfHIfIIIIIIffff")
LEVEL: Final = struct.Struct("<IIHHff")
IST_S: Final = 19_800


def full_packet(security_id: int, utc_s: int, price: float, volume: int) -> bytes:
    """A full packet of the live feed with five levels around a price."""
    head = FULL.pack(
        8, 162, SEGMENT, security_id, price, 30, utc_s + IST_S, price, volume, 10, 20, 500, 600,
        400, price, price, price, price,
    )  # fmt: skip
    levels = b"".join(
        LEVEL.pack(300, 300, 3, 3, price - 0.2 * (n + 1), price + 0.2 * (n + 1)) for n in range(5)
    )
    return head + levels
