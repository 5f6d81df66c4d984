"""Swaps without end in a real paper engine under load: what they cost, and that nothing is lost.

    exchange on loopback ──ticks──▶ engine `main`, whose strategy is exchanged all the time
                         ──ticks──▶ engine `other`, whose is not

Each strategy counts the ticks it is shown and hands the count over. So at every swap the journal
knows both: how many ticks had come, and how many the strategies had seen between them. What came is
compared with what the other engine has heard. `scripts/swap-storm` runs it and prints the figures.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.live.journal import Kind
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.aside import aside
from dhanfast.engine.control import ControlClient
from tests.app.live_process import DAY, Trader, exchange
from tests.engine.live_stage import SECOND, Stage, records_of, tick_at

BEGINNING = 5  # ticks of a connection that may be its own: seeds
COUNTER = '''
from dhanfast.strategies import Strategy, param


class {name}(Strategy):
    """Counts what it is shown; the first one to be flat buys, and nobody sells."""

    period = param(21, low=2, high=200)

    def on_start(self, m):
        self.average = m.ema(self.period)
        self.rsi = m.rsi(14)
        self.ticks = self.bars = 0

    def on_tick(self, ctx, tick):
        self.ticks += 1

    def on_bar(self, ctx, bar):
        self.bars += 1
        if ctx.position == 0:
            ctx.buy(stop=9000, target=9000)

    def save(self):
        return {{"ticks": self.ticks, "bars": self.bars}}

    def load(self, state):
        self.ticks, self.bars = state["ticks"], state["bars"]
'''


def storm(
    swaps: int, folder: Path, *, ticks: int = 500_000, speed: str = "200x", pause_s: float = 0.02
) -> dict[str, Any]:
    """So many swaps; the figures, and what was lost: see `main` for their meaning."""
    words = ("--seed", "5", "--start", "09:20", "--speed", speed, "--ticks", str(ticks))
    with exchange(*words) as told:
        trader = Trader(folder, told, risk__entry_from="09:21")
        places = [_written(folder, name) for name in ("Even", "Odd")]
        main = {"strategy__use": str(places[0])}
        other = {**main, "engine__run": "other"}
        with trader.running(**main) as engine:
            before = engine.until(lambda status: status["held"])
            with trader.running(**other) as beside:
                beside.client = ControlClient(folder / "run" / "other.sock", timeout_s=30)
                beside.until(lambda status: status["held"])
                begun = time.monotonic()
                replies = [
                    _swapped(engine.client, places[(at + 1) % 2], pause_s) for at in range(swaps)
                ]
                took = time.monotonic() - begun
                bars = engine.status()["bars"]
                after = engine.until(lambda status: status["bars"] > bars)
                heard = beside.status()
                engine.kill()
                beside.kill()
        begun = time.monotonic()
        with trader.running(**main) as again:
            back = again.until(lambda status: status["state"] == "trading")
            restarted = time.monotonic() - begun
            again.kill()
    figures = {
        "swaps": after["swaps"], "seconds": took, "restart_s": restarted,
        "positions": sorted({before["held"], after["held"], back["held"], heard["held"]}),
        "orders_sent": [before["orders_sent"], after["orders_sent"], back["orders_sent"]],
        "swaps_after_restart": back["swaps"], "gaps": after["gaps"],
        "rollbacks": after["rollbacks"], "stopped": after["strategy_stopped"],
        "handed": sum(reply["handed"] for reply in replies),
        **{name: _spread([reply[name] for reply in replies])
           for name in ("installed_us", "made_ms", "reply_ms")},
    }  # fmt: skip
    return figures | _lost(folder)


def _swapped(client: ControlClient, place: Path, pause_s: float) -> dict[str, Any]:
    time.sleep(pause_s)  # so that ticks come in between
    begun = time.monotonic()
    reply = client.command("swap", strategy=str(place))
    return reply | {"reply_ms": (time.monotonic() - begun) * 1e3}


def _written(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.lower()}.py"
    path.write_text(COUNTER.format(name=name))
    return path


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": max(values)}


def _lost(folder: Path) -> dict[str, Any]:
    """What the two journals say: ticks that came and were not heard, or not shown."""
    day = DAY.replace("-", "")
    mine = records_of(folder / "journal" / f"{day}-main-paper.dfj")
    other = records_of(folder / "journal" / f"{day}-other-paper.dfj")
    first_life = next(at for at, (kind, _) in enumerate(mine) if kind == Kind.RESUME)
    mine = mine[:first_life]
    came = shown_wrong = shown = 0
    for kind, payload in mine:
        came += kind == Kind.TICK
        if kind == Kind.STRATEGY:
            told = json.loads(payload[16:])
            assert told["op"] == "swap", told
            shown = told["state"]["ticks"]
            shown_wrong += shown != came
    ours, theirs = _ticks(mine), _ticks(other)
    compared, missing = _compared(ours, theirs)
    return {"ticks": came, "ticks_shown": shown, "swaps_that_lost_a_tick": shown_wrong,
            "ticks_compared": compared, "ticks_missing": missing}  # fmt: skip


def _ticks(records: list[tuple[int, bytes]]) -> list[tuple[Any, ...]]:
    """What the exchange said in each tick, without when it came."""
    raw = b"".join(bytes(payload[: TICK_DTYPE.itemsize]) for kind, payload in records
                   if kind == Kind.TICK)  # fmt: skip
    names = ["exch_ns", "price", "bid", "ask", "volume", "qty", "bid_qty", "ask_qty"]
    return [tuple(row) for row in np.frombuffer(raw, TICK_DTYPE)[names].tolist()]


def _compared(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> tuple[int, int]:
    """(ticks that both should have, those of them that we do not have in their place)."""
    begin = BEGINNING  # the first ones of a connection are its own
    start = next(at for at in range(len(ours)) if ours[at : at + 9] == theirs[begin : begin + 9])
    pairs = list(zip(ours[start:], theirs[begin:], strict=False))
    return len(pairs), sum(mine != other for mine, other in pairs)


def hands(times: int, folder: Path) -> dict[str, Any]:
    """How late a loop's own timers are, alone and while newcomers are made beside it: the GIL."""
    places = [_written(folder, name) for name in ("Even", "Odd")]
    stage = Stage(folder, str(places[0]))
    now_ns, volume = stage.clock.now_ns(), 0
    for _ in range(300):
        now_ns, volume = now_ns + 60 * SECOND, volume + 30
        stage.run.loop.take_ticks(tick_at(now_ns, 5_000_000 + volume, volume), now_ns)
    stage.loop.close()
    bars, seat = stage.run.bars_so_far(), stage.run.seat
    late: dict[str, list[float]] = {"alone": [], "making": []}

    async def watch(into: list[float], going: asyncio.Event) -> None:
        while not going.is_set():
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            into.append((time.perf_counter() - begun - 0.001) * 1e6)

    async def main() -> None:
        for name in ("alone", "making"):
            over = asyncio.Event()
            task = asyncio.get_running_loop().create_task(watch(late[name], over))
            for number in range(times):
                if name == "alone":
                    await asyncio.sleep(0.01)
                    continue
                for strategy in (str(places[number % 2]), "momentum"):
                    await aside(lambda name=strategy: seat.make(name, {}, bars, 0), 20.0)
            over.set()
            await task

    asyncio.run(main())
    return {f"timer_late_us_{name}": _spread(values) for name, values in late.items()} | {
        "bars": len(bars)}  # fmt: skip


