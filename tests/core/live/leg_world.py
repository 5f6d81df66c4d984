"""A structure of legs at a plain broker: its journal, the wires, the market, deaths of the engine.

LegLoop ──requests──▶ wires ──▶ PlainBroker, the truth
        ◀──answers, updates── wires ◀──
"""

import errno
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.chainnow import ChainNow
from dhanfast._core.hedger import Hedge, hedge_leg
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Leg, LegUnit
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.desk import Desk
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.legloop import LegLoop
from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE, IntentKind, Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import SESSION_DTYPE, TICK_DTYPE, OrderFlag
from tests.core.test_hedge import RULES as HEDGE
from tests.core.test_legrun import PLAN, RULES

from .plain_broker import Held, Message, PlainBroker

MS, SECOND = 1_000_000, 1_000_000_000
MINUTE = 60 * SECOND
OPEN = 1_784_000_000 * SECOND
DATE, LOT, TICK = 20260714, 25, 5
STRIKES = np.array([90_000, 100_000, 110_000, 120_000], np.int64)  # paise
SPOT = 105_000
LATE_MAX = 3 * SECOND  # no request is under way for longer: below what counts as lost
OWN = OrderFlag.STOP | OrderFlag.TARGET  # exits that a leg rests by itself


def leg(side: int, right: int, strike: int, **more: Any) -> dict[str, Any]:
    return RULES | {"side": side, "right": right, "strike": strike / 100.0} | more


def condor(stop: float = 0.0) -> list[dict[str, Any]]:
    """Sold legs first, so that no order of the file decides who goes in first."""
    stops = {"stop": stop, "stop_unit": int(LegUnit.PERCENT)} if stop else {}
    return [leg(-1, 1, 110_000, **stops), leg(-1, -1, 100_000, **stops),
            leg(1, 1, 120_000), leg(1, -1, 90_000)]  # fmt: skip


def straddle(stop: float = 0.0) -> list[dict[str, Any]]:
    stops = {"stop": stop, "stop_unit": int(LegUnit.PERCENT)} if stop else {}
    return [leg(-1, 1, 110_000, **stops), leg(-1, -1, 110_000, **stops)]


