"""How long a tick takes to become an order, measured on this machine: `dhanfast bench latency`.

The engine is the real one (feed, decoder, journal, kernel, gate, request templates, connections);
the other side is `latency_peer` in a process of its own. The strategy wants to enter on every bar,
a bar is one tick, and every order is refused, so that each tick of the traded future is decided on
and makes a request.
"""

import asyncio
import contextlib
import datetime as dt
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.live.intake import FeedIntake
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.remote import Remote
from dhanfast._core.timing import LatencyHistogram
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast.app.latency_packets import FILLERS, SEGMENT, TRADED_ID
from dhanfast.brokers.dhan.courier import CourierSettings, DhanCourier
from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.brokers.dhan.feed_socket import picows_connect
from dhanfast.brokers.dhan.feed_watch import Hours
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.clock import SystemClock
from dhanfast.engine.live import LiveRun
from dhanfast.engine.settings import RiskSettings, Settings
from dhanfast.errors import DhanfastError
from dhanfast.market.calendar import Calendar
from dhanfast.security.tokens import FixedToken, Token
from dhanfast.strategies import Rules, RuleStrategy

DAY: Final = dt.date(2026, 11, 20)
FIRST_S: Final = int(dt.datetime(2026, 11, 20, 4, 0, tzinfo=dt.UTC).timestamp())  # 09:30 IST
PERCENTILES: Final = (50.0, 99.0, 99.9)
WATCH_S: Final = 10.0
AHEAD_S: Final = 6
Watch = Callable[[LiveRun, DhanFeed], None]


