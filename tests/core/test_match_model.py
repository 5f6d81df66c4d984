"""The sim exchange against a slow model written from its rules in words (see match.pyx).

The model keeps plain lists and sorts them at every event. A twin exchange is fed the same orders
but skips every bar its quiet band allows: it must report exactly the same.
"""

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate

from .match_model import IOC, LIMIT, MARKET, SESSION, SL, SLM, TICK, Model, Plain

rules_tables = st.fixed_dictionaries({
    "latency_ns": st.sampled_from([0, 7, 25, 90]), "slippage": st.sampled_from([0, 3, 10]),
    "slippage_e6": st.sampled_from([0, 2_000]), "protection_e4": st.sampled_from([0, 100, 1_000]),
    "volume_share_e4": st.sampled_from([0, 0, 5_000]), "limit_through": st.booleans(),
    "stop_market_ok": st.sampled_from([True, True, False]),
    "protection_slab": st.sampled_from([False, False, True]),
})  # fmt: skip
on_tick = st.integers(194, 206).map(lambda ticks: ticks * TICK)
anywhere = st.one_of(on_tick, on_tick, on_tick, st.integers(880, 1_120))
lots = st.one_of(st.sampled_from([10, 20, 30]), st.sampled_from([10, 20, 60, 70, 15]))
sizes = st.sampled_from([0, 5, 10, 25, 40, 100])


class Exchanges(RuleBasedStateMachine):
    """Requests common to both kinds of market data."""

    tick_mode = False

    @initialize(rules=rules_tables)
    def open(self, rules: dict[str, Any]) -> None:
        if rules["protection_slab"]:
            rules["protection_e4"] = 0
        if rules["protection_e4"] and rules["slippage_e6"] > rules["protection_e4"] * 100:
            rules["slippage_e6"] = 0
        self.gate = Gate()
        self.real, self.twin = Match(self.gate, **rules), Match(self.gate, **rules)
        self.model = Model(rules)
        self.now, self.next_id, self.bar, self.skipped = 100, 1, {}, 0
        for match in (self.real, self.twin):
            match.start_session(0, SESSION)

    @rule(side=st.sampled_from([1, -1]), kind=st.sampled_from([LIMIT, MARKET, SL, SLM, LIMIT]),
          price=anywhere, away=st.integers(0, 4), qty=lots, group=st.sampled_from([0, 0, 1, 2]),
          ioc=st.sampled_from([False, False, False, True]))  # fmt: skip
    def submit(self, side: int, kind: int, price: int, away: int, qty: int, group: int,
               ioc: bool) -> None:  # fmt: skip
        trigger = price if kind in (SL, SLM) else 0
        limit = {LIMIT: price, MARKET: 0, SL: price + side * away * TICK, SLM: 0}[kind]
        fields = {"id": self.next_id, "side": side, "kind": kind, "price": limit, "qty": qty,
                  "trigger": trigger, "group": group, "validity": IOC if ioc else 0,
                  "created_ns": self.now}  # fmt: skip
        approved = self.gate.check(fields, mark=1_000)
        self.model.submit(
            Plain(self.next_id, side, kind, limit, trigger, qty, group, ioc), self.now
        )
        for match in (self.real, self.twin):
            match.submit_order(approved, self.now)
        self.next_id += 1
        self.compare()

    @precondition(lambda self: self.model.orders)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        order_id = sorted(self.model.orders)[pick % len(self.model.orders)]
        self.model.cancel(order_id, self.now)
        for match in (self.real, self.twin):
            match.cancel_order(order_id, self.now)
        self.compare()

    @precondition(lambda self: self.model.orders)
    @rule(pick=st.integers(0, 99), price=anywhere, away=st.integers(-1, 4), qty=lots,
          same=st.booleans())  # fmt: skip
    def modify(self, pick: int, price: int, away: int, qty: int, same: bool) -> None:
        o = self.model.orders[sorted(self.model.orders)[pick % len(self.model.orders)]]
        trigger = price if o.kind in (SL, SLM) else 0
        limit = {LIMIT: price, MARKET: 0, SL: price + o.side * away * TICK, SLM: 0}[o.kind]
        if same:
            limit, trigger = o.price, o.trigger
        self.model.modify(o.id, (limit, trigger, qty), self.now)
        for match in (self.real, self.twin):
            match.modify_order(o.id, price=limit, trigger=trigger, qty=qty, now_ns=self.now)
        self.compare()

    def compare(self) -> None:
        want: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        seen: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for report in self.model.reports:
            want[report[0]].append(report)
        self.model.reports.clear()
        got = self.real.reports()
        for row in got[["order_id", "time_ns", "price", "qty", "left", "kind", "reason"]].tolist():
            seen[row[0]].append(row)
        assert seen == want
        assert (self.twin.reports() == got).all()
        mine = {o.id: (o.left, o.state.upper()) for o in self.model.orders.values()}
        assert {id: (o["left"], o["state"]) for id, o in self.real.working().items()} == mine
        assert self.real.stalls == 0 and self.real.live == len(mine)


