"""Dhan's packets as plain dictionaries: every field as it came, for people and for other programs.

Nothing hot is here. The steps over a message are those of the decoders, so what this shows is what
they see; there is no table of instruments, no snapping, and no state from packet to packet.
"""

from libc.stdint cimport int32_t, uint8_t

from dhanfast._core.wire.dhan cimport (
    FEED_LEVELS,
    DhanCode,
    DhanDay,
    DhanDecoder,
    DhanDisconnect,
    DhanFull,
    DhanHead,
    DhanLast,
    DhanLegacyDepth,
    DhanLevel,
    DhanOi,
    DhanPrevClose,
    DhanQuote,
    DhanTicker,
    dhan_decode,
    dhan_step,
)
from dhanfast._core.wire.dhan_depth cimport (
    DhanDepthHead,
    DhanRow,
    depth_reason,
    depth_rows,
    depth_step,
)
from dhanfast._core.types cimport ns_t
from dhanfast._core.wire.records cimport WireCount, WireOut, WireSink, WireStep, WireVerdict

from typing import NamedTuple

from dhanfast.errors import BadData

KINDS = {
    <int>DhanCode.TICKER: "ticker", <int>DhanCode.LEGACY_DEPTH: "legacy_depth",
    <int>DhanCode.QUOTE: "quote", <int>DhanCode.OI: "oi", <int>DhanCode.PREV_CLOSE: "prev_close",
    <int>DhanCode.MARKET_STATUS: "market_status", <int>DhanCode.FULL: "full",
    <int>DhanCode.DISCONNECT: "disconnect", <int>DhanCode.BID: "bid", <int>DhanCode.ASK: "ask",
}
_WHY = {
    <int>WireVerdict.UNKNOWN: "unknown code", <int>WireVerdict.TOO_SHORT: "length field too small",
    <int>WireVerdict.CUT_OFF: "cut short", <int>WireVerdict.NO_LENGTH: "no usable length",
    <int>WireVerdict.TAIL: "fewer bytes than a header",
}


class Skipped(NamedTuple):
    """Bytes of a message that are not in its packets.

    `code` is None when there was none. `lost` is False when the packet was stepped over whole, by
    its own length: nothing behind it was lost.
    """

    off: int
    size: int
    code: int | None
    why: str
    lost: bool


def feed_packets(frame):
    """The packets of one message of the live feed, and what was skipped.

    Args:
        frame: bytes, or another flat buffer.

    Returns:
        Two lists: dictionaries with `off`, `len`, `kind` and the fields of the packet, floats as
        they came (widened to double); and `Skipped`.
    """
    cdef const uint8_t[::1] view = frame if len(frame) else b"\0"
    cdef size_t size = len(frame)
    cdef size_t at = 0
    cdef WireStep found
    packets, skipped = [], []
    while at < size:
        found = dhan_step(&view[at], size - at)
        if found.verdict == WireVerdict.GOOD:
            packets.append({"off": at, "len": found.size, **_feed_fields(&view[at])})
        else:
            code = None if found.verdict == WireVerdict.TAIL else view[at]
            skipped.append(Skipped(at, found.step, code, _WHY[<int>found.verdict],
                                   found.verdict != WireVerdict.UNKNOWN))
        at += found.step
    return packets, skipped


def depth_packets(frame, int levels):
    """The packets of one message of a depth feed, and what was skipped.

    Args:
        frame: bytes, or another flat buffer.
        levels: 20 or 200.

    Returns:
        As `feed_packets`; `depth` holds every row that is there, unused ones too. Security ids are
        signed here, as the official client reads them.

    Raises:
        BadData: levels is neither.
    """
    if levels != 20 and levels != 200:
        raise BadData(f"levels is {levels}; Dhan's depth feeds have 20 or 200")
    cdef const uint8_t[::1] view = frame if len(frame) else b"\0"
    cdef size_t size = len(frame)
    cdef size_t at = 0
    cdef WireStep found
    packets, skipped = [], []
    while at < size:
        found = depth_step(&view[at], size - at)
        if found.verdict == WireVerdict.GOOD:
            packets.append({"off": at, "len": found.size,
                            **_depth_fields(&view[at], found.size, levels)})
        else:
            code = None if found.verdict == WireVerdict.TAIL else view[at + 2]
            skipped.append(Skipped(at, found.step, code, _WHY[<int>found.verdict],
                                   found.verdict != WireVerdict.UNKNOWN))
        at += found.step
    return packets, skipped


