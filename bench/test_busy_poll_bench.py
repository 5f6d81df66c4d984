"""What a sleeping loop pays to wake up, and what busy polling saves of it.

A process of its own sends a frame every few milliseconds, with the monotonic time of its sending in
the last eight bytes; the listener compares. Sleeping and polling take turns in one run. Needs two
cores that are free: on a busy machine the figures are the scheduler's. Run with -s to see them.
"""

import asyncio
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from dhanfast.engine.busy_poll import BusyPoll

SENDER = Path(__file__).with_name("feed_sender.py")
TURNS, FRAMES, PER_SECOND = 5, 300, 250


class Late(WSListener):
    """How late each frame is seen, ns."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[int] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = time.monotonic_ns()
        if frame.msg_type == WSMsgType.BINARY:
            self.late.append(now - struct.unpack("<q", frame.get_payload_as_bytes()[-8:])[0])


async def turn(busy: bool) -> list[int]:
    """Lateness of the frames of one connection."""
    listener = Late()
    poll = BusyPoll(asyncio.get_running_loop())
    with subprocess.Popen(
        [sys.executable, SENDER, "162", "1", str(PER_SECOND)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as sender:  # fmt: skip
        assert sender.stdin is not None and sender.stdout is not None
        sender.stdin.write(bytes(162 * FRAMES))
        sender.stdin.close()
        port = int(sender.stdout.readline())
        transport, _ = await ws_connect(
            lambda *_: listener, f"ws://127.0.0.1:{port}/", use_aiofastnet=False
        )
        if busy:
            poll.start()
        while len(listener.late) < FRAMES:
            await asyncio.sleep(0.05)
        poll.stop()
        transport.disconnect(graceful=False)
        await transport.wait_disconnected()
    return listener.late[10:]


def test_wake_up(benchmark: Any) -> None:
    """From a write on one core to the callback on another."""
    found: dict[str, list[list[int]]] = {"sleeping": [], "busy polling": []}

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for _ in range(TURNS):
                for name, turns in found.items():
                    turns.append(runner.run(turn(name != "sleeping")))

    benchmark.pedantic(run, rounds=1, iterations=1)
    print()
    for name, turns in found.items():
        middle = statistics.median(statistics.median(turn) for turn in turns) / 1e3
        tail = statistics.median(sorted(turn)[len(turn) * 99 // 100] for turn in turns) / 1e3
        benchmark.extra_info[name] = {"p50_us": middle, "p99_us": tail}
        print(f"  {name:13} p50 {middle:6.1f} us   p99 {tail:7.1f} us   (medians of {TURNS} turns)")
    assert all(late > 0 for turns in found.values() for turn in turns for late in turn)