class Ticks(Exchanges):
    """Trades, quotes and depth."""

    @rule(step=st.integers(0, 40), price=st.one_of(st.just(0), on_tick), qty=sizes, bid=on_tick,
          spread=st.integers(1, 3), bid_qty=sizes, ask_qty=sizes,
          sides=st.sampled_from(["both", "none", "none", "bid", "ask"]))  # fmt: skip
    def tick(self, step: int, price: int, qty: int, bid: int, spread: int, bid_qty: int,
             ask_qty: int, sides: str) -> None:  # fmt: skip
        self.now += step
        record = {"recv_ns": self.now, "price": price, "qty": qty,
                  "bid": bid if sides in ("both", "bid") else 0, "bid_qty": bid_qty,
                  "ask": bid + spread * TICK if sides in ("both", "ask") else 0,
                  "ask_qty": ask_qty}  # fmt: skip
        self.model.tick(record)
        for match in (self.real, self.twin):
            match.on_tick(record)
        self.compare()

    @rule(step=st.integers(0, 40), bid=on_tick, spread=st.integers(1, 3),
          buys=st.lists(st.tuples(st.integers(1, 2), sizes), max_size=4),
          sells=st.lists(st.tuples(st.integers(1, 2), sizes), max_size=4))  # fmt: skip
    def depth(self, step: int, bid: int, spread: int, buys: list[tuple[int, int]],
              sells: list[tuple[int, int]]) -> None:  # fmt: skip
        self.now += step
        bids, asks, low, high = [], [], bid + TICK, bid + (spread - 1) * TICK
        for gap, qty in buys:
            low -= gap * TICK
            bids.append((low, qty))
        for gap, qty in sells:
            high += gap * TICK
            asks.append((high, qty))
        self.model.depth(bids, asks, self.now)
        for match in (self.real, self.twin):
            match.on_depth(0, bids, asks, self.now)
        self.compare()


class Bars(Exchanges):
    """Bars, in two parts, with requests in between."""

    @precondition(lambda self: not self.bar)
    @rule(prices=st.lists(st.integers(970, 1_030), min_size=4, max_size=4),
          volume=st.sampled_from([0, 30, 200]))  # fmt: skip
    def bar_opens(self, prices: list[int], volume: int) -> None:
        low, *between, high = sorted(prices)
        self.bar = {"start_ns": self.now, "open": between[0], "close": between[1], "low": low,
                    "high": high, "volume": volume}  # fmt: skip
        if prices[0] > prices[1]:
            self.bar |= {"open": between[1], "close": between[0]}
        self.apply("open")

    @precondition(lambda self: self.bar)
    @rule()
    def bar_ends(self) -> None:
        self.apply("range")
        self.now += 60
        self.bar = {}

    def apply(self, part: str) -> None:
        end = self.bar["start_ns"] + 60
        getattr(self.model, f"bar_{part}")(self.bar, end)
        self.real.on_bar(self.bar, end, part=part)
        low, high = self.twin.quiet_band(0)
        if not (self.bar["low"] > low and self.bar["high"] < high):
            self.twin.on_bar(self.bar, end, part=part)
        self.compare()


TestTicks, TestBars = Ticks.TestCase, Bars.TestCase
TestTicks.settings = TestBars.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
