"""A run as one JSON-able dict: what `--json` prints and `result.json` holds.

Keys are stable: a later version adds keys and raises `schema`, it renames none. Every amount of
money stands twice: in rupees as a number with two decimals, and under the same name with `_paise`
as an integer. An undefined figure is null.
"""

import math
from typing import Any

from dhanfast.reports import extremes, figures, groups, metrics, slippage
from dhanfast.reports.hedges import hedge_summary
from dhanfast.reports.result import RunResult
from dhanfast.reports.signals import means

SCHEMA = 3


def is_generated(result: RunResult) -> bool:
    """Whether any of the data of a run came from the market generator."""

    def marked(value: Any) -> bool:
        if isinstance(value, dict):
            return bool(value.get("generated")) or any(marked(item) for item in value.values())
        return isinstance(value, list | tuple) and any(marked(item) for item in value)

    return marked(result.data)


def is_modelled(result: RunResult) -> bool:
    """Whether a note says that prices come from a model and not from records."""
    return any("modelled" in note.lower() or "modeled" in note.lower() for note in result.notes)


def warnings(result: RunResult) -> tuple[str, ...]:
    """What a reader must know before any figure: generated data first, then notes, then faults."""
    told: list[str] = []
    if is_generated(result):
        told.append("GENERATED DATA: the prices come from a market generator, not from an exchange")
    told += result.notes
    told += [f"DOES NOT ADD UP: {fault}" for fault in metrics.contradictions(result)]
    return tuple(told)


