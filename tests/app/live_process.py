"""Real processes for tests: an exchange on loopback and engines that trade on it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dhanfast.engine.control import ControlClient, NotRunning

DAY = "2026-11-20"
LIMIT_S = 150.0
STRATEGIES = '''
from dhanfast.strategies import Strategy


class Holder(Strategy):
    """Buys at the second bar and waits for the day's end."""

    def on_start(self, m):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        if ctx.position == 0 and self.bars >= 2:
            ctx.buy(stop=900, target=2000)


class Turner(Strategy):
    """In for one bar, out for one."""

    def on_start(self, m):
        pass

    def on_bar(self, ctx, bar):
        if ctx.position:
            ctx.exit()
        else:
            ctx.buy(stop=900, target=2000)


class Broken(Strategy):
    """Buys, and then has a bug."""

    def on_start(self, m):
        pass

    def on_bar(self, ctx, bar):
        if ctx.position:
            raise KeyError("a bug of the strategy")
        ctx.buy(stop=900, target=2000)
'''


@contextlib.contextmanager
def exchange(*words: str) -> Iterator[dict[str, Any]]:
    """`dhanfast exchange` on a port of its choice; what it said when it began to listen."""
    command = [sys.executable, "-m", "dhanfast", "exchange", "--generate", "--date", DAY,
               "--ticks", "40000", "--strikes", "1", "--depth", "5", "--json", *words]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(LIMIT_S)


class Trader:
    """The user's side: a folder, an environment, and commands.

    Args:
        folder: DHANFAST_HOME. told: what the exchange said. sets: of the configuration.
    """

    def __init__(self, folder: Path, told: dict[str, Any], **sets: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(STRATEGIES)
        self.sets = {
            "broker.exchange": f"http://127.0.0.1:{told['port']}",
            "broker.token": "env:DHAN_ACCESS_TOKEN",
            "clock.source": "exchange",
            "strategy.name": "mine",
            "strategy.use": "mine.py:Holder",
            "risk.entry_from": "09:16",
            "risk.day_loss": "0",
        } | {key.replace("__", "."): value for key, value in sets.items()}
        self.environ = os.environ | {
            "DHANFAST_HOME": str(folder),
            "DHAN_CLIENT_ID": told["client_id"],
            "DHAN_ACCESS_TOKEN": told["token"],
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        self.token = told["token"]

    def words(self, *words: str, **sets: str) -> list[str]:
        """The command line of `trade`."""
        chosen = self.sets | {key.replace("__", "."): value for key, value in sets.items()}
        given = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        return [sys.executable, "-m", "dhanfast", "trade", *words, *given]

    def ended(self, *words: str, **sets: str) -> tuple[int, str, str]:
        """Run `trade` to its end: exit code, what it printed, what it said."""
        done = subprocess.run(self.words(*words, **sets), env=self.environ, capture_output=True,
                              text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)  # fmt: skip
        self.has_no_secret(done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    def has_no_secret(self, text: str) -> None:
        assert self.token not in text and self.token.split(".")[2] not in text

    @contextlib.contextmanager
    def running(self, *words: str, **sets: str) -> Iterator["Running"]:
        """`trade` beside the test; killed when the block leaves it running."""
        log = self.folder / f"said-{time.monotonic_ns()}.txt"
        with open(log, "w") as said, subprocess.Popen(
            self.words(*words, **sets), env=self.environ, stdout=said, stderr=subprocess.STDOUT,
            text=True, stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                yield Running(self, process, log)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait(LIMIT_S)


class Running:
    """One engine's process."""

    def __init__(self, trader: Trader, process: subprocess.Popen[str], log: Path) -> None:
        self.trader, self.process, self.log = trader, process, log
        self.client = ControlClient(trader.folder / "run" / "main.sock", timeout_s=30)

    @property
    def said(self) -> str:
        text = self.log.read_text()
        self.trader.has_no_secret(text)
        return text

    def status(self) -> dict[str, Any]:
        return self.client.status()

    def until(self, seen: Callable[[dict[str, Any]], Any], most_s: float = LIMIT_S) -> Any:
        """Wait until the engine says something of itself; the status that says it."""
        ends = time.monotonic() + most_s
        status: dict[str, Any] = {}
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.said
            try:
                status = self.status()
            except NotRunning:
                status = {}
            if status and seen(status):
                return status
            time.sleep(0.05)
        raise AssertionError(f"not seen in {most_s} s: {status}\n{self.said}")

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(LIMIT_S) == -signal.SIGKILL

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)
