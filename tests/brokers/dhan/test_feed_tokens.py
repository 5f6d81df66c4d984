"""Tokens of a feed: renewed, refused, gone for a while."""

import asyncio
from typing import Any

import pytest

from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.errors import NotAuthenticated
from tests.brokers.dhan.feed_net import SECRET, Stage, during, http, play, talk
from tests.brokers.dhan.feed_server import disconnect_packet

NIFTY = Security(0, 13)


@pytest.mark.parametrize("reason", [807, 809])
def test_an_expired_token_is_replaced_and_the_next_socket_has_the_new_one(reason: int) -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)

    async def act() -> None:
        await asyncio.sleep(100)
        stage.net.sockets[0].say(disconnect_packet(reason))
        await asyncio.sleep(3)

    stage.net.on_socket = talk
    play(stage, lambda: during(feed, act))
    assert stage.tokens.refused_numbers == [1]
    assert [s.query["token"][-1] for s in stage.net.sockets] == ["1", "2"]
    assert stage.net.sockets[1].query == {
        "version": "2", "token": SECRET + "2", "clientId": "1000000001", "authType": "2",
    }  # fmt: skip


def test_tokens_are_not_renewed_for_ever() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = lambda socket: socket.say(disconnect_packet(807))

    async def main() -> None:
        with pytest.raises(NotAuthenticated, match="3 tokens"):
            await feed.run()

    play(stage, main)
    assert stage.tokens.refused_numbers == [1, 2, 3]


def test_a_source_without_another_token_stops_the_feed() -> None:
    stage = Stage.made()
    stage.tokens.renewals = 0
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.refuse_always = http(401)

    async def main() -> None:
        with pytest.raises(NotAuthenticated, match="log in again"):
            await feed.run()

    play(stage, main)
    assert len(stage.net.tries) == 1


def test_a_feed_that_has_talked_waits_for_another_token_and_does_not_knock_meanwhile() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = talk

    async def act() -> None:
        await asyncio.sleep(100)
        stage.tokens.renewals = 0
        stage.net.sockets[0].say(disconnect_packet(809))
        await asyncio.sleep(600)
        assert len(stage.net.tries) == 1, "nobody knocks with a token that is known to be dead"
        asked = len(stage.tokens.refused_numbers)
        await asyncio.sleep(600)
        assert 8 <= len(stage.tokens.refused_numbers) - asked <= 13, "about once a minute"
        stage.tokens.renewals = 1  # somebody has logged in
        await asyncio.sleep(80)
        assert feed.status().whole and len(stage.net.tries) == 2

    play(stage, lambda: during(feed, act))
    assert set(stage.tokens.refused_numbers) == {1}
    assert stage.net.sockets[1].query["token"] == SECRET + "2"


def test_a_feed_that_has_talked_outlives_a_source_that_has_nothing_for_a_while() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = talk

    async def nothing() -> Any:
        raise NotAuthenticated("it has ended and was not renewed")

    async def act() -> None:
        await asyncio.sleep(100)
        there, stage.tokens.token = stage.tokens.token, nothing  # type: ignore[method-assign]
        stage.net.sockets[0].end()
        await asyncio.sleep(300)
        assert len(stage.net.tries) == 1 and feed.status().running
        stage.tokens.token = there  # type: ignore[method-assign]
        await asyncio.sleep(80)
        assert feed.status().whole

    play(stage, lambda: during(feed, act))


def test_tokens_refused_one_after_the_other_are_tried_slowly_by_a_feed_that_has_talked() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = talk

    async def act() -> None:
        await asyncio.sleep(100)
        stage.net.on_socket = lambda socket: socket.say(disconnect_packet(807))
        stage.net.sockets[0].say(disconnect_packet(807))
        await asyncio.sleep(60)
        assert stage.tokens.refused_numbers == [1, 2, 3]
        await asyncio.sleep(3_600)
        assert len(stage.net.tries) <= 12, "minutes lie between them"
        stage.net.on_socket = talk
        await asyncio.sleep(1_200)
        assert feed.status().whole

    play(stage, lambda: during(feed, act))
