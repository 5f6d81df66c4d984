"""Feed connections of the account: who may connect, what they subscribe, and when they end."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from dhanfast._core.feedout import FeedLane, FeedMode
from dhanfast._core.tape import Tape
from dhanfast.exchange.auth import Tokens
from dhanfast.exchange.contracts import Contracts
from dhanfast.exchange.settings import ExchangeSettings

LIVE, DEPTH20, DEPTH200, UPDATES = "live", "depth20", "depth200", "updates"
SUBSCRIBE: Final = {15: FeedMode.TICKER, 17: FeedMode.QUOTE, 21: FeedMode.FULL}
UNSUBSCRIBE: Final = {16: FeedMode.TICKER, 18: FeedMode.QUOTE, 22: FeedMode.FULL}
DISCONNECT: Final = 12
DEPTH_ON: Final = 23
DEPTH_OFF: Final = (24, 25)
MESSAGE_MAX: Final = 100
DEPTH_MAX: Final = {DEPTH20: 50, DEPTH200: 1}
DEPTH_SEGMENTS: Final = ("NSE_EQ", "NSE_FNO")
ALL_DEPTH: Final = int(FeedMode.DEPTH20) | int(FeedMode.DEPTH200)


def kind_of(path: str, query: Mapping[str, str]) -> str | None:
    """Which socket an address of the one port means; None when it is none."""
    place = path.rstrip("/")
    if place == "/twentydepth":
        return DEPTH20
    if place == "/twohundreddepth":
        return DEPTH200
    if place == "/orderupdate":
        return UPDATES
    if place:
        return None
    if query.get("version"):
        return LIVE
    return DEPTH200 if "token" in query else UPDATES


class FeedLink:
    """One connection of a client, without its socket.

    Attributes:
        kind: which feed. lane: the packets that wait. closed: True when nothing more comes; the
            socket is closed after what waits has left.
        bare: it is closed without a close frame, as the broker closes dead tokens.
    """

    def __init__(self, kind: str, lane: FeedLane | None) -> None:
        self.kind, self.lane = kind, lane
        self.closed = False
        self.bare = False
        self.logged_in = kind != UPDATES
        self.subscribed: set[int] = set()
        self.outbox: list[dict[str, Any]] = []

    def close(self, *, bare: bool = False) -> None:
        """Nothing more comes."""
        self.closed, self.bare = True, self.bare or bare

    def end(self, reason: int) -> None:
        """Tell the client why, and close."""
        if self.lane is not None:
            self.lane.end(reason, deep=self.kind != LIVE)
        self.close()


class Feeds:
    """The connections of the account.

    Args:
        wake: called when a link has something new to send or has closed.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        tokens: Tokens,
        contracts: Contracts,
        tape: Tape,
    ) -> None:
        self._settings, self._tokens = settings, tokens
        self._contracts, self._tape = contracts, tape
        self.links: list[FeedLink] = []
        self.wake: Callable[[FeedLink], None] = lambda link: None
        self.fresh: Callable[[FeedLink], None] = lambda link: None
        self.counts = {"opened": 0, "refused": 0, "slow": 0, "dropped": 0, "ignored": 0}

    # ---- connections ----

    def open(self, kind: str, query: Mapping[str, str], real_ns: int) -> FeedLink:
        """Take a connection; one that may not stay is closed from the start.

        A dead token is taken at the handshake and then closed bare, without a frame.
        """
        if kind == UPDATES:
            link = FeedLink(kind, None)
            self.links.append(link)
            self.fresh(link)
            return link
        lane = FeedLane(len(self._contracts), self._settings.room_max)
        link = FeedLink(kind, lane)
        state = self._tokens.state(query.get("token", ""), query.get("clientId", ""), real_ns)
        live = self._tokens.live
        app = live is not None and live.kind == "APP"
        barred = kind == DEPTH200 and app and not self._settings.depth200_app
        if state or query.get("authType") != "2" or barred:
            self.counts["refused"] += 1
            link.close(bare=True)
            return link
        mates = [one for one in self.links if one.kind == kind and not one.closed]
        if len(mates) >= self._settings.connections_max:
            self.counts["dropped"] += 1
            self.finish(mates[0], 805)
        self._tape.attach(lane)
        self.links.append(link)
        self.counts["opened"] += 1
        self.fresh(link)
        return link

    def finish(self, link: FeedLink, reason: int) -> None:
        """End a connection with a reason."""
        link.end(reason)
        self.forget(link)
        self.wake(link)

    def forget(self, link: FeedLink) -> None:
        """A connection has gone."""
        link.closed = True
        if link.lane is not None:
            self._tape.detach(link.lane)
        if link in self.links:
            self.links.remove(link)

    def drop_dead(self, real_ns: int) -> None:
        """End connections whose token has ended: 807, on the feeds."""
        live = self._tokens.live
        if live is not None and real_ns < live.expires_ns:
            return
        for link in list(self.links):
            if link.logged_in and not link.closed:
                if link.kind == UPDATES:
                    link.close(bare=True)
                    self.forget(link)
                    self.wake(link)
                else:
                    self.finish(link, 807)

    def drop_slow(self) -> None:
        """End connections that do not read: 805."""
        for link in list(self.links):
            if link.lane is not None and link.lane.overflow and not link.closed:
                self.counts["slow"] += 1
                self.finish(link, 805)

    # ---- requests ----

    def receive(self, link: FeedLink, text: str | bytes, real_ns: int) -> None:
        """A message of a client. What cannot be read is ignored, as the broker ignores it."""
        if isinstance(text, bytes) and link.kind != UPDATES and not text.startswith(b"{"):
            return  # the older protocol's 83 bytes on leaving
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.counts["ignored"] += 1
            return
        if not isinstance(message, dict):
            self.counts["ignored"] += 1
        elif link.kind == UPDATES:
            self._login(link, message, real_ns)
        elif message.get("RequestCode") == DISCONNECT:
            link.close()
            self.forget(link)
            self.wake(link)
        elif link.kind == LIVE:
            self._live(link, message)
        else:
            self._deep(link, message)

    def _login(self, link: FeedLink, message: dict[str, Any], real_ns: int) -> None:
        login = message.get("LoginReq")
        if link.logged_in:
            return
        if not isinstance(login, dict) or login.get("MsgCode") != 42:
            self.counts["ignored"] += 1
            return
        token, client_id = str(login.get("Token", "")), str(login.get("ClientId", ""))
        if message.get("UserType") != "SELF" or self._tokens.state(token, client_id, real_ns):
            self.counts["refused"] += 1
            link.close(bare=True)
            self.forget(link)
            self.wake(link)
            return
        link.logged_in = True

    def _listed(self, message: dict[str, Any]) -> list[int] | None:
        """Indexes of the instruments of a request; unknown ones are left out."""
        listed = message.get("InstrumentList", [message])
        if not isinstance(listed, list) or len(listed) > MESSAGE_MAX:
            self.counts["ignored"] += 1
            return None
        found = []
        for one in listed:
            if not isinstance(one, dict) or not isinstance(one.get("SecurityId"), str):
                self.counts["ignored"] += 1
                continue
            contract = self._contracts.find(str(one.get("ExchangeSegment")), one["SecurityId"])
            if contract is None:
                self.counts["ignored"] += 1
            else:
                found.append(contract.index)
        return found

    def _live(self, link: FeedLink, message: dict[str, Any]) -> None:
        lane, code = link.lane, message.get("RequestCode")
        listed = self._listed(message)
        if lane is None or listed is None or not isinstance(code, int):
            return
        if code in UNSUBSCRIBE:
            for index in listed:
                lane.unsubscribe(index, int(UNSUBSCRIBE[code]))
                if not lane.modes(index):
                    link.subscribed.discard(index)
        elif code in SUBSCRIBE:
            if len(link.subscribed | set(listed)) > self._settings.instruments_max:
                self.finish(link, 804)
                return
            for index in listed:
                lane.subscribe(index, int(SUBSCRIBE[code]))
                link.subscribed.add(index)
                index_only = self._settings.close_packets == "index"
                told = not index_only or self._contracts[index].kind == "IDX"
                self._tape.seed(lane, index, int(SUBSCRIBE[code]), close_packet=told)
            self.wake(link)
        else:
            self.counts["ignored"] += 1

    def _deep(self, link: FeedLink, message: dict[str, Any]) -> None:
        lane, code = link.lane, message.get("RequestCode")
        listed = self._listed(message)
        if lane is None or listed is None:
            return
        mode = int(FeedMode.DEPTH20 if link.kind == DEPTH20 else FeedMode.DEPTH200)
        listed = [index for index in listed if self._contracts[index].segment in DEPTH_SEGMENTS]
        if code in DEPTH_OFF:
            for index in listed:
                lane.unsubscribe(index, ALL_DEPTH)
                link.subscribed.discard(index)
        elif code == DEPTH_ON:
            if len(link.subscribed | set(listed)) > DEPTH_MAX[link.kind]:
                self.finish(link, 804)
                return
            for index in listed:
                lane.subscribe(index, mode)
                link.subscribed.add(index)
                self._tape.seed(lane, index, mode, close_packet=False)
            self.wake(link)
        else:
            self.counts["ignored"] += 1

    # ---- order updates ----

    def tell(self, message: dict[str, Any]) -> None:
        """Give an order update to every logged-in socket."""
        for link in self.links:
            if link.kind == UPDATES and link.logged_in and not link.closed:
                link.outbox.append(message)
                self.wake(link)
