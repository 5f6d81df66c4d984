"""Kill a writer in mid-stream, again and again, and look at what it left.

    python killer.py FOLDER KILLS SEED    prints figures as JSON; exit code 1 when a row is missing

Each life goes on with the file of the one before; every 25 lives a new file is begun. The writer
tells how far it got through shared memory, which survives it: rows accepted, flushed and synced.
After each kill the file must hold every flushed row, and of the others a prefix, nothing else.
"""

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import TICKS
from dhanfast.clock import SystemClock
from dhanfast.storage.archive.chunkfile import Disk
from dhanfast.storage.archive.chunks import ChunkKind, scan
from dhanfast.storage.archive.repair import repair
from dhanfast.storage.archive.sealing import seal_file
from dhanfast.storage.archive.writer import ArchiveWriter

LIVES_A_FILE = 25
TOLD = struct.Struct("<QQQ")  # rows accepted, flushed, synced


def numbered(first: int, count: int) -> np.ndarray:
    """Ticks whose every field is a function of their number."""
    number = np.arange(first, first + count)
    rows = np.zeros(count, TICKS.dtype)
    rows["recv_ns"] = 1_763_955_900_000_000_000 + number * 1_000_003
    rows["exch_ns"] = rows["recv_ns"] - number % 977
    rows["price"] = 2_400_000 + 5 * (number * 2_654_435_761 % 997)
    rows["volume"] = number
    rows["instrument"] = number % 7
    return rows


class Pieces(Disk):
    """Writes a chunk in small pieces, so that it can be killed inside one."""

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        return super().write(handle, data[:64], offset)


def live(path: Path, told: mmap.mmap, seed: int) -> None:
    """The life of a writer: until it is killed."""
    rng = random.Random(seed)
    clock = SystemClock()
    out = ArchiveWriter(
        path, [TICKS], clock=clock, block_rows=rng.choice([50, 1_000, 65_536]),
        flush_ns=rng.choice([0, 300_000, 3_000_000]), sync_ns=rng.choice([0, 5_000_000]),
        background_sync=rng.random() < 0.5, disk=Pieces() if rng.random() < 0.4 else None,
    )  # fmt: skip
    rounds = rng.randrange(5, 400)
    while True:
        rows = numbered(out.rows_written, rng.randrange(1, 900))
        told[:8] = struct.pack("<Q", out.rows_written + len(rows))
        out.append("ticks", rows)
        out.poll(clock.now_ns())
        told[8:24] = struct.pack("<QQ", out.rows_flushed, out.rows_synced)
        rounds -= 1
        if rounds == 0:
            out.sync()
            told[8:24] = struct.pack("<QQ", out.rows_flushed, out.rows_synced)
            seal_file_beside(path, out)


def seal_file_beside(path: Path, out: ArchiveWriter) -> None:
    """Seal, and wait for the kill when that was quicker."""
    out.seal(level=1)
    signal.pause()


def rows_in(path: Path) -> tuple[int, bool]:
    """How many rows the file holds, checked one by one against what was written."""
    codec, count = Codec(TICKS), 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = scan(data)
        assert not found.damage and not found.torn_bytes, found
        for chunk in found.chunks:
            if chunk.kind == ChunkKind.ROWS:
                block = codec.decode(chunk.body(data))
                assert (block.rows == numbered(count, len(block.rows))).all(), f"rows from {count}"
                assert (block.seq == np.arange(count, count + len(block.rows))).all()
                count += len(block.rows)
    return count, any(chunk.kind == ChunkKind.SEAL for chunk in found.chunks)


def kill_one(path: Path, seed: int, rng: random.Random) -> tuple[int, int, int]:
    """One life and its end; what it had told."""
    told = mmap.mmap(-1, 4096)
    child = os.fork()
    if child == 0:
        try:
            live(path, told, seed)
        finally:
            os._exit(9)
    time.sleep(rng.uniform(0.002, 0.05))  # the moment of death
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the writer ended by itself: {status}"
    accepted, flushed, synced = TOLD.unpack(told[: TOLD.size])
    told.close()
    return accepted, flushed, synced


def main(folder: Path, kills: int, seed: int) -> int:
    """Kill as often as asked and print what was found."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside numpy's threads
    rng, figures, path = random.Random(seed), Counter[str](), folder / "none"
    most_lost = 0
    for number in range(kills):
        if number % LIVES_A_FILE == 0 or not path.exists() or not os.access(path, os.W_OK):
            path = folder / f"{number}.dfa"
        before = rows_in(path)[0] if path.exists() else 0
        accepted, flushed, synced = kill_one(path, seed * 1_000_003 + number, rng)
        if not path.exists():
            assert flushed == 0
            figures["killed before the file was there"] += 1
            continue
        assert synced <= flushed, "durable before it was written"
        flushed, accepted = max(flushed, before), max(accepted, before)
        condition = repair(path)
        figures["torn tails"] += bool(condition.cut)
        kept, sealed = rows_in(path)
        if not flushed <= kept <= accepted:
            print(f"{path}: acknowledged {flushed}, accepted {accepted}, found {kept}")
            return 1
        figures["sealed by the dying writer"] += sealed
        draft = path.with_name(path.name + ".sealing")
        figures["killed while sealing"] += draft.exists()
        draft.unlink(missing_ok=True)
        figures["rows accepted"] += accepted - before
        figures["rows acknowledged"] += flushed - before
        figures["rows kept"] += kept - before
        most_lost = max(most_lost, accepted - kept)
        if sealed or number % LIVES_A_FILE == LIVES_A_FILE - 1:
            if not sealed:
                seal_file(path, level=1)
            assert rows_in(path) == (kept, True)
            path.unlink()
    lost = {"acknowledged rows lost": 0, "most unacknowledged rows lost": most_lost}
    print(json.dumps({"kills": kills, **figures, **lost}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
