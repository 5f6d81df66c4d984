"""Where a result comes from: hashes of data, decisions and code."""

import datetime as dt
import hashlib
import inspect
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast import __version__
from dhanfast.engine.engine import Written
from dhanfast.engine.settings import timeframe_text
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import BLEND, Found

IST = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")


def data_of(signals: BarSet, meets: BarSet | None) -> dict[str, Any]:
    """What a run read: symbols, spans, source files with their hashes, generated or not."""

    def one(bars: BarSet) -> dict[str, Any]:
        return {
            "symbol": bars.symbol,
            "interval": timeframe_text(bars.interval_ns),
            "rows": len(bars.bars),
            "generated": bars.generated,
            "first": _stamp(bars.bars[0]),
            "last": _stamp(bars.bars[-1]),
            "sources": [{"name": s[0], "sha256": s[1], "rows": s[2]} for s in bars.sources],
            "sha256": _sha256(bars.bars),
        }

    return {"signals": one(signals), "fills": one(meets) if meets is not None else None}


def _stamp(bar: Any) -> str:
    return dt.datetime.fromtimestamp(int(bar["start_ns"]) // 10**9, IST).isoformat()


def _raw(rows: NDArray[Any]) -> memoryview:
    """The bytes of an array of records."""
    return np.ascontiguousarray(rows).view(np.uint8).data


def _sha256(rows: NDArray[Any]) -> str:
    return hashlib.sha256(_raw(rows)).hexdigest()


def run_digest(signals: BarSet, meets: BarSet | None, written: Written) -> str:
    """SHA-256 over the bars used and every decision and booking: equal runs have equal digests.

    The strategy's name is left out on purpose: the same decisions through another door are equal.
    """
    total = hashlib.sha256()
    for bars in (signals, meets):
        if bars is not None:
            total.update(_raw(bars.bars))
    for rows in (written.orders, written.trades, written.equity, written.days):
        total.update(_raw(rows))
    return total.hexdigest()


def versions_of(found: Found) -> dict[str, str]:
    """What ran: versions, and hashes of the code that was loaded and of the strategy's file."""
    code = hashlib.sha256()
    for name in sorted(name for name in sys.modules if name.split(".")[0] == "dhanfast"):
        spec = getattr(sys.modules[name], "__spec__", None)
        if spec is not None and spec.origin and Path(spec.origin).is_file():
            code.update(name.encode() + b"\0" + Path(spec.origin).read_bytes())
    return {
        "dhanfast": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "code_sha256": code.hexdigest(),
        "strategy_sha256": strategy_sha256(found),
    }


def strategy_sha256(found: Found) -> str:
    """SHA-256 of the file a strategy's class is in, of a blend of its file and its members'.

    Of a user's file it is the text that was loaded.
    """
    try:
        if found.door == BLEND:
            source = found.made.code()
        else:
            source = found.source or Path(inspect.getfile(found.kind)).read_bytes()
    except (TypeError, OSError):
        source = b""
    return hashlib.sha256(source).hexdigest()
