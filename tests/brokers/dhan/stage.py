"""What the tests of Dhan's calls share: fixtures, tokens, a network that is a function."""

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.dhan.web import WebReply, WebRequest
from dhanfast.clock import ManualClock
from dhanfast.errors import NotAuthenticated
from dhanfast.security.tokens import Token

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dhan"
CLIENT = "1000000001"
VALUE = "TEST.TOKEN.VALUE"  # what the fixtures were made with
NOON_NS = 1_784_701_800_000_000_000  # 2026-07-22 12:00 IST
Answer = WebReply | Exception
Handler = Callable[[WebRequest], Answer]


def fixture(name: str) -> Any:
    """One of the golden JSON files."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def jwt(client: str = CLIENT, *, exp_s: float | None = None, kind: str = "SELF", n: int = 0) -> str:
    """A token that looks real; nobody checks its signature."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims: dict[str, Any] = {"dhanClientId": client, "tokenConsumerType": kind, "n": n}
    if exp_s is not None:
        claims["exp"] = exp_s
    return f"{part({'alg': 'HS512'})}.{part(claims)}.c2lnbmF0dXJl{n}"


def json_reply(said: object, status: int = 200, **headers: str) -> WebReply:
    """An answer with a body."""
    return WebReply(status=status, body=json.dumps(said).encode(), headers=headers)


class ScriptedWeb:
    """A network that answers from a function and keeps what was asked."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.asked: list[WebRequest] = []
        self.closed = False

    async def ask(self, request: WebRequest) -> WebReply:
        self.asked.append(request)
        said = self.handler(request)
        if isinstance(said, Exception):
            raise said
        return said

    async def close(self) -> None:
        self.closed = True


def answering(*answers: Answer) -> ScriptedWeb:
    """Answers one after the other; the last again and again."""
    left = list(answers)
    return ScriptedWeb(lambda _: left.pop(0) if len(left) > 1 else left[0])


class Tokens:
    """A token source that counts, and has as many renewals as it was given tokens."""

    def __init__(self, *more: Token) -> None:
        self.current = Token(CLIENT, VALUE)
        self.more = list(more)
        self.refusals = 0

    async def token(self) -> Token:
        return self.current

    async def refused(self, token: Token) -> Token:
        self.refusals += 1
        if not self.more:
            raise NotAuthenticated("no renewal")
        self.current = self.more.pop(0)
        return self.current


def rest_over(
    web: ScriptedWeb, tokens: Tokens | None = None, **options: Any
) -> tuple[DhanRest, ManualClock]:
    """A client on that network; its pauses take no time."""
    clock = ManualClock(NOON_NS)
    return DhanRest(Hosts(), tokens or Tokens(), clock, session=web, **options), clock


Call = Callable[[DhanRest], Awaitable[Any]]
