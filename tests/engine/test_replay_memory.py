"""Memory of a replay does not grow with the file."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.market.tickday import tick_day

# A replay with two threads holds five blocks of 65,536 rows: ten times as many, and a little more
# than it needs to have used all five.
FEW, MANY = 500_000, 3_300_000
GROWTH_KB = 5_120
PROGRAM = """
import sys
from dhanfast.clock import SystemClock
from dhanfast.engine.recorded import recorded
from dhanfast.engine.tick_replay import replay_ticks
run = replay_ticks("momentum", recorded([sys.argv[1]]), clock=SystemClock(), threads=2)
count = run.run().counters["ticks"]
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(count, peak)
"""


def peak_kb(path: Path, ticks: int) -> int:
    """Largest resident size of a process that replays so many ticks, the mapped file included."""
    day = tick_day(
        "BANKNIFTY", dt.date(2025, 11, 17), seed=2, ticks=ticks, strikes=0, instruments=["FUT"]
    )
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True
    )
    count, peak = done.stdout.split()
    assert int(count) == ticks
    return int(peak)


@pytest.mark.skipif(
    os.environ.get("DHANFAST_BUILD") == "sanitize",
    reason="AddressSanitizer keeps freed memory for a while: it is its memory that would be seen",
)
def test_a_file_of_ten_times_the_blocks_held_takes_no_more_memory(tmp_path: Path) -> None:
    """51 blocks against 8; the larger file alone is more than the growth that is allowed."""
    few, many = tmp_path / "few.dfa", tmp_path / "many.dfa"
    small, large = peak_kb(few, FEW), peak_kb(many, MANY)
    assert many.stat().st_size > 2 * GROWTH_KB * 1024
    assert large - small < GROWTH_KB, f"{small} kB for {FEW} ticks, {large} kB for {MANY}"
