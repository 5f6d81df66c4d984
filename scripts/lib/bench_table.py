"""Print the medians of pytest-benchmark's json files, and their ratios.

    bench_table.py RUN.json... [--base BASE.json...]

One line a benchmark: median a round, nanoseconds an item when the benchmark says how many items a
round has (extra_info `*_per_round`), and the ratio to the fastest peer of its group, or with --base
to the same benchmark there. Of several files the lowest median counts: noise only ever adds.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """One benchmark: seconds a round, and items a round when it says so."""

    name: str
    group: str
    median_s: float
    items: float | None

    @property
    def per_item_ns(self) -> float | None:
        """Nanoseconds an item, None when the benchmark does not count items."""
        return self.median_s * 1e9 / self.items if self.items else None


def read(paths: list[Path]) -> dict[str, Timing]:
    """The best median of each benchmark over several files of one tree."""
    best: dict[str, Timing] = {}
    for path in paths:
        for entry in json.loads(path.read_text())["benchmarks"]:
            extra = entry.get("extra_info", {})
            counts = [v for k, v in extra.items() if k.endswith("_per_round")]
            timing = Timing(
                entry["fullname"].partition("::")[2] or entry["name"],
                entry.get("group") or "",
                float(entry["stats"]["median"]),
                float(counts[0]) if counts else None,
            )
            known = best.get(entry["fullname"])
            if known is None or timing.median_s < known.median_s:
                best[entry["fullname"]] = timing
    return best


def readable(seconds: float) -> str:
    """A time with three digits and its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1.0:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def rows(run: dict[str, Timing], base: dict[str, Timing]) -> list[tuple[str, str, str, str]]:
    """Name, median, ns an item, ratio; grouped benchmarks stay together."""
    fastest: dict[str, float] = {}
    for timing in run.values():
        if timing.group:
            known = fastest.get(timing.group, timing.median_s)
            fastest[timing.group] = min(known, timing.median_s)
    table = []
    for key, timing in sorted(run.items(), key=lambda pair: (pair[1].group, pair[0])):
        against = base[key].median_s if key in base else None
        if not base and timing.group:
            against = fastest[timing.group]
        ratio = f"{timing.median_s / against:.2f}x" if against else "-"
        per_item = timing.per_item_ns
        item = f"{per_item:.2f}" if per_item is not None else "-"
        name = f"{timing.group}: {timing.name}" if timing.group else timing.name
        table.append((name, readable(timing.median_s), item, ratio))
    return table


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", nargs="+", type=Path)
    parser.add_argument("--base", nargs="+", type=Path, default=[])
    options = parser.parse_args()
    run, base = read(options.run), read(options.base)
    if not run:
        print("no benchmark was run", file=sys.stderr)
        return 1
    ratio = "to base" if base else "to fastest"
    lines = [("benchmark", "median", "ns/item", ratio), *rows(run, base)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells))
    for gone in sorted(set(base) - set(run)):
        print(f"only in base: {base[gone].name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
