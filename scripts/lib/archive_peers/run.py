"""Time the formats against one another and print one table.

    run.py --folder FOLDER [--ticks N] [--rounds R] [--skipped JSON] [--json FILE]

All in one process and on one thread, taking turns round after round, so that a machine that drifts
drifts for all. A figure is the best of its rounds.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from data import NARROW, narrow_ticks, wide_ticks
from formats import PEERS, Format, size_of
from ours import Ours, OursAsTicks


def timed(work: Any, *arguments: Any) -> tuple[float, Any]:
    """Seconds, and what it gave."""
    gc.collect()
    started = time.perf_counter()
    made = work(*arguments)
    return time.perf_counter() - started, made


def table_of(rows: Any, rounds: int, skipped: dict[str, str]) -> list[dict[str, Any]]:
    """One line a format."""
    formats: list[Format] = []
    own = (Ours, OursAsTicks) if rows.dtype == NARROW else (Ours,)
    for kind in (*own, *PEERS):
        if not set(kind.needs) & set(skipped):
            try:
                formats.append(kind(rows))
            except Exception as error:  # named in the table, not fatal: it is somebody else's
                skipped[kind.name] = f"{type(error).__name__}: {error}"
    lines = []
    made: dict[str, Any] = {}
    for one in formats:
        # The peers' best settings take seconds and are nowhere near: once will do.
        turns = [timed(one.encode, rows) for _ in range(rounds if isinstance(one, Ours) else 1)]
        made[one.name] = turns[-1][1]
        size = one.path.stat().st_size if isinstance(one, Ours) else size_of(made[one.name])
        lines.append({
            "name": one.name, "keeps": one.keeps, "bytes": size / len(rows),
            "encode_ns": min(spent for spent, _ in turns) / len(rows) * 1e9, "decode_ns": 1e99,
            "records_ns": 1e99,
            "same": one.check(rows, made[one.name]),
        })  # fmt: skip
        print(f"== {one.name}: {lines[-1]['bytes']:.2f} B", file=sys.stderr, flush=True)
    for _ in range(rounds):
        for line, one in zip(lines, formats, strict=True):
            spent, found = timed(one.decode, made[one.name])
            line["decode_ns"] = min(line["decode_ns"], spent / len(rows) * 1e9)
            if isinstance(found, dict):  # columns: the engine takes records
                spent += timed(one.as_records, found)[0]
            line["records_ns"] = min(line["records_ns"], spent / len(rows) * 1e9)
            del found
    return lines


def printed(title: str, lines: list[dict[str, Any]]) -> str:
    """The table as text, ours first, with the ratios to it."""
    ours = lines[0]
    text = [f"{title}", f"{'':28} {'B/tick':>7} {'x ours':>7} {'encode ns':>10} {'decode ns':>10}"
            f" {'to records':>10} {'x ours':>7}  keeps"]  # fmt: skip
    for line in lines:
        text.append(
            f"{line['name']:28} {line['bytes']:7.2f} {line['bytes'] / ours['bytes']:6.2f}x "
            f"{line['encode_ns']:10.1f} {line['decode_ns']:10.1f} "
            f"{line['records_ns']:10.1f} {line['records_ns'] / ours['records_ns']:6.2f}x"
            f"  {line['keeps']}"
            f"{'' if line['same'] else '  DID NOT COME BACK'}"
        )
    return "\n".join(text)


def main() -> None:
    """Both kinds of ticks, one table each; exit code 1 when something did not come back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ticks", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skipped", default="{}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    Ours.folder = options.folder
    skipped: dict[str, str] = json.loads(options.skipped)
    told: dict[str, Any] = {}
    for title, make in (("34-byte ticks, one instrument", narrow_ticks),
                        ("72-byte ticks, 44 instruments", wide_ticks)):  # fmt: skip
        rows = make(options.ticks)
        told[title] = table_of(rows, options.rounds, skipped)
        print(printed(f"{title}: {len(rows):,}", told[title]), end="\n\n", flush=True)
        del rows
    names = sorted({name for kind in (Ours, *PEERS) for name in kind.needs} - set(skipped))
    versions = {name: importlib.metadata.version(name) for name in names}
    print(", ".join(f"{name} {version}" for name, version in versions.items()),
          f"numpy {importlib.metadata.version('numpy')}", f"Python {platform.python_version()}",
          sep=", ")  # fmt: skip
    for name, why in skipped.items():
        print(f"skipped: {name}: {why}")
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "tables": told}, indent=1))
    sys.exit(0 if all(line["same"] for lines in told.values() for line in lines) else 1)


if __name__ == "__main__":
    main()