def _number(value: float | None, digits: int = 10) -> float | None:
    """Round to significant digits that survive JSON; None for anything not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def _money(out: dict[str, Any], name: str, paise: float | None) -> None:
    """Put an amount under `name` in rupees and under `name_paise` as an integer."""
    if paise is None:
        out[name] = out[f"{name}_paise"] = None
        return
    whole = round(paise)
    out[name] = whole / 100
    out[f"{name}_paise"] = whole


def _drawdown(measured: metrics.Metrics) -> dict[str, Any]:
    out: dict[str, Any] = {}
    fall = measured.drawdown
    _money(out, "max_drawdown", measured.drawdown_amount)
    out["max_drawdown_pct"] = _number(100 * fall.fraction) if fall else 0.0
    out["max_drawdown_from"] = figures.ist(fall.peak_ns) if fall else None
    out["max_drawdown_to"] = figures.ist(fall.trough_ns) if fall else None
    back = fall.recovered_ns if fall else None
    out["max_drawdown_recovered"] = None if back is None else figures.ist(back)
    out["max_drawdown_days"] = _number(fall.duration_ns / figures.DAY_NS, 4) if fall else None
    return out


def _trades(measured: metrics.Metrics) -> dict[str, Any]:
    trades = measured.trades
    out: dict[str, Any] = {"trades": trades.count}
    for name in ("wins", "losses", "draws", "longs", "shorts", "win_streak", "loss_streak"):
        out[name] = getattr(trades, name)
    for name in ("win_rate", "profit_factor", "payoff"):
        out[name] = _number(getattr(trades, name))
    for name, key in (
        ("expectancy", "expectancy"),
        ("win_mean", "win_mean"),
        ("loss_mean", "loss_mean"),
        ("best", "best_trade"),
        ("worst", "worst_trade"),
        ("long_net", "long_net"),
        ("short_net", "short_net"),
    ):
        _money(out, key, getattr(trades, name))
    for name in ("held_mean", "held_median", "held_max", "held_win_mean", "held_loss_mean"):
        value = getattr(trades, f"{name}_ns")
        out[f"{name}_s"] = None if value is None else _number(value / 1e9)
    return out


def _days(measured: metrics.Metrics) -> dict[str, Any]:
    days = measured.days
    out: dict[str, Any] = {
        "days": days.count,
        "win_days": days.wins,
        "loss_days": days.losses,
        "draw_days": days.draws,
    }
    for name in ("best", "worst"):
        _money(out, f"{name}_day", getattr(days, name))
        date = getattr(days, f"{name}_date")
        out[f"{name}_day_date"] = None if date is None else figures.iso_date(date)
    return out


def group_dicts(rows: list[groups.Group]) -> list[dict[str, Any]]:
    """Groups of trades, JSON-able."""
    listed = []
    for row in rows:
        out: dict[str, Any] = {"name": row.name, "trades": row.count, "wins": row.wins}
        out["losses"] = row.losses
        out["win_rate"] = _number(row.win_rate)
        _money(out, "net_pnl", row.net)
        _money(out, "expectancy", row.expectancy)
        out["held_mean_s"] = _number(row.held_mean_ns / 1e9)
        listed.append(out)
    return listed


def _months(result: RunResult) -> list[dict[str, Any]]:
    listed = []
    for month in groups.by_month(result):
        out: dict[str, Any] = {
            "month": f"{month.year:04d}-{month.month:02d}",
            "days": month.days,
            "trades": month.trades,
        }
        _money(out, "gross_pnl", month.gross)
        _money(out, "charges", month.charges)
        _money(out, "net_pnl", month.pnl)
        out["net_pct"] = None if month.fraction is None else _number(100 * month.fraction)
        listed.append(out)
    return listed


def _falls(result: RunResult) -> list[dict[str, Any]]:
    """The deepest falls of equity."""
    listed = []
    for fall in extremes.falls(result):
        out: dict[str, Any] = {}
        _money(out, "amount", fall.amount)
        out["pct"] = _number(100 * fall.fraction)
        out["from"], out["to"] = figures.ist(fall.peak_ns), figures.ist(fall.trough_ns)
        back = fall.recovered_ns
        out["recovered"] = None if back is None else figures.ist(back)
        out["days"] = _number(fall.duration_ns / figures.DAY_NS, 4)
        listed.append(out)
    return listed


def _excursions(result: RunResult) -> list[dict[str, Any]]:
    """How far trades went against and for their holder."""
    listed = []
    for row in extremes.excursions(result):
        out: dict[str, Any] = {"name": row.name, "trades": row.count}
        for name in ("mae_mean", "mae_median", "mae_worst", "mfe_mean", "mfe_median", "mfe_best"):
            _money(out, name, getattr(row, name))
        out["captured"] = _number(row.captured)
        listed.append(out)
    return listed


def _orders(result: RunResult) -> dict[str, int]:
    """Orders by how they ended, and refused ones by reason; only what happened is listed."""
    out = {"orders": len(result.orders)}
    refused = result.orders["refused"]
    out["orders_filled"] = int((result.orders["filled"] > 0).sum())
    out["orders_refused"] = int((refused != 0).sum())
    for code in sorted(set(refused[refused != 0].tolist())):
        out[f"refused_{figures.refusal_name(code)}"] = int((refused == code).sum())
    return out


def _options(result: RunResult) -> dict[str, Any]:
    """What only a run of options has: the grade of its premiums, its contracts, its margin."""
    if not result.grade:
        return {}
    contracts = {str(number): name for number, name in result.contracts.items()}
    told = {"grade": result.grade, "margin": dict(result.margin), "contracts": contracts}
    return told if result.hedges is None else told | {"hedge": hedge_summary(result)}


def _signals(result: RunResult) -> dict[str, Any]:
    """What filters took back, what entries were decided on, and a blend's members."""
    out: dict[str, Any] = {}
    if result.vetoes is not None:
        out["vetoes"] = {"names": list(result.vetoes.names), "counts": dict(result.vetoes.counts)}
    if result.factors is not None:
        net = metrics.trade_net(result.trades) / metrics.UPAISE
        told = result.factors
        out["factors"] = {"names": list(told.names), "weights": list(told.weights), "means": []}
        for row in means(told, net):
            one = {"name": row.name, "agreed": row.agreed, "against": row.against}
            one |= {"contribution": _number(row.contribution), "agreed_net_paise": row.net}
            out["factors"]["means"].append(one)
    if result.members:
        out["members"] = [dict(one) for one in result.members]
    return out


