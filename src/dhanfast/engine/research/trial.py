"""One trial: a strategy with some parameters over some days, by the kernel, without the report.

`Bench` is set up once a process and then runs any number of trials: the bars are mapped, the
sessions are made, the buffers are used again. `Bench.result` is what `runs.backtest` gives for the
same parameters and days, less what says where it came from.
"""

import importlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.runlog import RunLog
from dhanfast.engine.chain_input import ChainSeen
from dhanfast.engine.engine import Engine
from dhanfast.engine.guard_build import Vix, guards_of
from dhanfast.engine.research.code import Code
from dhanfast.engine.research.memo import Memo
from dhanfast.engine.research.objective import Objective
from dhanfast.engine.research.shared import Held, mapped
from dhanfast.engine.runs import refuse_without_volume
from dhanfast.engine.settings import Settings, timeframe_text
from dhanfast.errors import ConfigError, DhanfastError, StrategyError, UsageError
from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult
from dhanfast.strategies.params import Value
from dhanfast.strategies.plugins import find_strategy, graph_of

IST_NS: Final = 19_800 * 10**9
DAY_NS: Final = 86_400 * 10**9
LOG_TRADES, LOG_ORDERS, LOG_EQUITY = 16384, 65536, 8192


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a run: rows of the job's sessions.

    Attributes:
        first, last: [first, last). warmup: so many sessions before them are shown to the strategy
            and let no entry through.
    """

    first: int
    last: int
    warmup: int = 0


class Trials(Protocol):
    """Runs trials of one job, in one process."""

    def trial(self, number: int, params: dict[str, Value], spans: Sequence[Span]) -> "Row":
        """Run one trial; see `Bench.trial`."""
        ...

    def result(self, params: Mapping[str, Value], spans: Sequence[Span]) -> RunResult:
        """What parameters made of some days, complete."""
        ...


class Work(Protocol):
    """What every trial of a search has in common: a `Job`, or one of legs (`legs_job`)."""

    @property
    def name(self) -> str:
        """Of the strategy."""
        ...

    @property
    def params(self) -> dict[str, Value]:
        """The values that are not searched."""
        ...

    @property
    def settings(self) -> Settings:
        """Of the runs."""
        ...

    @property
    def objective(self) -> Objective:
        """What is maximised."""
        ...

    @property
    def sessions(self) -> NDArray[Any]:
        """A row a day, with its `date`."""
        ...

    @property
    def held(self) -> tuple[Held, ...]:
        """What a machine must hold."""
        ...

    def bench(self) -> Trials:
        """What runs its trials in this process."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What every trial of a search has in common; small, and the same for every worker.

    Attributes:
        name: of the strategy, as it was asked for. module, kind: its class; `code` is the file
            when it is of one. params: the values that are not searched.
        sessions: SESSION_DTYPE of all the data. bars: what the strategy sees. meets: what orders
            meet when they are others.
        vix: India VIX for the guards that look at it.
        chain: figures of the option chain for strategies that look at it.
        ticks: FUT or IDX when `bars` are ticks of these, which orders meet themselves.
    """

    name: str
    module: str
    kind: str
    code: Code | None
    params: dict[str, Value]
    settings: Settings
    symbol: str
    interval_ns: int
    match_interval_ns: int
    sessions: NDArray[Any]
    bars: Held
    meets: Held | None
    objective: Objective
    vix: Vix | None = None
    chain: ChainSeen | None = None
    ticks: str = ""

    @property
    def held(self) -> tuple[Held, ...]:
        """What a machine must hold."""
        return (self.bars,) if self.meets is None else (self.bars, self.meets)

    def bench(self) -> "Bench":
        """What runs its trials in this process."""
        return Bench(self)

    def strategy(self) -> type:
        """The strategy's class.

        Raises:
            StrategyError: this process cannot import it.
        """
        if self.code is not None:
            module = self.code.module()
        else:
            try:
                module = importlib.import_module(self.module)
            except ImportError as error:
                raise StrategyError(
                    f"{self.name}: {self.module} cannot be imported by a worker: {error}"
                ) from error
        found: Any = module
        for part in self.kind.split("."):
            found = getattr(found, part)
        kind: type = found
        return kind


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one trial.

    Attributes:
        number: of the trial. params: those searched.
        refused: why the strategy would not run with them; "" when it ran.
        score: of the objective; None where that is not defined.
        daily: profit after charges of each day, paise.
    Units:
        money in paise; sharpe yearly.
    """

    number: int
    params: dict[str, Value]
    refused: str = ""
    score: float | None = None
    net: int = 0
    charges: int = 0
    trades: int = 0
    wins: int = 0
    drawdown: int = 0
    sharpe: float | None = None
    daily: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, complete: `of_dict` gives the same row back."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"daily": self.daily.tolist()}

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> "Row":
        """Back from `as_dict`.

        Raises:
            ValueError, KeyError, TypeError, OverflowError: it is not one.
        """
        values = dict(plain)
        daily = values.pop("daily")
        if not isinstance(daily, list) or any(type(day) is not int for day in daily):
            raise ValueError("daily must be a list of whole numbers")
        return cls(daily=np.array(daily, np.int64), **values)


