"""What an earlier day left to the guards when it did not end in order.

A kill -9 may fall between an input and the NOTE of what it did to a lock. The input is in the
journal all the same: the day is repeated from it, as a restart would have done, and what the guards
know then is what the next day begins with. A day that cannot be repeated (another program, another
strategy that is in no file and has changed) leaves what its last NOTE says, and the log tells so.
"""

import contextlib
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dhanfast._core.live.courier import Courier
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app.config import Config, load_config
from dhanfast.app.live_build import begun_with, deciding_digest, settings_of_day
from dhanfast.app.live_market import Market
from dhanfast.app.live_one import run_of, watch_of
from dhanfast.clock import SystemClock
from dhanfast.engine.locks import Carried, carried_over, last_journal
from dhanfast.errors import BadData, DhanfastError
from dhanfast.market.calendar import Calendar

SEGMENT: Final = "NSE_FNO"
_LOG: Final = logging.getLogger("dhanfast.guards")


class Mute(Courier):
    """Nothing leaves: a day that is over is only repeated."""

    def carry_intent(self, intent: Any) -> None:
        """Let it fall."""


def left_over(config: Config, mode: str, day: Any) -> Carried | None:
    """What the days before left to the guards of an engine; None: nothing.

    Args:
        day: that begins.
    Raises:
        BadData: the file of locks is damaged.
    """
    folder, name = config.folders.journal, config.engine.run
    found = carried_over(folder, name, mode, day)
    last = last_journal(folder, name, mode, day)
    if last is None or (found is not None and (found.whole or found.day > last[1])):
        return found
    path, of = last
    try:
        state = repeated(config, path)
    except DhanfastError as error:
        if found is not None:
            _LOG.warning("%s did not end in order and cannot be repeated (%s): locks are as it "
                         "last noted them", path.name, error)  # fmt: skip
        return found
    if state is None:
        return found
    _LOG.info("%s did not end in order: its locks are taken from its inputs", path.name)
    return Carried(of, 0 if found is None else found.at_ns, state, path.name, whole=True)


def repeated(config: Config, path: Path) -> dict[str, Any] | None:
    """What the guards of a day knew at its last input; None: the day had none, or no guards.

    Args:
        config: whose folders are used. path: of the day's journal.
    Raises:
        DhanfastError: the day cannot be repeated.
    """
    with JournalReader(str(path)) as reader:
        header: JournalHeader = reader.header
        records = [(kind, bytes(payload)) for kind, _, _, payload in reader]
    if not any(kind == Kind.START for kind, _ in records):
        return None
    told = json.loads(header.text or "{}")
    if "contract" not in told:
        raise BadData("it does not tell its contract: it was written by an older version")
    then = config_of(config, told["config"])
    mode = str(told["mode"])
    start = begun_with(records)
    assert start is not None
    file = str((start.get("strategy") or {}).get("sha256", ""))
    if deciding_digest(then, mode, told["contract"], file) != header.config_digest:
        raise BadData("the program has changed since")
    settings = settings_of_day(then, start, mode)
    if not settings.guards.any_on:
        return None
    with tempfile.TemporaryDirectory() as place:
        journal = Journal(str(Path(place) / "again.dfj"), header)
        try:
            watch = watch_of(then)  # the day may have ended in a call that hung
            run = run_of(
                then, settings, _day_of(header.date), journal, Mute() if mode == "live" else None,
                start, vix=None, watch=watch,
            )  # fmt: skip
            with watch or contextlib.nullcontext():
                run.loop.replay(records)
            assert run.guards is not None
            return run.guards.carry()
        finally:
            journal.close()


def config_of(config: Config, plain: dict[str, Any]) -> Config:
    """The settings that a journal was written with.

    Args:
        config: of now; the folders are its.
    """
    then = load_config([], config.folders.root, [], {}, beneath=plain, named_only=True)
    return replace(then, environ=config.environ)


def _day_of(date: int) -> Market:
    """A day's market, as far as a run of it needs one."""
    import datetime as dt

    day = dt.datetime.strptime(str(date), "%Y%m%d").date()
    hours = Calendar.load().day(day, SEGMENT)
    if hours is None:
        raise BadData(f"{day} is no trading day")
    return Market(SystemClock(), 0, hours.open_ns, 1.0, day, hours.close_ns, False, ())
