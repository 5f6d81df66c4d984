"""Ticks made by other processes: one result whoever makes them; deaths, memory, refusals."""

import datetime as dt
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.research.pool import jobs_of
from dhanfast.engine.tick_ahead import SLOT_BYTES, Ahead, backtest_days, processes_of
from dhanfast.engine.tick_days import (
    ROWS,
    GeneratedDay,
    Room,
    TickDays,
    Ticks,
    archived_days,
    generated_days,
    is_archive_folder,
)
from dhanfast.engine.tick_worker import END, Maker
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.market.tickday import tick_day
from dhanfast.reports.result import RunResult

FIRST, LAST = dt.date(2022, 2, 24), dt.date(2022, 3, 3)  # over an expiry, a month's end, a holiday
TICKS = 90_000  # a day: one batch and a part


@cache
def days() -> TickDays:
    return generated_days("BANKNIFTY", FIRST, LAST, seed=5, ticks=TICKS)


@cache
def whole() -> RunResult:
    return backtest_days("momentum", days(), jobs=1)


def plain(part: GeneratedDay) -> Ticks:
    """The ticks of a day as `generate` writes them to a file."""
    day = tick_day(part.symbol, part.on, seed=part.seed, ticks=part.ticks, strikes=0,
                   instruments=[part.kind])  # fmt: skip
    return np.concatenate([batch.ticks for batch in day])


def same(one: RunResult, other: RunResult) -> None:
    assert one.digest == other.digest
    assert one.counters == other.counters
    for name in ("trades", "orders", "equity", "days", "bars"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.config, one.data, one.notes) == (other.config, other.data, other.notes)


def ended(pid: int, handle: int) -> bool:
    """Wait until a process is over, by its handle."""
    try:
        return bool(select.select([handle], [], [], 30.0)[0])
    finally:
        os.close(handle)


def test_one_process_is_the_run_over_all_ticks() -> None:
    everything = [plain(part) for part in days().parts]
    expected = backtest_ticks("momentum", everything, symbol="BANKNIFTY", generated=True)
    assert whole().digest == expected.digest
    assert whole().counters == expected.counters
    assert whole().counters["ticks"] == TICKS * len(days().parts) == days().rows
    assert len(whole().trades) > 5
    assert whole().data["ticks"] == {"kind": "FUT", "rows": days().rows, "days": len(days().parts)}
    assert whole().config["from"] == "2022-02-24"


@pytest.mark.parametrize(("jobs", "slots"), [(2, 40), (3, 2)])
def test_other_processes_give_the_same_bytes(jobs: int, slots: int) -> None:
    same(backtest_days("momentum", days(), jobs=jobs, memory=slots * SLOT_BYTES), whole())


def test_a_killed_process_is_replaced_and_nothing_changes() -> None:
    seen: list[Ticks] = []
    with Ahead(days().parts, 2, 2 * SLOT_BYTES) as ahead:
        for number, batch in enumerate(ahead):
            seen.append(batch.copy())
            if number in (0, 3):
                os.kill(ahead.pids[number % 2], signal.SIGKILL)
        assert ahead.restarts == 2
    assert np.array_equal(np.concatenate(seen), np.concatenate([plain(p) for p in days().parts]))


@dataclass(frozen=True)
class Broken:
    """A day that cannot be made: its process ends, or it is damaged."""

    on: dt.date = FIRST
    label: str = "the broken day"
    kills: bool = True

    def batches(self, room: Room | None = None) -> Iterator[Ticks]:
        """One batch, then the end."""
        out = np.zeros(10, TICK_DTYPE) if room is None else room()[:10]
        out["price"] = 7
        yield out
        if self.kills:
            os._exit(9)
        raise BadData("the broken day: byte 17 is damaged")