def row_of(
    number: int, params: dict[str, Value], result: RunResult, score: float | None, fall: int
) -> Row:
    """What is kept of a trial's run.

    Args:
        fall: the deepest fall of its equity, paise.
    """
    net = metrics.trade_net(result.trades)
    daily = metrics.daily_pnl(result)
    charges = int(result.days["charges"].sum())
    return Row(
        number=number,
        params=params,
        score=score,
        net=int(result.days["gross"].sum()) - charges,
        charges=charges,
        trades=len(result.trades),
        wins=int((net > 0).sum()),
        drawdown=fall,
        sharpe=metrics.sharpe(metrics.daily_returns(result)),
        daily=daily,
    )


class Bench:
    """Runs trials of one job.

    Args:
        job: what they have in common. memo: of the indicators that they share.
    Raises:
        Missing: this machine does not hold the bars.
        StrategyError, UsageError: the strategy or the objective cannot be imported.
    """

    def __init__(self, job: Job, memo: Memo | None = None) -> None:
        self.job = job
        self._kind = job.strategy()
        self._score = job.objective.load()
        self._bars = mapped(job.bars)
        self._meets = None if job.meets is None else mapped(job.meets)
        days = (job.sessions["open_ns"] + IST_NS) // DAY_NS * DAY_NS - IST_NS
        if job.ticks:
            self._volume = job.ticks != "IDX"
            self._from, self._to = _tick_places(self._bars, days)
        else:
            self._volume = bool(self._bars["volume"].any())
            self._from, self._to = _places(self._bars, days)
        if self._meets is not None:
            self._meets_from, self._meets_to = _places(self._meets, days)
        self._log: RunLog | None = None
        self._spans: dict[Span, NDArray[Any]] = {}
        self._said = job.settings.as_dict()
        self._memo = Memo() if memo is None else memo

    def trial(self, number: int, params: dict[str, Value], spans: Sequence[Span]) -> Row:
        """Run one trial.

        Args:
            params: those searched. spans: each is run for itself, from the capital, without
                positions; what they made is put one after the other.
        Raises:
            StrategyError: the strategy raised; the message names the parameters.
        """
        try:
            objective = self.job.objective
            result, fall = self._joined(params, spans, objective.each_bar, objective.own)
        except (UsageError, ConfigError) as error:
            return Row(number, params, refused=str(error))
        except DhanfastError as error:
            shown = ", ".join(f"{name}={value}" for name, value in params.items())
            raise type(error)(f"trial {number} ({shown}): {error}") from error
        return row_of(number, params, result, self._score(result), fall)

    def result(self, params: Mapping[str, Value], spans: Sequence[Span]) -> RunResult:
        """What the parameters made of some days, with the equity on every bar."""
        return self._joined(params, spans, True, True)[0]

    def _joined(
        self, params: Mapping[str, Value], spans: Sequence[Span], each_bar: bool, whole: bool
    ) -> tuple[RunResult, int]:
        if len(spans) == 1:
            return self._run(params, spans[0], each_bar, whole)
        # The deepest fall may begin in one stretch and end in another: only the whole curve shows.
        result = joined([self._run(params, span, True, whole)[0] for span in spans])
        return result, metrics.deepest(result)[1]

    def _run(
        self, params: Mapping[str, Value], span: Span, each_bar: bool, whole: bool
    ) -> tuple[RunResult, int]:
        """One run of the kernel over one span."""
        job = self.job
        found = find_strategy(self._kind, {**job.params, **params})
        runner = found.runner(_unheard, job.interval_ns)
        if not self._volume:
            refuse_without_volume(runner, f"{job.symbol} {timeframe_text(job.interval_ns)}")
        sessions = self._sessions(span)
        engine = Engine(
            runner, sessions, job.settings, interval_ns=job.interval_ns,
            match_interval_ns=job.match_interval_ns, equity_each_bar=each_bar,
            guards=guards_of(job.settings.guards, vix=job.vix), log=self._buffers(each_bar),
            orders=whole, chain=None if job.chain is None else job.chain.feed(),
        )  # fmt: skip
        rows = slice(self._from[span.first - span.warmup], self._to[span.last - 1])
        if not job.ticks:  # there the bars are few against the ticks
            shown = (span.first - span.warmup, span.last)
            self._memo.begin(graph_of(runner), shown, int(rows.stop - rows.start))
        if job.ticks:
            engine.feed_ticks(self._bars[rows])
        elif self._meets is None:
            engine.feed(self._bars[rows])
        else:
            low, high = self._meets_from[span.first - span.warmup], self._meets_to[span.last - 1]
            engine.feed(self._meets[low:high], self._bars[rows])
        written = engine.finish()
        self._memo.end()
        found.stopped(runner)
        days, equity = written.days, written.equity
        if span.warmup:
            day = int(job.sessions["date"][span.first])
            days = days[days["date"] >= day]
            equity = equity[equity["time_ns"] > job.sessions["open_ns"][span.first]]
        result = RunResult(
            strategy=job.name,
            symbol=job.symbol,
            traded=f"{job.symbol} FUT",
            timeframe=timeframe_text(job.interval_ns),
            capital=job.settings.capital,
            trades=written.trades,
            orders=written.orders,
            equity=equity,
            days=days,
            passages=written.passages,
            bars=None,
            counters={"bars": engine.kernel.bars_seen},
            config={"strategy": job.name, "params": found.settings(), **self._said},
            data={},
            notes=(),
            digest="",
            kernel_ns=engine.kernel_ns,
        )
        return result, int(engine.kernel.drawdown_max)

    def _sessions(self, span: Span) -> NDArray[Any]:
        """The rows of a span; those of its warm-up let no entry through."""
        if span not in self._spans:
            rows = self.job.sessions[span.first - span.warmup : span.last]
            if span.warmup:
                rows = rows.copy()
                cold = rows[: span.warmup]
                cold["entry_until_ns"] = cold["entry_from_ns"]
            self._spans[span] = rows
        return self._spans[span]

    def _buffers(self, each_bar: bool) -> RunLog | None:
        """Small ones when one row a day is written, used again by every run."""
        if each_bar:
            return None
        if self._log is None:
            self._log = RunLog(LOG_TRADES, LOG_ORDERS, LOG_EQUITY)
        else:
            self._log.take()  # what a run that raised has left
        return self._log


