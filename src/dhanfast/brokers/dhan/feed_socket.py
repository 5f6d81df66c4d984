"""One open socket of a feed: what reads it, what writes to it, how it ends.

    Connect(address, Line) ──▶ Socket        the seam: picows here, a simulated network in tests
    Line                                     told by whoever reads the socket

The real one reads natively: its listener gives binary messages to the intake without coming by
here (`_core/live/listener.pxd`), and only what is rare arrives at the Line.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from numpy.typing import NDArray

from dhanfast._core.live.intake import Intake
from dhanfast._core.wire.dhan import DhanCode
from dhanfast.brokers.dhan.feed_endings import Cause, Ending
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from picows import WSTransport

    from dhanfast._core.live.listener import FeedListener

CONNECT_S: Final = 10.0  # name, TCP and TLS; then as long again for the handshake
PING_S: Final = 20.0  # idle time before a ping of ours, and what its answer may take
MESSAGE_MAX: Final = 1 << 22  # bytes of a frame: a hundred times what is documented
READ_BUFFER: Final = 1 << 16
STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
NOT_WORDS: Final = "\r\n\t"
log = logging.getLogger("dhanfast.feed")


class Socket(Protocol):
    """An open connection, to be written to and ended."""

    def send(self, text: str) -> None:
        """Send a text message; nothing happens when the connection is gone."""
        ...

    def close(self) -> None:
        """Ask the other side to close; `wait` returns when it has."""
        ...

    def abort(self) -> None:
        """Drop the connection now."""
        ...

    async def wait(self) -> None:
        """Return when the connection is gone; the Line has been told how."""
        ...


class ConnectFailed(Exception):
    """A connection did not come about; says how, never with the address."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


class Line:
    """What one connection says, gathered for its owner. One use.

    Args:
        intake: takes the binary messages.
        on_text: called with each text message.
        on_notices: called with what the feed says of itself, NOTICE_DTYPE rows.
    """

    def __init__(
        self,
        intake: Intake,
        on_text: Callable[[str], None],
        on_notices: Callable[[NDArray[Any]], None],
    ) -> None:
        self.intake = intake
        self._on_text, self._on_notices = on_text, on_notices
        self._listener: FeedListener | None = None
        self._messages = self._bytes = self._seen_ns = 0
        self._reason: int | None = None
        self._opened = self._abandoned = False
        self._ending: Ending | None = None

    def read_by(self, listener: "FeedListener") -> None:
        """A native listener counts from now on."""
        self._listener = listener

    @property
    def messages(self) -> int:
        """Binary messages so far."""
        return self._messages if self._listener is None else self._listener.messages

    @property
    def heard(self) -> bool:
        """Whether it brought anything but its own end."""
        return self.messages > (self._reason is not None)

    @property
    def size(self) -> int:
        """Bytes of them."""
        return self._bytes if self._listener is None else self._listener.bytes

    @property
    def seen_ns(self) -> int:
        """When the last of them came, by the intake's clock of silence; 0 before the first."""
        return self._seen_ns if self._listener is None else self._listener.seen_ns

    @property
    def pings(self) -> int:
        """Pings answered."""
        return 0 if self._listener is None else self._listener.pings

    @property
    def dropped_frames(self) -> int:
        """Frames that could not be part of a message."""
        return 0 if self._listener is None else self._listener.dropped_frames

    @property
    def opened(self) -> bool:
        """Whether the handshake was done, however the connection ended since."""
        return self._opened

    @property
    def ended(self) -> bool:
        """Whether it is known how the connection ended."""
        return self._ending is not None

    @property
    def ending(self) -> Ending:
        """How the connection ended."""
        return self._ending or Ending(Cause.CLOSED, 1006, self.heard)

    def connected(self, transport: "WSTransport | None") -> None:
        """The handshake is done. One that nobody waits for any more is dropped."""
        self._opened = True
        if self._abandoned and transport is not None:
            transport.disconnect(graceful=False)

    def abandon(self) -> None:
        """Nobody waits for the connection any more."""
        self._abandoned = True

    def binary(self, payload: bytes) -> None:
        """A binary message, from a reader that is not native."""
        self._messages += 1
        self._bytes += len(payload)
        self._seen_ns = self.intake.now_ns()
        notices = self.intake.receive(payload)
        if len(notices):
            self.notices(notices)

    def notices(self, notices: NDArray[Any]) -> None:
        """What the feed said of itself."""
        for notice in notices:
            if notice["code"] == DhanCode.DISCONNECT and self._reason is None:
                self._reason = int(notice["reason"])
        self._on_notices(notices)

    def text(self, text: str) -> None:
        """A text message."""
        self._on_text(text)

    def gone(self, code: int, reason: str) -> None:
        """The connection is gone; what came first of all told counts."""
        if self._reason is not None:
            self.end(Ending(Cause.NOTICE, self._reason, self.heard))
        self.end(Ending(Cause.CLOSED, code, self.heard, words(reason)))

    def end(self, ending: Ending) -> None:
        """Say how it ends; the first to say so is believed."""
        if self._ending is None:
            self._ending = ending

    def broke(self, text: str) -> None:
        """It was we who hung up, because the other side broke the protocol."""
        if self._ending is None or self._ending.cause is Cause.CLOSED:
            self._ending = Ending(Cause.PROTOCOL, 0, self.heard, text)

    @property
    def told_to_leave(self) -> bool:
        """Whether the feed has sent its disconnect packet."""
        return self._reason is not None


