"""The order-update socket: frames, repeats, reconnects, the token nowhere; no pause takes time."""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.records import Origin, Seen
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.updates import (
    Broken,
    Line,
    OrderUpdates,
    UpdateSettings,
    dial_aiohttp,
    told_key,
)
from dhanfast.brokers.link import Backoff
from dhanfast.clock import ManualClock
from dhanfast.errors import NotAuthenticated, RingFull, UsageError
from dhanfast.security.tokens import Token

from .stage import CLIENT, NOON_NS, VALUE, Tokens, fixture

CASES = fixture("order_update/messages")
MESSAGES = [json.dumps(case["message"]) for case in CASES]
ALERTS = [
    json.dumps(case["message"])
    for case in CASES
    if case["message"].get("Type") == "order_alert" and case["message"].get("Data")
]


class Script:
    """One connection: gives frames, then breaks, or waits for ever."""

    def __init__(self, *frames: str | bytes, ends: bool = True) -> None:
        self.frames = list(frames)
        self.ends = ends
        self.sent: list[str] = []
        self.closed = False

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def receive(self) -> str | bytes:
        await asyncio.sleep(0)
        if self.frames:
            return self.frames.pop(0)
        if self.ends:
            raise Broken("closed")
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        self.closed = True


class Stage:
    """Order updates over scripted connections; after the last the run is closed."""

    def __init__(self, *dials: Script | Broken, tokens: Tokens | None = None, **options: Any):
        self.clock = ManualClock(NOON_NS)
        self.dials = list(dials)
        self.at_ns: list[int] = []
        self.got: list[tuple[np.void, str]] = []
        self.reads = 0
        self.probes = 0
        settings = options.pop("settings", UpdateSettings(backoff=Backoff(jitter=0)))
        self.updates = OrderUpdates(
            Hosts(), tokens or Tokens(), self.clock, tag="df", instruments={("NSE_EQ", "1333"): 4},
            on_update=lambda record, text: self.got.append((record.copy(), text)),
            on_connected=options.pop("on_connected", self._read), probe=self._probe,
            dial=self._dial, settings=settings, rng=random.Random(1), **options,
        )  # fmt: skip

    async def _read(self) -> None:
        self.reads += 1

    async def _probe(self) -> None:
        self.probes += 1

    async def _dial(self, url: str) -> Line:
        assert url == Hosts().order_updates
        self.at_ns.append(self.clock.now_ns())
        if not self.dials:
            asyncio.get_running_loop().create_task(self.updates.close())
            await asyncio.Event().wait()
        made = self.dials.pop(0)
        if isinstance(made, Broken):
            raise made
        return made

    def run(self) -> "Stage":
        asyncio.run(self.updates.run())
        return self

    @property
    def pauses_s(self) -> list[float]:
        return [round((b - a) / 1e9, 3) for a, b in zip(self.at_ns, self.at_ns[1:], strict=False)]


def test_every_golden_message_is_taken_or_left_as_it_must() -> None:
    line = Script(*MESSAGES)
    stage = Stage(line).run()
    keys = {json.dumps(told_key(json.loads(text)["Data"])) for text in ALERTS}
    counts = stage.updates.counts
    assert counts.updates == len(keys) == len(stage.got)
    assert counts.repeated == len(ALERTS) - len(keys) and counts.unreadable == 0
    ignored = sum(bool(case["client_ignored_it"]) for case in CASES)
    assert counts.foreign == ignored + 2  # two alerts without data, which the client passes on
    assert {record["origin"].item() for record, _ in stage.got} == {Origin.SOCKET}
    assert [r["seen"].item() for r, _ in stage.got][:4] == [Seen.TRANSIT, Seen.PENDING,
                                                            Seen.PENDING, Seen.TRADED]  # fmt: skip
    assert all(record["at_ns"] == NOON_NS and record["order"] in (0, 3) for record, _ in stage.got)


def test_the_login_is_that_of_the_official_client() -> None:
    line = Script()
    Stage(line).run()
    assert [json.loads(text) for text in line.sent] == [CASES[0]["login_sent"]]
    assert line.closed


def test_a_partner_logs_in_with_its_own_id() -> None:
    line = Script()
    settings = UpdateSettings(partner_id="P1")
    Stage(line, settings=settings, partner_secret="partner-secret").run()
    assert json.loads(line.sent[0]) == {
        "LoginReq": {"MsgCode": 42, "ClientId": "P1"}, "UserType": "PARTNER",
        "Secret": "partner-secret",
    }  # fmt: skip