class Wires(Courier):
    """Requests that have left; who carries them further is up to the test."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.left: list[Message] = []  # all, in order

    def carry_intent(self, intent: Any) -> None:
        made = {name: intent[name].item() for name in intent.dtype.names if name != "spare"}
        made["broker_id"] = made["broker_id"].rstrip(b"\0").decode()
        made["record"] = intent
        self.requests.append(made)
        self.left.append(made)


class LegWorld:
    """One day of a structure, live or on paper.

    Args:
        path: of the journal. legs: rules. live: at a plain broker. plan: of PlanRules.
        passes: makes what an entry has to pass, anew in each life; None: the gate alone.
        hedge: of HedgeRules; None: it has none. limits: of the desk.
    """

    def __init__(self, path: Path, legs: list[dict[str, Any]], *, live: bool = True,
                 plan: dict[str, Any] | None = None, hedge: dict[str, Any] | None = None,
                 passes: Callable[[], LegRisk] | None = None, **limits: int) -> None:  # fmt: skip
        self.passes = passes
        self.path, self.rules, self.live, self.limits = path, legs, live, limits
        self.hedge = hedge
        self.plan = PLAN | {"repairs": 2, "deadline_ns": 10 * SECOND} | (plan or {})
        self.deaths = self.collected = 0
        self.broker, self.wires = PlainBroker(), Wires()
        self.prepare()
        self.now = self.begins
        self.answers: list[tuple[Message, Message]] = []
        self.updates: list[Message] = []
        self.open: dict[int, Message] = {}  # requests of this life without an answer
        self.instrument: dict[int, int] = {}  # of each order at the broker
        self.bids = dict.fromkeys(range(1, 2 * len(self.strikes) + 1), 10_000)
        if hedge is not None:
            self.bids[self.future] = SPOT
        self.build()

    @property
    def future(self) -> int:
        """The feed's number of the future that hedges."""
        return 2 * len(self.strikes) + 1

    def future_session(self) -> Any:
        """What is known of it today: its lot is smaller, so that it is dealt in often."""
        found = self.session.copy()
        found["lot"] = LOT // 5
        return found

    def prepare(self) -> None:
        """The day: its strikes, its session, when the world begins and the entry is due."""
        self.strikes, self.session = STRIKES, np.zeros(1, SESSION_DTYPE)
        self.begins, self.entry = OPEN, OPEN + 2 * SECOND
        session = self.session
        session["open_ns"] = session["entry_from_ns"] = OPEN
        session["close_ns"] = session["entry_until_ns"] = OPEN + 375 * MINUTE
        session["lot"], session["tick"], session["freeze"] = LOT, TICK, 1_800
        session["contract"], session["date"] = DATE, DATE
        session["expiry_ns"] = OPEN + 5 * 24 * 60 * MINUTE

    # ---- the engine -----------------------------------------------------------------------------

    def build(self) -> None:
        """A new process: everything from nothing, the journal opened or begun."""
        count = len(self.rules) + (self.hedge is not None)
        gate, self.log = Gate(instruments=count), RunLog(4096, 65536, 65536)
        self.portfolio = Portfolio(10**12, count)
        self.desk = Desk(**self.limits) if self.live else None
        made, brokers = [], []
        for place in range(count):
            broker: Remote | Match
            if self.live:
                broker = Remote(gate, desk=self.desk, place=place)
            else:
                broker = Match(gate, instruments=count, protection_e4=500, stop_market_ok=True)
            brokers.append(broker)
        for place, rules in enumerate(self.rules):
            made.append(Leg(rules, place, brokers[place], self.portfolio, gate, self.log,
                            ticking=True))  # fmt: skip
        hedge = None
        if self.hedge is not None:
            leg = hedge_leg(count - 1, brokers[-1], self.portfolio, gate, self.log, ticking=True)
            hedge = Hedge(leg, HEDGE | self.hedge)
        risk = None if self.passes is None else self.passes()
        self.run = LegRun(made, self.plan, self.portfolio, gate, self.log, hedge=hedge,
                          ticking=True, risk=risk)  # fmt: skip
        self.chain = ChainNow([self.strikes], self.session, begin_ns=self.begins,
                              more=int(hedge is not None))  # fmt: skip
        if hedge is not None:
            hedge.set_day(from_ns=0, until_ns=2**62, column=self.future - 1,
                          session=self.future_session())  # fmt: skip
        if self.path.exists():
            self.journal = Journal(str(self.path), sync_ns=0)
        else:
            header = JournalHeader(epoch=7, date=int(self.session["date"][0]), run="legs",
                                   config_digest=bytes(32), created_ns=1, text="")  # fmt: skip
            self.journal = Journal(str(self.path), header, sync_ns=0)
        self.loop = LegLoop(self.run, self.chain, self.journal, desk=self.desk,
                            courier=self.wires if self.live else None)  # fmt: skip
        self.wires.on_answer = self.loop.use_answer
        opens, closes = (int(self.session[name][0]) for name in ("open_ns", "close_ns"))
        self.loop.begin_day(slots=[0] * len(self.rules), entry_ns=self.entry,
                            until_ns=self.entry + 5 * MINUTE, exit_ns=opens + 300 * MINUTE,
                            trade=True, date=int(self.session["date"][0]),
                            open_ns=max(opens, self.begins - SECOND), close_ns=closes)  # fmt: skip

    def die(self) -> None:
        """kill -9, and a new life that repeats the journal."""
        self.journal.close()
        records = self.records()
        self.deaths += 1
        self.open, self.answers = {}, []
        self.build()
        self.journal.append_record(Kind.RESUME, b"{}", self.now, vital=True)
        unmet, waiting = self.loop.replay([*records, (Kind.RESUME, b"{}")])
        for intents, outcome, code in ((unmet, Outcome.REFUSED, -errno.ECANCELED),
                                       (waiting, Outcome.UNKNOWN, -errno.ECONNRESET)):  # fmt: skip
            for intent in intents:
                self.answer({"id": int(intent["id"])}, {"outcome": outcome, "code": code})
        if self.live:
            self.loop.command(Command.READ_ALL, self.now)
        self.collect()

    def records(self) -> list[tuple[int, bytes]]:
        with JournalReader(str(self.path)) as reader:
            return [(kind, bytes(payload)) for kind, _, _, payload in reader]

    def collect(self) -> None:
        """Requests that have just left."""
        for made in self.wires.left[self.collected :]:
            self.open[made["id"]] = made
            self.instrument[made["order"]] = made["instrument"]
        self.collected = len(self.wires.left)
        assert self.loop.error is None and not self.loop.stopped

    def command(self, command: Command) -> None:
        """What an operator says."""
        self.loop.command(command, self.now)
        self.collect()

    # ---- time and the market --------------------------------------------------------------------

    def pass_time(self, ns: int) -> None:
        """The engine's clock goes on; nothing is under way for longer than LATE_MAX."""
        until = self.now + ns
        for made in list(self.wires.requests):
            if until - made["at_ns"] > LATE_MAX:
                self.wires.requests.remove(made)
                if made["id"] in self.open:
                    self.answer(made, {"outcome": Outcome.UNKNOWN, "code": -110})
        while self.now < until:
            self.now = min(until, self.now + 200 * MS)
            self.loop.poll(self.now)
        self.collect()

    def tick(self, number: int, bid: int, spread: int = 2 * TICK) -> None:
        """A contract trades at its bid; number 0 is the index."""
        tick = np.zeros(1, TICK_DTYPE)
        tick["instrument"], tick["price"], tick["recv_ns"] = number, bid, self.now
        if number:
            self.bids[number] = bid
            tick["bid"], tick["ask"] = bid, bid + spread
            tick["bid_qty"] = tick["ask_qty"] = 10_000
        tick["exch_ns"] = self.now
        self.loop.take_ticks(tick, self.now)
        self.collect()

    def quotes(self) -> None:
        """Everything has a price."""
        self.tick(0, SPOT)
        for number, bid in list(self.bids.items()):
            self.tick(number, bid)

    # ---- the wires ------------------------------------------------------------------------------

    def answer(self, made: Message, fields: Message) -> None:
        self.open.pop(made["id"], None)
        answer = np.zeros(1, ANSWER_DTYPE)[0]
        answer["intent"], answer["at_ns"] = made["id"], self.now
        for name, value in fields.items():
            answer[name] = value
        self.loop.use_answer(answer)
        self.collect()

    def show(self, message: Message) -> None:
        update = np.zeros(1, UPDATE_DTYPE)[0]
        update["at_ns"] = self.now
        update["instrument"] = self.instrument.get(message["order"], 0)
        for name, value in message.items():
            update[name] = value
        self.loop.use_update(update)
        self.collect()

    def serve(self, at: int, fate: str = "ok") -> None:
        """A request arrives at the broker, is refused at its door, or its answer is lost."""
        made = self.wires.requests.pop(at)
        refusals = {"429": (429, 904), "906": (400, 906), "401": (401, 901)}
        if fate in refusals and made["id"] in self.open:
            code, error = refusals[fate]
            reply: Message = {"outcome": Outcome.REFUSED, "code": code, "error": error}
        else:
            reply = self.broker.serve(made)
        said = self.broker.take_said()
        if made["kind"] != IntentKind.QUERY:
            self.updates += said
        if made["id"] not in self.open:
            return
        if fate == "lost answer":
            reply, said = {"outcome": Outcome.UNKNOWN, "code": 503}, []
        if made["kind"] == IntentKind.QUERY and said:
            self.answers += [(made, update) for update in said]
        else:
            self.answers.append((made, reply))

    def give_answer(self, at: int) -> None:
        made, reply = self.answers.pop(at)
        if made["id"] not in self.open:
            return
        if "filled" in reply:  # a QUERY that found it: the state comes first
            self.show(reply)
            reply = {"outcome": Outcome.TAKEN, "code": 200}
        self.answer(made, reply)

    def deliver(self) -> None:
        """Everything under way arrives."""
        while self.wires.requests or self.answers or self.updates:
            if self.wires.requests:
                self.serve(0)
            elif self.answers:
                self.give_answer(0)
            else:
                self.show(self.updates.pop(0))

    # ---- the truth ------------------------------------------------------------------------------

    @property
    def orders(self) -> dict[int, Held]:
        """Every order at the broker, by its number."""
        return self.broker.orders

    def accepted(self) -> Counter[int]:
        """How often each number was placed."""
        return self.broker.accepted

    def arrive(self, made: Message) -> None:
        """A request of a dead engine arrives all the same; nobody hears of it."""
        self.broker.serve(made)
        self.broker.take_said()

    def working(self) -> list[Held]:
        return [order for order in self.orders.values() if order.live]

    def fill(self, order: Held, qty: int, better: int = 0) -> None:
        order.triggered = True
        self.broker.fill(order, min(qty, order.open), max(TICK, order.price - order.side * better))
        self.updates += self.broker.take_said()

    def meet(self) -> None:
        """Orders at the broker meet the market as it is."""
        for order in self.working():
            bid = self.bids[self.instrument[order.number]]
            price = self.broker.can_fill(order, bid, bid + 2 * TICK, bid)
            if price:
                self.fill(order, order.open, abs(order.price - price))

    def at_broker(self, number: int) -> int:
        """Units held of a contract."""
        return sum(order.side * order.filled for order in self.broker.orders.values()
                   if self.instrument[order.number] == number)  # fmt: skip

    def number(self, rules: dict[str, Any]) -> int:
        """The feed's number of a leg's contract."""
        at = list(self.strikes).index(round(100 * rules["strike"]))
        return 1 + at + (0 if rules["right"] > 0 else len(self.strikes))

    def entered(self, number: int) -> int:
        """Units of a contract that entries have brought."""
        return sum(order.filled for order in self.broker.orders.values()
                   if self.instrument[order.number] == number and not order.is_exit)  # fmt: skip

    def positions(self) -> dict[int, int]:
        """What the engine holds by its own books, by contract."""
        held: dict[int, int] = {}
        for now in self.run.legs_now():
            if now["position"]:
                held[now["listed"]] = held.get(now["listed"], 0) + now["position"]
        return held

    def truth(self) -> dict[int, int]:
        numbers = set(self.instrument.values())
        return {number: self.at_broker(number) for number in numbers if self.at_broker(number)}

    def uncovered(self) -> int:
        """Units sold and not bought, of calls or puts, at the broker."""
        count = len(self.strikes)
        calls = sum(self.at_broker(number) for number in range(1, count + 1))
        puts = sum(self.at_broker(number) for number in range(count + 1, 2 * count + 1))
        return max(0, -calls, -puts)

    def sold(self) -> list[int]:
        return [self.number(rules) for rules in self.rules if rules["side"] < 0]

    def bought(self) -> list[int]:
        return [self.number(rules) for rules in self.rules if rules["side"] > 0]

    def end_all(self, seen: Seen) -> None:
        """The exchange ends every order that works."""
        for order in self.working():
            self.broker.end(order, seen)
        self.updates += self.broker.take_said()