cdef dict _feed_fields(const uint8_t *at):
    cdef const DhanHead *head = <const DhanHead *>at
    cdef dict fields = {"kind": KINDS[head.code], "code": head.code, "length": head.length,
                        "segment": head.segment, "security_id": head.security_id}
    if head.code == DhanCode.TICKER:
        fields["ltp"] = (<const DhanTicker *>at).ltp
        fields["ltt"] = (<const DhanTicker *>at).ltt
    elif head.code == DhanCode.PREV_CLOSE:
        fields["prev_close"] = (<const DhanPrevClose *>at).prev_close
        fields["prev_oi"] = (<const DhanPrevClose *>at).prev_oi
    elif head.code == DhanCode.OI:
        fields["oi"] = (<const DhanOi *>at).oi
    elif head.code == DhanCode.QUOTE:
        _add_last(fields, &(<const DhanQuote *>at).last)
        _add_day(fields, &(<const DhanQuote *>at).day)
    elif head.code == DhanCode.FULL:
        _add_last(fields, &(<const DhanFull *>at).last)
        fields["oi"] = (<const DhanFull *>at).oi
        fields["oi_day_high"] = (<const DhanFull *>at).oi_day_high
        fields["oi_day_low"] = (<const DhanFull *>at).oi_day_low
        _add_day(fields, &(<const DhanFull *>at).day)
        fields["depth"] = _five(&(<const DhanFull *>at).depth[0])
    elif head.code == DhanCode.DISCONNECT:
        fields["reason"] = (<const DhanDisconnect *>at).reason
    elif head.code == DhanCode.LEGACY_DEPTH:
        fields["ltp"] = (<const DhanLegacyDepth *>at).ltp
        fields["depth"] = _five(&(<const DhanLegacyDepth *>at).depth[0])
    return fields


cdef object _add_last(dict fields, const DhanLast *last):
    fields.update(ltp=last.ltp, ltq=last.ltq, ltt=last.ltt, atp=last.atp, volume=last.volume,
                  total_sell_qty=last.total_sell_qty, total_buy_qty=last.total_buy_qty)


cdef object _add_day(dict fields, const DhanDay *day):
    fields.update(open=day.open, close=day.close, high=day.high, low=day.low)


cdef list _five(const DhanLevel *levels):
    cdef int i
    return [{"bid_qty": levels[i].bid_qty, "ask_qty": levels[i].ask_qty,
             "bid_orders": levels[i].bid_orders, "ask_orders": levels[i].ask_orders,
             "bid_price": levels[i].bid_price, "ask_price": levels[i].ask_price}
            for i in range(FEED_LEVELS)]


cdef dict _depth_fields(const uint8_t *at, size_t size, int levels):
    cdef const DhanDepthHead *head = <const DhanDepthHead *>at
    cdef const DhanRow *rows = <const DhanRow *>(at + sizeof(DhanDepthHead))
    cdef size_t i
    cdef dict fields = {"kind": KINDS[head.code], "code": head.code, "length": head.length,
                        "exchange_segment": head.segment,
                        "security_id": <int32_t>head.security_id}
    if head.code == DhanCode.DISCONNECT:
        fields["reason"] = depth_reason(head, size)
        return fields
    fields["type"] = "Bid" if head.code == DhanCode.BID else "Ask"
    fields["rows"] = head.rows
    fields["depth"] = [{"price": rows[i].price, "quantity": rows[i].qty, "orders": rows[i].orders}
                       for i in range(depth_rows(head, size, levels))]
    return fields


def decode_many(DhanDecoder decoder not None, frames, size_t frame_size, ns_t recv_ns):
    """Decode messages of one size that lie one after another; return the packets decoded.

    The records are dropped: this is the hot path without its caller, to be timed.

    Args:
        decoder: whose state and counters go on.
        frames: the bytes.
        frame_size: bytes of a message, a divisor of their number.
        recv_ns: of all of them, UTC ns.

    Raises:
        BadData: frame_size does not divide the bytes.
    """
    cdef const uint8_t[::1] view = frames
    cdef size_t size = len(frames)
    cdef size_t at = 0
    cdef size_t done
    cdef WireSink sink = decoder._sink
    cdef WireOut *out = &sink.out
    before = decoder.feed.counters.counts[<int>WireCount.PACKETS]
    if frame_size == 0 or size % frame_size:
        raise BadData(f"frame_size {frame_size} does not divide {size} bytes")
    with nogil:
        while at < size:
            done = 0
            while done < frame_size:
                done += dhan_decode(&decoder.feed, &view[0] + at + done, frame_size - done,
                                    recv_ns, out)
                if done < frame_size or out.tick_count > 128:
                    out.tick_count = out.row_count = out.stat_count = out.notice_count = 0
            at += frame_size
    out.tick_count = out.row_count = out.stat_count = out.notice_count = 0
    return decoder.feed.counters.counts[<int>WireCount.PACKETS] - before