Connect = Callable[[str, Line], Awaitable[Socket]]


def words(text: str, most: int = 200) -> str:
    """Text of the other side on one line, at most so long."""
    plain = "".join(" " if sign in NOT_WORDS else sign for sign in text if sign.isprintable() or
                    sign in NOT_WORDS)  # fmt: skip
    return plain if len(plain) <= most else plain[:most] + "..."


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """picows' log without its debug lines: they hold the request, and so the token."""

    def isEnabledFor(self, level: int) -> bool:
        """Debug is off, whatever the logger says."""
        return level >= logging.INFO and super().isEnabledFor(level)


class PicowsSocket:
    """A `Socket` over picows' transport."""

    def __init__(self, transport: "WSTransport", line: Line) -> None:
        self._transport, self._line = transport, line

    def send(self, text: str) -> None:
        """See Socket."""
        from picows import WSMsgType

        if not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, text)

    def close(self) -> None:
        """See Socket."""
        from picows import WSCloseCode

        if not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.OK)

    def abort(self) -> None:
        """See Socket."""
        if not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    async def wait(self) -> None:
        """See Socket."""
        from picows import WSProtocolError

        try:
            await self._transport.wait_disconnected()
        except WSProtocolError as error:
            self._line.broke(words(str(error)))


async def picows_connect(address: str, line: Line) -> Socket:
    """Connect with picows; the listener reads natively into the line's intake.

    Args:
        address: with the token; it is in no log and in no error.
        line: told of everything.

    Raises:
        UsageError: picows is not installed, or another version than this was built for.
        ConnectFailed: the other side is not there, or refuses.
    """
    try:
        import picows

        from dhanfast._core.live.listener import FeedListener
    except (ImportError, ValueError) as error:  # ValueError: another layout than it was built for
        raise UsageError(
            f"the live feed needs picows 2.3.1: pip install 'dhanfast[live]' ({error})"
        ) from None
    listener = FeedListener(line.intake, line)
    line.read_by(listener)
    try:
        async with asyncio.timeout(2 * CONNECT_S):
            transport, _ = await picows.ws_connect(
                lambda *_: listener,
                address,
                max_redirects=0,  # a redirect would show the token to another host
                websocket_handshake_timeout=CONNECT_S,
                logger_name=_Quiet(logging.getLogger("dhanfast.feed.picows"), {}),
                enable_auto_pong=False,  # the listener answers, and counts
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_S,
                auto_ping_reply_timeout=PING_S,
                max_frame_size=MESSAGE_MAX,
                read_buffer_init_size=READ_BUFFER,
                use_aiofastnet=False,
            )
    except picows.WSHandshakeError as error:
        raise ConnectFailed(_refusal(error)) from None
    except TimeoutError:
        line.abandon()
        raise ConnectFailed(Ending(Cause.UNREACHABLE, text="no answer in time")) from None
    except asyncio.CancelledError:
        line.abandon()
        raise
    except ssl.SSLError as error:
        told = words(f"TLS: {getattr(error, 'verify_message', '') or error.reason}")
        raise ConnectFailed(Ending(Cause.UNREACHABLE, text=told)) from None
    except OSError as error:
        told = words(error.strerror or type(error).__name__)
        raise ConnectFailed(Ending(Cause.UNREACHABLE, text=told)) from None
    if not line.opened:
        raise ConnectFailed(Ending(Cause.UNREACHABLE, text="closed during the handshake"))
    return PicowsSocket(transport, line)


def _refusal(error: Any) -> Ending:
    """What a handshake that failed means; the answer is not quoted but for its status."""
    if error.response is not None:
        status = int(error.response.status)
    else:  # a status that picows cannot read, such as one without its phrase, still counts
        found = STATUS.match(error.raw_header or b"")
        status = int(found[1]) if found else 101
    if status == 101:
        return Ending(Cause.UNREACHABLE, text="not a WebSocket answer")
    return Ending(Cause.HANDSHAKE, status)
