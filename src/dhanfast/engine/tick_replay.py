"""Recorded ticks through the engine: what `dhanfast replay` and `backtest` on an archive run."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime

from dhanfast.clock import Ticking
from dhanfast.engine.recorded import THREADS, Recorded, named
from dhanfast.engine.replay import IST, MAX, Replay
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import KINDS, TickRun
from dhanfast.errors import UsageError
from dhanfast.market.expiries import front_month
from dhanfast.reports.result import RunResult
from dhanfast.storage.archive.listing import Listed
from dhanfast.storage.bars import Source
from dhanfast.storage.slippage import SlippageStore


def replay_ticks(
    strategy: str | type | object,
    ticks: Recorded,
    *,
    clock: Ticking,
    speed: float = MAX,
    params: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    interval: str = "1m",
    tell: Callable[[str], None] = lambda text: None,
    threads: int = THREADS,
    slippages: SlippageStore | None = None,
) -> Replay[RunResult]:
    """A replay of recorded ticks; `run` gives the result of `backtest_ticks` on them.

    Args:
        strategy: as for `backtest`. With an instance the replay cannot go backwards.
        ticks: chosen by `recorded`.
        clock: what paces; not looked at while the speed is `MAX`.
        speed: 1 for the pace of the recording, `MAX` for none.
        params, settings: as for `backtest`.
        interval: length of the signal bars, unless the settings have a timeframe.
        tell: gets a sentence when something happens that a user should know.
        threads: how many decompress ahead.
        slippages: measured fills, for a slippage that is to be measured.

    Raises:
        UsageError, ConfigError: unknown strategy or parameter, impossible settings or speed, an
            instrument that a run cannot trade.
    """
    symbol, kind = traded(ticks.instrument)

    def engine() -> "_Reported":
        return _Reported(
            TickRun(
                strategy,
                symbol=symbol,
                kind=kind,
                params=params,
                settings=settings,
                interval=interval,
                sources=[Source(*source) for source in ticks.sources],
                notes=(*ticks.gaps, *_later_month(ticks)),
                generated=ticks.generated,
                slippages=slippages,
            ),
            ticks,
        )

    engine()  # refuses what is wrong before anything runs
    return Replay(
        lambda: ticks.open(threads),
        engine,
        clock=clock,
        speed=speed,
        again=isinstance(strategy, str | type),
        tell=tell,
    )


class _Reported:
    """A run whose result says which stretch of the files it is of."""

    def __init__(self, run: TickRun, ticks: Recorded) -> None:
        self.feed = run.feed
        self._run, self._ticks = run, ticks

    def finish(self) -> RunResult:
        result = self._run.finish()
        stretch = {"from": _moment(self._ticks.start_ns), "to": _moment(self._ticks.end_ns)}
        data = {**result.data, "ticks": {**result.data["ticks"],
                                         "instrument": self._ticks.instrument.symbol}}  # fmt: skip
        return dataclasses.replace(result, config={**result.config, **stretch}, data=data)


def _moment(at_ns: int | None) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, IST).isoformat()


def traded(instrument: Listed) -> tuple[str, str]:
    """The underlying and the kind of an instrument, as a run over ticks wants them.

    Raises:
        UsageError: a run cannot trade it.
    """
    found = named(instrument.symbol)
    if found is None or found.kind not in KINDS:
        raise UsageError(
            f"{instrument.symbol} cannot be traded by a run: it takes ticks of an index or of its "
            "future, named as NSE or Dhan do (BANKNIFTY24AUGFUT); choose one with --symbols"
        )
    return found.underlying, found.kind


def _later_month(ticks: Recorded) -> tuple[str, ...]:
    """A note when the ticks are of a future that is not the front-month one."""
    found = named(ticks.instrument.symbol)
    if found is None or found.kind != "FUT" or found.expiry is None:
        return ()
    day = datetime.fromtimestamp(ticks.first_ns / 1e9, IST).date()
    front = front_month(found.underlying, day)
    if front == found.expiry:
        return ()
    return (
        f"{ticks.instrument.symbol} expires {found.expiry} and is not the front-month future on "
        f"{day}: lots, margin and expiry of this run are those of the contract of {front}.",
    )


def marked_partial(result: RunResult, where: str, *, closed: bool = True) -> RunResult:
    """A result that says that it is not of the whole replay.

    Args:
        closed: whether the run closes what is open at its end; else its own notes tell of that.
    """
    note = f"PARTIAL: the replay was stopped {where}"
    note += "; open positions were closed there." if closed else "."
    return dataclasses.replace(result, notes=(note, *result.notes))