def test_the_same_change_is_told_once_also_after_a_reconnect() -> None:
    stage = Stage(Script(ALERTS[2], ALERTS[2]), Script(ALERTS[2], ALERTS[3])).run()
    assert [record["filled"].item() for record, _ in stage.got] == [4, 10]
    assert stage.updates.counts.repeated == 2 and stage.updates.counts.connected == 2


def test_a_modification_in_the_same_second_is_not_a_repeat() -> None:
    data = json.loads(ALERTS[1])["Data"]
    changes = [{}, {"Price": 1701.0}, {"Quantity": 9, "TradedQty": 0}, {"TriggerPrice": 5}, {}]
    frames = [json.dumps({"Type": "order_alert", "Data": data | change}) for change in changes]
    stage = Stage(Script(*frames)).run()
    assert [r["price"].item() for r, _ in stage.got] == [170_050, 170_100, 170_050, 170_050]
    assert [r["trigger"].item() for r, _ in stage.got] == [0, 0, 0, 500]
    assert stage.updates.counts.repeated == 1


@given(st.lists(st.integers(0, len(ALERTS) - 1), max_size=30))
def test_any_order_and_repeat_tells_each_change_once(order: list[int]) -> None:
    stage = Stage()
    for at in order:
        stage.updates.take(ALERTS[at])
    keys = [json.dumps(told_key(json.loads(ALERTS[at])["Data"])) for at in order]
    assert len(stage.got) == len(set(keys))
    assert stage.updates.counts.repeated == len(keys) - len(set(keys))


def test_orders_are_read_by_rest_after_every_connect() -> None:
    stage = Stage(Script(ALERTS[0]), Script(ALERTS[1]), Script(ALERTS[2])).run()
    assert stage.reads == 3 and stage.updates.counts.broken == 3


