"""Which request goes where, and what it must show first."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dhanfast.exchange.answers import Refusal, Reply


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read.

    Attributes:
        args: what stands in the places of the route's path. raw: the decoded body, None without.
        now_ns: time of the market. real_ns: of tokens and limits. peer: address of the caller.
    """

    method: str
    path: str
    args: tuple[str, ...]
    query: Mapping[str, str]
    headers: dict[str, str]
    raw: Any
    now_ns: int
    real_ns: int
    peer: str


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes:
        pattern: `{}` stands for one part. limit: class of the rate limits, "" for none.
        data: errors in the shape of the data APIs. token: whether a live one is needed.
        static_ip: whether it is for orders, which only one address may send.
    """

    method: str
    pattern: str
    handler: Handler = field(repr=False)
    limit: str = "other"
    data: bool = False
    token: bool = True
    static_ip: bool = False


def order_route(method: str, pattern: str, handler: Handler) -> Route:
    """A route that places, changes or ends orders."""
    return Route(method, pattern, handler, limit="order", static_ip=True)


class Router:
    """Finds the route of a path.

    Args:
        routes: the first that fits is taken.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_size: dict[tuple[str, int], list[tuple[tuple[str, ...], Route]]] = {}
        for route in self.routes:
            parts = _parts(route.pattern)
            self._by_size.setdefault((route.method, len(parts)), []).append((parts, route))

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route of a request, and what stands in its places.

        Raises:
            Refusal: 404, there is none.
        """
        parts = _parts(path)
        for pattern, route in self._by_size.get((method, len(parts)), ()):
            if all(want in ("{}", got) for want, got in zip(pattern, parts, strict=True)):
                args = [got for want, got in zip(pattern, parts, strict=True) if want == "{}"]
                return route, tuple(args)
        raise Refusal(404, 905, f"Not served here: {method} {path}")


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
