"""A loop that never sleeps still does all that a loop does, and sleeps again when told."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from dhanfast.engine.busy_poll import BusyPoll
from dhanfast.errors import ConfigError, UsageError

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def play(new_loop: NewLoop, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main)


@LOOPS
def test_timers_sockets_and_other_threads_are_served(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        poll = BusyPoll(loop)
        assert not poll.running
        poll.start()
        for _ in range(1_000):
            began = loop.time()
            await asyncio.sleep(0.02)
            assert round(1_000 * (loop.time() - began)) >= 20  # a loop may count whole ms only
            if poll.rounds > 20:
                break
        assert poll.rounds > 20
        told = asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(told.set))
        thread.start()
        await told.wait()
        thread.join()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        poll.stop()
        assert not poll.running

    play(new_loop, main())


@LOOPS
def test_a_stopped_one_sleeps_and_can_be_started_again(new_loop: NewLoop) -> None:
    async def main() -> None:
        poll = BusyPoll(asyncio.get_running_loop())
        poll.start()
        await asyncio.sleep(0.005)
        poll.stop()
        poll.stop()
        rounds = poll.rounds
        await asyncio.sleep(0.02)
        assert poll.rounds == rounds > 0
        poll.start()
        with pytest.raises(UsageError, match="already"):
            poll.start()
        await asyncio.sleep(0.005)
        assert poll.rounds > rounds
        poll.stop()

    play(new_loop, main())


def test_refuses_the_only_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    loop = asyncio.new_event_loop()
    with pytest.raises(ConfigError, match="only core"):
        BusyPoll(loop)
    loop.close()
