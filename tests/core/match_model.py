"""A slow model of the sim exchange, written from its rules in words (see match.pyx)."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any

from dhanfast._core.types import OrderKind, RejectReason, ReportKind, Validity

LIMIT, MARKET, SL, SLM = (int(kind) for kind in OrderKind)
IOC = int(Validity.IOC)
ACC, REJ, FILL, CAN, EXP, TRIG = (int(kind) for kind in ReportKind)
R = RejectReason
LOT, TICK, FREEZE = 10, 5, 60
CLOSE = 100_000
SESSION = {"open_ns": 100, "close_ns": CLOSE, "lot": LOT, "tick": TICK, "freeze": FREEZE,
           "band_low": 900, "band_high": 1_100, "date": 20240102}  # fmt: skip


def slab_e4(premium: int) -> int:
    """Protection of a premium in paise, 1e-4."""
    return next(e4 for end, e4 in ((10, 500), (100, 300), (500, 200), (inf, 100))
                if premium < end * 100)  # fmt: skip


@dataclass
class Plain:
    """One order as the model sees it."""

    id: int
    side: int
    kind: int
    price: int
    trigger: int
    qty: int
    group: int
    ioc: bool
    left: int = 0
    gone: int = 0
    state: str = "sent"
    limit: float = 0
    priced: bool = True
    taker: bool = False
    queue: float = inf  # inf: unknown
    active: int = 0
    arrival: int = 0
    share: dict[int, int] = field(default_factory=dict)


def within(price: float, limit: float, side: int, through: bool = False) -> bool:
    return (limit - price) * side > 0 or (price == limit and not through)


def worse(a: float, b: float, side: int) -> float:
    return max(a, b) if side > 0 else min(a, b)


def better(a: float, b: float, side: int) -> float:
    return worse(a, b, -side)


def against(price: float, side: int) -> int:
    up = ceil if side > 0 else floor
    return max(TICK, up(Fraction(price) / TICK) * TICK)


class Model:
    """The rules, in words made runnable; one instrument."""

    def __init__(self, rules: dict[str, Any]) -> None:
        self.rules = rules
        self.orders: dict[int, Plain] = {}
        self.requests: list[tuple[int, str, int, tuple[int, int, int], R]] = []
        self.reports: list[tuple[int, ...]] = []
        self.last = self.bid = self.ask = 0
        self.bid_qty = self.ask_qty = 0
        self.bids_left: list[float] = []
        self.asks_left: list[float] = []
        self.quoted = self.ticking = False
        self.arrivals = 0

    def say(self, o: Plain, kind: int, time: int, price: float = 0, qty: int = 0,
            reason: int = 0) -> None:  # fmt: skip
        self.reports.append((o.id, time, int(price), qty, o.left, kind, int(reason)))

    def end(self, o: Plain, kind: int, time: int, reason: int = 0) -> None:
        o.left = 0
        self.say(o, kind, time, reason=reason)
        self.orders.pop(o.id)

    # -- requests --

    def overtaken(self, trigger: int, side: int) -> R:
        gone = trigger > 0 and self.last > 0 and (self.last - trigger) * side > 0
        return R.TRIGGER_SIDE if gone else R.NONE

    def submit(self, o: Plain, now: int) -> None:
        o.left = o.qty
        self.orders[o.id] = o
        self.send("new", o.id, (o.price, o.trigger, o.qty), self.overtaken(o.trigger, o.side), now)

    def cancel(self, order_id: int, now: int) -> None:
        self.send("cancel", order_id, (0, 0, 0), R.NONE, now)

    def modify(self, order_id: int, values: tuple[int, int, int], now: int) -> None:
        o = self.orders[order_id]
        refusal = R.NONE if o.state == "working" else self.overtaken(values[1], o.side)
        self.send("modify", order_id, values, refusal, now)

    def send(self, what: str, order_id: int, values: tuple[int, int, int], refusal: R,
             now: int) -> None:  # fmt: skip
        self.requests.append((now + self.rules["latency_ns"], what, order_id, values, refusal))
        if self.rules["latency_ns"] == 0:
            self.arrive(now)

    def law(self, o: Plain, price: int, trigger: int, qty: int, time: int) -> R:
        if not SESSION["open_ns"] <= time < SESSION["close_ns"]:
            return R.CLOSED
        if o.kind == SLM and not self.rules["stop_market_ok"]:
            return R.KIND_REFUSED
        if qty <= 0 or qty % LOT:
            return R.QTY_LOT
        if qty > FREEZE:
            return R.QTY_FREEZE
        for value in (price, trigger):
            if value % TICK:
                return R.PRICE_TICK
            if value and not SESSION["band_low"] <= value <= SESSION["band_high"]:
                return R.PRICE_BAND
        if o.kind == SL and (price - trigger) * o.side < 0:
            return R.TRIGGER_SIDE
        return R.NONE

    def arrive(self, until: int) -> None:
        while self.requests and self.requests[0][0] <= until:
            due, what, order_id, values, refusal = self.requests.pop(0)
            o = self.orders.get(order_id)
            if o is None:
                if what != "new":
                    self.reports.append((order_id, due, 0, 0, 0, REJ, int(R.STALE_ORDER)))
            elif what == "cancel":
                self.end(o, CAN, due)
            elif what == "new":
                opposite = self.ask if o.side > 0 else self.bid
                reason = self.law(o, *values, due) or refusal
                if not reason and o.kind == MARKET and self.ticking and not self.last:
                    reason = R.NONE if opposite else R.NO_MARKET
                if reason:
                    self.end(o, REJ, due, reason)
                    continue
                self.say(o, ACC, due)
                self.put(o, due)
            else:
                self.change(o, values, refusal, due)

    def change(self, o: Plain, values: tuple[int, int, int], refusal: R, due: int) -> None:
        triggered = o.state == "working" and o.kind in (SL, SLM)
        reason = self.law(o, *values, due) or (R.NONE if triggered else refusal)
        if not reason and values[2] <= o.gone:
            reason = R.STALE_ORDER
        if reason:
            self.say(o, REJ, due, reason=reason)
            return
        moved = values[0] != o.price or (not triggered and values[1] != o.trigger)
        keeps = not moved and values[2] <= o.qty
        o.price, o.trigger, o.qty = values
        o.left = o.qty - o.gone
        self.say(o, ACC, due)
        if keeps:
            return
        if triggered:
            self.arrivals += 1
            o.arrival, o.active = self.arrivals, due
            o.limit = o.price or o.limit
            self.work(o)
        else:
            self.put(o, due)

    def put(self, o: Plain, now: int) -> None:
        self.arrivals += 1
        o.arrival, o.active, o.limit, o.priced = self.arrivals, now, o.price, True
        if o.kind in (SL, SLM):
            o.state = "waiting"
            return
        if o.kind == MARKET and o.price == 0:
            o.priced, o.limit = False, o.side * inf
            if o.side < 0:
                o.limit = 0
        self.work(o)
        if not o.priced and self.last:
            self.set_price(o, self.last)

    def work(self, o: Plain) -> None:
        o.state, o.taker = "working", True
        best, shown = (self.bid, self.bid_qty) if o.side > 0 else (self.ask, self.ask_qty)
        if not self.quoted or best == 0 or within(best, o.limit, o.side, True):
            o.queue = 0
        else:
            o.queue = shown if best == o.limit else inf
        opposite = self.ask if o.side > 0 else self.bid
        marketable = opposite and within(opposite, o.limit, o.side)
        if self.quoted and not o.ioc and not marketable:
            self.rest(o)

    def set_price(self, o: Plain, price: float) -> None:
        o.priced, o.limit = True, inf if o.side > 0 else 0
        if self.rules["protection_e4"] or self.rules.get("protection_slab"):
            share = self.rules["protection_e4"] or slab_e4(int(price))
            raw = int(price) + o.side * (int(price) * share // 10_000)
            inward = floor if o.side > 0 else ceil
            limit = max(TICK, inward(Fraction(raw) / TICK) * TICK)
            o.limit = min(max(limit, SESSION["band_low"]), SESSION["band_high"])
        self.work(o)

    # -- shared --

    def ranked(self, side: int) -> list[Plain]:
        mine = [o for o in self.orders.values() if o.state == "working" and o.side == side]
        return sorted(mine, key=lambda o: (-o.limit * side, o.arrival))

    def stops(self, side: int) -> list[Plain]:
        mine = [o for o in self.orders.values() if o.state == "waiting" and o.side == side]
        return sorted(mine, key=lambda o: (o.trigger * side, o.arrival))

    def trigger(self, o: Plain, price: float, time: int) -> None:
        self.say(o, TRIG, time)
        self.arrivals += 1
        o.arrival, o.limit = self.arrivals, o.price
        if o.kind == SLM:
            self.set_price(o, price)
        else:
            self.work(o)

    def cost(self, o: Plain, price: float) -> float:
        if o.taker and o.kind != LIMIT:
            slip = self.rules["slippage"] + ceil(
                Fraction(price) * self.rules["slippage_e6"] / 10**6
            )
            price = max(TICK, price + o.side * slip)
        return better(against(price, o.side), o.limit, o.side)

    def part(self, qty: float) -> float:
        share = self.rules["volume_share_e4"]
        return inf if not share or qty == inf else int(qty) * share // 10_000

    def fill(self, o: Plain, qty: float, price: float, time: int) -> int:
        got = o.left if qty >= o.left else int(qty) // LOT * LOT
        if got <= 0:
            return 0
        o.left -= got
        o.gone += got
        self.say(o, FILL, time, price, got)
        for other in [x for x in self.orders.values() if o.group and x.group == o.group]:
            if other is o:
                continue
            if other.left <= got:
                self.end(other, CAN, time)
            else:
                other.left -= got
                other.gone += got
                self.say(other, ACC, time)
        if o.left == 0:
            self.orders.pop(o.id)
        return got

    def end_ioc(self, time: int) -> None:
        for o in [o for o in self.orders.values() if o.ioc and o.state == "working"]:
            self.end(o, EXP, max(time, o.active))

    def rest(self, o: Plain) -> None:
        """Only an order with a limit of its own can rest."""
        o.taker = o.taker and o.limit in (0, inf)

    def price_waiting(self, buy: int, sell: int, now: int) -> None:
        for o in [o for o in self.orders.values() if o.state == "working" and not o.priced]:
            price = buy if o.side > 0 else sell
            if price:
                self.set_price(o, price)
            else:
                self.end(o, REJ, now, R.NO_MARKET)

    def through(self, o: Plain) -> bool:
        return bool(self.rules["limit_through"] and not (o.taker and o.kind != LIMIT))

    # -- ticks --

    def tick(self, t: dict[str, int]) -> None:
        now = t["recv_ns"]
        self.arrive(now)
        self.ticking = True
        self.last = t["price"] or self.last
        quotes = bool(t["bid"] or t["ask"])
        self.price_waiting(
            self.last or t["ask"] or self.ask, self.last or t["bid"] or self.bid, now
        )
        if t["price"]:
            for side in (1, -1):
                for o in self.stops(side):
                    if o.id in self.orders and within(o.trigger, self.last, side):
                        self.trigger(o, self.last, now)
            for side in (1, -1):
                self.trade(side, t["price"], t["qty"], quotes or self.quoted, now)
        if quotes:
            self.quoted = True
            self.bid, self.ask = t["bid"], t["ask"]
            self.bid_qty, self.ask_qty = t["bid_qty"], t["ask_qty"]
            self.bids_left, self.asks_left = [t["bid_qty"] or inf], [t["ask_qty"] or inf]
            self.queues(1, [(self.bid, self.bid_qty)] if self.bid else [])
            self.queues(-1, [(self.ask, self.ask_qty)] if self.ask else [])
        if self.quoted:
            self.take(1, [self.ask] if self.ask else [], self.asks_left, now)
            self.take(-1, [self.bid] if self.bid else [], self.bids_left, now)
        self.end_ioc(now)

    def trade(self, side: int, price: int, qty: int, quoted: bool, now: int) -> None:
        offered: float = qty or inf
        for o in self.ranked(side):
            if o.id not in self.orders or (o.taker and quoted):
                continue
            if not within(price, o.limit, side):
                self.rest(o)
                continue
            if o.taker:
                room, paid = offered, self.cost(o, price)
            elif price != o.limit:
                room, paid = inf, o.limit
            else:
                ahead, paid = o.queue, o.limit
                if qty and ahead != inf:
                    o.queue = max(0, ahead - qty)
                if ahead == inf or self.rules["limit_through"]:
                    room = 0
                elif qty:
                    room = max(0, offered - ahead)
                else:
                    room = 0 if ahead else inf
            got = self.fill(o, min(room, self.part(qty or inf)), paid, now)
            offered = max(0, offered - got)

    def queues(self, side: int, levels: list[tuple[int, int]]) -> None:
        for o in self.ranked(side):
            shown = dict(levels).get(int(o.limit) if o.limit != inf else -1)
            if shown is not None:
                o.queue = min(o.queue, shown) if shown else o.queue
            elif not levels or within(levels[-1][0], o.limit, side, True):
                o.queue = 0

    def take(self, side: int, prices: list[int], left: list[float], now: int) -> None:
        for o in self.ranked(side):
            if o.id not in self.orders:
                continue
            slow = bool(self.rules["limit_through"]) and not o.taker
            if not prices or not within(prices[0], o.limit, side, slow):
                self.rest(o)
                continue
            for level, price in enumerate(prices):
                if o.left == 0 or not within(price, o.limit, side, slow):
                    break
                paid = self.cost(o, price) if o.taker else o.limit
                left[level] -= self.fill(o, min(left[level], self.part(left[level])), paid, now)

    def depth(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]], now: int) -> None:
        self.arrive(now)
        self.ticking = self.quoted = True
        self.bid, self.bid_qty = bids[0] if bids else (0, 0)
        self.ask, self.ask_qty = asks[0] if asks else (0, 0)
        self.price_waiting(self.last or self.ask, self.last or self.bid, now)
        self.queues(1, bids)
        self.queues(-1, asks)
        self.asks_left = [qty for _, qty in asks]
        self.bids_left = [qty for _, qty in bids]
        self.take(1, [price for price, _ in asks], self.asks_left, now)
        self.take(-1, [price for price, _ in bids], self.bids_left, now)
        self.end_ioc(now)

    # -- bars --

    def bar_fill(self, o: Plain, price: float, b: dict[str, int], time: int) -> None:
        room: float = o.left
        if self.rules["volume_share_e4"] and b["volume"]:
            room = min(room, self.part(b["volume"]) - o.share.get(b["start_ns"], 0))
        got = self.fill(o, room, self.cost(o, price), time)
        o.share[b["start_ns"]] = o.share.get(b["start_ns"], 0) + got

    def bar_open(self, b: dict[str, int], end: int) -> None:
        start, first = b["start_ns"], b["open"]
        self.arrive(start)
        self.price_waiting(first, first, start)
        for side in (1, -1):
            for o in self.stops(side):
                if within(o.trigger, first, side) and o.active <= start:
                    self.trigger(o, first, start)
        for side in (1, -1):
            for o in self.ranked(side):
                if o.id not in self.orders or o.active > start:
                    continue
                if within(first, o.limit, side, self.through(o)):
                    rested = o.kind == LIMIT and o.active < start
                    self.bar_fill(o, o.limit if rested else first, b, start)
                else:
                    self.rest(o)
        self.end_ioc(start)
        self.inside(b, end)

    def inside(self, b: dict[str, int], end: int) -> None:
        self.arrive(end - 1)
        for side in (1, -1):
            for o in self.ranked(side):
                if o.id not in self.orders or not o.taker or not (o.kind == MARKET or o.ioc):
                    continue
                gone = Fraction(max(0, o.active - b["start_ns"]), end - b["start_ns"])
                edge = b["high"] if side > 0 else b["low"]
                # Rounded to the paisa away from the open first, then to the tick.
                price = b["open"] + side * ceil(abs(edge - b["open"]) * gone)
                if not o.priced:
                    self.set_price(o, price)
                if within(price, o.limit, side, self.through(o)):
                    self.bar_fill(o, price, b, max(o.active, b["start_ns"]))
                else:
                    self.rest(o)
        self.end_ioc(b["start_ns"])

    def bar_range(self, b: dict[str, int], end: int) -> None:
        self.inside(b, end)
        start, time = b["start_ns"], end - 1
        for side in (1, -1):
            for o in self.stops(side):
                if o.id in self.orders and within(
                    o.trigger, b["high" if side > 0 else "low"], side
                ):
                    price = worse(o.trigger, b["open"], side)
                    self.trigger(o, price, time)
                    if within(price, o.limit, side):
                        self.bar_fill(o, price, b, time)
                    else:
                        self.rest(o)
        for side in (1, -1):
            best, worst = ("low", "high") if side > 0 else ("high", "low")
            for o in self.ranked(side):
                if o.id not in self.orders:
                    continue
                early = o.active <= start
                if not within(b[best] if early else b["close"], o.limit, side, self.through(o)):
                    continue
                if not early:
                    price = better(o.limit, b[worst], side)
                elif within(b["open"], o.limit, side, self.through(o)):
                    price = b["open"]
                else:
                    price = o.limit
                self.bar_fill(o, price, b, time)
        self.end_ioc(time)
