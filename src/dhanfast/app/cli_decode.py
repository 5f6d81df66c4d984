"""`dhanfast decode`: the packets of recorded raw frames, one line each."""

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import click

from dhanfast.errors import CheckFailed

Packets = tuple[list[dict[str, Any]], list[Any]]
PROTOCOLS = ("dhan", "dhan-depth20", "dhan-depth200")
MESSAGE_MAX = 16 * 1024 * 1024  # a larger length is not a length
REPORTS_MAX = 20  # lines about skipped bytes; the rest is counted
SEGMENTS = {0: "IDX_I", 1: "NSE_EQ", 2: "NSE_FNO", 3: "NSE_CURRENCY", 4: "BSE_EQ",
            5: "MCX_COMM", 7: "BSE_CURRENCY", 8: "BSE_FNO"}  # fmt: skip


@click.command(epilog="Example: dhanfast decode dhan frames.bin --framed --json | head")
@click.argument("protocol", type=click.Choice(PROTOCOLS))
@click.argument("file", metavar="FILE")
@click.option(
    "--framed",
    is_flag=True,
    help="Each message has its length before it, 4 bytes, little endian. Without: the file is one "
    "message, packets back to back.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a packet.")
def decode(protocol: str, file: str, framed: bool, as_json: bool) -> None:
    """Show the packets of a broker's raw frames in FILE; - is standard input.

    Values are as they came: floats not rounded, LTT in India's wall clock, unused levels too. What
    was skipped goes to standard error; exit code 6 when bytes were lost for it.
    """
    tally = Tally()
    out = sys.stdout.buffer
    show = _as_json() if as_json else _as_text
    with _opened(file) as source:
        reader = _framed(source, tally) if framed else _whole(source)
        packets_of = _decoder(protocol)
        for number, message in enumerate(reader):
            packets, skipped = packets_of(message)
            tally.messages += 1
            tally.packets += len(packets)
            for packet in packets:
                out.write(show({"i": number, **packet}))
            for gap in skipped:
                tally.skip(number, gap.off, gap.size, _reason(gap), gap.lost)
            if not framed and tally.lost and next(_frames_of(message), None):
                click.echo("the file looks framed: try --framed", err=True)
    out.flush()
    tally.report()


class Tally:
    """What was read and what was not."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.messages = self.packets = self.stepped = self.lost = self.lost_bytes = 0

    def skip(self, message: int, off: int, size: int, why: str, lost: bool) -> None:
        """Count bytes that gave no packet, and say so for the first of them."""
        if self.stepped + self.lost < REPORTS_MAX:
            click.echo(f"message {message}, offset {off}: {size} bytes skipped: {why}", err=True)
        self.lost += lost
        self.lost_bytes += size if lost else 0
        self.stepped += not lost

    def report(self) -> None:
        """Sum up on standard error.

        Raises:
            CheckFailed: bytes were lost.
        """
        text = f"{self.packets} packets in {self.messages} messages"
        if self.stepped:
            text += f"; {self.stepped} of unknown codes stepped over"
        if self.lost:
            raise CheckFailed(f"{text}; {self.lost} places lost, {self.lost_bytes} bytes")
        click.echo(text, err=True)


def _reason(gap: Any) -> str:
    return gap.why if gap.code is None else f"{gap.why} (code {gap.code})"


def _decoder(protocol: str) -> Callable[[bytes], Packets]:
    from dhanfast._core.wire.dhan_packets import depth_packets, feed_packets

    if protocol == "dhan":
        return feed_packets
    levels = int(protocol.removeprefix("dhan-depth"))
    return lambda message: depth_packets(message, levels)


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")


def _whole(source: BinaryIO) -> Iterator[bytes]:
    yield source.read()


def _framed(source: BinaryIO, tally: Tally) -> Iterator[bytes]:
    number = 0
    while head := source.read(4):
        size = int.from_bytes(head, "little")
        if len(head) < 4 or size > MESSAGE_MAX:
            rest = len(head) + _drain(source)
            why = "a torn length" if len(head) < 4 else f"a message of {size} bytes cannot be"
            tally.skip(number, 0, rest, f"{why}: the rest of the file is not read", True)
            return
        message = source.read(size)
        if len(message) < size:
            click.echo(
                f"message {number}: the file ends {size - len(message)} bytes early", err=True
            )
            tally.lost += 1
        yield message
        number += 1


def _drain(source: BinaryIO) -> int:
    """Bytes left."""
    left = 0
    while block := source.read(1 << 20):
        left += len(block)
    return left


def _frames_of(data: bytes) -> Iterator[int]:
    """The number of frames, when the bytes are frames to the last one."""
    at = count = 0
    while at + 4 <= len(data):
        at += 4 + struct.unpack_from("<I", data, at)[0]
        count += 1
    if at == len(data) and count:
        yield count


def _as_json() -> Callable[[dict[str, Any]], bytes]:
    import msgspec

    encode = msgspec.json.Encoder().encode
    return lambda packet: encode(packet) + b"\n"


def _as_text(packet: dict[str, Any]) -> bytes:
    """One line: where, what, whose, then the fields, a level as price x quantity (orders)."""
    fields = dict(packet)
    where = f"{fields.pop('i')}:{fields.pop('off')}"
    segment = fields.pop("segment", None)
    if segment is None:
        segment = fields.pop("exchange_segment")
    whose = f"{SEGMENTS.get(segment, segment)}:{fields.pop('security_id')}"
    kind = fields.pop("kind")
    for name in ("code", "length", "len", "type"):
        fields.pop(name, None)
    depth = fields.pop("depth", [])
    words = [where, kind, whose, *(f"{name}={value:.10g}" for name, value in fields.items())]
    words += [_level(level) for level in depth]
    return " ".join(words).encode() + b"\n"


def _level(level: dict[str, Any]) -> str:
    if "price" in level:
        return f"{level['price']:.10g}x{level['quantity']}({level['orders']})"
    return (
        f"{level['bid_price']:.10g}x{level['bid_qty']}({level['bid_orders']})"
        f"|{level['ask_price']:.10g}x{level['ask_qty']}({level['ask_orders']})"
    )
