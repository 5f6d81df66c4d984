"""Searches and walk-forwards as tables of 80 columns, and as JSON."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from dhanfast.engine.research.search import YEAR, Sweep
from dhanfast.engine.research.trial import Row
from dhanfast.engine.research.walk import Step, WalkForward
from dhanfast.reports import metrics
from dhanfast.reports.figures import NO_FIGURE, iso_date, percent, ratio, rupees
from dhanfast.reports.montecarlo import Resampled
from dhanfast.reports.overfitting import Deflated, Overfitting

WIDTH: Final = 80
PROVEN: Final = 0.95  # below it a deflated Sharpe ratio is called noise
MONEY: Final = ("net", "expectancy")  # objectives in paise
WINDOWS_SHOWN: Final = 60


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _params(params: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in params.items())


def _score(score: float | None, objective: str) -> str:
    return rupees(score, decimals=0) if objective in MONEY else ratio(score, 3)


def _title(text: str) -> str:
    return f"{text} ".ljust(WIDTH, "-")


def _wrapped(text: str, lead: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent="  ")


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}{value.rjust(WIDTH - len(name))}" for name, value in pairs]


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """The best first; those without a score after them, those refused last."""

    def place(row: Row) -> tuple[bool, bool, float, int]:
        score = row.score
        return bool(row.refused), score is None, -(score or 0.0), row.number

    return sorted(rows, key=place)


def rows_text(rows: Sequence[Row], objective: str, title: str) -> str:
    """Trials as a table: two lines each, the figures and the parameters."""
    head = (
        f"{'trial':>7}{objective[:14]:>15}{'net Rs':>16}{'trades':>9}{'won':>9}{'max fall Rs':>16}"
    )
    lines = [_title(title), head + f"{'':>{max(0, WIDTH - len(head))}}".rstrip()]
    for row in rows:
        if row.refused:
            lines += [f"{row.number:>7}  refused", *_wrapped(row.refused, "         ")]
        else:
            won = percent(row.wins / row.trades) if row.trades else NO_FIGURE
            lines.append(
                f"{row.number:>7}{_score(row.score, objective):>15}"
                f"{rupees(row.net, decimals=0):>16}{row.trades:>9,}{won:>9}"
                f"{rupees(row.drawdown, decimals=0):>16}"
            )
        lines += textwrap.wrap(_params(row.params), WIDTH, initial_indent=" " * 9,
                               subsequent_indent=" " * 9)  # fmt: skip
    return "\n".join([*lines, ""])


def trial_text(row: Row) -> str:
    """One trial, complete."""
    pairs = [
        ("Trial", str(row.number)),
        *((f"  {name}", _value(value)) for name, value in row.params.items()),
        ("Score", NO_FIGURE if row.score is None else f"{row.score:.6g}"),
        ("Net Rs", rupees(row.net)),
        ("Charges Rs", rupees(row.charges)),
        ("Trades", f"{row.trades:,}"),
        ("Won", f"{row.wins:,}"),
        ("Max fall Rs", rupees(row.drawdown)),
        ("Sharpe, yearly", ratio(row.sharpe)),
        ("Days", f"{len(row.daily):,}"),
    ]
    return "\n".join(_pairs(pairs) + (_wrapped(f"refused: {row.refused}") if row.refused else []))


def _deflated_text(found: Deflated | None, what: str) -> list[str]:
    if found is None or found.deflated is None:
        return _wrapped(f"Deflated Sharpe: not defined ({what} has too few days or no variance).")
    verdict = (
        f"Below {PROVEN} it is noise."
        if found.deflated < PROVEN
        else "It is more than the luck of choosing, on these days."
    )
    return _wrapped(
        f"Deflated Sharpe {found.deflated:.3f}: {what} has a yearly Sharpe of "
        f"{ratio(found.sharpe * YEAR)}; the best of {found.trials:,} trials without any skill "
        f"would be expected at {ratio(found.threshold * YEAR)}. {verdict}"
    )


def _overfit_text(found: Overfitting | None) -> list[str]:
    if found is None or found.probability is None:
        return _wrapped("Overfitting: not defined (fewer than two trials, or too few days).")
    return _wrapped(
        f"Probability of overfitting {percent(found.probability)}: in so many of {found.splits:,} "
        "splits of the days, the trial that was best in one half was below the median of all in "
        f"the other; it lost money there in {percent(found.loss)}."
    )


def _notes(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in _wrapped(note, "! ")]


def sweep_text(sweep: Sweep, top: int) -> str:
    """A search as people read it."""
    head = sweep.head
    objective = head["objective"]
    refused = sum(bool(row.refused) for row in sweep.rows)
    lines = [
        *_notes(sweep.notes),
        "",
        rows_text(_ranked(sweep.rows)[:top], objective,
                  f"{head['strategy'].upper()} ON {head['data']['signals']['symbol']}: BEST BY "
                  f"{objective.upper()}"),
        _title("THE SEARCH"),
        *_pairs([
            ("Method", head["method"]),
            ("Trials", f"{len(sweep.rows):,}" + (f" ({refused:,} refused)" if refused else "")),
            ("Run now", f"{sweep.fresh:,} in {sweep.seconds:,.1f} s"),
            ("Independent trials they amount to", ratio(sweep.effective, 1)),
        ]),
        *(line for axis in sweep.space.axes for line in _wrapped(f"Searched {axis}")),
        f"Digest {sweep.digest}",
        "",
        _title("WHAT CHOOSING IS WORTH"),
    ]  # fmt: skip
    if sweep.best is None:
        lines += _wrapped(f"No trial has a score by {objective}.")
    else:
        lines += _deflated_text(sweep.deflated, f"trial {sweep.best.number}")
        lines += _overfit_text(sweep.overfitting)
    lines += _wrapped("These are figures of the past, of the best of many: `dhanfast walk-forward` "
                      "trades such choices on days that have not made them.")  # fmt: skip
    return "\n".join(lines)


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def row_dict(row: Row) -> dict[str, Any]:
    """One trial, JSON-able."""
    return {
        "trial": row.number,
        "params": row.params,
        "refused": row.refused or None,
        "score": _number(row.score),
        "net": row.net / 100,
        "net_paise": row.net,
        "charges_paise": row.charges,
        "trades": row.trades,
        "wins": row.wins,
        "max_drawdown_paise": row.drawdown,
        "sharpe": _number(row.sharpe),
    }


def _deflated_dict(found: Deflated | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "trials": found.trials,
        "sharpe": found.sharpe * YEAR,
        "expected_best_without_skill": found.threshold * YEAR,
        "probabilistic_sharpe": found.probabilistic,
        "deflated_sharpe": found.deflated,
    }


def sweep_dict(sweep: Sweep, top: int) -> dict[str, Any]:
    """A search, JSON-able."""
    best = sweep.best
    return {
        "search": sweep.head,
        "capital_paise": sweep.capital,
        "trials": len(sweep.rows),
        "refused": sum(bool(row.refused) for row in sweep.rows),
        "run_now": sweep.fresh,
        "seconds": round(sweep.seconds, 3),
        "best": None if best is None else row_dict(best),
        "top": [row_dict(row) for row in _ranked(sweep.rows)[:top]],
        "deflated": _deflated_dict(sweep.deflated),
        "overfitting": None if sweep.overfitting is None else asdict(sweep.overfitting),
        "independent_trials": _number(sweep.effective),
        "digest": sweep.digest,
        "grade": sweep.head.get("grade", ""),
        "notes": list(sweep.notes),
    }


# ---- walk-forward -------------------------------------------------------------------------------


def _window_lines(steps: Sequence[Step], objective: str) -> list[str]:
    head = (f"{'':<3}{'tested':<24}{'in: ' + objective[:10]:>15}{'out: net Rs':>14}"
            f"{'sharpe':>9}{'left':>8}{'dsr':>7}")  # fmt: skip
    lines = [_title("WINDOWS"), head]
    for at, step in enumerate(steps[:WINDOWS_SHOWN], 1):
        dates = f"{iso_date(step.test_dates[0][0])} {iso_date(step.test_dates[-1][1])}"
        score = None if step.chosen is None else step.chosen.score
        dsr = None if step.deflated is None else step.deflated.deflated
        lines.append(
            f"{at:<3}{dates:<24}{_score(score, objective):>15}"
            f"{rupees(step.net, decimals=0):>14}{ratio(step.sharpe):>9}"
            f"{_share(step.efficiency):>8}{ratio(dsr):>7}"
        )
        chosen = "no choice" if step.chosen is None else _params(step.chosen.params)
        lines += textwrap.wrap(chosen, WIDTH, initial_indent="     ", subsequent_indent="     ")
    if len(steps) > WINDOWS_SHOWN:
        lines.append(f"   and {len(steps) - WINDOWS_SHOWN:,} more: --json has them all")
    return [*lines, ""]


def _share(value: float | None) -> str:
    return NO_FIGURE if value is None else f"{100 * value:.0f}%"


def _resampled_lines(found: Sequence[Resampled]) -> list[str]:
    if not found:
        return []
    one = found[0]
    quantiles = list(one.net)
    lines = [
        _title(f"MONTE-CARLO OF {one.trades:,} TRADES, {one.runs:,} RUNS, SEED {one.seed}"),
        f"{'':<20}" + "".join(f"{f'{100 * q:.0f}%':>12}" for q in quantiles),
    ]
    for row in found:
        if row.kind == "bootstrap":
            lines.append(_quantiles("net, redrawn", row.net))
        name = "max fall, redrawn" if row.kind == "bootstrap" else "max fall, shuffled"
        lines.append(_quantiles(name, row.drawdown))
    lines += _wrapped(
        f"{percent(one.loss)} of the redrawn runs lose; {percent(found[-1].deeper)} of the "
        "shuffled ones fall deeper than the trades did in their own order."
    )
    return [*lines, ""]


def _quantiles(name: str, values: Mapping[float, float]) -> str:
    return f"{name:<20}" + "".join(f"{rupees(one, decimals=0):>12}" for one in values.values())


def walk_text(found: WalkForward) -> str:
    """A walk-forward as people read it."""
    head, got = found.head, metrics.measure(found.stitched)
    objective = head["objective"]
    each = f"{head['trials_a_window']:,} a window, {head['method']}"
    lines = [
        *_notes(found.notes),
        "",
        *_window_lines(found.steps, objective),
        _title(f"{head['strategy'].upper()} ON {head['data']['signals']['symbol']}: OUT OF SAMPLE"),
        *_pairs([
            ("Windows", f"{len(found.steps):,} {found.plan.kind}"),
            ("Trials", f"{found.trials:,} ({each})"),
            ("Days, trades", f"{got.days.count:,}, {got.trades.count:,}"),
            ("Net Rs", rupees(got.net)),
            ("Sharpe, yearly", ratio(got.sharpe)),
            ("Max fall Rs", rupees(got.drawdown_amount)),
            ("Profit factor", ratio(got.trades.profit_factor)),
            ("Efficiency (net a day, out / in)", _efficiency_text(found)),
            ("Probability of overfitting, mean of windows", percent(found.overfitting)),
            ("Wall time", f"{found.seconds:,.1f} s"),
        ]),
        f"Digest {found.digest}",
        *_paths_lines(found),
        "",
        _title("HOW STEADY THE PARAMETERS WERE"),
        f"{'':<24}{'most often':>14}{'windows':>12}{'changes':>12}{'spread':>18}",
        *(
            f"{one.name[:23]:<24}{_value(one.common):>14}{percent(one.share):>12}"
            f"{one.changes:>12}{_spread(one.spread):>18}"
            for one in found.stability
        ),
        "",
        *_resampled_lines(found.resampled),
        _title("WHAT CHOOSING IS WORTH"),
        *_deflated_text(found.deflated, "the out-of-sample run"),
        *_wrapped("A walk-forward that is run again and again until it pleases is a search itself: "
                  "docs/reference/walk-forward.md."),
    ]  # fmt: skip
    return "\n".join(lines)


def _spread(spread: float | None) -> str:
    return NO_FIGURE if spread is None else f"{100 * spread:.0f}% of range"


def _efficiency_text(found: WalkForward) -> str:
    if found.efficiency is None:
        return f"{NO_FIGURE} (the training days lost money)"
    return percent(found.efficiency)


def _paths_lines(found: WalkForward) -> list[str]:
    if len(found.paths) < 2:
        return []
    known = sorted(path for path in found.paths if path is not None)
    shown = ", ".join(ratio(path) for path in known)
    return _wrapped(f"Sharpe of {len(found.paths)} paths: {shown}. The figures above are of the "
                    "first path.")  # fmt: skip


def walk_dict(found: WalkForward) -> dict[str, Any]:
    """A walk-forward, JSON-able."""
    from dhanfast.reports.summary import summary

    return {
        "search": found.head,
        "trials": found.trials,
        "seconds": round(found.seconds, 3),
        "out_of_sample": summary(found.stitched),
        "efficiency": _number(found.efficiency),
        "deflated": _deflated_dict(found.deflated),
        "overfitting": _number(found.overfitting),
        "paths_sharpe": [_number(path) for path in found.paths],
        "windows": [_step_dict(step) for step in found.steps],
        "stability": [asdict(one) for one in found.stability],
        "monte_carlo": [_resampled_dict(one) for one in found.resampled],
        "digest": found.digest,
        "grade": found.head.get("grade", ""),
        "notes": list(found.notes),
    }


def _step_dict(step: Step) -> dict[str, Any]:
    return {
        "train": [[iso_date(a), iso_date(b)] for a, b in step.train_dates],
        "test": [[iso_date(a), iso_date(b)] for a, b in step.test_dates],
        "chosen": None if step.chosen is None else row_dict(step.chosen),
        "deflated": _deflated_dict(step.deflated),
        "overfitting": None if step.overfitting is None else asdict(step.overfitting),
        "net_paise": step.net,
        "sharpe": _number(step.sharpe),
        "trades": step.trades,
        "efficiency": _number(step.efficiency),
    }


def _resampled_dict(one: Resampled) -> dict[str, Any]:
    plain = asdict(one)
    for name in ("net", "drawdown"):
        plain[f"{name}_paise"] = {f"{100 * q:g}%": value for q, value in plain.pop(name).items()}
    return plain
