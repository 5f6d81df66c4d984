"""What a run earned, and how: every figure of a report, from the arrays of a `RunResult`.

Definitions, so that each figure can be argued with:
    net of a trade    gross - its seven charges, unrounded, in micro-paise (exact integers).
                      A trade wins when its net is above zero, loses below, else is a draw.
    net of the run    gross of all days - the days' bills as brokers round them. The sum of the
                      trades' nets differs from it by that rounding, shown as `rounding`.
    daily return      (equity at the day's end - at the day before's) / capital, the capital being
                      what the run was given: lots are fixed, so the base is (nse.md section 9,
                      "daily returns on allocated capital"). Defined also when equity falls below 0.
    Sharpe            sqrt(252) * mean(r - rf) / stdev(r - rf, ddof=1), rf = yearly rate / 252.
    Sortino           sqrt(252) * mean(r - rf) / sqrt(mean(min(r - rf, 0)^2)), over all days.
    CAGR              (final equity / capital)^(1 / years) - 1; years = calendar days from the
                      first to the last day, both counted, / 365.25. Undefined below 28 days:
                      a week extrapolated to a year is no figure.
    max drawdown      max over time of 1 - E_t / max(E_s, s <= t), on mark-to-market equity, the
                      capital being the first peak.
    Calmar            CAGR / max drawdown.
A figure that is not defined (no trades, one day, zero variance) is None, never 0.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dhanfast.reports import figures
from dhanfast.reports.result import RunResult

COMPONENTS = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
UPAISE = 1_000_000  # micro-paise in a paisa
DAYS_PER_YEAR = 252
CAGR_DAYS_MIN = 28
# What closing a day's bill may move: STT and stamp duty to the rupee, five more to the paisa, and
# the running bill to the paisa. An equity row before the bill may differ from the day by this.
DAY_ROUNDING = 104

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drawdown:
    """One fall of equity from a peak, and its return to it.

    Units:
        amount in paise; fraction of the peak (0.1 = 10 %); times UTC ns.
    """

    amount: int
    fraction: float
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None  # None: not back at the peak when the run ended
    duration_ns: int  # from the peak to the recovery, or to the end of the run


@dataclass(frozen=True)
class TradeFigures:
    """Figures of the closed trades, net of their own unrounded charges.

    Units:
        money in paise (floats: charges have fractions of a paisa); times ns; rates as fractions.
    """

    count: int
    wins: int
    losses: int
    draws: int
    win_rate: float | None
    profit_factor: float | None  # sum of wins / sum of losses; None without losses
    expectancy: float | None  # mean net of a trade
    payoff: float | None  # mean win / mean loss
    win_mean: float | None
    loss_mean: float | None
    best: float | None
    worst: float | None
    best_at: int | None  # index into RunResult.trades
    worst_at: int | None
    win_streak: int
    loss_streak: int
    held_mean_ns: float | None
    held_median_ns: float | None
    held_max_ns: int | None
    held_win_mean_ns: float | None
    held_loss_mean_ns: float | None
    longs: int
    shorts: int
    long_net: float
    short_net: float
    mae_mean: float | None  # mean worst open P&L, <= 0
    mfe_mean: float | None  # mean best open P&L, >= 0


@dataclass(frozen=True)
class DayFigures:
    """Figures of the days, from mark-to-market equity at each day's end.

    Units:
        money in paise, dates as YYYYMMDD.
    """

    count: int
    wins: int
    losses: int
    draws: int
    best: int | None
    best_date: int | None
    worst: int | None
    worst_date: int | None
    win_streak: int
    loss_streak: int


@dataclass(frozen=True)
class Metrics:
    """Every figure of one run.

    Units:
        money in paise; fractions, not percentages; ratios yearly.
    """

    first_date: int | None  # YYYYMMDD
    last_date: int | None
    capital: int
    final_equity: int
    gross: int  # before charges, of all days
    charges: dict[str, int]  # by component, day-rounded, in the order of COMPONENTS
    charges_total: int
    net: int  # gross - charges
    open_pnl: int  # final equity - capital - net: what was still open at the end
    rounding: float  # sum of the trades' nets - net of the closed part
    total_return: float  # (final equity - capital) / capital
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    risk_free: float  # yearly, as given
    volatility: float | None  # yearly, of daily returns
    drawdown: Drawdown | None  # the deepest by fraction; None when equity never fell
    drawdown_amount: int  # the largest fall in paise, which may be another one
    exposure: float | None  # share of bars with a position
    turnover: int  # paise bought and sold
    turnover_ratio: float  # in capitals
    charges_of_gross: float | None  # charges / |gross|
    trades: TradeFigures
    days: DayFigures


def trade_charges(trades: NDArray[np.void]) -> Ints:
    """Charges of each trade, all components together.

    Args:
        trades: TRADE_DTYPE.

    Units:
        micro-paise, exact.

    Shape:
        int64[n].
    """
    total: Ints = np.zeros(len(trades), np.int64)
    for component in COMPONENTS:
        total += trades[component]
    return total


def trade_net(trades: NDArray[np.void]) -> Ints:
    """Net result of each trade: gross less its unrounded charges.

    Args:
        trades: TRADE_DTYPE.

    Units:
        micro-paise, exact: int64 holds a trade of up to 9 thousand crore rupees.

    Shape:
        int64[n].
    """
    net: Ints = trades["gross"].astype(np.int64) * UPAISE - trade_charges(trades)
    return net


def daily_pnl(result: RunResult) -> Ints:
    """Mark-to-market profit of each day after charges.

    Units:
        paise; the first day is measured from the capital.

    Shape:
        int64[days].
    """
    path = np.empty(len(result.days) + 1, np.int64)
    path[0] = result.capital
    path[1:] = result.days["equity"]
    return path[1:] - path[:-1]


def daily_returns(result: RunResult) -> Floats:
    """Return of each day on the capital the run was given.

    Units:
        fraction: (equity_d - equity_{d-1}) / capital.

    Shape:
        float64[days].

    Raises:
        ValueError: the capital is not positive.
    """
    if result.capital <= 0:
        raise ValueError(f"capital is {result.capital} paise; returns need a positive capital")
    returns: Floats = daily_pnl(result) / float(result.capital)
    return returns


def drawdowns(result: RunResult) -> Floats:
    """Fall from the highest equity so far, at each row of the equity.

    Units:
        fraction, 0 at a peak, 0.1 for ten per cent below it.

    Shape:
        float64[equity].
    """
    equity = result.equity["equity"].astype(np.int64)
    if len(equity) == 0:
        return np.empty(0)
    peak = np.maximum(np.maximum.accumulate(equity), result.capital)
    falls: Floats = (peak - equity) / peak
    return falls


def deepest(result: RunResult) -> tuple[Drawdown | None, int]:
    """The deepest drawdown by fraction, and the largest fall in paise.

    Units:
        the second value in paise. Times are those of the equity rows; a peak at the starting
        capital has the time of the first row.
    """
    equity = result.equity["equity"].astype(np.int64)
    if len(equity) == 0:
        return None, 0
    times = result.equity["time_ns"]
    peak = np.maximum(np.maximum.accumulate(equity), result.capital)
    falls = (peak - equity) / peak
    trough = int(np.argmax(falls))
    if falls[trough] <= 0:
        return None, 0
    at_peak = np.flatnonzero(equity[: trough + 1] == peak[trough])
    top = int(at_peak[-1]) if len(at_peak) else 0
    back = np.flatnonzero(equity[trough:] >= peak[trough])
    recovered = int(times[trough + int(back[0])]) if len(back) else None
    end = int(times[-1]) if recovered is None else recovered
    fall = Drawdown(
        amount=int(peak[trough] - equity[trough]),
        fraction=float(falls[trough]),
        peak_ns=int(times[top]),
        trough_ns=int(times[trough]),
        recovered_ns=recovered,
        duration_ns=end - int(times[top]),
    )
    return fall, int(np.max(peak - equity))


def sharpe(returns: Floats, risk_free: float = 0.0) -> float | None:
    """Yearly Sharpe ratio of daily returns; None below two days or without variance.

    Args:
        returns: daily, as fractions.
        risk_free: yearly rate, 0.065 for 6.5 %.

    Source:
        Sharpe, W.F. (1994), "The Sharpe Ratio", Journal of Portfolio Management 21(1).
    """
    if len(returns) < 2 or np.ptp(returns) == 0:
        return None
    excess = returns - risk_free / DAYS_PER_YEAR
    return float(math.sqrt(DAYS_PER_YEAR) * excess.mean() / excess.std(ddof=1))


def sortino(returns: Floats, risk_free: float = 0.0) -> float | None:
    """Yearly Sortino ratio of daily returns; None without days or without a day below target.

    Args:
        returns: daily, as fractions.
        risk_free: yearly target rate.

    Source:
        Sortino, F.A. and Price, L.N. (1994), "Performance Measurement in a Downside Risk
        Framework", Journal of Investing 3(3).
    """
    excess = returns - risk_free / DAYS_PER_YEAR
    below = np.minimum(excess, 0.0)
    if len(returns) == 0 or not below.any():
        return None
    return float(math.sqrt(DAYS_PER_YEAR) * excess.mean() / math.sqrt((below**2).mean()))


def growth_rate(result: RunResult) -> float | None:
    """Compound yearly growth of equity over the calendar time of the run.

    Returns None when the run covers fewer than 28 calendar days or lost the whole capital.
    """
    if len(result.days) == 0 or result.capital <= 0:
        return None
    span = figures.ordinal_days(result.days["date"][[0, -1]])
    calendar_days = int(span[1] - span[0]) + 1
    final = int(result.days["equity"][-1])
    if calendar_days < CAGR_DAYS_MIN or final <= 0:
        return None
    return float((final / result.capital) ** (365.25 / calendar_days) - 1.0)


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean(dtype=np.float64)) if len(values) else None


def _trade_figures(result: RunResult) -> TradeFigures:
    trades = result.trades
    net = trade_net(trades)
    won, lost = net > 0, net < 0
    held = trades["exit_ns"] - trades["entry_ns"]
    count = len(trades)
    win_sum, loss_sum = int(net[won].sum()), -int(net[lost].sum())
    win_mean, loss_mean = _mean(net[won]), _mean(net[lost])
    best = int(np.argmax(net)) if count else None
    worst = int(np.argmin(net)) if count else None
    longs = trades["side"] > 0

    def paise(value: float | None) -> float | None:
        return None if value is None else value / UPAISE

    return TradeFigures(
        count=count,
        wins=int(won.sum()),
        losses=int(lost.sum()),
        draws=count - int(won.sum()) - int(lost.sum()),
        win_rate=float(won.mean()) if count else None,
        profit_factor=win_sum / loss_sum if loss_sum else None,
        expectancy=paise(_mean(net)),
        payoff=win_mean / -loss_mean if win_mean is not None and loss_mean else None,
        win_mean=paise(win_mean),
        loss_mean=paise(loss_mean),
        best=paise(None if best is None else int(net[best])),
        worst=paise(None if worst is None else int(net[worst])),
        best_at=best,
        worst_at=worst,
        win_streak=longest_run(won),
        loss_streak=longest_run(lost),
        held_mean_ns=_mean(held),
        held_median_ns=float(np.median(held)) if count else None,
        held_max_ns=int(held.max()) if count else None,
        held_win_mean_ns=_mean(held[won]),
        held_loss_mean_ns=_mean(held[lost]),
        longs=int(longs.sum()),
        shorts=count - int(longs.sum()),
        long_net=int(net[longs].sum()) / UPAISE,
        short_net=int(net[~longs].sum()) / UPAISE,
        mae_mean=_mean(trades["mae"]),
        mfe_mean=_mean(trades["mfe"]),
    )


def _day_figures(result: RunResult) -> DayFigures:
    pnl = daily_pnl(result)
    count = len(pnl)
    best = int(np.argmax(pnl)) if count else None
    worst = int(np.argmin(pnl)) if count else None
    dates = result.days["date"]
    return DayFigures(
        count=count,
        wins=int((pnl > 0).sum()),
        losses=int((pnl < 0).sum()),
        draws=int((pnl == 0).sum()),
        best=None if best is None else int(pnl[best]),
        best_date=None if best is None else int(dates[best]),
        worst=None if worst is None else int(pnl[worst]),
        worst_date=None if worst is None else int(dates[worst]),
        win_streak=longest_run(pnl > 0),
        loss_streak=longest_run(pnl < 0),
    )


def exposure(result: RunResult) -> float | None:
    """Share of the run's bars during which a position was held; None when there were no bars.

    Counted from the bars each trade was held when the run says how many bars it saw, else from
    the rows of the equity that show a position.
    """
    bars = result.counters.get("bars", 0)
    if bars > 0:
        return min(1.0, int(result.trades["bars"].sum(dtype=np.int64)) / bars)
    if len(result.equity) == 0:
        return None
    return float((result.equity["position"] != 0).mean())


def final_equity(result: RunResult) -> int:
    """Equity in paise at the end: of the last day, else of the last row, else the capital."""
    if len(result.days):
        return int(result.days["equity"][-1])
    return int(result.equity["equity"][-1]) if len(result.equity) else result.capital


def measure(result: RunResult, *, risk_free: float = 0.0) -> Metrics:
    """Compute every figure of a run.

    Args:
        result: the run.
        risk_free: yearly risk-free rate of Sharpe and Sortino, 0.065 for 6.5 %; 0 unless given.

    Raises:
        ValueError: the capital is not positive, or risk_free is not a finite number.
    """
    if not math.isfinite(risk_free):
        raise ValueError(f"risk_free is {risk_free}; give a yearly rate such as 0.065")
    returns = daily_returns(result)
    days, trades = result.days, result.trades
    final = final_equity(result)
    gross = int(days["gross"].sum())
    charges = {name: int(days[name].sum()) for name in COMPONENTS}
    charged = int(days["charges"].sum())
    fall, fall_amount = deepest(result)
    growth = growth_rate(result)
    turnover = int(trades["entry_value"].sum()) + int(trades["exit_value"].sum())
    closed_net = int(trades["gross"].sum()) * UPAISE - charged * UPAISE
    return Metrics(
        first_date=int(days["date"][0]) if len(days) else None,
        last_date=int(days["date"][-1]) if len(days) else None,
        capital=result.capital,
        final_equity=final,
        gross=gross,
        charges=charges,
        charges_total=charged,
        net=gross - charged,
        open_pnl=final - result.capital - (gross - charged),
        rounding=(int(trade_net(trades).sum()) - closed_net) / UPAISE,
        total_return=(final - result.capital) / result.capital,
        cagr=growth,
        sharpe=sharpe(returns, risk_free),
        sortino=sortino(returns, risk_free),
        calmar=growth / fall.fraction if growth is not None and fall is not None else None,
        risk_free=risk_free,
        volatility=(
            float(returns.std(ddof=1) * math.sqrt(DAYS_PER_YEAR)) if len(returns) > 1 else None
        ),
        drawdown=fall,
        drawdown_amount=fall_amount,
        exposure=exposure(result),
        turnover=turnover,
        turnover_ratio=turnover / result.capital,
        charges_of_gross=charged / abs(gross) if gross else None,
        trades=_trade_figures(result),
        days=_day_figures(result),
    )


def contradictions(result: RunResult) -> tuple[str, ...]:
    """What in a result does not add up: shown at the top of every report, never hidden.

    Checked: a day's charges are the sum of its components; equity at the end of the last day is
    the last equity row but for the rounding of one bill; the trades' gross is the days' gross;
    every day of the equity curve has its row in the day table; entries come before exits.
    """
    found: list[str] = []
    days, trades = result.days, result.trades
    parts = sum((days[name].astype(np.int64) for name in COMPONENTS), np.zeros(len(days), np.int64))
    wrong = np.flatnonzero(parts != days["charges"])
    if len(wrong):
        date = figures.iso_date(int(days["date"][wrong[0]]))
        found.append(f"{len(wrong)} days' charges are not the sum of their parts, first {date}")
    if len(days) and len(result.equity):
        last, end = int(result.equity["equity"][-1]), int(days["equity"][-1])
        if abs(last - end) > DAY_ROUNDING:
            found.append(
                f"the equity curve ends at {figures.rupees(last)}, the last day at "
                f"{figures.rupees(end)}"
            )
    if len(days) and int(days["gross"].sum()) != int(trades["gross"].sum()):
        found.append(
            f"closed trades made {figures.rupees(int(trades['gross'].sum()))} gross, the days "
            f"{figures.rupees(int(days['gross'].sum()))}: a position was left open or lost"
        )
    ist_days = figures.ist_days(result.equity["time_ns"])
    covered = int((ist_days[1:] != ist_days[:-1]).sum()) + (len(ist_days) > 0)
    if covered > len(days):
        found.append(
            f"the equity curve covers {covered} days, the day table {len(days)}: ratios of daily "
            "returns are not to be trusted"
        )
    backwards = int((trades["exit_ns"] < trades["entry_ns"]).sum())
    if backwards:
        found.append(f"{backwards} trades end before they begin")
    return tuple(found)