def text_of(found: dict[str, Any]) -> str:
    """The figures, for people."""
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number:,.1f}" for key, number in value.items())
        elif isinstance(value, float):
            value = f"{value:,.1f}"
        lines.append(f"  {name:<24}{value}")
    return "\n".join(lines)


def broken(found: dict[str, Any], swaps: int) -> list[str]:
    """What must hold, and does not."""
    sent = found["orders_sent"]
    laws = {
        "every swap was done": found["swaps"] == found["handed"] == swaps,
        "no event was lost between strategies": found["swaps_that_lost_a_tick"] == 0,
        "no event was lost at the feed": found["ticks_missing"] == 0 and found["gaps"] == 0,
        "ticks came all the while": found["ticks_compared"] > swaps,
        "the position was kept": len(found["positions"]) == 1 and found["positions"][0] > 0,
        "no swap made an order": sent[0] == sent[1] == sent[2],
        "the restart has the same strategies": found["swaps_after_restart"] == swaps,
        "no strategy failed": found["rollbacks"] == 0 and found["stopped"] == "",
    }
    return [law for law, holds in laws.items() if not holds]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--ticks", type=int, default=500_000, help="of the generated day")
    parser.add_argument("--speed", default="200x", help="of the market")
    parser.add_argument("--pause-ms", type=float, default=20.0, help="between two swaps")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="swap-storm-") as place:
        found = storm(given.swaps, Path(place) / "home", ticks=given.ticks, speed=given.speed,
                      pause_s=given.pause_ms / 1e3)  # fmt: skip
        (Path(place) / "hands").mkdir()
        found |= hands(50, Path(place) / "hands")
    wrong = broken(found, given.swaps)
    print(json.dumps(found | {"broken": wrong}, indent=2) if given.json else text_of(found))
    for law in wrong:
        print(f"BROKEN: {law}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
