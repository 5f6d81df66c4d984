"""A structure of legs at the exchange on loopback: real bytes out, its answers and updates back.

LegLoop ──native bytes──▶ wires ──▶ ExchangeCore ◀── minutes of a generated chain
        ◀──answers, updates── wires ◀──┘
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import IntentKind, Origin, Outcome
from dhanfast._core.types import SESSION_DTYPE, OrderFlag
from dhanfast.brokers.dhan.answers import order_seen, update_from
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.exchange import core
from dhanfast.exchange.answers import Fate
from dhanfast.exchange.contracts import Contract, Contracts
from dhanfast.exchange.history import History
from dhanfast.exchange.market import NO_ROWS, GeneratedMarket, Records, trading_day
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.market.tickday import tick_day
from tests.core.live.leg_world import LegWorld
from tests.core.live.plain_broker import Held, Message

from .market import DAY, FROM_NS, SYMBOL, UNTIL_NS
from .wires import meaning, parsed

TAG = "dfl"
MS, SECOND = 1_000_000, 1_000_000_000
STRIKES = 5
WINDOW_S = 900


@lru_cache(maxsize=4)
def chain_of(seed: int) -> tuple[list[Contract], NDArray[Any]]:
    """Contracts by our numbers (0 the index, calls, puts, the future), and the day's ticks by
    them."""
    kinds = ["IDX", "CE", "PE", "FUT"]
    day = tick_day(SYMBOL, DAY, seed=seed, strikes=STRIKES, instruments=kinds)
    ticks = np.concatenate([batch.ticks for batch in day])
    listed = {one.symbol: one for one in GeneratedMarket(SYMBOL, DAY, seed=seed,
                                                         strikes=STRIKES).contracts}  # fmt: skip
    order = sorted(day.instruments, key=lambda one: (kinds.index(one.kind), one.strike))
    number = np.zeros(len(order), np.uint32)
    contracts = []
    for at, one in enumerate(order):
        number[one.index] = at
        contracts.append(replace(listed[one.symbol], index=at))
    ticks["instrument"] = number[ticks["instrument"]]
    ticks.flags.writeable = False
    return contracts, ticks


class FewOptions:
    """A `Market` of the exchange: an index and its options, some minutes."""

    def __init__(self, contracts: list[Contract], ticks: NDArray[Any]) -> None:
        self.label, self.generated, self.levels = "minutes of a generated chain", True, 0
        self.day, self.contracts = trading_day(DAY), Contracts(contracts)
        self.history: History | None = None
        self._ticks = ticks

    def __iter__(self) -> Iterator[Records]:
        yield Records(self._ticks, NO_ROWS)


class ExchangeLegs(LegWorld):
    """A `LegWorld` whose broker is the exchange.

    Args:
        seed: of the day. first: which part of it, 0 to 1. latency_ms: of the exchange.
    """

    def __init__(self, *given: Any, seed: int, first: float, latency_ms: int, **more: Any) -> None:
        self.seed, self.first, self.latency_ms = seed, first, latency_ms
        self.exits: dict[int, bool] = {}
        super().__init__(*given, **more)

    def prepare(self) -> None:
        self.contracts, day = chain_of(self.seed)
        start = FROM_NS + int(self.first * (UNTIL_NS - FROM_NS - WINDOW_S * SECOND))
        at = np.searchsorted(day["recv_ns"], (start, start + WINDOW_S * SECOND))
        self.ticks, self.at = day[at[0] : at[1]], 0
        asked = ExchangeSettings(funds=10**13, latency_ns=self.latency_ms * MS)
        core.ORDERS_MAX = 512
        self.exchange = core.ExchangeCore(FewOptions(self.contracts, self.ticks), asked,
                                          random.Random(1))  # fmt: skip
        self.securities = {(one.segment, str(one.security_id)): one.index
                           for one in self.contracts}  # fmt: skip
        self.book = RequestBook("sim", "/v2", asked.client_id, TAG,
                                [(*key, "INTRADAY") for key in self.securities])  # fmt: skip
        self.begins = int(self.ticks["recv_ns"][0])
        self.entry = self.begins + 4 * SECOND
        self.exchange.advance(self.begins)
        self.log_in()
        self.strikes = np.array([one.strike for one in self.contracts if one.kind == "CE"])
        self.session = np.zeros(1, SESSION_DTYPE)
        self.session[0] = self.exchange.sessions[1][0]
        for name, of in (("entry_from_ns", "open_ns"), ("entry_until_ns", "close_ns")):
            self.session[name] = self.session[of]
        self.session["expiry_ns"] = self.session["close_ns"] + 3 * 86_400 * SECOND

    def future_session(self) -> Any:
        found = np.zeros(1, SESSION_DTYPE)
        found[0] = self.exchange.sessions[self.future][0]
        found["entry_from_ns"], found["entry_until_ns"] = found["open_ns"], found["close_ns"]
        found["margin_rate_e9"] = 0
        return found

    def log_in(self) -> None:
        """A token that is good."""
        token = self.exchange.tokens.mint("APP", self.exchange.real_ns).value
        self.book.set_token(token)

    # ---- time -----------------------------------------------------------------------------------

    def pass_time(self, ns: int) -> None:
        until = self.now + ns
        while self.at < len(self.ticks) and self.ticks["recv_ns"][self.at] <= until:
            tick = self.ticks[self.at : self.at + 1].copy()
            super().pass_time(max(0, int(tick["recv_ns"][0]) - self.now))
            self.exchange.advance(self.now)
            self.hear_exchange()
            number = int(tick["instrument"][0])
            if number and tick["bid"][0] > 0:
                self.bids[number] = int(tick["bid"][0])
            if number < self.future or self.hedge is not None:
                self.loop.take_ticks(tick, self.now)
            self.collect()
            self.at += 1
        super().pass_time(until - self.now)
        self.exchange.advance(self.now)
        self.hear_exchange()

    def quotes(self) -> None:
        self.pass_time(3 * SECOND)

    def meet(self) -> None:
        self.pass_time(700 * MS)

    # ---- the wires ------------------------------------------------------------------------------

    def hear_exchange(self) -> None:
        """Order updates that the exchange sends now."""
        for said in self.exchange.take_updates(self.now):
            record = update_from(order_seen(said["Data"]), Origin.SOCKET, tag=TAG,
                                 at_ns=self.now, instruments=self.securities)  # fmt: skip
            self.updates.append(fields_of(record))

    def serve(self, at: int, fate: str = "ok") -> None:
        """A request arrives at the exchange, in the bytes that really leave."""
        made = self.wires.requests.pop(at)
        if made["kind"] == IntentKind.PLACE:
            self.exits[made["order"]] = bool(made["flags"] & OrderFlag.EXIT)
        method, path, headers, body = parsed(self.book.request(made["record"]))
        reply = self.exchange.request(method, path, {}, headers, body, self.now)
        self.hear_exchange()
        if made["id"] not in self.open or reply.fate is Fate.HANG:
            return
        if reply.fate is Fate.RESET or fate == "lost answer":
            self.answers.append((made, {"outcome": Outcome.UNKNOWN, "code": -104}))
            return
        security = next(key for key, at in self.securities.items() if at == made["instrument"])
        update, outcome, fields = meaning(made["record"], reply, TAG, security, self.now)
        if update is not None:
            said = fields_of(update) | {"instrument": made["instrument"]}
            self.answers.append((made, said))
            return
        more = {name: value.encode() if isinstance(value, str) else min(value, 2**31 - 1)
                for name, value in fields.items()}  # fmt: skip
        self.answers.append((made, {"outcome": outcome, "code": reply.status, **more}))

    def arrive(self, made: Message) -> None:
        """A request of a dead engine arrives all the same."""
        self.wires.requests.insert(0, made)
        self.serve(0)

    def deliver(self) -> None:
        super().deliver()
        for made in list(self.open.values()):  # of what hung
            self.answer(made, {"outcome": Outcome.UNKNOWN, "code": -110})
        super().deliver()

    # ---- the truth ------------------------------------------------------------------------------

    @property
    def orders(self) -> dict[int, Held]:
        """Every order at the exchange, as the plain broker keeps its own."""
        return {number: held for number, held in map(self.held, self.exchange.desk.blotter.tickets)}

    def held(self, ticket: Any) -> tuple[int, Held]:
        number = order_of(ticket.wish.correlation or "", TAG)
        assert number, "an order that is not of this journal"
        held = Held(number, ticket.order_id, ticket.side, 0, ticket.price, ticket.trigger,
                    ticket.filled + 1, 0, self.exits[number], filled=ticket.filled,
                    value=ticket.value)  # fmt: skip
        held.seen = held.seen if ticket.is_open else 3
        return number, held

    def at_broker(self, number: int) -> int:
        return int(self.exchange.books.net(self.contracts[number], "INTRADAY"))

    def accepted(self) -> Counter[int]:
        return Counter(order_of(ticket.wish.correlation or "", TAG)
                       for ticket in self.exchange.desk.blotter.tickets)  # fmt: skip

    def working(self) -> list[Held]:
        return [order for order in self.orders.values() if order.live]

    def entered(self, number: int) -> int:
        return sum(order.filled for key, order in self.orders.items()
                   if self.instrument[key] == number and not order.is_exit)  # fmt: skip


def fields_of(record: Any) -> Message:
    """An UPDATE_DTYPE record as a message."""
    return {name: record[name].item() for name in record.dtype.names if name != "spare"}
