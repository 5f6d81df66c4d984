"""The last step of scripts/archive-day: two archives row by row, two replays, and the figures."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast.engine.recorded import as_ticks
from dhanfast.storage.archive import open_archive


def same_rows(first: str, second: str) -> int:
    """Rows of `ticks` of both files when all are the same, instruments by symbol; else -1."""
    with open_archive(first) as one, open_archive(second) as two:
        if one.rows("ticks") != two.rows("ticks"):
            return -1
        numbers = {entry.symbol: index for index, entry in one.instruments.items()}
        table = np.zeros(max(two.instruments) + 1, np.uint32)
        for index, entry in two.instruments.items():
            table[index] = numbers[entry.symbol]
        done = 0
        for mine, theirs in zip(one.batches("ticks"), two.batches("ticks"), strict=True):
            theirs = as_ticks(theirs)
            theirs["instrument"] = table[theirs["instrument"]]
            if mine.tobytes() != theirs.tobytes():
                return -1
            done += len(mine)
        return done


def main(archive: str, parquet: str, back: str, first: str, second: str) -> int:
    """Print and compare."""
    replays: list[Any] = [json.loads(Path(path).read_text()) for path in (first, second)]
    rows = same_rows(archive, back)
    size = {name: Path(name).stat().st_size for name in (archive, parquet, back)}
    with open_archive(archive) as reader:
        count = reader.rows("ticks")
    print(f"archive  {size[archive]:,} bytes, {size[archive] / count:.2f} a tick")
    print(f"parquet  {size[parquet]:,} bytes, {size[parquet] / count:.2f} a tick")
    print(f"back     {size[back]:,} bytes; rows the same: {rows == count} ({count:,})")
    for name, replay in zip(("replay", "again"), replays, strict=True):
        ticks, kernel = replay["replay"]["ticks"], replay["kernel_ns"]
        print(f"{name:8} {ticks:,} ticks, {kernel / max(ticks, 1):.1f} ns each in the kernel, "
              f"{replay['trades']} trades, {replay['digest'][:16]}")  # fmt: skip
    return 0 if rows == count and replays[0]["digest"] == replays[1]["digest"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
