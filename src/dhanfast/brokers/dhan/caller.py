"""How every call to Dhan's REST API is made: limits, token, time-outs, errors, retries.

read    asks; tried again on 429, 5xx and a lost connection, with growing pauses
submit  changes something; sent once, and its fate is told, never guessed
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import msgspec

from dhanfast.brokers.base import NOT_SENT, Accepted, Outcome, Refused, Unknown
from dhanfast.brokers.dhan.answers import accepted_of
from dhanfast.brokers.dhan.errors import (
    NO_RENEWAL,
    BrokerError,
    ErrorKind,
    error_of,
    is_error_body,
)
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.limits import CallClass, Limits
from dhanfast.brokers.dhan.web import AioWeb, NoReply, NotSent, Web, WebReply, WebRequest
from dhanfast.brokers.link import Backoff, Randomness
from dhanfast.clock import Clock
from dhanfast.errors import ConfigError, NotAuthenticated
from dhanfast.security.redact import logger, redacted
from dhanfast.security.tokens import Token, TokenSource

LOG: Final = logger("dhanfast.brokers.dhan.rest")
FLOOD: Final = 805  # going on may get the user blocked
FLOOD_PAUSE_S: Final = 5.0
ROUNDS: Final = 3  # of one call, each with another token
LIMITED: Final = "LIMIT"  # code of an error of ours: the limit is used up


@dataclass(frozen=True, slots=True)
class CallSettings:
    """How patient calls are.

    Units:
        seconds; tries of a read, the first included.

    Raises:
        ConfigError: a figure that makes no sense.
    """

    connect_s: float = 3.0
    order_s: float = 10.0
    read_s: float = 10.0
    chart_s: float = 30.0
    tries: int = 4
    order_patience_s: float = 5.0  # for a place in the limits
    read_patience_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse figures that make no sense."""
        times = (self.connect_s, self.order_s, self.read_s, self.chart_s)
        if not all(0 < time <= 300 for time in times):
            raise ConfigError(f"time-outs must be above 0 and at most 300 s, were {times}")
        if not (1 <= self.tries <= 10 and self.order_patience_s >= 0 <= self.read_patience_s):
            raise ConfigError(f"tries must be from 1 to 10 (was {self.tries}), patience from 0 s")


