"""Frame on the socket to record in the ring: CPU a frame beside listeners that do nothing.

A process of its own sends 162-byte full packets over loopback as fast as they are taken. In turns,
in one run: an idle Cython listener, the feed's listener (decode, sink, broadcast ring), and an idle
Python listener. CPU time of the reading thread is counted, not time that passed; medians of turns.
Packets are of two kinds: a market that stands (each packet as its instrument's last one), and a
minute in which none is (half of them trades, books changed in all and rewritten in three of ten).
Run with -s to see the ratios.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.test_wire_bench import FRAMES, TABLE
from dhanfast._core.broadcast import BroadcastWriter
from dhanfast._core.live.intake import FeedIntake
from dhanfast._core.live.listener import FeedListener
from dhanfast._core.live.sink import TickSink
from dhanfast._core.wire.dhan import DhanDecoder

TURNS = 9
ROUNDS = 30  # times 4,096 frames a turn
IDLE_BAR, PYTHON_BAR = 1.6, 0.25  # issue 4
READ_BUFFER = 1 << 16

SENDER = Path(__file__).with_name("feed_sender.py")


class PythonListener(WSListener):
    """A listener in Python that looks at nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self.messages += 1


class Nobody:
    """A receiver that is told nothing of interest."""

    def connected(self, transport: object) -> None:
        """Nothing."""

    def notices(self, notices: object) -> None:
        """Nothing."""

    def text(self, text: str) -> None:
        """Nothing."""

    def gone(self, code: int, reason: str) -> None:
        """Nothing."""


def feed_listener(writer: BroadcastWriter) -> FeedListener:
    """The feed's: full decode, a sink, every tick into the recorder's ring."""
    decoder = DhanDecoder(TABLE, depth=False, stats=False)
    return FeedListener(FeedIntake(decoder, TickSink(), writer=writer), Nobody())


@pytest.fixture(scope="module")
def idle_listener(tmp_path_factory: pytest.TempPathFactory) -> type:
    """IdleListener, compiled as releases are."""
    folder = tmp_path_factory.mktemp("idle")
    source = Path(__file__).with_name("idle_listener.pyx")
    c_file = folder / "idle_listener.c"
    library = folder / f"idle_listener{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run([sys.executable, "-m", "cython", "-3", "-o", str(c_file), str(source)],
                   check=True)  # fmt: skip
    subprocess.run([os.environ.get("CC", "cc"), "-O3", "-DNDEBUG", "-shared", "-fPIC", "-w",
                    f"-I{sysconfig.get_path('include')}", str(c_file), "-o", str(library)],
                   check=True)  # fmt: skip
    spec = spec_from_file_location("idle_listener", library)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type = module.IdleListener
    return found


async def turn(make: Callable[[], Any], frames: list[bytes]) -> float:
    """CPU seconds a frame of one connection."""
    listener = make()
    with subprocess.Popen(
        [sys.executable, SENDER, "162", str(ROUNDS), "0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as sender:  # fmt: skip
        assert sender.stdin is not None and sender.stdout is not None
        sender.stdin.write(b"".join(frames))
        sender.stdin.close()
        port = int(sender.stdout.readline())
        began = time.thread_time()
        transport, _ = await ws_connect(
            lambda *_: listener, f"ws://127.0.0.1:{port}/", enable_auto_pong=False,
            read_buffer_init_size=READ_BUFFER, use_aiofastnet=False,
        )  # fmt: skip
        wanted = ROUNDS * len(frames)
        while listener.messages < wanted:
            await asyncio.sleep(0.002)
        spent = time.thread_time() - began
        transport.disconnect(graceful=False)
        await transport.wait_disconnected()
    return spent / wanted


@pytest.mark.parametrize("market", ["stands", "moves"])
def test_frame_to_record_in_the_ring(
    benchmark: Any, idle_listener: type, market: str, tmp_path: Path
) -> None:
    """Bars of issue 4: at most 1.6 of an idle Cython listener, a quarter of an idle Python one."""
    last = list({frame[4:8]: frame for frame in FRAMES}.values())  # one of each instrument
    frames = FRAMES if market == "moves" else last * (len(FRAMES) // len(last))
    writer = BroadcastWriter("bench-feed", record_bytes=72, slots=1 << 14, tag="tick",
                             folder=str(tmp_path))  # fmt: skip
    makers: dict[str, Callable[[], Any]] = {
        "idle, Cython": idle_listener,
        "decode, sink, ring": lambda: feed_listener(writer),
        "idle, Python": PythonListener,
    }
    found: dict[str, list[float]] = {name: [] for name in makers}

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for _ in range(TURNS):
                for name, make in makers.items():
                    found[name].append(runner.run(turn(make, frames)))

    benchmark.pedantic(run, rounds=1, iterations=1)
    middle = {name: statistics.median(times) * 1e9 for name, times in found.items()}
    ours = middle["decode, sink, ring"]
    benchmark.extra_info.update({f"{name}, ns a frame": ns for name, ns in middle.items()})
    print(f"\n  the market {market}")
    for name, ns in middle.items():
        spread = f"{min(found[name]) * 1e9:.0f} to {max(found[name]) * 1e9:.0f}"
        print(f"  {name:20} {ns:6.0f} ns a frame ({spread})")
    to_idle, to_python = ours / middle["idle, Cython"], ours / middle["idle, Python"]
    print(f"  of an idle Cython listener {to_idle:.2f} (bar {IDLE_BAR}), "
          f"of an idle Python listener {to_python:.2f} (bar {PYTHON_BAR})")  # fmt: skip
    assert writer.published == TURNS * ROUNDS * len(frames)
    writer.close()
