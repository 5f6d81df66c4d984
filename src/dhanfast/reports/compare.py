"""Why two runs differ: every rupee of the difference of their net results, attributed.

Trades of the two runs are paired when they are of one contract and direction and their entries were
decided within a window of each other. What a pair contributes, B less A, is taken apart:

    size      the units that B has more, at what a unit earned in A
    data      the market stood elsewhere in B when the same decision was taken
    signal    the strategy decided otherwise: at another time, or it left for another reason
    latency   what the market moved between decision and arrival, in B more than in A
    fill      what the market then took: spread, slippage, queue
    charge    charges of A less charges of B
    missing   a trade that only one of the two made, whole
    rounding  bills are rounded by the day, and what was open at the end is in no trade

A stop or target is set from the price of the entry. What an entry paid more therefore comes back
where both runs left by the same protection: that is put to the cause that moved the entry. Where
one was stopped and the other was not, the cause is that of the entry as well; if the entries are
equal, the data; if these are equal too, the signal.

The parts are exact (fractions of a paisa); each is then rounded to the paisa so that they add up to
the difference of the nets (largest remainder), with nothing left over.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import OrderFlag, Reason
from dhanfast.errors import UsageError
from dhanfast.reports import figures, metrics
from dhanfast.reports.passing import Side, Way, ways_of
from dhanfast.reports.result import RunResult

PARTS: Final = (
    "data", "signal", "latency", "fill", "charge", "size", "missing", "rounding",
)  # fmt: skip
PROTECTIVE: Final = frozenset({int(Reason.STOP_LOSS), int(Reason.TAKE_PROFIT)})
WINDOW_BARS: Final = 2
TICKS_OF_ROUNDING: Final = 10  # paise: a trigger is set to its tick, on either side
_UNITS_NS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
                    "d": 86_400 * 10**9}  # fmt: skip

Parts = dict[str, Fraction]


@dataclass(frozen=True)
class Pair:
    """One trade of both runs, or of one.

    Attributes:
        a, b: rows of the trades of A and B; None where the run has none.
        parts: paise, exact; they sum to B's net less A's. why: in words.
    """

    a: int | None
    b: int | None
    at_ns: int  # of the first entry
    side: int
    parts: Parts
    why: str

    @property
    def total(self) -> Fraction:
        """B less A, paise."""
        return sum(self.parts.values(), Fraction(0))

    @property
    def cause(self) -> str:
        """The part that weighs most; "" when there is no difference."""
        name = max(self.parts, key=lambda name: abs(self.parts[name]), default="")
        return name if name and self.parts[name] else ""


@dataclass(frozen=True)
class Comparison:
    """Two runs, and why they differ.

    Attributes:
        net_a, net_b: paise. totals: paise by part; they sum to net_b - net_a exactly.
        reasons: {why a trade is missing: (trades, paise)}. notes: what a reader must know.
        same_data: whether both read the same bars; None when it is not known.
    """

    a: RunResult
    b: RunResult
    net_a: int
    net_b: int
    totals: dict[str, int]
    pairs: tuple[Pair, ...]
    reasons: dict[str, tuple[int, int]]
    settings: tuple[tuple[str, str, str], ...]
    same_data: bool | None
    notes: tuple[str, ...] = field(default=())

    @property
    def difference(self) -> int:
        """Net of B less net of A, paise."""
        return self.net_b - self.net_a

    @property
    def matched(self) -> int:
        """Trades that both made."""
        return sum(one.a is not None and one.b is not None for one in self.pairs)


def compare_runs(
    a: RunResult, b: RunResult, *, common: bool = False, window_ns: int | None = None
) -> Comparison:
    """Explain the difference of the nets of two runs, trade by trade.

    Args:
        a, b: the runs; the difference is B less A.
        common: count only the days that both have.
        window_ns: how far apart the decisions of one trade may be; None = two bars of A.
    Raises:
        UsageError: the runs are of two symbols, or have no day in common with `common`; the window
            is negative.
    """
    if a.symbol != b.symbol:
        raise UsageError(
            f"A is of {a.symbol} and B of {b.symbol}: trades of two symbols have nothing to compare"
        )
    if window_ns is not None and window_ns < 0:
        raise UsageError(f"window must not be negative, was {window_ns} ns")
    notes = _notes(a, b)
    if common:
        a, b = common_days(a, b)
    bar_ns = bar_length_ns(a.timeframe)
    window = WINDOW_BARS * bar_ns if window_ns is None else window_ns
    same = same_data(a, b)
    found = _paired(a, b, window, bar_ns, same is False)
    net_a, net_b = (int((run.days["gross"] - run.days["charges"]).sum()) for run in (a, b))
    sums = {name: sum((one.parts.get(name, Fraction(0)) for one in found), Fraction(0))
            for name in PARTS}  # fmt: skip
    sums["rounding"] = Fraction(net_b - net_a) - sum(sums.values(), Fraction(0))
    return Comparison(
        a=a, b=b, net_a=net_a, net_b=net_b, totals=rounded(sums, net_b - net_a),
        pairs=tuple(found), reasons=_reasons(found), settings=other_settings(a, b),
        same_data=same, notes=notes,
    )  # fmt: skip


def bar_length_ns(timeframe: str) -> int:
    """ "1m" as ns; a minute for what is not understood."""
    for unit in ("ms", "s", "m", "h", "d"):
        number = timeframe.removesuffix(unit)
        if number != timeframe and number.isdigit():
            return int(number) * _UNITS_NS[unit]
    return _UNITS_NS["m"]


def same_data(a: RunResult, b: RunResult) -> bool | None:
    """Whether two runs had the same bars; None when one does not say."""
    sums = []
    for run in (a, b):
        signals = run.data.get("signals")
        sums.append(signals.get("sha256") if isinstance(signals, dict) else None)
    return None if None in sums else sums[0] == sums[1]


def other_settings(a: RunResult, b: RunResult) -> tuple[tuple[str, str, str], ...]:
    """Settings in which two runs differ: (name, A's, B's)."""
    one, two = _flat(a.config), _flat(b.config)
    names = [*one, *(name for name in two if name not in one)]
    return tuple((name, one.get(name, "not set"), two.get(name, "not set"))
                 for name in names if one.get(name) != two.get(name))  # fmt: skip


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{above}{name}.")
        else:
            out[f"{above}{name}"] = str(value)
    return out


def common_days(a: RunResult, b: RunResult) -> tuple[RunResult, RunResult]:
    """Both runs, cut to the days that both have.

    Raises:
        UsageError: there are none.
    """
    dates = np.intersect1d(a.days["date"], b.days["date"])
    if not len(dates):
        raise UsageError("the two runs have no day in common")
    return _on_days(a, dates), _on_days(b, dates)


def _on_days(run: RunResult, dates: NDArray[Any]) -> RunResult:
    kept = np.isin(figures.ist_days(run.trades["exit_ns"] - 1), figures.ordinal_days(dates))
    days = run.days[np.isin(run.days["date"], dates)]
    return replace(run, trades=run.trades[kept], days=days)


def _notes(a: RunResult, b: RunResult) -> tuple[str, ...]:
    notes = []
    if a.strategy != b.strategy:
        notes.append(f"two strategies: {a.strategy} and {b.strategy}")
    if a.grade != b.grade:
        notes.append(f"premiums are {a.grade or 'none'} in A and {b.grade or 'none'} in B")
    for name, run in (("A", a), ("B", b)):
        if run.passages is None:
            notes.append(f"{name} was written before decisions were kept: what is latency and what "
                         "is fill follows from the times of its fills alone")  # fmt: skip
        notes += [f"{name} does not add up: {fault}" for fault in metrics.contradictions(run)]
    return tuple(notes)


def rounded(sums: Parts, total: int) -> dict[str, int]:
    """Parts as whole paise that sum to `total`: the largest remainders are rounded up first.

    Raises:
        ValueError: the exact parts do not sum to `total`.
    """
    if sum(sums.values(), Fraction(0)) != total:
        raise ValueError("the parts do not sum to their total")
    out = {name: value.numerator // value.denominator for name, value in sums.items()}
    left = total - sum(out.values())
    order = sorted(sums, key=lambda name: (-(sums[name] - out[name]), PARTS.index(name)))
    for name in order[:left]:
        out[name] += 1
    return out


def _paired(
    a: RunResult, b: RunResult, window_ns: int, bar_ns: int, other_data: bool
) -> list[Pair]:
    ways_a, ways_b = ways_of(a), ways_of(b)
    net_a, net_b = metrics.trade_net(a.trades), metrics.trade_net(b.trades)
    mates = matched(ways_a, ways_b, window_ns)
    found = []
    for i, way in enumerate(ways_a):
        j = mates.get(i)
        if j is None:
            why = why_missing(way, b, ways_b, "B")
            parts = {"missing": Fraction(-int(net_a[i]), metrics.UPAISE)}
            found.append(Pair(i, None, way.at_ns, way.side, parts, f"only in A: {why}"))
            continue
        parts, words = attributed(way, ways_b[j], bar_ns, other_data)
        parts["charge"] = Fraction(int(net_b[j]) - int(net_a[i]), metrics.UPAISE) - (
            ways_b[j].gross - way.gross
        )
        found.append(Pair(i, j, way.at_ns, way.side, parts, words))
    taken = set(mates.values())
    for j, way in enumerate(ways_b):
        if j not in taken:
            why = why_missing(way, a, ways_a, "A")
            parts = {"missing": Fraction(int(net_b[j]), metrics.UPAISE)}
            found.append(Pair(None, j, way.at_ns, way.side, parts, f"only in B: {why}"))
    return sorted(found, key=lambda one: (one.at_ns, one.a is None))


def matched(a: Sequence[Way], b: Sequence[Way], window_ns: int) -> dict[int, int]:
    """Which trade of B is which of A: {row of A: row of B}.

    Of one contract and side; equal decision times first, then the nearest within the window. No
    trade is used twice.
    """
    near: list[tuple[int, int, int]] = []
    by_key: dict[tuple[object, int], list[tuple[int, int]]] = {}
    for j, way in enumerate(b):
        by_key.setdefault((way.key, way.side), []).append((way.at_ns, j))
    for rows in by_key.values():
        rows.sort()
    for i, way in enumerate(a):
        rows = by_key.get((way.key, way.side), [])
        times = [at for at, _ in rows]
        first = int(np.searchsorted(times, way.at_ns - window_ns))
        for at, j in rows[first:]:
            if at > way.at_ns + window_ns:
                break
            near.append((abs(at - way.at_ns), i, j))
    mates: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(near):
        if i not in mates and j not in used:
            mates[i] = j
            used.add(j)
    return mates


def attributed(a: Way, b: Way, bar_ns: int, other_data: bool) -> tuple[Parts, str]:
    """The difference of the gross of one trade, taken apart; and in words what was otherwise."""
    parts: Parts = dict.fromkeys(("data", "signal", "latency", "fill", "size"), Fraction(0))
    parts["size"] = (b.qty - a.qty) * a.gross / a.qty
    weight = Fraction(b.side * b.qty)
    entry = _moved(a, b, bar_ns, "entry")
    for name, move in entry.items():
        parts[name] -= weight * move
    leave, words = _left(a, b, bar_ns, entry, other_data)
    for name, move in leave.items():
        parts[name] += weight * move
    said = []
    if a.qty != b.qty:
        said.append(f"{b.qty:,} units for {a.qty:,}")
    if abs(b.at_ns - a.at_ns) * 2 >= bar_ns:
        said.append(f"decided {figures.span(abs(b.at_ns - a.at_ns))} apart")
    if words:
        said.append(words)
    return parts, ", ".join(said)


def _moved(a: Way, b: Way, bar_ns: int, which: str) -> Parts:
    """What an entry or exit paid otherwise in B, by cause; paise a unit, B less A."""
    one, two = getattr(a, which), getattr(b, which)
    whole = two.price - one.price
    if one.decision is None or two.decision is None:
        cause = "fill" if one.filled_ns == two.filled_ns else "latency"
        return {cause: whole}
    together = abs(two.decided_ns - one.decided_ns) * 2 < bar_ns
    stood = Fraction(two.decision - one.decision)
    rest = whole - stood
    moved = _waited(one, two)
    if moved is None:
        moved = rest  # what it met is not known of both, and it came at another time
    return {"data" if together else "signal": stood, "latency": moved, "fill": rest - moved}


def _waited(one: Side, two: Side) -> Fraction | None:
    """What the market moved from decision to arrival, in B more than in A; None = not known."""
    if one.decision is None or two.decision is None:
        return None
    same_wait = (one.filled_ns - one.decided_ns) == (two.filled_ns - two.decided_ns)
    stood = two.decision - one.decision
    if one.met is not None and two.met is not None:
        return Fraction(0) if same_wait else two.met - one.met - stood
    if one.mid is not None and two.mid is not None:
        return two.mid - one.mid - stood
    first = one.met if one.mid is None else one.mid
    second = two.met if two.mid is None else two.mid
    if first is None or second is None:
        return Fraction(0) if same_wait else None
    return second - first - stood


def _left(a: Way, b: Way, bar_ns: int, entry: Parts, other_data: bool) -> tuple[Parts, str]:
    """As `_moved`, of exits, which protections and entries bind together."""
    whole = b.exit.price - a.exit.price
    if a.reason == b.reason and a.reason in PROTECTIVE:
        if a.exit.decision is None or b.exit.decision is None:
            return {"fill": whole}, ""
        parts = dict.fromkeys(("data", "signal", "latency", "fill"), Fraction(0))
        for name, move in entry.items():
            parts[name] += move  # the level was set from what the entry paid
        carried = sum(entry.values(), Fraction(0))
        level = Fraction(b.exit.decision - a.exit.decision)
        other = level - carried
        parts["fill" if abs(other) <= TICKS_OF_ROUNDING else "signal"] += other
        parts["fill"] += whole - level
        words = "" if abs(other) <= TICKS_OF_ROUNDING else (
            f"its {figures.reason_name(a.reason).replace('_', ' ')} was set elsewhere")  # fmt: skip
        return parts, words
    if a.reason == b.reason:
        return _moved(a, b, bar_ns, "exit"), ""
    cause = max(entry, key=lambda name: abs(entry[name]), default="signal")
    if not entry.get(cause):
        cause = "data" if other_data else "signal"
    if not {a.reason, b.reason} & PROTECTIVE:
        cause = "signal"
    left, right = (figures.reason_name(way.reason).replace("_", " ") for way in (a, b))
    return {cause: whole}, f"left by {right} for {left}"


def why_missing(way: Way, other: RunResult, ways: Sequence[Way], name: str) -> str:
    """Why a run has not made a trade that the other one has."""
    day = int(figures.ist_days(np.array([way.at_ns]))[0])
    if day not in set(figures.ordinal_days(other.days["date"]).tolist()):
        return f"the day is not in {name}"
    times = other.equity["time_ns"]
    if len(times) and not int(times[0]) - 1 <= way.at_ns <= int(times[-1]):
        return f"{name} was not running"
    if other.passages is not None and len(other.orders):
        entries = (other.orders["flags"] & int(OrderFlag.EXIT)) == 0
        near = np.abs(other.passages["decided_ns"] - way.at_ns) < 10**9
        for row in other.orders[entries & near & (other.orders["side"] == way.side)]:
            if row["refused"]:
                return f"refused in {name}: {figures.refusal_name(int(row['refused']))}"
            if not row["filled"]:
                return f"did not fill in {name}"
    if (veto := vetoed_by(other, way)) != "":
        return f"taken back in {name} by filter {veto}"
    held = any(one.entry.filled_ns <= way.at_ns < one.exit.filled_ns for one in ways)
    if held:
        return f"{name} was in a position"
    return f"no order in {name}"


def vetoed_by(run: RunResult, way: Way) -> str:
    """The filter that took back what another run has entered; empty when none did."""
    if run.vetoes is None:
        return ""
    rows = run.vetoes.rows
    spans = (rows["from_ns"] <= way.at_ns) & (way.at_ns <= rows["until_ns"])
    found = np.flatnonzero(spans & (rows["side"] == way.side))
    return run.vetoes.names[int(rows["filter"][found[0]])] if len(found) else ""


def _reasons(pairs: Sequence[Pair]) -> dict[str, tuple[int, int]]:
    found: dict[str, list[Fraction]] = {}
    for one in pairs:
        if one.a is None or one.b is None:
            found.setdefault(one.why, []).append(one.total)
    return {why: (len(sums), round(sum(sums, Fraction(0))))
            for why, sums in sorted(found.items(), key=lambda item: -len(item[1]))}  # fmt: skip


def comparison_dict(got: Comparison) -> dict[str, Any]:
    """JSON-able; money in paise, and in rupees under the same name without `_paise`."""

    def day(at_ns: int) -> str:
        return dt.datetime.fromtimestamp(at_ns // 10**9, india()).isoformat()

    return {
        "a": _one(got.a, got.net_a), "b": _one(got.b, got.net_b),
        "difference": got.difference / 100, "difference_paise": got.difference,
        "parts": {name: value / 100 for name, value in got.totals.items()},
        "parts_paise": dict(got.totals), "matched": got.matched,
        "only_a": sum(one.b is None for one in got.pairs),
        "only_b": sum(one.a is None for one in got.pairs),
        "same_data": got.same_data, "notes": list(got.notes),
        "missing": [{"why": why, "trades": count, "paise": paise}
                    for why, (count, paise) in got.reasons.items()],
        "settings": [{"name": name, "a": one, "b": two} for name, one, two in got.settings],
        "trades": [{
            "decided": day(one.at_ns), "side": "long" if one.side > 0 else "short",
            "a": one.a, "b": one.b, "difference_paise": round(float(one.total), 6),
            "cause": one.cause, "why": one.why,
            "parts_paise": {name: round(float(value), 6)
                            for name, value in one.parts.items() if value},
        } for one in got.pairs],
    }  # fmt: skip


def india() -> dt.tzinfo:
    """India's time zone."""
    return dt.timezone(dt.timedelta(microseconds=figures.IST_NS // 1000), "IST")


def _one(run: RunResult, net: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "strategy": run.strategy, "traded": run.traded, "digest": run.digest,
        "trades": len(run.trades), "net": net / 100, "net_paise": net,
    }  # fmt: skip
    if run.members:
        told["members"] = [dict(one) for one in run.members]
    if run.vetoes is not None:
        told["vetoes"] = dict(run.vetoes.counts)
    return told
