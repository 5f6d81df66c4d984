"""The decoder again, written for reading: struct, fractions, dictionaries."""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

Key = tuple[int, int]
SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
F32_ERROR, F64_ERROR = Fraction("6.1e-8"), Fraction("1e-12")
PARTS_MAX = 10**10


def steps(frame: bytes) -> Iterator[tuple[str, int, int]]:
    """(verdict, offset, size) of every packet and gap, by section 19.4 of the specification."""
    at = 0
    while at < len(frame):
        left = len(frame) - at
        if left < 8:
            yield "tail", at, left
            return
        code, length = struct.unpack_from("<BH", frame, at)
        known = SIZES.get(code, 0)
        possible = 8 <= length <= left
        if known and left == known:
            step, verdict = known, "good"
        elif possible and length < known:
            step, verdict = length, "short"
        elif possible:
            step, verdict = length, "good" if known else "unknown"
        elif known and known <= left:
            step, verdict = known, "good"
        else:
            step, verdict = left, "cut" if known else "lost"
        yield verdict, at, step
        at += step


def snap(price: float, tick: int, error: Fraction = F32_ERROR) -> int | None:
    """Paise; None when this cannot be a price."""
    if not math.isfinite(price) or price < 0 or price * 100 / tick > PARTS_MAX / tick:
        return None
    ticks = Fraction(price) * 100 / tick
    whole = math.floor(ticks + Fraction(1, 2))
    if abs(ticks - whole) <= ticks * error + Fraction("1e-6"):
        return whole * tick
    return math.floor(Fraction(price) * 100 + Fraction(1, 2))


def book_of(raw: bytes, tick: int) -> list[list[tuple[int, int, int]]] | None:
    """Bids and asks as sent: (price, qty, orders); None when a price with a quantity is none."""
    sides: list[list[tuple[int, int, int]]] = [[], []]
    for level in struct.iter_unpack("<IIHHff", raw):
        for side in (0, 1):
            price = snap(level[4 + side], tick)
            if price is None and level[side]:
                return None
            sides[side].append((price or 0, level[side], level[2 + side]))
    return sides


def valid_side(levels: list[tuple[int, int, int]], sign: int) -> list[tuple[int, int, int]] | None:
    """The levels with a quantity; None when they are not a side of a book."""
    kept = [level for level in levels if level[1]]
    prices = [sign * level[0] for level in kept]
    falling = all(a > b for a, b in pairwise(prices))
    return kept if falling and all(level[0] > 0 for level in kept) else None