def test_a_day_that_ends_its_process_is_named() -> None:
    with Ahead([*days().parts[:1], Broken()], 2) as ahead:
        with pytest.raises(DhanfastError, match=r"ended 3 times \(exit 9\) at the broken day"):
            list(ahead)
        pids = ahead.pids
    assert pids and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_what_making_a_day_raises_is_raised_here() -> None:
    with Ahead([Broken(kills=False)], 1) as ahead, pytest.raises(BadData, match="byte 17"):
        list(ahead)


def test_memory_is_bounded_and_told() -> None:
    many = generated_days("BANKNIFTY", FIRST, FIRST, seed=1, ticks=8 * ROWS).parts
    with Ahead(many, 4, 2 * SLOT_BYTES) as ahead:
        assert ahead.memory == 2 * SLOT_BYTES  # one day: one process
        size = 0
        for batch in ahead:
            size += len(batch)
            assert sum(len(ready) for ready in ahead._ready) <= 1  # of two, one is looked at
    assert size == 8 * ROWS
    with pytest.raises(UsageError, match="memory must be at least"):
        Ahead(many, 1, SLOT_BYTES)


def test_processes_are_started_where_they_pay() -> None:
    many = generated_days("BANKNIFTY", FIRST, LAST, seed=5, ticks=10_000_000)
    cores = jobs_of(None)
    assert processes_of(many, None) == (0 if cores == 1 else min(cores, len(many.parts)))
    assert [processes_of(many, jobs) for jobs in (1, 2, 100)] == [0, 2, len(many.parts)]
    assert [processes_of(days(), jobs) for jobs in (None, 1, 2)] == [0, 0, 2]
    with pytest.raises(UsageError, match="jobs must be in"):
        processes_of(many, 0)


def test_it_goes_on_at_any_tick() -> None:
    part = days().parts[0]
    expected = plain(part)
    mine, its = socket.socketpair()
    line, other = Connection(mine.detach()), Connection(its.detach())
    slots = np.frombuffer(mmap.mmap(-1, 2 * SLOT_BYTES), TICK_DTYPE).reshape(2, ROWS)
    worker = threading.Thread(target=Maker(other, slots).serve)
    worker.start()
    for skip in (0, 1, ROWS - 1, ROWS, ROWS + 1, TICKS - 1, TICKS):
        line.send((skip, part, skip))
        at = skip
        while (said := line.recv())[1] != END:
            place, slot, used = said
            assert place == skip
            assert np.array_equal(slots[slot, :used], expected[at : at + used])
            at += used
            line.send(slot)
        assert at == TICKS
    line.close()
    worker.join()