class Caller:
    """The part that all calls share.

    Args:
        hosts: where to.
        tokens: whose token.
        clock: of limits and pauses.
        session: who sends: a `Web`, or an aiohttp.ClientSession for the reads; None makes one.
        order_proxy: http://host:port that order calls alone go through, where the broker wants a
            fixed address.
        limits: shared by all who use the account in this process; None makes one.
        settings: how patient.
        backoff: pauses between tries of a read.
        rng: of their jitter; None is seeded by the clock.
    """

    def __init__(
        self, hosts: Hosts, tokens: TokenSource, clock: Clock, *, session: Any = None,
        order_proxy: str = "", limits: Limits | None = None, settings: CallSettings | None = None,
        backoff: Backoff | None = None, rng: Randomness | None = None,
    ) -> None:  # fmt: skip
        self.hosts = hosts
        self.limits = limits or Limits(clock)
        self.settings = settings or CallSettings()
        self._tokens = tokens
        self._clock = clock
        self._web: Web = session if hasattr(session, "ask") else AioWeb(session)
        self._order_proxy = _checked_proxy(order_proxy)
        self._backoff = backoff or Backoff(most_s=30.0)
        self._rng = rng or random.Random(clock.now_ns())

    async def __aenter__(self) -> Self:
        """Ready: connections are made when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all connections."""
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._web.close()

    async def read(
        self, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None, kind: CallClass = CallClass.OTHER, key: str = "",
        read_s: float = 0.0, empty_on_no_data: bool = False, body_optional: bool = False,
        bare_headers: bool = False,
    ) -> Any:  # fmt: skip
        """Ask for something that changes nothing.

        Args:
            path: below the REST address, encoded.
            kind, key: which limit it counts against.
            empty_on_no_data: DH-907 is no error but None.
            body_optional: an answer without body is no error but None. Without this it is one: an
                empty answer must not pass for an empty list of positions. 204 says it is empty.
            bare_headers: those of /profile and /RenewToken.

        Returns:
            The JSON of the answer, None for the cases above.

        Raises:
            BrokerError: the broker refused, or nothing helped.
            NotAuthenticated: it refuses the token, and the renewed one as well.
        """
        failures = renewals = 0
        while True:
            token = await self._tokens.token()
            await self._place(kind, key)
            error, said = await self._asked(
                WebRequest(
                    method=method,
                    url=self.url(path, query),
                    headers=self._headers(token, bare_headers),
                    body=self._body(body, token),
                    connect_s=self.settings.connect_s,
                    read_s=read_s or self.settings.read_s,
                ),
                body_optional,
            )
            if error is None:
                return said
            if error.kind is ErrorKind.AUTH:
                if not error.renews or renewals + 1 >= ROUNDS:
                    raise NotAuthenticated(str(error))
                await self._another(token, renewals, str(error))
                renewals += 1
                continue
            if error.kind is ErrorKind.NO_DATA and empty_on_no_data:
                return None
            failures += 1
            if not error.is_retried or failures >= self.settings.tries:
                raise error
            await self._pause(error, kind, failures)

    async def submit(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *,
        query: Mapping[str, str] | None = None, kind: CallClass = CallClass.ORDER,
        makes_order: bool = False, urgent: bool = False,
    ) -> Outcome:  # fmt: skip
        """Change something at the broker, once.

        It is sent again only when the broker has proved that it did not act on it, because of the
        token, and there is another token.

        Args:
            makes_order: without an order id in the answer its fate is unknown.
            urgent: it closes a position or cancels.

        Raises:
            NotAuthenticated: there is no token; nothing was sent.
        """
        token = await self._tokens.token()
        for renewals in range(ROUNDS):
            wait_ns = await self.limits.taken(
                kind, urgent=urgent, patience_s=self.settings.order_patience_s
            )
            if wait_ns:
                return _limited(wait_ns)
            try:
                reply = await self._web.ask(
                    WebRequest(
                        method=method,
                        url=self.url(path, query),
                        headers=self._headers(token),
                        body=self._body(body, token),
                        connect_s=self.settings.connect_s,
                        read_s=self.settings.order_s,
                        once=True,
                        proxy=self._order_proxy if kind is CallClass.ORDER else "",
                    )
                )
            except NotSent as error:
                return Refused(code=NOT_SENT, text=f"nothing was sent: {error}")
            except NoReply as error:
                LOG.warning("%s %s: no reply, its fate is unknown: %s", method, path, error)
                return Unknown(cause=str(error))
            outcome, kind_of = judged(reply, makes_order)
            self._log(method, path, body, outcome)
            if kind_of is ErrorKind.RATE and isinstance(outcome, Refused):
                self.limits.penalise(kind, outcome.retry_after_s)
            if kind_of is not ErrorKind.AUTH or not isinstance(outcome, Refused):
                return outcome
            if outcome.number in NO_RENEWAL or renewals + 1 >= ROUNDS:
                return outcome
            try:
                token = await self._another(token, renewals, outcome.text)
            except NotAuthenticated as error:
                LOG.warning("token refused and not renewed: %s", error)
                return outcome
        raise AssertionError("the last round always returns")

    async def _another(self, token: Token, renewals: int, words: str) -> Token:
        """The token after one that was refused. It is renewed once; when the new one is refused as
        well, only one that somebody has made meanwhile is worth a try.

        Raises:
            NotAuthenticated: there is no other.
        """
        if renewals == 0:
            return await self._tokens.refused(token)
        newer = await self._tokens.token()
        if newer == token:
            raise NotAuthenticated(words)
        return newer

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The address of a call."""
        return f"{self.hosts.rest}{path}" + (f"?{urlencode(query)}" if query else "")

    async def client_id(self) -> str:
        """Of the account in force."""
        return (await self._tokens.token()).client_id

    async def fetch(self, url: str) -> WebReply:
        """Read a public address without the token: where an answer redirects to.

        Raises:
            BrokerError: it cannot be read.
        """
        request = WebRequest(
            method="GET", url=url, headers={}, connect_s=self.settings.connect_s,
            read_s=self.settings.chart_s,
        )  # fmt: skip
        try:
            return await self._web.ask(request)
        except (NotSent, NoReply) as error:
            raise BrokerError("", 0, ErrorKind.NETWORK, str(error)) from None

    async def raw(self, path: str, kind: CallClass) -> WebReply:
        """The answer of a GET as it came, whatever its status; asked once.

        Raises:
            BrokerError: no answer came.
        """
        token = await self._tokens.token()
        await self._place(kind, "")
        request = WebRequest(
            method="GET", url=self.url(path), headers=self._headers(token),
            connect_s=self.settings.connect_s, read_s=self.settings.chart_s,
        )  # fmt: skip
        try:
            return await self._web.ask(request)
        except (NotSent, NoReply) as error:
            raise BrokerError("", 0, ErrorKind.NETWORK, str(error)) from None

    async def _place(self, kind: CallClass, key: str) -> None:
        """Wait for a place in the limits.

        Raises:
            BrokerError: it would take too long.
        """
        wait_ns = await self.limits.taken(kind, key, patience_s=self.settings.read_patience_s)
        if wait_ns:
            wait_s = wait_ns / 1e9
            raise BrokerError(
                LIMITED, 0, ErrorKind.RATE,
                f"the limit of {kind} calls is used up, the next may go in {wait_s:,.0f} s",
            )  # fmt: skip

    async def _asked(
        self, request: WebRequest, body_optional: bool
    ) -> tuple[BrokerError | None, Any]:
        """One try of a read: an error, or what was answered."""
        try:
            reply = await self._web.ask(request)
        except (NotSent, NoReply) as error:
            return BrokerError("", 0, ErrorKind.NETWORK, str(error)), None
        if not 200 <= reply.status < 300:
            return error_of(reply.status, reply.body, reply.header("Retry-After")), None
        if not reply.body.strip() and (body_optional or reply.status == 204):
            return None, None
        try:
            said = msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            bad = error_of(reply.status, reply.body)
            return BrokerError("", reply.status, ErrorKind.SERVER, bad.text), None
        if is_error_body(said):
            return error_of(reply.status, reply.body), None
        return None, said

    async def _pause(self, error: BrokerError, kind: CallClass, failures: int) -> None:
        """Wait before the next try of a read; a 429 makes its whole class wait."""
        pause_s = self._backoff.pause_s(failures, self._rng)
        LOG.info("try %d failed, next in %.1f s: %s", failures, pause_s, error)
        if error.kind is ErrorKind.RATE:
            floor_s = FLOOD_PAUSE_S if error.number == FLOOD else 1.0
            self.limits.penalise(kind, max(pause_s, floor_s, error.retry_after_s))
        else:
            await self._clock.sleep(pause_s)

    @staticmethod
    def _log(method: str, path: str, body: Mapping[str, Any] | None, outcome: Outcome) -> None:
        """What was not accepted. A refusal with what was sent: the broker names no field."""
        if isinstance(outcome, Refused):
            LOG.warning(
                "%s %s refused: %s %s; sent: %s", method, path, outcome.code, outcome.text, body
            )
        elif isinstance(outcome, Unknown):
            LOG.warning("%s %s: its fate is unknown: %s", method, path, outcome.cause)

    @staticmethod
    def _headers(token: Token, bare: bool = False) -> dict[str, str]:
        """Those of the official client."""
        if bare:
            return {"access-token": token.reveal(), "dhanClientId": token.client_id}
        return {
            "access-token": token.reveal(),
            "client-id": token.client_id,
            "Content-type": "application/json",
            "Accept": "application/json",
        }

    @staticmethod
    def _body(body: Mapping[str, Any] | None, token: Token) -> bytes | None:
        """JSON with the client id of the token in force; nothing for nothing."""
        if not body:
            return None
        return msgspec.json.encode({**body, "dhanClientId": token.client_id})


def judged(reply: WebReply, makes_order: bool) -> tuple[Outcome, ErrorKind | None]:
    """What became of a call that changes something.

    Args:
        makes_order: without an order id in the answer its fate is unknown.
    """
    status = reply.status
    if not 200 <= status < 300:
        return _failed(error_of(status, reply.body, reply.header("Retry-After")))
    if not reply.body.strip():
        if makes_order:
            return Unknown(cause=f"answered {status} without an order id", http=status), None
        return Accepted(http=status), None
    try:
        said = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unknown(cause=error_of(status, reply.body).text, http=status), None
    if is_error_body(said):
        return _failed(error_of(status, reply.body))
    found = accepted_of(said, status)
    if found is not None:
        return found, None
    if makes_order:
        return Unknown(cause=f"answered {status} without an order id", http=status), None
    return Accepted(http=status, text=_words(said)), None


def _failed(error: BrokerError) -> tuple[Outcome, ErrorKind]:
    """Refused when the broker proved it, unknown otherwise."""
    if error.proves_refusal:
        refused = Refused(
            code=error.code, text=error.text, http=error.http, number=error.number,
            retry_after_s=error.retry_after_s,
        )  # fmt: skip
        return refused, error.kind
    return Unknown(cause=str(error), http=error.http, number=error.number), error.kind


def _limited(wait_ns: int) -> Refused:
    """The limits have no place soon enough."""
    wait_s = -(-wait_ns // 1_000_000_000)
    return Refused(
        code=NOT_SENT,
        text=f"nothing was sent: the broker's limit of orders has no place for {wait_s:,} s",
        retry_after_s=wait_s,
    )


def _words(said: Any) -> str:
    """What an answer without an order says."""
    if not isinstance(said, Mapping):
        return ""
    for name in ("message", "killSwitchStatus", "pnlExitStatus", "status"):
        if said.get(name):
            return redacted(str(said[name]))
    return ""


def part(text: str) -> str:
    """One part of a path, encoded whole."""
    return quote(text, safe="")


def _checked_proxy(url: str) -> str:
    """A proxy that order calls can go through.

    Raises:
        ConfigError: not of the form http://host:port. The message does not repeat it: it may hold
            a password.
    """
    if url and not url.startswith(("http://", "https://")):
        raise ConfigError("order_proxy must be of the form http://host:port")
    return url