class SlowDecoder:
    """Ticks, stats and notices as dictionaries; the book as it stands after each packet."""

    def __init__(self, instruments: dict[Key, tuple[int, int]]) -> None:
        """Args: instruments: (segment, security id) -> (instrument, tick)."""
        self.instruments = instruments
        self.states: dict[Key, dict[str, Any]] = {}
        self.ticks: list[dict[str, int]] = []
        self.stats: list[dict[str, int]] = []
        self.notices: list[dict[str, int]] = []
        self.books: dict[int, list[list[tuple[int, int, int]]]] = {}

    def decode(self, frame: bytes, recv_ns: int) -> None:
        """One message."""
        for verdict, at, _ in steps(frame):
            if verdict == "good":
                self._packet(frame[at : at + SIZES[frame[at]]], recv_ns)

    def _packet(self, raw: bytes, recv_ns: int) -> None:
        code, _, segment, security = struct.unpack_from("<BHBI", raw)
        body, key = raw[8:], (segment, security)
        if code in (7, 50):
            reason = struct.unpack("<H", body)[0] if code == 50 else 0
            self.notices.append({"recv_ns": recv_ns, "code": code, "segment": segment,
                                 "security_id": security, "reason": reason})  # fmt: skip
            return
        if key not in self.instruments:
            return
        instrument, tick = self.instruments[key]
        state = self.states.setdefault(key, {
            "exch": 0, "volume": None, "last": None, "ltq": 0, "ltt": 0, "oi": 0,
            "day": dict.fromkeys(("open", "high", "low", "close", "prev_close", "total_buy_qty",
                                  "total_sell_qty", "avg_price_bits", "prev_oi", "oi_high",
                                  "oi_low"), 0)})  # fmt: skip
        before = dict(state["day"])
        reader = {2: self._ticker, 3: self._legacy, 4: self._quote, 5: self._oi, 8: self._full}
        if code == 6:
            price = snap(struct.unpack_from("<f", body)[0], tick)
            if price is not None:
                state["day"].update(prev_close=price, prev_oi=struct.unpack_from("<I", body, 4)[0])
        else:
            reader[code](body, state, key, recv_ns)
        if state["day"] != before:
            self.stats.append({"exch_ns": state["exch"], "recv_ns": recv_ns, **state["day"],
                               "band_low": 0, "band_high": 0, "instrument": instrument,
                               "flags": 0})  # fmt: skip

    def _emit(self, state: dict[str, Any], key: Key, recv_ns: int, **more: int) -> None:
        self.ticks.append({
            "exch_ns": state["exch"], "recv_ns": recv_ns, "price": 0, "bid": 0, "ask": 0,
            "volume": state["volume"] or 0, "instrument": self.instruments[key][0], "qty": 0,
            "bid_qty": 0, "ask_qty": 0, "oi": state["oi"], "flags": 0, **more})  # fmt: skip

    def _oi(self, body: bytes, state: dict[str, Any], key: Key, recv_ns: int) -> None:
        (state["oi"],) = struct.unpack("<I", body)
        self._emit(state, key, recv_ns)

    def _trade(self, state: dict[str, Any], key: Key, recv_ns: int, last: tuple[float, int, int],
               rose: bool = False, timed: bool = True) -> dict[str, int]:  # fmt: skip
        """What a packet's last trade adds to its tick."""
        ltp, ltt, ltq = last
        price, flags = snap(ltp, self.instruments[key][1]) or 0, 0
        if timed:
            state["exch"] = (ltt - 19800) * 10**9 if ltt else 0
            if not ltt and key[0] == 0:
                state["exch"], flags = recv_ns, 4
        bits = struct.pack("<f", ltp)
        new = (state["last"] is None or rose or state["last"] != bits or state["ltt"] != ltt
               or ltq not in (0, state["ltq"]))  # fmt: skip
        first = state["last"] is None
        state.update(last=bits, ltt=ltt, ltq=ltq or state["ltq"])
        if not (price and new and (ltt or key[0] == 0)):
            return {"flags": flags}
        return {"price": price, "qty": ltq, "flags": flags | first}

    def _ticker(self, body: bytes, state: dict[str, Any], key: Key, recv_ns: int) -> None:
        ltp, ltt = struct.unpack("<fI", body)
        if snap(ltp, self.instruments[key][1]) is not None:
            self._emit(state, key, recv_ns, **self._trade(state, key, recv_ns, (ltp, ltt, 0)))

    def _legacy(self, body: bytes, state: dict[str, Any], key: Key, recv_ns: int) -> None:
        (ltp,) = struct.unpack_from("<f", body)
        book = book_of(body[4:], self.instruments[key][1])
        if snap(ltp, self.instruments[key][1]) is not None and book is not None:
            trade = self._trade(state, key, recv_ns, (ltp, state["ltt"] or 1, 0), timed=False)
            self._emit(state, key, recv_ns, **trade, **self._book(key, book))

    def _quote(self, body: bytes, state: dict[str, Any], key: Key, recv_ns: int) -> None:
        self._day(body, body[26:42], None, state, key, recv_ns)

    def _full(self, body: bytes, state: dict[str, Any], key: Key, recv_ns: int) -> None:
        self._day(body, body[38:54], body[54:], state, key, recv_ns)

    def _day(self, body: bytes, prices: bytes, levels: bytes | None, state: dict[str, Any],
             key: Key, recv_ns: int) -> None:  # fmt: skip
        tick = self.instruments[key][1]
        ltp, ltq, ltt, average, volume, sells, buys = struct.unpack_from("<fHIIIII", body)
        ohlc = [snap(price, tick) for price in struct.unpack("<ffff", prices)]
        book = book_of(levels, tick) if levels is not None else [[], []]
        if snap(ltp, tick) is None or None in ohlc or book is None:
            return
        more: dict[str, int] = {}
        if levels is not None:
            state["oi"], high, low = struct.unpack_from("<III", body, 26)
            state["day"].update(oi_high=high, oi_low=low)
            more = self._book(key, book)
        seen, state["volume"] = state["volume"], volume
        rose = seen is not None and volume > seen
        trade = self._trade(state, key, recv_ns, (ltp, ltt, ltq), rose)
        if seen is not None and volume - seen > 0xFFFF:
            trade["flags"] |= 2
        state["day"].update(open=ohlc[0], close=ohlc[1], high=ohlc[2], low=ohlc[3],
                            total_buy_qty=buys, total_sell_qty=sells,
                            avg_price_bits=average)  # fmt: skip
        self._emit(state, key, recv_ns, **trade, **more)

    def _book(self, key: Key, book: list[list[tuple[int, int, int]]]) -> dict[str, int]:
        self.books[self.instruments[key][0]] = book
        found = {}
        for name, side in zip(("bid", "ask"), book, strict=True):
            price, qty, _ = side[0]
            there = price > 0 and qty > 0
            found.update({name: price if there else 0, f"{name}_qty": qty if there else 0})
        return found