class Eager(RuleStrategy):
    """Wants to be long on every bar: the most orders a rule strategy can make."""

    def rules(self, m: Any) -> Rules:
        """Conditions of the size that a real strategy has, true on every bar."""
        ema, rsi, macd = m.ema(9), m.rsi(14), m.macd(12, 26, 9)
        known = (ema > -1.0) | (rsi > -1.0) | (macd.hist > 0)
        return Rules(long=(m.close > 0) | known, stop=50.0, target=100.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Units:
        ns. peer_orders, echo: every sample; inside, acknowledged: histograms.
    """

    inside: LatencyHistogram
    acknowledged: LatencyHistogram
    peer_orders: NDArray[np.int64]
    echo: NDArray[np.int64]
    packets: int
    sent: int
    orders: int

    def rows(self) -> list[tuple[str, int, dict[str, float]]]:
        """(what, samples, {percentile: microseconds}) for a table."""
        return [
            ("tick to order bytes, inside", self.inside.count, _of_histogram(self.inside)),
            ("tick to order, seen by the peer", len(self.peer_orders), _of(self.peer_orders)),
            ("echo of a frame through picows", len(self.echo), _of(self.echo)),
            ("order to answer", self.acknowledged.count, _of_histogram(self.acknowledged)),
        ]


def _of_histogram(histogram: LatencyHistogram) -> dict[str, float]:
    found = {f"p{at:g}": histogram.percentile(at) for at in PERCENTILES}
    return {name: value / 1000 for name, value in found.items() if value is not None}


def _of(samples: NDArray[np.int64]) -> dict[str, float]:
    if len(samples) == 0:
        return {}
    return {f"p{at:g}": float(np.percentile(samples, at)) / 1000 for at in PERCENTILES}


def measure(
    rate: int, traded: int, seconds: float, *, pin_core: int = -1, watch: Watch | None = None
) -> Measured:
    """Run the measurement.

    Args:
        rate: packets a second in all. traded: ticks a second of the traded future, 1..200.
        seconds: how long. pin_core: core of this process; -1 = any.
        watch: called every WATCH_S with the run and its feed.
    Raises:
        DhanfastError: the other side did not start or did not answer.
    """
    import uvloop

    with _peer(rate, traded, seconds) as peer, tempfile.TemporaryDirectory() as folder:
        if pin_core >= 0:
            os.sched_setaffinity(0, {pin_core})
        return uvloop.run(_measured(peer, Path(folder), traded, seconds, watch))


@contextlib.contextmanager
def _peer(rate: int, traded: int, seconds: float) -> Iterator["_Peer"]:
    command = [sys.executable, "-m", "dhanfast.app.latency_peer"]
    command += [str(rate), str(traded), str(seconds), str(FIRST_S)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DhanfastError(f"the bench's other side: {process.communicate()[1].strip()}")
        yield _Peer(process.stdout.fileno(), json.loads(line))
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True, slots=True)
class _Peer:
    """The other side: where its words come from, and its ports."""

    words: int
    ports: dict[str, int]

    async def said(self) -> dict[str, Any]:
        """What it saw: its last line, read on the loop so that no thread disturbs the measurement.

        Raises:
            DhanfastError: it ended without a word.
        """
        loop = asyncio.get_running_loop()
        whole: asyncio.Future[bytes] = loop.create_future()
        parts: list[bytes] = []

        def more() -> None:
            part = os.read(self.words, 1 << 16)
            parts.append(part)
            if (not part or part.endswith(b"\n")) and not whole.done():
                whole.set_result(b"".join(parts))

        loop.add_reader(self.words, more)
        try:
            line = await whole
        finally:
            loop.remove_reader(self.words)
        if not line:
            raise DhanfastError("the bench's other side ended before it said what it saw")
        found: dict[str, Any] = json.loads(line)
        return found


async def _watched(watch: Watch, run: LiveRun, feed: DhanFeed, clock: SystemClock) -> None:
    while True:
        await clock.sleep(WATCH_S)
        watch(run, feed)


async def _measured(
    peer: _Peer, folder: Path, traded: int, seconds: float, watch: Watch | None
) -> Measured:
    ports = peer.ports
    await _echo(ports["feed"])
    clock = SystemClock()
    hosts = Hosts(
        rest=f"http://127.0.0.1:{ports['orders']}/v2", feed=f"ws://127.0.0.1:{ports['feed']}"
    )
    tokens = FixedToken(Token("1000000001", "bench.token.value"))
    header = JournalHeader(
        epoch=1, date=20261120, run="bench", config_digest=bytes(32), created_ns=0, text=""
    )
    journal = Journal(str(folder / "bench.dfj"), header)
    courier = DhanCourier(
        hosts, tokens, clock, tag=journal.tag,
        instruments=[("NSE_FNO", str(TRADED_ID), "INTRADAY")],
        settings=CourierSettings(connections=2),
    )  # fmt: skip
    run = LiveRun(
        Eager,
        symbol="BANKNIFTY",
        journal=journal,
        instrument=0,
        first_ns=FIRST_S * 10**9,
        settings=_settings(),
        interval="1s",
        remote_of=lambda gate: Remote(
            gate, per_second=1_000, per_minute=4_000, per_hour=8_000, per_day=8_000
        ),
        courier=courier,
        grace_ns=10**12,  # bars close by ticks alone: each order has its tick
    )
    run.loop.latency, run.loop.answered = LatencyHistogram(), LatencyHistogram()
    # The market's clock is behind the ticks', however long the feed takes to begin: none is late.
    run.loop.set_market(clock.now_ns(), (FIRST_S - AHEAD_S * traded) * 10**9, float(traded))
    feed = _feed(hosts, tokens, clock, run)
    gc.collect()
    gc.disable()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(courier.run())
            await courier.wait_ready(2)
            group.create_task(feed.run())
            looking = group.create_task(_watched(watch or _nothing, run, feed, clock))
            async with asyncio.timeout(seconds + 30):
                seen = await peer.said()
            looking.cancel()
            await feed.close()
            await courier.close()
    finally:
        gc.enable()
        journal.close()
    return _result(run, feed, seen)


def _result(run: LiveRun, feed: DhanFeed, seen: dict[str, Any]) -> Measured:
    """What both sides saw."""
    inside, answered = run.loop.latency, run.loop.answered
    assert inside is not None and answered is not None
    return Measured(
        inside,
        answered,
        np.array(seen["orders"], np.int64),
        np.array(seen["echo"], np.int64),
        feed.status().counters.get("packets", 0),
        seen["sent"],
        run.kernel.orders_sent,
    )


def _nothing(run: LiveRun, feed: DhanFeed) -> None:
    """Nobody watches."""


def _settings() -> Settings:
    """Every gate armed, none of them in the way."""
    far = RiskSettings(
        qty_max=10**6, notional_max=10**14, position_max=10**6, loss_day_max=10**12,
        band_e4=5_000, orders_per_s_max=100_000, margin_check=True,
    )  # fmt: skip
    return Settings(capital=10**12, risk=far, timeframe_ns=10**9)


def _feed(hosts: Hosts, tokens: FixedToken, clock: SystemClock, run: LiveRun) -> DhanFeed:
    rng = random.Random(1)
    table = [(SEGMENT, TRADED_ID, 0, 20)]
    table += [(SEGMENT, 2_000 + n, n + 1, 5) for n in range(FILLERS)]
    intake = FeedIntake(DhanDecoder(table), run.loop, clock=clock)

    feed = DhanFeed(
        hosts.feed,
        intake,
        World(clock, rng, tokens, Door(clock, rng), picows_connect),
        hours=Hours(Calendar.load()),
        settings=FeedSettings(connections=1),
    )
    wanted = [Security.of("NSE_FNO", TRADED_ID)]
    wanted += [Security.of("NSE_FNO", 2_000 + n) for n in range(FILLERS)]
    feed.subscribe(wanted, Mode.FULL)
    return feed


async def _echo(port: int) -> None:
    """Answer each frame with itself, in Python over picows: what a round trip costs here."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.BINARY:
                transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())

    transport, _ = await ws_connect(Echo, f"ws://127.0.0.1:{port}/echo", use_aiofastnet=False)
    await transport.wait_disconnected()