def test_a_killed_run_leaves_nobody_behind(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import datetime as dt
            from dhanfast.engine.tick_ahead import Ahead
            from dhanfast.engine.tick_days import generated_days
            days = generated_days("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 3, 31), seed=1,
                                  ticks=400_000)
            with Ahead(days.parts, 2) as ahead:
                for batch in ahead:
                    print(*ahead.pids, flush=True)
                    input()
            """
        )
    )
    run = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert run.stdout is not None and run.stdin is not None
    pids = [int(word) for word in run.stdout.readline().split()]
    handles = [os.pidfd_open(pid) for pid in pids]
    run.kill()
    run.wait()
    run.stdout.close()
    run.stdin.close()
    assert len(pids) == 2
    assert all(ended(pid, handle) for pid, handle in zip(pids, handles, strict=True))


# ---- days ----------------------------------------------------------------------------------------


def archive(folder: Path, symbol: str, on: dt.date, *kinds: str, ticks: int = 20_000) -> Path:
    folder.mkdir(exist_ok=True)
    day = tick_day(symbol, on, seed=3, ticks=ticks, strikes=0, instruments=list(kinds))
    path = folder / f"{on}-{symbol}-{'-'.join(kinds)}.dfa"
    with archive_writer(path, day, clock=ManualClock(0)) as write:
        for batch in day:
            write(batch)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last day of a future, the first of the next one, and one later."""
    place = tmp_path_factory.mktemp("days")
    for on in (dt.date(2022, 2, 24), dt.date(2022, 2, 25), dt.date(2022, 3, 2)):
        archive(place, "BANKNIFTY", on, "IDX", "FUT")
    return place


def test_archives_give_what_was_generated(folder: Path) -> None:
    found = archived_days(folder)
    assert (found.symbol, found.kind, found.generated) == ("BANKNIFTY", "FUT", True)
    names = [part.ticks.instrument.symbol for part in found.parts]  # type: ignore[attr-defined]
    assert names == ["BANKNIFTY22FEBFUT", "BANKNIFTY22MARFUT", "BANKNIFTY22MARFUT"]
    expected = []
    for part in found.parts:
        day = tick_day("BANKNIFTY", part.on, seed=3, ticks=20_000, strikes=0,
                       instruments=["IDX", "FUT"])  # fmt: skip
        rows = np.concatenate([batch.ticks for batch in day])
        rows = rows[rows["instrument"] == 1]
        rows["instrument"] = 0
        expected.append(rows)
    plain_run = backtest_ticks("momentum", expected, symbol="BANKNIFTY", generated=True)
    runs = [backtest_days("momentum", found, jobs=jobs) for jobs in (1, 2)]
    assert runs[0].digest == plain_run.digest
    same(*runs)
    assert "No ticks of 1 trading days: 2022-02-28." in runs[0].notes
    assert len(runs[0].data["signals"]["sources"]) == 3


@pytest.mark.parametrize("symbol", ["BANKNIFTY", "BANKNIFTY FUT"])
def test_an_instrument_can_be_named(folder: Path, symbol: str) -> None:
    found = archived_days(
        folder, symbol=symbol, start=dt.date(2022, 2, 25), end=dt.date(2022, 3, 2)
    )
    assert found.kind == ("IDX" if symbol == "BANKNIFTY" else "FUT")
    assert [part.on.day for part in found.parts] == [25, 2]


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    assert is_archive_folder(folder)
    assert not is_archive_folder(tmp_path)
    with pytest.raises(UsageError, match="no archive has ticks from 2023-01-01 to the end"):
        archived_days(folder, start=dt.date(2023, 1, 1))
    with pytest.raises(UsageError, match=r"2022-02-25: no ticks of 'BANKNIFTY22FEBFUT'"):
        archived_days(folder, symbol="BANKNIFTY22FEBFUT")
    with pytest.raises(UsageError, match=r"2022-02-24: no ticks of the future of NIFTY"):
        archived_days(folder, symbol="NIFTY FUT")
    mixed = tmp_path / "mixed"
    archive(mixed, "BANKNIFTY", dt.date(2022, 2, 24), "FUT")
    archive(mixed, "NIFTY", dt.date(2022, 2, 25), "FUT")
    with pytest.raises(UsageError, match="a run is of one underlying"):
        archived_days(mixed)


def test_generated_days_refuse_what_they_cannot_be() -> None:
    with pytest.raises(UsageError, match="kind must be one of FUT, IDX"):
        generated_days("BANKNIFTY", FIRST, LAST, seed=1, kind="OPT")
    with pytest.raises(UsageError, match="lies before"):
        generated_days("BANKNIFTY", LAST, FIRST, seed=1)
    with pytest.raises(UsageError, match="no trading day"):
        generated_days("BANKNIFTY", dt.date(2022, 2, 26), dt.date(2022, 2, 27), seed=1)
    with pytest.raises(UsageError, match="ticks is 0"):
        generated_days("BANKNIFTY", FIRST, LAST, seed=1, ticks=0)
    natural: Any = generated_days("BANKNIFTY", FIRST, FIRST, seed=1, kind="IDX")
    assert natural.rows == 0
    assert (
        sum(map(len, natural.here()))
        == tick_day("BANKNIFTY", FIRST, seed=1, strikes=0, instruments=["IDX"]).ticks
    )
