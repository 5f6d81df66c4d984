"""The exchange without sockets, clocks or threads: requests in, answers and messages out.

Whoever drives it tells it the time, of the market and of the world; the same calls with the same
times and the same seed give the same bytes.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.tape import Tape
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import PoolFull
from dhanfast.exchange.access import Access
from dhanfast.exchange.alerts import Alerts
from dhanfast.exchange.answers import Refusal, Reply, bad_input
from dhanfast.exchange.auth import Tokens
from dhanfast.exchange.chain import Chain
from dhanfast.exchange.charts import Charts
from dhanfast.exchange.contracts import Contract, Contracts
from dhanfast.exchange.control import Control
from dhanfast.exchange.desk import Desk
from dhanfast.exchange.faults import Fault, FaultMenu, menu_for
from dhanfast.exchange.feeds import FeedLink, Feeds, kind_of
from dhanfast.exchange.files import Files
from dhanfast.exchange.forever import ForeverOrders
from dhanfast.exchange.history import History
from dhanfast.exchange.limits import Limits
from dhanfast.exchange.market import Market, Records, margin_rate, session_of
from dhanfast.exchange.mishaps import Mishaps
from dhanfast.exchange.orders import Blotter, Ticket, Wish
from dhanfast.exchange.portfolio import Portfolio
from dhanfast.exchange.positions import Books
from dhanfast.exchange.quotes import Quotes
from dhanfast.exchange.recorded_history import RecordedHistory
from dhanfast.exchange.routes import Call, Route, Router
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.exchange.statements import Statements
from dhanfast.exchange.supers import SuperOrders
from dhanfast.exchange.trading import Trading
from dhanfast.exchange.updates import update_of

ORDERS_MAX: Final = 8_192
MINUTE_NS: Final = 60_000_000_000
END: Final = 0  # why a tape stopped
WATCH: Final = 2  # a bit of it
NONE: Final = Records(np.empty(0, TICK_DTYPE), np.empty(0, DEPTH_DTYPE))


class ExchangeCore:
    """An exchange and a broker with one account.

    Args:
        market: what is traded, and its day.
        settings: how they behave.
        rng: draws the chances of faults.
        faults: what goes wrong.
        history: what charts say of earlier days; None for what the market says.

    Attributes:
        market, settings, contracts, history: as given. now_ns, real_ns: the times told last.
        shown: FACE_DTYPE by instrument. sessions: SESSION_DTYPE[1] by instrument.
        tokens, limits, books, desk, tape, feeds, faults: its parts.
        ended: whether the market has no more records. closed: whether the day's orders have ended.
    """

    def __init__(
        self,
        market: Market,
        settings: ExchangeSettings,
        rng: random.Random,
        faults: Sequence[Fault] = (),
        history: RecordedHistory | None = None,
    ) -> None:
        self.market, self.settings = market, settings
        self.contracts: Contracts = market.contracts
        self.history: History | RecordedHistory | None = history or market.history
        self.now_ns = self.real_ns = 0
        self.closed = self.ended = False
        self.placed: Ticket | None = None
        self._make_exchange()
        self.shown: NDArray[Any] = self.tape.shown
        self.tokens, self.limits = Tokens(settings), Limits()
        self.books = Books(settings.funds, self.last, self._short_rate, self._spot)
        self.desk = Desk(settings, self._match, self._gate, Blotter(f"{market.day.date:%y%m%d}"),
                         self.books, self.sessions, self.shown, self._tell)  # fmt: skip
        self.feeds = Feeds(settings, self.tokens, self.contracts, self.tape)
        self.faults: FaultMenu = menu_for(faults, rng, market.day.date)
        self.mishaps = Mishaps(self)
        self.on_time: list[Callable[[int], None]] = []
        self.on_watch: list[Callable[[Contract, int], None]] = []
        self.watchers: list[Callable[[Contract], list[int]]] = []
        self.barriers: list[Callable[[Wish], None]] = []
        self._records: Iterator[Records] = iter(market)
        self._batch, self._at_tick, self._at_row = NONE, 0, 0
        self.access = Access(self)
        self._router = Router(self._routes())

    def _make_exchange(self) -> None:
        day, count = self.market.day, len(self.contracts)
        before = None if self.market.history is None else self.market.history.previous(day.date)
        closes = []
        for contract in self.contracts:
            bars: Any = before.bars(contract.symbol) if before is not None else ()
            closes.append((int(bars["close"][-1]), int(bars["oi"][-1]), int(bars["volume"].sum()))
                          if len(bars) else (0, 0, 0))  # fmt: skip
        self.sessions = [
            session_of(contract, day, close[0])
            for contract, close in zip(self.contracts, closes, strict=True)
        ]
        self._gate = Gate(instruments=count)
        self._match = Match(self._gate, instruments=count, orders_max=ORDERS_MAX,
                            latency_ns=self.settings.latency_ns)  # fmt: skip
        minutes = (day.windows[-1][1] - day.windows[0][0]) // MINUTE_NS
        self.tape = Tape(self._match, [(one.number, one.security_id) for one in self.contracts],
                         day.windows[0][0], minutes,
                         max(self.market.levels, 5))  # fmt: skip
        for contract, (close, oi, volume) in zip(self.contracts, closes, strict=True):
            self._match.start_session(contract.index, self.sessions[contract.index][0])
            deep = self.market.levels > 0 and contract.expiry is not None
            self.tape.start(contract.index, prev_close=close, prev_oi=oi, prev_volume=volume,
                            deep=deep)  # fmt: skip

    def _routes(self) -> list[Route]:
        parts: list[Any] = [
            Trading(self), Portfolio(self), SuperOrders(self), ForeverOrders(self), Alerts(self),
            Control(self), Quotes(self), Chain(self), Charts(self), Statements(self), Files(self),
            self.access,
        ]  # fmt: skip
        return [route for part in parts for route in part.routes()]

    @property
    def routes(self) -> tuple[Route, ...]:
        """All that is served."""
        return self._router.routes

    # ---- prices ----

    def last(self, contract: Contract) -> int:
        """Price of the last trade, else the previous close, paise; 0 when there is none."""
        face = self.shown[contract.index]
        return int(face["last"] or face["prev_close"])

    def _spot(self, contract: Contract) -> int:
        underlying = self.contracts.underlying(contract.underlying)
        level = self.last(underlying) if underlying is not None else 0
        return level or (self.last(contract) if not contract.is_option else contract.strike)

    def _short_rate(self, contract: Contract) -> int:
        if contract.is_option and self.settings.margin_short_e9:
            return self.settings.margin_short_e9
        return margin_rate(contract.underlying, self.market.day.date)

    # ---- time ----

    @property
    def next_ns(self) -> int | None:
        """Time of the market's next record; None when there is none."""
        if not self._more():
            return None
        times = []
        for records, at in ((self._batch.ticks, self._at_tick), (self._batch.rows, self._at_row)):
            if at < len(records):
                times.append(int(records["recv_ns"][at] or records["exch_ns"][at]))
        return min(times)

    def _more(self) -> bool:
        """Whether there is a record; gets the next batch when this one is used up."""
        while self._at_tick >= len(self._batch.ticks) and self._at_row >= len(self._batch.rows):
            batch = next(self._records, None)
            if batch is None:
                self.ended = True
                return False
            self._batch, self._at_tick, self._at_row = batch, 0, 0
        return True

    def advance(self, now_ns: int, real_ns: int | None = None) -> None:
        """Let the market go on to a time: its records, and all that follows from them.

        Args:
            now_ns: of the market; a time before the last one changes nothing.
            real_ns: of the world; the market's when it is not said.
        """
        self.real_ns = max(self.real_ns, now_ns if real_ns is None else real_ns)
        self.now_ns = max(self.now_ns, now_ns)
        while self._more():
            self._at_tick, self._at_row, why = self.tape.step(
                self._batch.ticks, self._at_tick, self._batch.rows, self._at_row, self.now_ns
            )
            if why == END and (self._at_tick < len(self._batch.ticks)
                               or self._at_row < len(self._batch.rows)):  # fmt: skip
                break
            self.desk.drain()
            if why & WATCH:
                contract = self.contracts[self.tape.watched]
                for hook in self.on_watch:
                    hook(contract, self.tape.now_ns)
                self.watch(contract)
        self.desk.release(self.now_ns)
        for tell in self.on_time:
            tell(self.now_ns)
        self._end_day()
        self.mishaps.pass_time()
        self.feeds.drop_dead(self.real_ns)
        self.feeds.drop_slow()

    def _end_day(self) -> None:
        """What is left of the day's orders expires at the close, once."""
        if self.closed or self.now_ns < self.market.day.windows[-1][1]:
            return
        self.closed = True
        for contract in self.contracts:
            self._match.start_session(contract.index, self.sessions[contract.index][0])
        self.desk.drain()
        self.desk.expire(self.now_ns)

    def watch(self, contract: Contract) -> None:
        """Have the tape stop at the nearest prices that anybody waits for."""
        last = self.last(contract)
        prices = [price for watcher in self.watchers for price in watcher(contract) if price > 0]
        below = [price for price in prices if price <= last]
        above = [price for price in prices if price > last]
        self.tape.watch(contract.index, max(below, default=0), min(above, default=0))

    # ---- orders ----

    def require_trading(self, wish: Wish) -> None:
        """Refuse an order of an account that may not trade now.

        Raises:
            Refusal: the kill switch is on, or another barrier.
        """
        for barrier in self.barriers:
            barrier(wish)

    def exit_all(self, now_ns: int) -> None:
        """End every open order, then close every position at the market."""
        for ticket in self.desk.blotter.working:
            if ticket.is_open:
                self.desk.cancel(ticket, now_ns)
        for held in list(self.books.positions.values()):
            if held.net:
                self.leave(held.contract, held.product, now_ns)

    def leave(self, contract: Contract, product: str, now_ns: int) -> None:
        """Close a position by market orders of at most the freeze quantity."""
        left = self.books.net(contract, product)
        side = -1 if left > 0 else 1
        most = contract.freeze // contract.lot * contract.lot if contract.freeze else abs(left)
        while left:
            qty = min(abs(left), most or abs(left))
            wish = Wish(contract, side, product, "MARKET", "DAY", qty, 0, 0)
            self.desk.place(wish, now_ns)
            left += side * qty

    def _tell(self, ticket: Ticket, reason: str) -> None:
        update = update_of(ticket, self.settings.client_id, reason, self.last(ticket.contract),
                           self.settings.casing)  # fmt: skip
        self.mishaps.queue(update)

    def take_updates(self, real_ns: int | None = None) -> list[dict[str, Any]]:
        """Order updates that are due, oldest first; each is given once.

        They are handed to the sockets that are logged in as well.
        """
        self.real_ns = max(self.real_ns, real_ns or 0)
        due = self.mishaps.take()
        for update in due:
            self.feeds.tell(update)
        return due

    def status(self) -> dict[str, Any]:
        """How things are, for a person or a test."""
        return {
            "market": self.market.label,
            "generated": self.market.generated,
            "history_generated": getattr(self.history, "generated", self.market.generated),
            "now_ns": self.now_ns,
            "ended": self.ended,
            "closed": self.closed,
            "orders": len(self.desk.blotter.tickets),
            "open_orders": len(self.desk.blotter.working),
            "trades": len(self.books.trades),
            "feeds": dict(self.feeds.counts),
            "faults": dict(self.mishaps.counts),
        }

    # ---- sockets ----

    def connect(
        self, path: str, query: Mapping[str, str], real_ns: int | None = None
    ) -> FeedLink | None:
        """Take a WebSocket's handshake; None where nothing is served.

        The link is closed from the start when the client may not stay: see `FeedLink.bare`.
        """
        kind = kind_of(path, query)
        self.real_ns = max(self.real_ns, real_ns or 0)
        return None if kind is None else self.feeds.open(kind, query, self.real_ns)

    def receive(self, link: FeedLink, message: str | bytes, real_ns: int | None = None) -> None:
        """Take a message of a client."""
        self.real_ns = max(self.real_ns, real_ns or 0)
        self.feeds.receive(link, message, self.real_ns)

    def take_frames(self, link: FeedLink) -> list[bytes]:
        """The messages that wait for a link, one an entry; then none wait.

        Those of order updates are JSON; `take_updates` must have been called before.
        """
        if link.lane is not None:
            return link.lane.messages()
        messages = [msgspec.json.encode(message) for message in link.outbox]
        link.outbox.clear()
        return messages

    def disconnect(self, link: FeedLink) -> None:
        """A connection has gone."""
        self.feeds.forget(link)

    # ---- requests ----

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        now_ns: int,
        *,
        real_ns: int | None = None,
        peer: str = "127.0.0.1",
    ) -> Reply:
        """Answer one request, at a time.

        Args:
            method: upper case. path: without the query. headers: in any case of letters.
            now_ns: of the market. real_ns: of the world; the market's when it is not said.
            peer: address of the caller.
        """
        self.advance(now_ns, real_ns)
        lower = {name.lower(): value for name, value in headers.items()}
        fault = self.mishaps.for_request(method, path)
        if fault is not None and fault.kind in Mishaps.BEFORE:
            return self.mishaps.instead(fault, path)
        reply = self._answered(method, path, query, lower, body, peer)
        return reply if fault is None else self.mishaps.after(fault, reply)

    def _answered(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: bytes,
        peer: str,
    ) -> Reply:
        route: Route | None = None
        self.placed = None
        try:
            route, args = self._router.find(method, path)
            if route.token:
                self.tokens.require(headers, self.real_ns, data=route.data)
            if route.limit and self.settings.limits:
                self.limits.take(route.limit, self.real_ns, data=route.data)
            if route.static_ip:
                self.access.require(peer)
            call = Call(method, path, args, query, headers, self._decoded(body, route),
                        self.now_ns, self.real_ns, peer)  # fmt: skip
            return route.handler(call)
        except PoolFull as error:
            return Refusal(500, 908, str(error)).reply()
        except Refusal as refusal:
            portal = refusal.status == 429 and self.settings.limit_shape == "portal"
            return refusal.reply(portal=portal)

    def _decoded(self, body: bytes, route: Route) -> Any:
        if not body:
            return None
        try:
            raw = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refusal(400, 814) if route.data else bad_input("Invalid JSON") from None
        named = raw.get("dhanClientId") if isinstance(raw, dict) else None
        if named is not None and named != self.settings.client_id:
            raise Refusal(400, 810) if route.data else bad_input("dhanClientId is invalid")
        return raw
