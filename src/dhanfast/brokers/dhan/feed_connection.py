"""One connection of a feed, kept: opened, subscribed, opened again for as long as it makes sense.

    OFF ──run()──▶ WAITING ──door──▶ CONNECTING ──▶ UP ──▶ WAITING ...
                      ▲                  │          │
                      └──── pause ◀──────┴──────────┘        CLOSED: asked to, or the feed stops

One task runs it; nobody else opens its socket. What each end means is in feed_endings.py; this file
only does it. It knows nothing of instruments: what to say on a new socket is its plan's business.

A connection that never brought a message ends for want of a token: somebody is there to be told.
One that did waits for another token instead, and does not knock with one that was refused.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from numpy.typing import NDArray

from dhanfast._core.live.intake import Intake
from dhanfast._core.wire.dhan import DhanCode
from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_endings import Cause, Ending, Then
from dhanfast.brokers.dhan.feed_requests import Credentials
from dhanfast.brokers.dhan.feed_socket import Connect, ConnectFailed, Line, Socket, words
from dhanfast.brokers.link import CLOSE_S, Backoff, Randomness, close_or_abort
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError, NotAuthenticated

NS_PER_S: Final = 1_000_000_000
TEXTS_TOLD: Final = 20  # text messages that are logged; the feeds send none today
RENEWALS_MAX: Final = 3  # in a row, without a message between them; then at a slow pace
BUSY: Final = Backoff(first_s=120.0, most_s=900.0)  # after 805: others are connected
log = logging.getLogger("dhanfast.feed")


class Tokens(Protocol):
    """Where tokens come from: `security.tokens.TokenSource` is such."""

    async def token(self) -> Any:
        """A token in force.

        Raises:
            NotAuthenticated: there is none.
        """
        ...

    async def refused(self, token: Any) -> Any:
        """The token to use instead of one that the broker refused.

        Raises:
            NotAuthenticated: there is no other.
        """
        ...


class State(Enum):
    """Where a connection stands."""

    OFF = "off"
    WAITING = "waiting"
    CONNECTING = "connecting"
    UP = "up"
    CLOSED = "closed"


class Counts(NamedTuple):
    """What came on sockets."""

    messages: int = 0
    size: int = 0
    pings: int = 0
    dropped_frames: int = 0
    seen_ns: int = 0  # when the last message came

    def and_of(self, line: Line) -> "Counts":
        """These and those of a line."""
        return Counts(
            self.messages + line.messages,
            self.size + line.size,
            self.pings + line.pings,
            self.dropped_frames + line.dropped_frames,
            line.seen_ns or self.seen_ns,
        )


class Plan(Protocol):
    """What is said on a connection, and who is told of it."""

    intake: Intake

    def address(self, token: Credentials, fruitless: int) -> str:
        """Where to connect; `fruitless`: connections in a row that brought nothing."""
        ...

    def hello(self) -> list[str]:
        """What to send when it is open."""
        ...

    def goodbye(self) -> list[str]:
        """What to send before it is closed."""
        ...

    def up(self) -> None:
        """It is open and has asked for what is wanted."""
        ...

    def down(self) -> None:
        """It was up and is no more."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What all connections of an account share.

    Attributes:
        check: asks the broker whether a token is alive (`/profile`); None: nobody can. When it
            cannot tell it raises a DhanfastError, and the token is taken to be alive.
        busy: pauses after 805.
    """

    clock: Clock
    rng: Randomness
    tokens: Tokens
    door: Door
    connect: Connect
    check: Callable[[Any], Awaitable[bool]] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    busy: Backoff = BUSY


class Connection:
    """One connection and its row of sockets.

    Args:
        name: for logs and errors. plan: what to say. world: everything else.
    """

    def __init__(self, name: str, plan: Plan, world: World) -> None:
        self.name = name
        self._plan, self._world = plan, world
        self._socket: Socket | None = None
        self._line: Line | None = None
        self._token: Any = None
        self._dead: Any = None  # a token that was refused, while there is no other
        self._proven = False  # it has brought messages
        self._closing = False
        self._running = False
        self._renewals = self._unheard = 0
        self.state = State.OFF
        self.failures = 0
        self.opened = 0
        self.up_ns = 0
        self.last: Ending | None = None
        self.market_status = self.texts = 0
        self._before = Counts()  # of its earlier sockets

    @property
    def counts(self) -> Counts:
        """What came, on all its sockets."""
        return self._before if self._line is None else self._before.and_of(self._line)

    @property
    def messages(self) -> int:
        """Binary messages of the socket that is open; 0 when none is."""
        return self._line.messages if self._line is not None else 0

    def send(self, texts: list[str]) -> bool:
        """Send messages when it is up; False: it is not, and will ask when it is."""
        if self.state is not State.UP or self._socket is None:
            return False
        for text in texts:
            self._socket.send(text)
        return True

    def drop(self, ending: Ending) -> None:
        """End the socket now, for a reason of ours; it is opened again."""
        if self._line is not None and self._socket is not None:
            self._line.end(ending)
            self._socket.abort()

    async def run(self) -> None:
        """Keep it until `close`. Only once.

        Raises:
            NotAuthenticated: no token, or none that the broker takes, and so from the beginning.
            DhanfastError: an end after which trying again cannot help.
            RuntimeError: it runs already.
        """
        if self._running:
            raise RuntimeError(f"{self.name} runs already")
        self._running = True
        try:
            while not self._closing:
                ending, lived_ns = await self._once()
                if self._closing:
                    return
                self.last = ending
                healthy = lived_ns >= self._world.backoff.healthy_s * NS_PER_S
                self.failures = 1 if healthy else self.failures + 1
                self._unheard = 0 if healthy or ending.heard else self._unheard + 1
                await self._after(ending)
        finally:
            self.state = State.CLOSED
            self._running = False

    async def close(self, deadline_s: float = CLOSE_S) -> bool:
        """Say goodbye and close; drop it when that takes too long. May be called again.

        Returns:
            Whether the other side closed in time; True when nothing was open.
        """
        self._closing = True
        socket, line = self._socket, self._line
        if socket is None or line is None:
            return True
        line.end(Ending(Cause.ASKED, 0, line.heard))
        for text in self._plan.goodbye():
            socket.send(text)
        socket.close()
        return await close_or_abort(socket.wait(), socket.abort, deadline_s)

    async def _once(self) -> tuple[Ending, int]:
        """One try: how it ended and how long it was up, ns."""
        self.state = State.WAITING
        await self._world.door.enter()
        try:
            self._token = await self._live_token()
        except DhanfastError as error:
            if isinstance(error, NotAuthenticated) and not self._proven:
                raise
            return Ending(Cause.UNREACHABLE, text=f"no token: {words(str(error))}"), 0
        if self._closing:
            return Ending(Cause.ASKED), 0
        self.state = State.CONNECTING
        line = Line(self._plan.intake, self._text, self._notices)
        address = self._plan.address(self._token, self._unheard)
        try:
            socket = await self._world.connect(address, line)
        except ConnectFailed as failed:
            return failed.ending, 0
        finally:
            del address
        return await self._live(socket, line)

    async def _live_token(self) -> Any:
        """A token that the broker is not known to refuse.

        Raises:
            DhanfastError: there is none now.
        """
        token = await self._world.tokens.token()
        if self._dead is not None and token == self._dead:
            token = await self._world.tokens.refused(token)
        self._dead = None
        return token

    async def _live(self, socket: Socket, line: Line) -> tuple[Ending, int]:
        """An open socket, to its end."""
        self._world.door.entered()
        self._socket, self._line = socket, line
        self.opened += 1
        began = self.up_ns = self._world.clock.now_ns()
        try:
            self.state = State.UP
            for text in self._plan.hello():
                socket.send(text)
            self._plan.up()
            log.info("%s is up (socket %d)", self.name, self.opened)
            self._leave_if_told()
            await socket.wait()
        finally:
            self.state = State.WAITING
            socket.abort()
            self._before = self.counts
            self._socket = self._line = None
            self._plan.down()
        if line.heard:
            self._renewals, self._proven = 0, True
        return line.ending, self._world.clock.now_ns() - began

    async def _after(self, ending: Ending) -> None:
        """Do what an end asks for, and wait."""
        world, then = self._world, ending.then
        log.warning("%s: %s; then: %s", self.name, ending, then.value)
        if then is Then.STOP:
            raise ending.error(self.name, getattr(self._token, "kind", ""))
        if then is Then.SILENCE:
            world.door.refused()
            return
        if then is Then.RENEW or (then is Then.CHECK and await self._token_is_dead()):
            then = await self._renew(ending)
        backoff = world.busy if then is Then.LATER else world.backoff
        await world.clock.sleep(backoff.pause_s(self.failures, world.rng))

    async def _token_is_dead(self) -> bool:
        """Whether the token is the likely cause of a connection that never said a word."""
        if self._unheard == 0:
            return False  # it was up for long; nothing was to be said
        if self._world.check is None:
            return self._unheard >= 2  # once may be the network
        try:
            return not await self._world.check(self._token)
        except NotAuthenticated:
            return True
        except DhanfastError as error:
            log.warning("%s: the token could not be checked: %s", self.name, words(str(error)))
            return False

    async def _renew(self, ending: Ending) -> Then:
        """Have the token replaced; not for ever, and never one after the other."""
        self._renewals += 1
        if self._renewals > RENEWALS_MAX:
            error = NotAuthenticated(
                f"{self.name}: {ending}, and so it went with {RENEWALS_MAX} tokens; the broker "
                "takes none of this account. Log in again with `dhanfast auth login`"
            )
            if not self._proven:
                raise error
            log.error("%s", error)
            return Then.LATER
        try:
            await self._world.tokens.refused(self._token)
        except DhanfastError as error:  # the broker cannot be reached: asked again next time
            if isinstance(error, NotAuthenticated):
                if not self._proven:
                    raise
                self._dead = self._token
            log.warning("%s: no other token yet: %s", self.name, words(str(error)))
        return Then.AGAIN

    def _text(self, text: str) -> None:
        self.texts += 1
        if self.texts <= TEXTS_TOLD:
            log.info("%s said: %s", self.name, words(text))

    def _notices(self, notices: NDArray[Any]) -> None:
        for notice in notices:
            if notice["code"] == DhanCode.MARKET_STATUS:
                self.market_status += 1
                log.info("%s: market status of segment %d", self.name, notice["segment"])
        self._leave_if_told()

    def _leave_if_told(self) -> None:
        if self._line is not None and self._line.told_to_leave and self._socket is not None:
            self._socket.abort()  # it has said its last word: do not wait for it to hang up
