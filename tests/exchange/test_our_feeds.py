"""The engine's own feeds against the exchange on loopback: ticks, depth, a dead token."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.intake import DepthIntake, FeedIntake
from dhanfast._core.live.sink import DepthCall, TickCall
from dhanfast._core.types import Side
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast.brokers.dhan.feed import DhanFeed
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_depth import DepthSettings, DhanDepth
from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_pool import FeedPool
from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.brokers.dhan.feed_socket import picows_connect
from dhanfast.brokers.dhan.feed_watch import Hours
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.link import Backoff
from dhanfast.clock import SystemClock
from dhanfast.errors import NotAuthenticated
from dhanfast.market.calendar import Calendar
from dhanfast.security.tokens import FixedToken, Token
from tests.exchange.serving import LIMIT_S, Served, make_core, serving


@pytest.fixture(scope="module")
def served() -> Any:
    with serving(make_core(levels=200, limits=False), speed=20) as one:
        yield one


def world(token: str) -> World:
    """A world of one token, in a hurry."""
    clock, rng = SystemClock(), random.Random(1)
    tokens = FixedToken(Token.of_jwt(token, "1000000001"))
    return World(clock, rng, tokens, Door(clock, rng), picows_connect, backoff=Backoff(0.05))


def until(feed: FeedPool, enough: Callable[[], object]) -> None:
    """Run a feed until there is enough, then close it."""

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            group.create_task(feed.run())
            while not enough():
                await asyncio.sleep(0.01)
            await feed.close()

    asyncio.run(main())


def test_ticks_of_every_mode(served: Served) -> None:
    index, future, option = served.core.contracts[:3]
    table = [(0 if each is index else 2, each.security_id, number, 5)
             for number, each in enumerate((index, future, option))]  # fmt: skip
    batches: list[Any] = []
    intake = FeedIntake(DhanDecoder(table), TickCall(lambda t, _: batches.append(t)))
    hosts = Hosts.loopback(served.server.port)
    feed = DhanFeed(hosts.feed, intake, world(served.token), hours=Hours(Calendar.load()))
    for row, mode in zip(table, (Mode.TICKER, Mode.QUOTE, Mode.FULL), strict=True):
        feed.subscribe([Security(*row[:2])], mode)

    def enough() -> bool:
        ticks = np.concatenate(batches) if batches else np.empty(0, [("instrument", "u4")])
        return all((ticks["instrument"] == number).sum() > 20 for number in range(3))

    until(feed, enough)
    ticks = np.concatenate(batches)
    told = feed.status()
    assert told.connections[0].opened == 1 and told.subscriptions == 3
    assert told.unconfirmed == 0 and "unknown_instrument" not in told.counters
    full = ticks[(ticks["instrument"] == 2) & (ticks["bid"] > 0)]
    assert len(full) and (full["bid"] < full["ask"]).all()
    assert not (ticks[ticks["instrument"] == 1]["bid"]).any()
    for number in range(3):
        mine = ticks[ticks["instrument"] == number]
        assert mine["flags"][0] & 1 and not (mine["flags"][1:] & 1).any()
        assert (np.diff(mine["exch_ns"][mine["exch_ns"] > 0]) >= 0).all()


@pytest.mark.parametrize("levels", [20, 200])
def test_depth(served: Served, levels: int) -> None:
    future = served.core.contracts[1]
    rows: list[Any] = []
    decoder = DhanDepthDecoder([(2, future.security_id, 0, future.tick)], levels)
    intake = DepthIntake(decoder, DepthCall(lambda r, _: rows.append(r)))
    hosts = Hosts.loopback(served.server.port)
    base = hosts.depth20 if levels == 20 else hosts.depth200
    feed = DhanDepth(base, intake, world(served.token), hours=Hours(Calendar.load()),
                     settings=DepthSettings(levels))  # fmt: skip
    feed.subscribe([Security(2, future.security_id)])
    sides: list[Any] = []

    def enough() -> bool:
        sides[:] = [intake.levels(0, Side.BUY), intake.levels(0, Side.SELL)]
        return len(rows) > 20

    until(feed, enough)
    bids, asks = sides
    assert len(intake.levels(0, Side.BUY)) == 0  # what is not connected knows no book
    assert len(bids) == len(asks) == levels
    assert (np.diff(bids["price"]) < 0).all() and (np.diff(asks["price"]) > 0).all()
    assert bids["price"][0] < asks["price"][0]
    assert feed.status().connections[0].opened == 1


def test_a_dead_token_ends_the_feed_and_is_not_shown(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """As Dhan does it, or by a refusal: in the end there is no token to go on with."""
    caplog.set_level(1, "dhanfast")
    dead = served.token[:-6] + "AAAAAA"
    intake = FeedIntake(DhanDecoder([(0, 13, 0, 5)]))
    hosts = Hosts.loopback(served.server.port)
    feed = DhanFeed(hosts.feed, intake, world(dead), hours=Hours(Calendar.load()))
    feed.subscribe([Security(0, 13)], Mode.TICKER)

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(NotAuthenticated, match="log in again"):
                await feed.run()

    asyncio.run(main())
    assert dead not in caplog.text and dead[:40] not in caplog.text