def _slippage(result: RunResult) -> dict[str, Any] | None:
    """What orders cost; null of a run that was written before decisions were kept."""
    costs = slippage.run_costs(result)
    return None if costs is None else slippage.summary_of(costs)


def _tables(result: RunResult) -> dict[str, Any]:
    """Trades by group, months, falls and excursions."""
    out: dict[str, Any] = {}
    out["by_exit_reason"] = group_dicts(groups.by_exit_reason(result))
    out["by_side"] = group_dicts(groups.by_side(result))
    out["by_hour"] = group_dicts(groups.by_hour(result))
    out["by_weekday"] = group_dicts(groups.by_weekday(result))
    out["by_expiry"] = group_dicts(groups.by_expiry(result))
    out["by_month"] = _months(result)
    out["drawdowns"] = _falls(result)
    out["excursions"] = _excursions(result)
    return out


def summary(result: RunResult, *, risk_free: float = 0.0) -> dict[str, Any]:
    """Everything about a run but its rows.

    Args:
        result: the run.
        risk_free: yearly risk-free rate of Sharpe and Sortino.

    Units:
        money in rupees with two decimals and, under `<key>_paise`, in whole paise; `*_pct` in per
        cent; `*_s` in seconds; dates and times Indian.

    Raises:
        ValueError: the capital is not positive, or risk_free is not finite.
    """
    measured = metrics.measure(result, risk_free=risk_free)
    bars = result.counters.get("bars", 0)
    out: dict[str, Any] = {"schema": SCHEMA}
    for name in ("strategy", "symbol", "traded", "timeframe"):
        out[name] = getattr(result, name)
    out["from"] = figures.iso_date(measured.first_date) if measured.first_date else None
    out["to"] = figures.iso_date(measured.last_date) if measured.last_date else None
    out["generated"] = is_generated(result)
    out["modelled"] = is_modelled(result)
    out["warnings"] = list(warnings(result))
    _money(out, "capital", measured.capital)
    _money(out, "final_equity", measured.final_equity)
    _money(out, "gross_pnl", measured.gross)
    out["charges"] = {"total": measured.charges_total / 100}
    out["charges"] |= {name: paise / 100 for name, paise in measured.charges.items()}
    out["charges_paise"] = {"total": measured.charges_total} | measured.charges
    _money(out, "net_pnl", measured.net)
    _money(out, "open_pnl", measured.open_pnl)
    _money(out, "rounding", measured.rounding)
    out["total_return_pct"] = _number(100 * measured.total_return)
    out["cagr_pct"] = None if measured.cagr is None else _number(100 * measured.cagr)
    for name in ("sharpe", "sortino", "calmar", "risk_free"):
        out[name] = _number(getattr(measured, name))
    vol = measured.volatility
    out["volatility_pct"] = None if vol is None else _number(100 * vol)
    out |= _drawdown(measured)
    out["exposure_pct"] = None if measured.exposure is None else _number(100 * measured.exposure)
    _money(out, "turnover", measured.turnover)
    out["turnover_capitals"] = _number(measured.turnover_ratio)
    out |= _trades(measured) | _days(measured) | _orders(result) | _options(result)
    out |= _signals(result)
    out |= _tables(result)
    out["slippage"] = _slippage(result)
    out["bars"] = bars
    out["kernel_ns"] = result.kernel_ns
    out["kernel_ms"] = _number(result.kernel_ns / 1e6, 6)
    out["ns_per_bar"] = _number(result.kernel_ns / bars, 4) if bars else None
    out["digest"] = result.digest
    out["counters"] = dict(result.counters)
    out["notes"] = list(result.notes)
    out["data"], out["config"] = result.data, result.config
    out["versions"] = dict(result.versions)
    return out