@pytest.mark.parametrize(
    "frame", ["{", b"\xff\xfe", "", '{"Type":"order_alert","Data":{"OrderNo":"1"}}',
              '{"Type":"order_alert","Data":{"OrderNo":"1","TradedQty":"x"}}'],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_makes_orders_be_read_by_rest(frame: str | bytes) -> None:
    stage = Stage(Script(ALERTS[0], frame, ALERTS[1])).run()
    assert stage.updates.counts.unreadable == 1 and len(stage.got) == 2 and stage.reads == 2


@pytest.mark.parametrize("frame", ["[]", "5", "null", '"x"', '{"Type":"order_alert","Data":[1]}'])
def test_other_frames_are_left(frame: str) -> None:
    stage = Stage(Script(frame, ALERTS[0])).run()
    assert stage.updates.counts.foreign == 1 and len(stage.got) == 1


def test_pauses_grow_and_a_429_is_waited_out() -> None:
    stage = Stage(*[Broken("no") for _ in range(8)]).run()
    assert stage.pauses_s == [1, 2, 4, 8, 16, 32, 60, 60]
    assert Stage(Broken("blocked", 429), Broken("no")).run().pauses_s == [60, 2]


def test_a_connection_that_lived_ends_the_row_of_failures() -> None:
    class Long(Script):
        async def receive(self) -> str | bytes:
            stage.clock.advance(61)
            raise Broken("closed")

    stage = Stage(Broken("no"), Broken("no"), Long(), Broken("no"))
    assert stage.run().pauses_s == [1, 2, 62, 2]


def test_a_young_silent_connection_has_its_token_checked() -> None:
    assert Stage(Script()).run().probes == 1
    assert Stage(Script(ALERTS[0])).run().probes == 0
    assert Stage(Broken("blocked", 429)).run().probes == 0


def test_the_token_is_asked_for_at_every_login() -> None:
    class Turning(Tokens):
        async def token(self) -> Token:
            self.refusals += 1
            return Token(CLIENT, f"TOKEN.NUMBER.{self.refusals}")

    lines = [Script(), Script()]
    Stage(*lines, tokens=Turning()).run()
    assert [json.loads(line.sent[0])["LoginReq"]["Token"] for line in lines] == [
        "TOKEN.NUMBER.1", "TOKEN.NUMBER.2",
    ]  # fmt: skip


def test_without_a_token_it_ends_and_says_so() -> None:
    class Nobody(Tokens):
        async def token(self) -> Token:
            raise NotAuthenticated("log in")

    with pytest.raises(NotAuthenticated, match="log in"):
        Stage(Script(), tokens=Nobody()).run()


def test_a_token_that_is_lost_on_the_way_is_waited_for() -> None:
    """Whoever has logged in is in: an end would leave the engine deaf until it is restarted."""
    tries: list[int] = []

    async def read() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise NotAuthenticated("refused, and not renewed")

    lines = [Script(ends=False) for _ in range(3)]
    stage = Stage(*lines, Script(ALERTS[0]), on_connected=read).run()
    assert len(tries) == 4 and len(stage.got) == 1
    assert stage.pauses_s[:3] == [1, 2, 4]

    class Ending(Tokens):
        async def token(self) -> Token:
            self.asked = getattr(self, "asked", 0) + 1
            if 2 <= self.asked <= 3:
                raise NotAuthenticated("it has ended and was not renewed")
            return await super().token()

    stage = Stage(Script(), Script(ALERTS[0]), tokens=Ending()).run()
    assert len(stage.got) == 1


def test_a_read_that_fails_breaks_the_connection_which_comes_back() -> None:
    tries: list[int] = []

    async def read() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Broken("rest is down")

    stage = Stage(Script(ends=False), Script(ALERTS[0]), on_connected=read).run()
    assert len(tries) == 2 and len(stage.got) == 1
    assert stage.updates.counts.last_error == "closed"


def test_a_failure_of_the_engine_is_not_taken_for_a_lost_connection() -> None:
    async def full() -> None:
        raise RingFull("the journal is full")

    with pytest.raises(RingFull):
        Stage(Script(ends=False), Script(), on_connected=full).run()

    asked: list[int] = []

    async def down() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise BrokerError("", 502, ErrorKind.SERVER, "bad gateway")

    stage = Stage(Script(ends=False), Script(), on_connected=down).run()
    assert stage.updates.counts.connected == 2


def test_a_bug_is_not_swallowed() -> None:
    async def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Stage(Script(ends=False), on_connected=wrong).run()


def test_one_lifecycle() -> None:
    stage = Stage(Script())

    async def act() -> None:
        await stage.updates.close()
        await stage.updates.run()

    with pytest.raises(UsageError, match="was closed"):
        asyncio.run(act())
    stage = Stage(Script()).run()
    with pytest.raises(UsageError, match="have run"):
        stage.run()


def test_a_cancelled_run_is_cancelled() -> None:
    line = Script(ends=False)
    stage = Stage(line)

    async def act() -> None:
        task = asyncio.create_task(stage.updates.run())
        while not stage.updates.counts.online:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(act())
    assert line.closed and not stage.updates.counts.online


def test_the_token_is_in_no_log_error_or_status(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        stage = Stage(Broken(f"bad {VALUE}"), Script(f"not json {VALUE}")).run()
    texts = [caplog.text, repr(stage.updates.counts), repr(stage.updates)]
    assert not [text for text in texts if VALUE in text]


def test_over_a_real_socket_of_this_machine() -> None:
    web = pytest.importorskip("aiohttp.web", reason="needs the extra [live]")
    got: list[str] = []

    async def serve(request: Any) -> Any:
        socket = web.WebSocketResponse(heartbeat=5)
        await socket.prepare(request)
        got.append(await socket.receive_str())
        await socket.send_str(ALERTS[0])
        await socket.send_bytes(ALERTS[1].encode())
        await socket.close(code=1011)
        return socket

    async def refuse(request: Any) -> Any:
        return web.Response(status=429)

    async def act(use: Callable[[str], Awaitable[None]]) -> None:
        app = web.Application()
        app.add_routes([web.get("/orderupdate", serve), web.get("/blocked", refuse)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        await use(f"ws://127.0.0.1:{port}")
        await runner.cleanup()

    async def use(url: str) -> None:
        line = await dial_aiohttp(f"{url}/orderupdate")
        await line.send("hello")
        assert [await line.receive(), await line.receive()] == [ALERTS[0], ALERTS[1].encode()]
        with pytest.raises(Broken, match="1011"):
            await line.receive()
        await line.close()
        with pytest.raises(Broken) as caught:
            await dial_aiohttp(f"{url}/blocked")
        assert caught.value.status == 429
        with pytest.raises(Broken):
            await dial_aiohttp("ws://127.0.0.1:1/?token=secret-token")

    asyncio.run(act(use))
    assert got == ["hello"]
