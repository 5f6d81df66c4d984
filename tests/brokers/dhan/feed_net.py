"""A network without sockets: what connects to it is told what a test wants, in virtual time."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dhanfast._core.live.intake import DepthIntake, FeedIntake
from dhanfast._core.live.sink import DepthCall, TickCall
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_depth import DepthSettings, DhanDepth
from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_endings import Cause, Ending
from dhanfast.brokers.dhan.feed_pool import FeedPool
from dhanfast.brokers.dhan.feed_requests import Security
from dhanfast.brokers.dhan.feed_socket import ConnectFailed, Line, Socket
from dhanfast.brokers.dhan.feed_watch import Hours
from dhanfast.errors import NotAuthenticated
from dhanfast.market.calendar import Calendar
from tests.brokers.dhan.feed_server import ticker
from tests.brokers.dhan.virtual_time import VirtualClock, VirtualLoop, run_virtually

IST = timezone(timedelta(hours=5, minutes=30))
LTT = 1_784_700_000
SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXNlY3JldA.c2lnbmF0dXJl"


def ist_ns(year: int, month: int, day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """UTC ns of a wall clock in India."""
    return int(datetime(year, month, day, hour, minute, second, tzinfo=IST).timestamp()) * 10**9


OPEN = ist_ns(2026, 7, 22, 11)  # a Wednesday, in trading hours


class FakeToken:
    """A token of the shape that the feed needs."""

    def __init__(self, number: int, kind: str = "APP") -> None:
        self.client_id, self.kind, self.number = "1000000001", kind, number

    def reveal(self) -> str:
        return f"{SECRET}{self.number}"


class FakeTokens:
    """Tokens 1, 2, 3 ...: each renewal is the next, until there are no more."""

    def __init__(self, renewals: int = 100) -> None:
        self.current, self.asked, self.renewals = FakeToken(1), 0, renewals
        self.refused_numbers: list[int] = []

    async def token(self) -> FakeToken:
        self.asked += 1
        return self.current

    async def refused(self, token: FakeToken) -> FakeToken:
        self.refused_numbers.append(token.number)
        if self.renewals == 0:
            raise NotAuthenticated("no other token; log in again")
        self.renewals -= 1
        self.current = FakeToken(token.number + 1)
        return self.current


class FakeSocket:
    """A Socket; the test holds the other end."""

    def __init__(self, address: str, line: Line, at_s: float) -> None:
        self.address, self.line, self.at_s = address, line, at_s
        self.sent: list[dict[str, Any]] = []
        self.answers_close = True
        self.aborted = False
        self._gone = asyncio.Event()

    @property
    def open(self) -> bool:
        return not self._gone.is_set()

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.address).query).items()}

    @property
    def entries(self) -> list[tuple[int, str, str]]:
        """(request code, segment, security id) of every entry asked for, in order."""
        found = []
        for request in self.sent:
            flat = [request] if "SecurityId" in request else []
            for each in request.get("InstrumentList", flat):
                found.append((request["RequestCode"], each["ExchangeSegment"], each["SecurityId"]))
        return found

    def say(self, message: bytes) -> None:
        if self.open:
            self.line.binary(message)

    def end(self, code: int = 1006, reason: str = "") -> None:
        if self.open:
            self.line.gone(code, reason)
            self._gone.set()

    def send(self, text: str) -> None:
        if self.open:
            self.sent.append(json.loads(text))

    def close(self) -> None:
        if self.answers_close:
            self.end(1000)

    def abort(self) -> None:
        self.aborted = True
        self.end(1006)

    async def wait(self) -> None:
        await self._gone.wait()


Script = Callable[[int, FakeSocket], Awaitable[None] | None]


class Net:
    """Where sockets are made.

    Args:
        loop: of virtual time.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.sockets: list[FakeSocket] = []
        self.tries: list[float] = []  # when each connect was tried, s
        self.refusals: list[Ending | None] = []  # of the next tries; None lets one through
        self.refuse_always: Ending | None = None
        self.on_socket: Callable[[FakeSocket], None] = lambda socket: None

    async def connect(self, address: str, line: Line) -> Socket:
        self.tries.append(self._loop.time())
        await asyncio.sleep(0.01)
        refusal = self.refusals.pop(0) if self.refusals else self.refuse_always
        if refusal is not None:
            raise ConnectFailed(refusal)
        line.connected(None)
        socket = FakeSocket(address, line, self._loop.time())
        self.sockets.append(socket)
        self._loop.call_soon(self.on_socket, socket)
        return socket

    @property
    def pauses(self) -> list[float]:
        """Seconds between tries."""
        return [b - a for a, b in pairwise(self.tries)]


def http(status: int) -> Ending:
    """A handshake that was refused."""
    return Ending(Cause.HANDSHAKE, status)


@dataclass
class Stage:
    """A feed on a network without sockets.

    Attributes:
        events: (FeedEvent, seconds of the loop).
    """

    loop: VirtualLoop
    net: Net
    clock: VirtualClock
    tokens: FakeTokens
    world: World
    batches: list[Any] = field(default_factory=list)
    events: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def made(cls, start_ns: int = OPEN, **world: Any) -> "Stage":
        """Everything but the feed."""
        loop = VirtualLoop()
        net, clock, tokens = Net(loop), VirtualClock(loop, start_ns), FakeTokens()
        rng = random.Random(1)
        shared = {"door": Door(clock, rng), "connect": net.connect, **world}
        return cls(loop, net, clock, tokens, World(clock, rng, tokens, **shared))

    def live(self, securities: list[Security], **options: Any) -> DhanFeed:
        """A live feed whose table has these securities."""
        table = [(*each, number, 5) for number, each in enumerate(securities)]
        sink = TickCall(lambda ticks, _: self.batches.append(ticks), self._event)
        intake = FeedIntake(DhanDecoder(table), sink, clock=self.clock)
        settings = options.pop("settings", FeedSettings())
        hours = options.pop("hours", Hours(Calendar.load()))
        return DhanFeed(
            "wss://feed.example", intake, self.world, hours=hours, settings=settings, **options
        )

    def depth(self, securities: list[Security], settings: DepthSettings, base: str) -> DhanDepth:
        """A depth feed whose table has these securities."""
        table = [(*each, number, 5) for number, each in enumerate(securities)]
        sink = DepthCall(lambda rows, _: self.batches.append(rows), self._event)
        intake = DepthIntake(DhanDepthDecoder(table, settings.levels), sink, clock=self.clock)
        return DhanDepth(base, intake, self.world, hours=Hours(Calendar.load()), settings=settings)

    def _event(self, event: int, at_ns: int) -> None:
        self.events.append((event, round(self.loop.time(), 1)))


async def during(feed: FeedPool, act: Callable[[], Awaitable[None]]) -> None:
    """Run a feed while something happens, then close it."""
    async with asyncio.TaskGroup() as group:
        group.create_task(feed.run())
        await asyncio.sleep(0)
        await act()
        await feed.close()


def talk(socket: FakeSocket, every_s: float = 1.0) -> None:
    """A socket that ticks for ever."""
    loop = asyncio.get_running_loop()
    socket.say(ticker(0, 13, 24_000.0 + loop.time(), LTT + int(loop.time())))
    if socket.open:
        loop.call_later(every_s, talk, socket, every_s)


def play(stage: Stage, main: Callable[[], Awaitable[None]]) -> None:
    """Run in the stage's virtual time."""
    run_virtually(main(), stage.loop)  # type: ignore[arg-type]
