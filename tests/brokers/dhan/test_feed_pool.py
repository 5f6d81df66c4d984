"""The feed's life without sockets, in virtual time: every end, and what comes of it."""

import asyncio
import contextlib
import logging
from itertools import pairwise
from typing import Any

import pytest

from dhanfast._core.live.sink import FeedEvent
from dhanfast._core.wire.records import TickFlag
from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
from dhanfast.brokers.dhan.feed_depth import DepthSettings
from dhanfast.brokers.dhan.feed_endings import Cause, Ending
from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.brokers.dhan.feed_watch import WatchSettings
from dhanfast.errors import DhanfastError, NotAuthenticated, UsageError
from tests.brokers.dhan.feed_net import (
    LTT,
    SECRET,
    FakeSocket,
    Stage,
    during,
    http,
    ist_ns,
    play,
    talk,
)
from tests.brokers.dhan.feed_server import disconnect_packet, ticker

NIFTY = Security(0, 13)
OPTIONS = [Security(2, 40_000 + number) for number in range(500)]
NIGHT = ist_ns(2026, 7, 22, 20)  # nobody is expected to speak


def test_asks_for_what_is_wanted_in_order_and_again_on_every_socket() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY, *OPTIONS])
    feed.subscribe([NIFTY], Mode.TICKER)
    feed.subscribe(OPTIONS[:250], Mode.FULL)
    feed.subscribe(OPTIONS[:3], Mode.FULL)
    want = [(15, "IDX_I", "13")] + [(21, "NSE_FNO", str(40_000 + n)) for n in range(250)]
    stage.net.on_socket = talk

    async def act() -> None:
        await asyncio.sleep(5)
        assert stage.net.sockets[0].entries == want
        assert [r["InstrumentCount"] for r in stage.net.sockets[0].sent] == [1, 100, 100, 50]
        stage.net.sockets[0].end()
        await asyncio.sleep(5)
        assert stage.net.sockets[1].entries == want
        feed.unsubscribe(OPTIONS[:2], Mode.FULL)
        feed.unsubscribe(OPTIONS[:1], Mode.QUOTE)
        assert stage.net.sockets[1].sent[-1]["RequestCode"] == 22
        status = feed.status()
        assert (status.subscriptions, status.duplicates, status.absent) == (249, 3, 1)
        assert status.unconfirmed == 248  # only Nifty has spoken

    play(stage, lambda: during(feed, act))
    assert stage.net.sockets[1].sent[-1] == {"RequestCode": 12}
    assert not feed.status().running


def test_a_gap_is_marked_and_the_next_record_is_a_seed() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)

    async def act() -> None:
        await asyncio.sleep(1)
        socket = stage.net.sockets[0]
        socket.say(ticker(0, 13, 24_000.0, LTT))
        socket.say(ticker(0, 13, 24_001.0, LTT + 1))
        socket.end()
        await asyncio.sleep(5)
        stage.net.sockets[1].say(ticker(0, 13, 24_001.0, LTT + 1))
        stage.net.sockets[1].say(ticker(0, 13, 24_002.0, LTT + 2))

    play(stage, lambda: during(feed, act))
    flags = [int(batch["flags"][0]) for batch in stage.batches]
    assert flags == [TickFlag.SEED, 0, TickFlag.SEED, 0]
    assert [int(batch["price"][0]) for batch in stage.batches] == [
        2_400_000, 2_400_100, 2_400_100, 2_400_200,
    ]  # fmt: skip
    assert [event for event, _ in stage.events] == [
        FeedEvent.BACK, FeedEvent.LOST, FeedEvent.BACK, FeedEvent.LOST,
    ]  # fmt: skip