def _places(
    bars: NDArray[Any], days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the bars of each day begin and end."""
    starts = np.ascontiguousarray(bars["start_ns"])
    return np.searchsorted(starts, days), np.searchsorted(starts, days + DAY_NS)


def _tick_places(
    ticks: NDArray[Any], days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the ticks of each day begin and end, without reading those between."""
    stamps = ticks["exch_ns"]

    def place(at_ns: int) -> int:
        return bisect_left(range(len(stamps)), at_ns, key=lambda row: int(stamps[row]))

    return (
        np.array([place(int(day)) for day in days], np.int64),
        np.array([place(int(day) + DAY_NS) for day in days], np.int64),
    )


def _unheard(at_ns: int, text: str) -> None:
    """What a strategy says in a trial."""


def joined(parts: Sequence[RunResult]) -> RunResult:
    """Runs of days that do not overlap as one: each begins where the one before ended.

    Args:
        parts: in the order of their days, each from its own capital.
    Units:
        the equity of each is moved by what those before it made, paise.
    Raises:
        ValueError: nothing to join.
    """
    if not parts:
        raise ValueError("there are no runs to join")
    days, equity, moved = [], [], 0
    for part in parts:
        mine, curve = part.days.copy(), part.equity.copy()
        mine["equity"] += moved
        curve["equity"] += moved
        if len(mine):
            moved = int(mine["equity"][-1]) - parts[0].capital
        days.append(mine)
        equity.append(curve)
    passages = [one.passages for one in parts if one.passages is not None]
    names = {number: name for one in parts for number, name in one.contracts.items()}
    return replace(
        parts[0],
        trades=np.concatenate([one.trades for one in parts]),
        orders=np.concatenate([one.orders for one in parts]),
        equity=np.concatenate(equity),
        days=np.concatenate(days),
        passages=np.concatenate(passages) if len(passages) == len(parts) else None,
        counters={"bars": sum(one.counters.get("bars", 0) for one in parts)},
        kernel_ns=sum(one.kernel_ns for one in parts),
        contracts=names,
        margin=parts[0].margin if len(parts) == 1 else {},  # of one stretch, not of all
    )
