"""Closed trades that Kelly sizing knows, kept from one live or paper day to the next.

Whenever a trade has closed, a NOTE in the day's journal says what is known since; a new day begins
with the newest such NOTE of the engine's earlier journals. Its own START record holds what it began
with, so a restart asks no other day. A trade whose NOTE a killed process did not write is noted by
the restart; only a day that is not gone on with leaves it out.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.engine.locks import earlier_journals
from dhanfast.engine.sizing_settings import TradeHistory

LEAST: Final = 1e-3  # paise: an average that rounding made nothing of


def known_trades(explained: dict[str, Any]) -> TradeHistory:
    """What a kernel knows of trades that closed.

    Args:
        explained: `Kernel.size_explained` of a run that sizes by kelly.
    """
    trades = int(explained["trades"])
    if trades == 0:
        return TradeHistory()
    rate = float(explained["win_rate"])
    return TradeHistory(
        trades=trades,
        win_rate=rate,
        win=max(100.0 * float(explained["win"]), LEAST) if rate > 0.0 else 0.0,
        loss=max(100.0 * float(explained["loss"]), LEAST) if rate < 1.0 else 0.0,
    )


def told(history: TradeHistory, base: TradeHistory, of: Sequence[str]) -> dict[str, Any]:
    """As START and NOTE records keep it.

    Args:
        history: what is known. base: what the configuration says was known before any run.
        of: whose trades: the strategy and the underlying.
    """
    return {"known": asdict(history), "base": asdict(base), "of": list(of)}


def history_of_day(
    folder: Path, run: str, mode: str, day: dt.date, base: TradeHistory, of: Sequence[str]
) -> TradeHistory:
    """What a new day begins with; `base` when no earlier day has begun with the same.

    Args:
        folder: of the journals. run, mode: of the engine. day: that begins. base, of: see `told`.
    """
    for path, _ in earlier_journals(folder, run, mode, day):
        found: dict[str, Any] | None = None
        with JournalReader(str(path)) as reader:
            for kind, _, _, payload in reader:
                if kind not in (Kind.START, Kind.NOTE):
                    continue
                with contextlib.suppress(ValueError):
                    found = json.loads(bytes(payload)).get("history") or found
                if found is None and kind == Kind.START:
                    break  # that day did not size by kelly
        if found is None:
            continue
        if found["base"] != asdict(base) or found["of"] != list(of):
            return base
        return TradeHistory(**found["known"])
    return base


class HistoryKeeper:
    """Notes what is known after every trade that closes.

    Args:
        explained: gives `Kernel.size_explained`, of a structure its judge's.
        started: the START record's history.
        note: writes a NOTE record.
    """

    def __init__(
        self,
        explained: Callable[[], dict[str, Any]],
        started: dict[str, Any],
        note: Callable[..., None],
    ) -> None:
        self._explained, self._started, self._note = explained, started, note
        self._held: int | None = None  # the first look also tells what a killed engine did not
        self._trades = int(started["known"]["trades"])

    def look(self, held: int) -> None:
        """Note it when a trade has closed; cheap when none has.

        Args:
            held: changes with the position.
        """
        if held == self._held:
            return
        self._held = held
        known = known_trades(self._explained())
        if known.trades != self._trades:
            self._trades = known.trades
            self._note(history={**self._started, "known": asdict(known)})