def test_pauses_grow_with_jitter_and_a_healthy_connection_ends_the_row() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.refusals = [Ending(Cause.UNREACHABLE)] * 9

    async def act() -> None:
        await asyncio.sleep(500)
        stage.net.on_socket = talk
        stage.net.sockets[-1].end(1001)  # it lived for long
        await asyncio.sleep(50)

    stage.net.on_socket = talk
    play(stage, lambda: during(feed, act))
    pauses = stage.net.pauses
    for pause, whole in zip(pauses[:9], [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.8 * whole <= pause <= 1.2 * whole + 0.02
    assert len(set(pauses[6:9])) == 3
    assert stage.net.tries[10] - 500 < 1.3 and feed.status().connections[0].failures == 1


@pytest.mark.parametrize(
    ("reason", "error", "word"),
    [(806, DhanfastError, "not subscribed"), (808, NotAuthenticated, "log in again"),
     (810, NotAuthenticated, "client id"), (804, DhanfastError, "fewer instruments")],
)  # fmt: skip
def test_fatal_reasons_stop_and_say_why(reason: int, error: type, word: str) -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = lambda socket: socket.say(disconnect_packet(reason))

    async def main() -> None:
        with pytest.raises(error, match=word) as caught:
            await feed.run()
        assert type(caught.value) is error and str(reason) in str(caught.value)
        await asyncio.sleep(3_600)

    play(stage, main)
    assert len(stage.net.tries) == 1 and stage.net.sockets[0].aborted


def test_too_many_connections_backs_off_for_minutes() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = lambda socket: socket.say(disconnect_packet(805))

    async def act() -> None:
        await asyncio.sleep(400)

    play(stage, lambda: during(feed, act))
    assert 96 <= stage.net.pauses[0] <= 145 and 192 <= stage.net.pauses[1] <= 290
    assert len(stage.net.tries) == 3


def test_429_silences_every_socket_of_the_account() -> None:
    """Two lanes and another feed share the door: for a minute at least nobody knocks."""
    stage = Stage.made(NIGHT)
    settings = FeedSettings(per_connection=1)
    feeds = [stage.live([NIFTY, *OPTIONS], settings=settings) for _ in range(2)]
    for feed in feeds:
        feed.subscribe([NIFTY, OPTIONS[0]], Mode.TICKER)
    stage.net.refusals = [http(429)]

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for feed in feeds:
                group.create_task(feed.run())
            await asyncio.sleep(0.3)
            assert len(stage.net.tries) == 1
            assert feeds[0].status().silent_until_ns > stage.clock.now_ns() + 59 * 10**9
            await asyncio.sleep(200)
            for feed in feeds:
                await feed.close()

    play(stage, main)
    assert stage.net.tries[1] - stage.net.tries[0] >= 60
    assert len(stage.net.sockets) == 4
    assert all(pause >= 0.49 for pause in stage.net.pauses)


def test_429_again_and_again_is_answered_by_longer_silence() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.refusals = [http(429)] * 6

    async def act() -> None:
        await asyncio.sleep(6_000)

    play(stage, lambda: during(feed, act))
    for pause, whole in zip(stage.net.pauses[:6], [75, 150, 300, 600, 900, 900], strict=True):
        assert 0.8 * whole <= pause <= 1.2 * whole + 1


def test_five_sockets_that_fall_together_do_not_come_back_together() -> None:
    stage = Stage.made(NIGHT)
    feed = stage.live([NIFTY, *OPTIONS], settings=FeedSettings(per_connection=100))
    feed.subscribe(OPTIONS, Mode.TICKER)

    async def act() -> None:
        await asyncio.sleep(100)
        assert len(stage.net.sockets) == 5
        for socket in stage.net.sockets[:5]:
            socket.end()
        await asyncio.sleep(0.1)
        assert not feed.status().whole
        await asyncio.sleep(30)
        assert feed.status().whole

    play(stage, lambda: during(feed, act))
    back = stage.net.tries[5:10]
    assert all(later - earlier >= 0.49 for earlier, later in pairwise(back))
    assert [event for event, _ in stage.events] == [
        FeedEvent.BACK, FeedEvent.LOST, FeedEvent.BACK, FeedEvent.LOST,
    ]  # fmt: skip


def test_a_bare_end_after_the_handshake_has_the_token_checked() -> None:
    checked: list[int] = []
    alive = [True, False, True]

    async def check(token: Any) -> bool:
        checked.append(token.number)
        return alive.pop(0)

    stage = Stage.made(check=check)
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    ends = iter([1006, 1006, 1000, 1006])

    def end(socket: FakeSocket) -> None:
        with contextlib.suppress(StopIteration):
            socket.end(next(ends))

    stage.net.on_socket = end

    async def act() -> None:
        await asyncio.sleep(60)

    play(stage, lambda: during(feed, act))
    assert checked == [1, 1, 2]  # a close frame asks for no check
    assert stage.tokens.refused_numbers == [1]


def test_without_a_check_the_second_bare_end_asks_for_another_token() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    left = [1, 1]
    stage.net.on_socket = lambda socket: socket.end() if left and left.pop() else None

    async def act() -> None:
        await asyncio.sleep(9)

    play(stage, lambda: during(feed, act))
    assert stage.tokens.refused_numbers == [1]


def test_a_mute_socket_is_asked_again_then_replaced_then_cross_checked() -> None:
    stage = Stage.made()
    answers: list[list[Security]] = [[NIFTY], []]
    asked: list[float] = []

    async def cross_check(securities: Any) -> list[Security]:
        asked.append(stage.loop.time())
        assert list(securities) == [NIFTY]
        return answers.pop(0)

    feed = stage.live([NIFTY], cross_check=cross_check)
    feed.subscribe([NIFTY], Mode.TICKER)

    async def act() -> None:
        await asyncio.sleep(1_000)

    play(stage, lambda: during(feed, act))
    assert [len(socket.entries) for socket in stage.net.sockets] == [2, 2, 2, 2]
    lives = stage.net.pauses
    assert all(20 <= life <= 30 for life in lives), lives
    assert len(asked) == 2 and answers == []  # the second answer was believed: nothing since
    assert feed.status().mute == 3


def test_silence_outside_market_hours_is_no_fault() -> None:
    """From 15:20 to 09:30: two hundred mute thresholds, one evening packet, no reconnect."""
    stage = Stage.made(ist_ns(2026, 7, 22, 15, 20))
    feed = stage.live([NIFTY, *OPTIONS])
    feed.subscribe([OPTIONS[0]], Mode.TICKER)

    def until_close(socket: FakeSocket) -> None:
        if stage.clock.now_ns() < ist_ns(2026, 7, 22, 15, 30):
            socket.say(ticker(2, 40_000, 100.0 + stage.loop.time() % 7, LTT))
            stage.loop.call_later(1.0, until_close, socket)

    stage.net.on_socket = until_close

    async def act() -> None:
        await asyncio.sleep(17.9 * 3_600)  # 09:14 of the next day
        assert len(stage.net.sockets) == 1
        assert feed.status().mute == 0
        await asyncio.sleep(60 + 30)  # 09:15:30, and not a word
        assert feed.status().mute == 1

    play(stage, lambda: during(feed, act))


def test_a_weekend_is_silent_and_a_year_without_a_calendar_is_not_watched() -> None:
    for start in (ist_ns(2026, 7, 25, 11), ist_ns(2031, 7, 23, 11)):
        stage = Stage.made(start)
        feed = stage.live([NIFTY])
        feed.subscribe([NIFTY], Mode.TICKER)

        async def act(stage: Stage = stage, feed: DhanFeed = feed, start: int = start) -> None:
            await asyncio.sleep(3_000)
            assert len(stage.net.sockets) == 1
            assert feed.status().hours_known == (start < ist_ns(2027, 1, 1, 0))

        play(stage, lambda act=act, feed=feed: during(feed, act))


def test_a_stale_instrument_is_asked_for_again_and_then_cross_checked() -> None:
    stage = Stage.made()
    checks: list[list[Security]] = []

    async def cross_check(securities: Any) -> list[Security]:
        checks.append(list(securities))
        return []

    feed = stage.live([NIFTY, *OPTIONS], cross_check=cross_check,
                      settings=FeedSettings(watch=WatchSettings(stale_s=30)))  # fmt: skip
    feed.subscribe([NIFTY, OPTIONS[7]], Mode.TICKER)
    stage.net.on_socket = talk

    async def act() -> None:
        await asyncio.sleep(29)
        assert len(stage.net.sockets[0].entries) == 2
        await asyncio.sleep(12)
        assert stage.net.sockets[0].entries[2:] == [(15, "NSE_FNO", "40007")]
        assert feed.status().stale == 1
        await asyncio.sleep(40)
        assert checks == [[OPTIONS[7]]]
        await asyncio.sleep(100)
        assert len(checks) == 1 and len(stage.net.sockets[0].entries) == 3
        stage.net.sockets[0].say(ticker(2, 40_007, 10.0, LTT))
        await asyncio.sleep(10)
        assert feed.status().stale == 0 and feed.status().unconfirmed == 0

    play(stage, lambda: during(feed, act))
    assert len(stage.net.sockets) == 1


def test_a_stale_instrument_that_rest_has_newer_replaces_the_socket() -> None:
    stage = Stage.made()

    async def cross_check(securities: Any) -> list[Security]:
        return list(securities)

    feed = stage.live([NIFTY, *OPTIONS], cross_check=cross_check,
                      settings=FeedSettings(watch=WatchSettings(stale_s=30)))  # fmt: skip
    feed.subscribe([NIFTY, OPTIONS[7]], Mode.TICKER)
    stage.net.on_socket = talk

    async def act() -> None:
        await asyncio.sleep(75)

    play(stage, lambda: during(feed, act))
    assert len(stage.net.sockets) == 2 and feed.status().mute == 1


def test_a_quiet_night_of_cuts_costs_no_token() -> None:
    """Connections that lived for long and had nothing to say do not accuse the token."""
    checked: list[int] = []

    async def check(token: Any) -> bool:
        checked.append(token.number)
        return False

    stage = Stage.made(NIGHT, check=check)
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.on_socket = lambda socket: stage.loop.call_later(1_800, socket.end) and None

    async def act() -> None:
        await asyncio.sleep(6 * 3_600)

    play(stage, lambda: during(feed, act))
    assert len(stage.net.sockets) > 10 and checked == [] and stage.tokens.refused_numbers == []


class Unreachable(DhanfastError):
    """The broker's REST side does not answer."""


def test_trouble_of_the_rest_side_is_told_and_the_feed_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No token for now, a check that fails, no other token for now, a cross-check that fails."""

    async def fails(*_: Any) -> Any:
        raise Unreachable("connection refused")

    stage = Stage.made(check=fails)
    feed = stage.live([NIFTY], cross_check=fails)
    feed.subscribe([NIFTY], Mode.TICKER)
    good, stage.tokens.token = stage.tokens.token, fails  # type: ignore[method-assign]
    ends = iter([lambda s: s.end(), lambda s: s.say(disconnect_packet(807))])
    stage.net.on_socket = lambda socket: next(ends, lambda s: None)(socket)
    stage.tokens.refused = fails  # type: ignore[method-assign]

    async def act() -> None:
        await asyncio.sleep(10)
        assert stage.net.tries == [] and feed.status().connections[0].failures >= 3
        assert "no token: connection refused" in feed.status().connections[0].last_ending
        stage.tokens.token = good  # type: ignore[method-assign]
        await asyncio.sleep(600)

    play(stage, lambda: during(feed, act))
    assert feed.status().mute >= 4
    for told in ("could not be checked", "no other token yet", "cannot tell what has moved"):
        assert told in caplog.text


def test_close_has_a_deadline_on_a_dead_socket() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run())
            await asyncio.sleep(1)
            stage.net.sockets[0].answers_close = False
            began = stage.loop.time()
            await feed.close(2.0)
            assert 1.9 < stage.loop.time() - began < 2.1
        assert stage.net.sockets[0].aborted

    play(stage, main)


def test_close_during_a_pause_and_during_silence_does_not_wait_for_its_end() -> None:
    for refusal in (Ending(Cause.UNREACHABLE), http(429)):
        stage = Stage.made()
        feed = stage.live([NIFTY])
        feed.subscribe([NIFTY], Mode.TICKER)
        stage.net.refuse_always = refusal

        async def main(stage: Stage = stage, feed: DhanFeed = feed) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(feed.run())
                await asyncio.sleep(40)
                began = stage.loop.time()
                await feed.close()
                assert stage.loop.time() - began < 0.1

        play(stage, main)


def test_a_feed_is_run_once() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY])

    async def act() -> None:
        with pytest.raises(UsageError, match="started before"):
            await feed.run()

    play(stage, lambda: during(feed, act))


def test_refuses_what_it_cannot_carry() -> None:
    stage = Stage.made()
    feed = stage.live([NIFTY], settings=FeedSettings(connections=1, per_connection=1))
    with pytest.raises(UsageError, match="BSE_FNO:5 is not in the table"):
        feed.subscribe([Security(8, 5)], Mode.FULL)
    with pytest.raises(UsageError, match="segment 6"):
        feed.subscribe([Security(6, 5)], Mode.FULL)
    with pytest.raises(UsageError, match="DhanDepth"):
        feed.subscribe([NIFTY], Mode.DEPTH)
    feed.subscribe([NIFTY], Mode.FULL)
    with pytest.raises(UsageError, match="unsubscribe some"):
        feed.subscribe([NIFTY], Mode.QUOTE)
    stage.loop.close()


def test_no_text_of_the_feed_holds_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    stage = Stage.made()
    feed = stage.live([NIFTY])
    feed.subscribe([NIFTY], Mode.TICKER)
    stage.net.refusals = [http(500), Ending(Cause.UNREACHABLE, text="connection refused"), None]

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(feed.run())
            await asyncio.sleep(20)
            told = repr(feed.status()) + repr(task) + repr(vars(feed))
            assert SECRET not in told
            await feed.close()

    play(stage, main)
    assert "live feed 0 is up" in caplog.text and SECRET not in caplog.text
    assert logging.getLogger("dhanfast.feed").name in {r.name for r in caplog.records}


def test_depth_of_20_levels_fills_connections_of_fifty() -> None:
    stage = Stage.made()
    feed = stage.depth(OPTIONS, DepthSettings(20), "wss://depth.example/twentydepth")
    feed.subscribe(OPTIONS[:60])

    async def act() -> None:
        await asyncio.sleep(3)
        assert [len(socket.entries) for socket in stage.net.sockets] == [50, 10]
        assert {entry[0] for socket in stage.net.sockets for entry in socket.entries} == {23}
        feed.unsubscribe(OPTIONS[:1])
        assert stage.net.sockets[0].entries[-1] == (24, "NSE_FNO", "40000")

    play(stage, lambda: during(feed, act))
    address = stage.net.sockets[0].address
    assert address.startswith("wss://depth.example/twentydepth?token=") and "version" not in address
    with pytest.raises(UsageError, match="exceed the 250"):
        feed.subscribe(OPTIONS[:300])
    with pytest.raises(UsageError, match="IDX_I:13 has no depth"):
        feed.subscribe([NIFTY])


def test_depth_of_200_levels_tries_the_other_path_when_nothing_comes() -> None:
    stage = Stage.made(check=lambda token: asyncio.sleep(0, True))
    feed = stage.depth(OPTIONS, DepthSettings(200), "wss://full.example/")
    feed.subscribe(OPTIONS[:1])
    feed.subscribe(OPTIONS[1:2])
    stage.net.on_socket = lambda s: s.end() if "/twohundreddepth" not in s.address else None

    async def act() -> None:
        await asyncio.sleep(9)

    play(stage, lambda: during(feed, act))
    paths = [socket.address.split("?")[0] for socket in stage.net.sockets]
    assert sorted(paths) == ["wss://full.example/"] * 2 + ["wss://full.example/twohundreddepth"] * 2
    assert {tuple(s.sent[0]) for s in stage.net.sockets} == {
        ("RequestCode", "ExchangeSegment", "SecurityId")
    }
