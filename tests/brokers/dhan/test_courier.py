"""The courier against a broker on loopback: one answer for each request, the right one."""

import asyncio
import errno
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.types import OrderFlag
from dhanfast.brokers.dhan.courier import CourierSettings
from dhanfast.errors import ConfigError, NotAuthenticated, UsageError
from dhanfast.security.tokens import Token
from tests.brokers.dhan import order_stub
from tests.brokers.dhan.order_desk import SECRET, TAG, Desk, intent, made, opened
from tests.brokers.dhan.order_stub import Stub, error


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Run a coroutine on either loop."""

    def on_loop(work: Any) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(work)

    return on_loop


def test_the_life_of_an_order(run: Any) -> None:
    async def work() -> None:
        async with opened() as desk:
            desk.courier.carry_intent(intent(1))
            placed = await desk.answer(1)
            assert (placed["outcome"], placed["code"]) == (Outcome.TAKEN, 200)
            assert (placed["broker_id"], placed["seen"]) == (b"900000", Seen.TRANSIT)
            desk.courier.carry_intent(intent(2, IntentKind.QUERY, order=1))
            assert (await desk.answer(2))["outcome"] == Outcome.TAKEN
            (update,) = desk.updates
            assert (update["order"], update["instrument"]) == (1, 0)
            assert (update["qty"], update["price"]) == (75, 10_105)
            assert update["broker_id"] == b"900000"
            later = ((3, IntentKind.MODIFY), (4, IntentKind.QUERY), (5, IntentKind.CANCEL))
            for number, kind in later:
                desk.courier.carry_intent(intent(number, kind, order=1, broker_id=b"900000"))
                assert (await desk.answer(number))["outcome"] == Outcome.TAKEN
            assert desk.answers[-1]["seen"] == Seen.CANCELLED
            assert [seen[:2] for seen in desk.stub.seen] == [
                ("POST", "/v2/orders"), ("GET", f"/v2/orders/external/{TAG}-1"),
                ("PUT", "/v2/orders/900000"), ("GET", "/v2/orders/900000"),
                ("DELETE", "/v2/orders/900000"),
            ]  # fmt: skip
            assert all(seen[2]["access-token"] == SECRET for seen in desk.stub.seen)
            assert desk.courier.in_flight == 0 and desk.courier.queued == 0

    run(work())


VERDICTS = [
    # fault, kind, outcome, error number, seconds to wait
    ("refuse", IntentKind.PLACE, Outcome.REFUSED, 906, 0),
    ("refuse", IntentKind.CANCEL, Outcome.REFUSED, 906, 0),
    ("limit", IntentKind.PLACE, Outcome.REFUSED, 0, 3),
    ("limit_said", IntentKind.MODIFY, Outcome.REFUSED, 904, 3),
    ("server", IntentKind.PLACE, Outcome.UNKNOWN, 908, 0),
    ("server_done", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("page", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("empty", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("empty", IntentKind.CANCEL, Outcome.TAKEN, 0, 0),
    ("empty", IntentKind.MODIFY, Outcome.TAKEN, 0, 0),
    ("garbage", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("garbage", IntentKind.CANCEL, Outcome.UNKNOWN, 0, 0),
    ("no_id", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("no_id", IntentKind.CANCEL, Outcome.TAKEN, 0, 0),
    ("reset_unread", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("reset_done", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("half", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("not_http", IntentKind.PLACE, Outcome.UNKNOWN, 0, 0),
    ("close_after", IntentKind.PLACE, Outcome.TAKEN, 0, 0),
    ("twice", IntentKind.PLACE, Outcome.TAKEN, 0, 0),
    ("refuse", IntentKind.QUERY, Outcome.ABSENT, 906, 0),
    ("server_done", IntentKind.QUERY, Outcome.UNKNOWN, 0, 0),
    ("empty", IntentKind.QUERY, Outcome.UNKNOWN, 0, 0),
    ("page", IntentKind.QUERY, Outcome.UNKNOWN, 0, 0),
    ("limit", IntentKind.QUERY, Outcome.REFUSED, 0, 3),
    ("", IntentKind.QUERY, Outcome.TAKEN, 0, 0),
    ("unauthorised", IntentKind.QUERY, Outcome.REFUSED, 901, 0),
    ("unauthorised", IntentKind.PLACE, Outcome.REFUSED, 901, 0),
]


def test_what_answers_mean() -> None:
    async def work() -> None:
        async with opened() as desk:
            for number, (fault, kind, outcome, code, wait_s) in enumerate(VERDICTS, 1):
                desk.stub.faults.append(fault)
                broker_id = b"77" if kind in (IntentKind.MODIFY, IntentKind.CANCEL) else b""
                order = 6 if kind == IntentKind.QUERY else number  # 6 was done, whatever was said
                desk.courier.carry_intent(intent(number, kind, broker_id=broker_id, order=order))
                got = await desk.answer(number)
                told = (got["outcome"], got["error"], got["retry_after_s"])
                assert told == (outcome, code, wait_s), (fault, kind, got)
            assert [update["order"] for update in desk.updates] == [6]
            posts = [one[3]["correlationId"] for one in desk.stub.seen if one[0] == "POST"]
            assert len(posts) == len(set(posts))  # nothing was sent twice

    asyncio.run(work())


def test_an_order_of_somebody_else_is_not_the_one_that_was_asked_for() -> None:
    async def work() -> None:
        async with opened() as desk:
            other = order_stub.ORDER | {"orderId": "5", "correlationId": "df00000000-1"}
            desk.stub.orders["5"] = other | {"orderId": "6"}
            desk.courier.carry_intent(intent(1, IntentKind.QUERY, broker_id=b"5"))
            assert (await desk.answer(1))["outcome"] == Outcome.ABSENT
            desk.stub.orders["5"] = other
            desk.courier.carry_intent(intent(2, IntentKind.QUERY, broker_id=b"5"))
            assert (await desk.answer(2))["outcome"] == Outcome.TAKEN
            assert [int(update["order"]) for update in desk.updates] == [0]  # not of this journal

    asyncio.run(work())


def test_a_request_without_answer_is_unknown_in_time_and_its_line_is_replaced() -> None:
    async def work() -> None:
        async with opened(connections=1, request_s=0.05) as desk:
            desk.stub.faults.append("hang_done")
            desk.courier.carry_intent(intent(1))
            got = await desk.answer(1)
            assert (got["outcome"], got["code"]) == (Outcome.UNKNOWN, -errno.ETIMEDOUT)
            await desk.until(lambda: desk.courier.connects == 2)
            assert len(desk.answers) == 1 and desk.stub.done[f"{TAG}-1"] == 1

    asyncio.run(work())


def test_exits_leave_before_entries_when_all_lines_are_busy() -> None:
    async def work() -> None:
        async with opened(connections=1) as desk:
            desk.stub.faults.extend(["hang"])
            for number in (1, 2, 3):
                desk.courier.carry_intent(intent(number))
            desk.courier.carry_intent(intent(4, IntentKind.QUERY, order=1))
            desk.courier.carry_intent(intent(5, flags=OrderFlag.EXIT))
            desk.courier.carry_intent(intent(6, IntentKind.CANCEL, broker_id=b"900000"))
            assert desk.courier.queued == 5
            await desk.until(lambda: len(desk.stub.held) == 1)
            desk.stub.release()
            for number in range(1, 7):
                await desk.answer(number)
            asked = [one[3]["correlationId"] if one[3] else one[0] for one in desk.stub.seen]
            wanted = [f"{TAG}-1", f"{TAG}-5", "DELETE", "GET", f"{TAG}-2", f"{TAG}-3"]
            assert asked == wanted

    asyncio.run(work())


def test_a_full_queue_refuses_what_enters_and_keeps_what_exits() -> None:
    async def work() -> None:
        async with opened(connections=1, queue_max=2) as desk:
            desk.stub.faults.append("hang")
            for number in (1, 2, 3, 4):
                desk.courier.carry_intent(intent(number))
            assert [(a["intent"], a["code"]) for a in desk.answers] == [(4, -errno.ENOBUFS)]
            desk.courier.carry_intent(intent(5, flags=OrderFlag.EXIT))  # takes the place of 3
            desk.courier.carry_intent(intent(6, IntentKind.CANCEL, broker_id=b"1"))  # of 2
            desk.courier.carry_intent(intent(7, flags=OrderFlag.EXIT))  # only exits wait
            assert [a["intent"] for a in desk.answers] == [4, 3, 2, 7]
            assert {int(a["outcome"]) for a in desk.answers} == {Outcome.REFUSED}
            await desk.until(lambda: bool(desk.stub.held))
            desk.stub.release()
            for number in (1, 5, 6):
                assert (await desk.answer(number))["outcome"] == Outcome.TAKEN
            assert len(desk.stub.seen) == 3

    asyncio.run(work())


def test_what_waited_too_long_never_leaves() -> None:
    async def work() -> None:
        async with opened(connections=1, queue_s=0.03) as desk:
            desk.stub.faults.append("hang")
            desk.courier.carry_intent(intent(1))
            desk.courier.carry_intent(intent(2))
            desk.courier.carry_intent(intent(3, flags=OrderFlag.EXIT))
            for number in (2, 3):
                got = await desk.answer(number)
                assert (got["outcome"], got["code"]) == (Outcome.REFUSED, -errno.ETIMEDOUT)
            await desk.until(lambda: bool(desk.stub.held))
            desk.stub.release()
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN
            assert len(desk.stub.seen) == 1

    asyncio.run(work())


def test_lines_that_die_are_replaced_and_others_go_on(run: Any) -> None:
    async def work() -> None:
        async with opened(connections=3) as desk:
            for line in list(desk.stub.lines)[:2]:
                line.transport.abort()
            await desk.until(lambda: len(desk.courier.lines) < 3)
            for number in range(1, 9):
                desk.courier.carry_intent(intent(number))
            for number in range(1, 9):
                assert (await desk.answer(number))["outcome"] == Outcome.TAKEN
            assert max(desk.stub.done.values()) == 1 and len(desk.stub.done) == 8
            await desk.courier.wait_ready(3)

    run(work())


def test_a_line_that_takes_no_byte_hands_the_request_on() -> None:
    """Its own end is shut before the loop hears of it: `send` says so, and nothing has left."""

    async def work() -> None:
        async with opened(connections=2) as desk:
            import socket

            first = desk.courier.lines[0]
            plug = desk.plug_of(first)
            plug.shutdown(socket.SHUT_WR)
            desk.courier.carry_intent(intent(1))
            assert not first.ready and first.requests == 0
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN
            assert desk.stub.done[f"{TAG}-1"] == 1

    asyncio.run(work())


def test_requests_wait_while_there_is_no_line() -> None:
    async def work() -> None:
        async with opened(ready=False, connections=2) as desk:
            desk.courier.carry_intent(intent(1))  # before the first connection
            assert desk.courier.queued == 1 and not desk.answers
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN
            await desk.courier.wait_ready(2)
            for line in list(desk.stub.lines):
                line.transport.abort()
            await desk.until(lambda: desk.courier.ready_lines == 0)
            desk.courier.carry_intent(intent(2))
            assert desk.courier.queued == 1
            assert (await desk.answer(2))["outcome"] == Outcome.TAKEN

    asyncio.run(work())


def test_what_cannot_be_asked_is_refused_at_once() -> None:
    async def work() -> None:
        async with opened() as desk:
            desk.courier.carry_intent(intent(1, price=0))
            desk.courier.carry_intent(intent(2, IntentKind.CANCEL))  # without the broker's id
            desk.courier.carry_intent(intent(3, instrument=1))
            codes = [(int(a["intent"]), int(a["code"]), int(a["outcome"])) for a in desk.answers]
            assert codes == [(n, -errno.EINVAL, Outcome.REFUSED) for n in (1, 2, 3)]
            with pytest.raises(UsageError):
                desk.courier.carry_intent(b"x")
            assert not desk.stub.seen and desk.courier.ready_lines == 3

    asyncio.run(work())


def test_closing_answers_everybody() -> None:
    async def work() -> None:
        async with opened(connections=1, close_s=0.05) as desk:
            desk.stub.faults.append("hang_done")
            for number in (1, 2):
                desk.courier.carry_intent(intent(number))
            await desk.courier.close()
            told = [(int(a["intent"]), int(a["outcome"])) for a in desk.answers]
            assert told == [(2, Outcome.REFUSED), (1, Outcome.UNKNOWN)]
            desk.courier.carry_intent(intent(3))
            assert (desk.answers[-1]["intent"], desk.answers[-1]["code"]) == (3, -errno.ESHUTDOWN)

    asyncio.run(work())


def test_closing_waits_for_what_is_in_flight() -> None:
    async def work() -> None:
        async with opened(connections=1) as desk:
            desk.stub.faults.append("hang")
            desk.courier.carry_intent(intent(1))
            await desk.until(lambda: bool(desk.stub.held))
            asyncio.get_running_loop().call_later(0.02, desk.stub.release)
            await desk.courier.close()
            assert [int(a["outcome"]) for a in desk.answers] == [Outcome.TAKEN]

    asyncio.run(work())


def test_a_cancelled_courier_answers_everybody() -> None:
    async def work() -> None:
        stub = Stub()
        desk = Desk(stub, made(await stub.start(), connections=1))
        task = asyncio.create_task(desk.courier.run())
        await desk.courier.wait_ready()
        stub.faults.append("hang_done")
        for number in (1, 2):
            desk.courier.carry_intent(intent(number))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = {int(a["intent"]): int(a["outcome"]) for a in desk.answers}
        assert told == {1: Outcome.UNKNOWN, 2: Outcome.REFUSED}
        await stub.stop()

    asyncio.run(work())


class Renewing:
    """Tokens that are renewed when refused."""

    def __init__(self, *values: str) -> None:
        self.values, self.asked = list(values), 0

    async def token(self) -> Token:
        return Token("1000000001", self.values[0])

    async def refused(self, token: Token) -> Token:
        self.asked += 1
        if len(self.values) == 1:
            raise NotAuthenticated("log in again with `dhanfast auth login`")
        del self.values[0]
        return await self.token()


def test_a_refused_token_is_renewed_and_later_requests_carry_it() -> None:
    async def work() -> None:
        tokens = Renewing("token-one", "token-two")
        async with opened(tokens=tokens, connections=1) as desk:
            desk.stub.token = "token-two"
            desk.courier.carry_intent(intent(1))
            got = await desk.answer(1)
            assert (got["outcome"], got["error"]) == (Outcome.REFUSED, 901)
            await desk.until(lambda: tokens.asked == 1)
            desk.courier.carry_intent(intent(2))
            assert (await desk.answer(2))["outcome"] == Outcome.TAKEN
            assert desk.courier.trouble == ""
            desk.stub.token = "token-three"
            desk.courier.carry_intent(intent(3))
            assert (await desk.answer(3))["outcome"] == Outcome.REFUSED
            await desk.until(lambda: "log in again" in desk.courier.trouble)

    asyncio.run(work())


def test_a_late_refusal_of_the_token_before_does_not_end_the_one_in_force() -> None:
    async def work() -> None:
        tokens = Renewing("token-one", "token-two", "token-three")
        async with opened(tokens=tokens, connections=2) as desk:
            desk.stub.token = "token-two"
            desk.stub.faults.append("late")
            desk.courier.carry_intent(intent(1))  # its refusal comes when all is well again
            desk.courier.carry_intent(intent(2))
            assert (await desk.answer(2))["outcome"] == Outcome.REFUSED
            await desk.until(lambda: tokens.asked == 1)
            desk.stub.release()
            assert (await desk.answer(1))["error"] == 901
            desk.courier.carry_intent(intent(3))
            assert (await desk.answer(3))["outcome"] == Outcome.TAKEN
            assert tokens.asked == 1 and tokens.values == ["token-two", "token-three"]

    asyncio.run(work())


def test_a_ping_finds_a_dead_token_before_an_order_does() -> None:
    async def work() -> None:
        tokens = Renewing("token-one", "token-two")
        async with opened(False, tokens, connections=1, ping_s=30.0) as desk:
            desk.stub.token = "token-two"
            await desk.until(lambda: tokens.asked == 1)
            await desk.courier.wait_ready()
            desk.courier.carry_intent(intent(1))
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN
            assert desk.stub.pings == 1

    asyncio.run(work())


def test_idle_connections_are_used_before_the_servers_limit() -> None:
    async def work() -> None:
        async with opened(False, connections=2, ping_s=0.03) as desk:
            desk.stub.headers = "Keep-Alive: timeout=1\r\n"
            await desk.until(lambda: desk.stub.pings >= 10)
            assert [line.keep_s for line in desk.courier.lines] == [1, 1]
            assert desk.courier.connects == 2 and not desk.answers
            desk.courier.carry_intent(intent(1))
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN

    asyncio.run(work())


def test_no_secret_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    echo = error(400, "DH-905", f"bad token {SECRET}; access-token: {SECRET}")
    monkeypatch.setitem(order_stub.REPLIES, "echo", (False, *echo))

    async def work() -> None:
        async with opened(connections=1, request_s=0.2) as desk:
            desk.stub.faults.extend(["refuse", "echo", "reset_done", "not_http", "hang_done"])
            for number in range(1, 6):
                desk.courier.carry_intent(intent(number))
                await desk.answer(number)
            assert SECRET not in repr(desk.courier)
            assert SECRET not in str(desk.answers)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(work())
    assert "margin" in caplog.text and "***" in caplog.text
    assert SECRET not in caplog.text and "SECRETSECRET" not in caplog.text


def test_settings_out_of_range_are_refused() -> None:
    wrong = [("connections", 0), ("connections", 9), ("connect_s", 0), ("ping_s", -1)]
    for name, value in [*wrong, ("close_s", 601)]:
        with pytest.raises(ConfigError, match=name):
            CourierSettings(**{name: value})
    for name, value in [("request_s", 0), ("queue_s", -1), ("queue_max", 10_001)]:
        with pytest.raises(UsageError, match=name):
            made(order_stub.Hosts(), **{name: value})
    with pytest.raises(ConfigError, match="order_proxy must be of the form") as caught:
        made(order_stub.Hosts(), proxy="https://u:password1@h:1")
    assert "password1" not in str(caught.value)
    assert "password1" not in repr(CourierSettings(proxy="http://u:password1@h:1"))


def test_a_listener_that_raises_loses_nobodys_answer(monkeypatch: Any) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)  # native code cannot raise it on

    async def work() -> None:
        async with opened(connections=1, queue_s=0.05) as desk:
            listen = desk.courier.on_answer

            def failing(answer: Any) -> None:
                listen(answer)
                raise ValueError("listener")

            desk.courier.on_answer = failing
            desk.stub.faults.append("hang")
            for number in (1, 2, 3):
                desk.courier.carry_intent(intent(number))
            await desk.until(lambda: len(desk.answers) == 2)  # two waited for too long
            await desk.until(lambda: bool(desk.stub.held))
            desk.stub.release()
            await desk.answer(1)
            desk.courier.carry_intent(intent(4))
            await desk.answer(4)
            told = sorted(int(answer["intent"]) for answer in desk.answers)
            assert told == [1, 2, 3, 4] and desk.courier.in_flight == 0
            assert [str(one.exc_value) for one in raised] == ["listener"] * 4

    asyncio.run(work())


def test_outside_of_a_loop_nothing_leaves() -> None:
    desk = Desk(Stub(), made(order_stub.Hosts()))
    desk.courier.carry_intent(intent(1))
    (answer,) = desk.answers
    assert (answer["outcome"], answer["code"]) == (Outcome.REFUSED, -errno.ESHUTDOWN)


IDS = ["1", "112111182198", "a" * 24, "a" * 25, "", "1-2", 'x"y', "é", 7]
WORDS = ["TRANSIT", "PENDING", "PART_TRADED", "TRADED", "CANCELLED", "REJECTED", "EXPIRED"]


def test_the_answer_that_is_read_natively_means_what_the_judge_says(monkeypatch: Any) -> None:
    """The same object to the letter and with blanks: the second is always judged in Python."""
    said = [{"orderId": "5", "orderStatus": word} for word in [*WORDS, "NEW", "traded", "", 3]]
    said += [{"orderId": one, "orderStatus": "PENDING"} for one in IDS]
    said += [{"orderId": "5", "orderStatus": "TRADED", "errorCode": "DH-906"}, {"orderId": "5"}]

    async def work() -> None:
        async with opened(connections=1) as desk:
            number = 0
            for one, kind in [(s, k) for s in said for k in (IntentKind.PLACE, IntentKind.CANCEL)]:
                pair = []
                for separators in ((",", ":"), (", ", ": ")):
                    number += 1
                    body = json.dumps(one, separators=separators, ensure_ascii=False).encode()
                    monkeypatch.setitem(order_stub.REPLIES, "said", (False, 200, body))
                    desk.stub.faults.append("said")
                    desk.courier.carry_intent(intent(number, kind, broker_id=b"5"))
                    got = await desk.answer(number)
                    names = ("outcome", "code", "error", "seen", "broker_id")
                    pair.append(tuple(got[name].item() for name in names))
                assert pair[0] == pair[1], one
                if one == {"orderId": "5", "orderStatus": "REJECTED"}:
                    assert pair[0] == (Outcome.TAKEN, 200, 0, Seen.REJECTED, b"5")

    asyncio.run(work())
