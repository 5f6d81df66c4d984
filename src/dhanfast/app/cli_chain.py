"""`dhanfast chain`, `iv` and `oi`: one chain, of a file of snapshots or of the broker."""

import os
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.chain_live import live_options, show
from dhanfast.app.chain_options import (
    ChainSource,
    FileChain,
    Page,
    amount,
    chain_options,
    crores,
    head,
    head_lines,
    number,
    percent_text,
    solved_of,
)
from dhanfast.app.config_folders import user_folders
from dhanfast.app.edge import edge, wrapped
from dhanfast.errors import BadData, DhanfastError, UsageError

if TYPE_CHECKING:
    from dhanfast.options.chain import SolvedChain
    from dhanfast.options.smile import Smile
    from dhanfast.storage.chains import ChainFile, Snapshot

STRIKES_MAX: Final = 1_000
FAR: Final = 10  # strikes on each side that a table shows
strikes_option = click.option(
    "--strikes", type=click.IntRange(1, STRIKES_MAX), default=FAR, show_default=True,
    help="Strikes to show on each side of the money.",
)  # fmt: skip
near_option = click.option(
    "--near", type=click.IntRange(0, STRIKES_MAX), default=5, show_default=True,
    help="Strikes on each side that near ratios count.",
)  # fmt: skip
forward_option = click.option(
    "--forward", type=float, help="Forward of the expiry, as its future's price; by put-call "
    "parity unless given.",
)  # fmt: skip


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@chain_options
@strikes_option
@near_option
@forward_option
@live_options
@edge
def chain(file: str | None, strikes: int, near: int, **given: Any) -> None:
    """Show a chain with volatilities, deltas and what the whole says.

    FILE is a Parquet file of snapshots (docs/reference/chain.md); --live asks the broker instead.
    The forward is that of put-call parity; one volatility a strike, of the option out of the money.

    \b
    Example:
      dhanfast chain chains.parquet -u NIFTY --at "2026-01-22 11:15" --strikes 8
      dhanfast chain --live -u NIFTY --watch --keep nifty.parquet
    """

    def render(source: ChainSource) -> Page:
        solved = solved_of(source.rows, given["rate"], given["forward"])
        told = {**head(solved, source), **_whole(solved, near)}
        part = solved.near(strikes)
        return Page(
            {**told, "rows": _rows(solved, part)},
            [*head_lines(told, source), *_whole_lines(told, near)],
            _table(solved, part), 2, 2 + solved.money - part.start,
        )  # fmt: skip

    show(file, given, render)


def _whole(solved: "SolvedChain", near: int) -> dict[str, Any]:
    """Figures of the chain as a whole."""
    skew = solved.skew()
    return {
        "straddle": solved.straddle(),
        "max_pain": solved.max_pain(),
        "put_call_oi": solved.put_call_ratio("oi"),
        "put_call_volume": solved.put_call_ratio("volume"),
        "put_call_oi_near": solved.put_call_ratio("oi", near),
        "put_call_volume_near": solved.put_call_ratio("volume", near),
        "near": near,
        "risk_reversal": skew.risk_reversal,
        "butterfly": skew.butterfly,
        "gamma_exposure": float(solved.gamma_exposure().sum()),
        "quotes": solved.snapshot.quoted,
        "options": 2 * len(solved.snapshot),
    }


def _whole_lines(told: dict[str, Any], near: int) -> list[str]:
    return [
        f"straddle {number(told['straddle'])}   max pain {number(told['max_pain'], 0)}   "
        f"25-delta risk reversal {percent_text(told['risk_reversal'])}, "
        f"butterfly {percent_text(told['butterfly'])}",
        f"puts a call: open interest {number(told['put_call_oi'])} (within {near} strikes "
        f"{number(told['put_call_oi_near'])}), volume {number(told['put_call_volume'])} "
        f"({number(told['put_call_volume_near'])})",
        f"gamma exposure Rs {crores(told['gamma_exposure'])} for 1 %, if dealers hold the calls "
        "and wrote the puts",
        f"{told['quotes']} of {told['options']} options have a price",
    ]


def _rows(solved: "SolvedChain", part: slice) -> list[dict[str, Any]]:
    """A dictionary a strike."""
    rows = solved.snapshot
    names = ("strike", "volatility", "call", "call_volatility", "call_delta", "call_oi",
             "call_volume", "put", "put_volatility", "put_delta", "put_oi", "put_volume",
             "gamma", "vega_percent", "call_theta_day", "put_theta_day")  # fmt: skip
    columns = (rows.strike, solved.volatility, rows.call, solved.call_volatility,
               solved.call.delta, rows.call_oi, rows.call_volume, rows.put,
               solved.put_volatility, solved.put.delta, rows.put_oi, rows.put_volume,
               solved.call.gamma, solved.call.vega_percent, solved.call.theta_day,
               solved.put.theta_day)  # fmt: skip
    cut = [column[part].tolist() for column in columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*cut, strict=True)]


def _table(solved: "SolvedChain", part: slice) -> list[str]:
    """At most 80 columns: calls, strike, puts."""
    side = f"{'OI':>5} {'Volume':>6} {'Delta':>5} {'IV %':>5} {'LTP':>9}"
    back = f"{'LTP':<9} {'IV %':<5} {'Delta':<5} {'Volume':<6} {'OI'}"
    lines = [f"{'CALLS':<34}  {'':^8}  {'PUTS':>34}", f"{side}  {'Strike':^8}  {back}"]
    money = solved.snapshot.strike[solved.money]
    for row in _rows(solved, part):
        calls = (f"{amount(row['call_oi']):>5} {amount(row['call_volume']):>6} "
                 f"{number(row['call_delta']):>5} {percent_text(row['call_volatility'], 1):>5} "
                 f"{number(row['call']):>9}")  # fmt: skip
        puts = (f"{number(row['put']):<9} {percent_text(row['put_volatility'], 1):<5} "
                f"{number(row['put_delta']):<5} {amount(row['put_volume']):<6} "
                f"{amount(row['put_oi'])}")  # fmt: skip
        mark = f"*{row['strike']:g}*" if row["strike"] == money else f"{row['strike']:g}"
        lines.append(f"{calls}  {mark:^8}  {puts}".rstrip())
    return lines


# ---- volatility ------------------------------------------------------------------------------


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@chain_options
@strikes_option
@forward_option
@click.option(
    "--days",
    type=click.IntRange(2, 2_520),
    multiple=True,
    help="Sessions of rank and percentile; may be repeated [default: 30, 90, 252].",
)
@click.option(
    "--remember",
    is_flag=True,
    help="Keep the volatility at the money at the end of each day of the file.",
)
@live_options
@edge
def iv(file: str | None, strikes: int, days: tuple[int, ...], remember: bool, **given: Any) -> None:
    """Show the smile of a chain, its fit, and where volatility stands in its past.

    Rank and percentile compare the volatility at the money with the kept ones of earlier sessions,
    each of the nearest expiry after its day. They are left out, with the reason, where too few are.

    \b
    Example:
      dhanfast iv chains.parquet -u NIFTY --remember --days 30
      dhanfast iv --live -u NIFTY -e next
    """
    from dhanfast.options.rank import WINDOWS
    from dhanfast.storage.volatility import VolatilityStore

    if remember and given["live"]:
        raise UsageError(
            "--remember goes with FILE: it keeps the last volatility of a day; --keep snapshots "
            "and remember those of the file"
        )
    folders = user_folders(given["user_dir"], os.environ)
    store = VolatilityStore(folders.volatility)

    def render(source: ChainSource) -> Page:
        rows = source.rows
        solved = solved_of(rows, given["rate"], given["forward"])
        kept = None
        if remember and isinstance(source, FileChain):
            folders.root.mkdir(parents=True, exist_ok=True)
            kept = _remember(source.recorded, rows.underlying, given["rate"], store)
        told, smile = _smile_told(solved, source)
        past = [one.volatility for one in store.days(rows.underlying, before=rows.date)]
        told["history"] = len(past)
        ending = rows.expiry == rows.date
        told["standing"] = [_standing(past, told["at_money_volatility"], one, ending)
                            for one in (days or WINDOWS)]  # fmt: skip
        part = solved.near(strikes)
        table = _smile_rows(solved, smile, part)
        lines = [*head_lines(told, source), *_smile_lines(told, smile), *_standing_lines(told)]
        if kept is not None:
            told["remembered"] = kept
            lines.append(f"kept the volatility of {kept} sessions anew in {store.path}")
        return Page({**told, "rows": table}, lines, _smile_table(table), 1,
                    1 + solved.money - part.start)  # fmt: skip

    show(file, given, render)


def _smile_told(
    solved: "SolvedChain", source: ChainSource
) -> "tuple[dict[str, Any], Smile | None]":
    """Head and smile, or why there is none."""
    from dhanfast.options.smile import smile_of

    told: dict[str, Any] = head(solved, source)
    try:
        if not solved.years > 0.0:
            raise BadData("the options have ended: no volatility is left")
        smile: Smile | None = smile_of(solved)
    except BadData as error:
        smile, told["smile_reason"] = None, str(error)
    told["smile"] = None if smile is None else _smile(smile)
    return told, smile


def _remember(recorded: "ChainFile", underlying: str, rate: str, store: Any) -> int:
    """Store each day's last volatility, of the nearest expiry that lives on after it."""
    from dhanfast.storage.volatility import DayVolatility

    places = recorded.places(underlying)
    held: list[DayVolatility] = []
    for day in sorted({recorded[int(place)].date for place in places}):
        of_day = recorded.on_day(places, day, underlying)
        of_day = of_day[[recorded.expiries[one] > day for one in recorded.expiry_code[of_day]]]
        if len(of_day) == 0:
            continue
        nearest = recorded.expiry_code[of_day].min()
        for place in of_day[recorded.expiry_code[of_day] == nearest][::-1]:
            rows = recorded[int(place)]
            try:
                solved = solved_of(rows, rate)
                found = solved.at_money_volatility()
            except BadData:
                continue  # a failed batch of quotes: the snapshot before it
            if 0.0 < found < 10.0:
                held.append(DayVolatility(day, found, rows.at_ns, rows.expiry))
                break
    return int(store.put(underlying, held))


def _standing(past: list[float], value: float, days: int, ending: bool) -> dict[str, Any]:
    from dhanfast.options.rank import standing

    if ending:
        return {"days": days, "reason": "volatility on the day of expiry compares with nothing"}
    try:
        return standing(past, value, days)._asdict()
    except DhanfastError as error:
        return {"days": days, "reason": str(error)}


def _standing_lines(told: dict[str, Any]) -> list[str]:
    lines = []
    for one in told["standing"]:
        if "reason" in one:
            lines.append(wrapped(f"rank and percentile over {one['days']} sessions: none; "
                                 f"{one['reason'].split(':')[0]}"))  # fmt: skip
        else:
            lines.append(f"over {one['days']} sessions: rank {number(one['rank'], 1)}, "
                         f"percentile {number(one['percentile'], 1)}, "
                         f"{percent_text(one['least'])} to {percent_text(one['most'])} %"
                         )  # fmt: skip
    return lines


def _smile(smile: "Smile") -> dict[str, Any]:
    names = ("a", "b", "rho", "m", "sigma", "low", "high", "used", "dropped", "error_rms",
             "error_worst", "butterfly", "arbitrage_free")  # fmt: skip
    return {"at_money": smile.at_money(), **{name: getattr(smile, name) for name in names}}


def _smile_lines(told: dict[str, Any], smile: "Smile | None") -> list[str]:
    if smile is None:
        return [wrapped(f"no smile: {told['smile_reason']}")]
    return [
        f"SVI a {smile.a:.6g}, b {smile.b:.6g}, rho {smile.rho:.5g}, m {smile.m:.5g}, "
        f"sigma {smile.sigma:.5g}",
        f"fit of {smile.used} options ({smile.dropped} left out): error "
        f"{percent_text(smile.error_rms)} points rms, {percent_text(smile.error_worst)} worst",
    ]


def _smile_rows(solved: "SolvedChain", smile: "Smile | None", part: slice) -> list[dict[str, Any]]:
    rows = solved.snapshot
    found = []
    for i in range(*part.indices(len(rows))):
        strike = float(rows.strike[i])
        put = strike < solved.forward
        own = solved.put_volatility[i] if put else solved.call_volatility[i]
        fit = float(smile.volatility(strike)) if smile is not None else float("nan")
        found.append({
            "strike": strike,
            "percent": strike / solved.forward - 1.0,
            "right": "PE" if put else "CE",
            "price": float((rows.put if put else rows.call)[i]),
            "volatility": float(own),
            "fit": fit,
            "error": fit - float(own),
            "delta": float((solved.put if put else solved.call).delta[i]),
            "call_volatility": float(solved.call_volatility[i]),
            "put_volatility": float(solved.put_volatility[i]),
        })  # fmt: skip
    return found


def _smile_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'Strike':>9} {'of forward':>11}  {'':2} {'LTP':>10} {'Delta':>7} {'IV %':>7} "
             f"{'Fit %':>7} {'Points':>7}"]  # fmt: skip
    for row in rows:
        lines.append(
            f"{row['strike']:>9g} {100 * row['percent']:>+10.2f}%  {row['right']} "
            f"{number(row['price']):>10} {number(row['delta'], 3):>7} "
            f"{percent_text(row['volatility']):>7} {percent_text(row['fit']):>7} "
            f"{percent_text(row['error']):>7}"
        )
    return lines


# ---- open interest ---------------------------------------------------------------------------


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@chain_options
@strikes_option
@near_option
@forward_option
@click.option(
    "--since",
    metavar='"DATE HH:MM"',
    help="What changes are against [default: the day's first snapshot of the chain].",
)
@click.option(
    "--levels",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Levels of support and resistance.",
)
@live_options
@edge
def oi(
    file: str | None, strikes: int, near: int, since: str | None, levels: int, **given: Any
) -> None:
    """Show open interest, its change, build-up classes, support and resistance.

    A build-up class compares each option's price and open interest with the earlier snapshot; moves
    of the price within 0.1 % and of open interest within 0.5 % say nothing. With --live the earlier
    one is the day before, as the broker tells it.

    \b
    Example:
      dhanfast oi chains.parquet -u NIFTY --at "2026-01-22 14:00"
      dhanfast oi --live -u NIFTY --watch 30
    """
    if since is not None and given["live"]:
        raise UsageError("--since goes with FILE: the broker tells the day before only")

    def render(source: ChainSource) -> Page:
        solved = solved_of(source.rows, given["rate"], given["forward"])
        found = source.before(since)
        before = found if since is not None or found.at_ns < source.rows.at_ns else None
        told = {**head(solved, source), "since": None if before is None else before.time_text,
                **_whole(solved, near), **_interest(source.rows, before, levels)}  # fmt: skip
        part = solved.near(strikes)
        table = _interest_rows(source.rows, before, part)
        money = float(source.rows.strike[solved.money])
        return Page(
            {**told, "rows": table},
            [*head_lines(told, source), *_interest_lines(told, near)],
            _interest_table(table, money), 1, 1 + solved.money - part.start,
        )  # fmt: skip

    show(file, given, render)


def _interest(rows: "Snapshot", before: "Snapshot | None", levels: int) -> dict[str, Any]:
    """Sums and levels."""
    from dhanfast.options.interest import interest_levels

    found = interest_levels(rows, before, count=levels)
    return {"call_oi": float(rows.call_oi.sum()), "put_oi": float(rows.put_oi.sum()),
            "support": [one._asdict() for one in found.support],
            "resistance": [one._asdict() for one in found.resistance]}  # fmt: skip


def _interest_rows(
    rows: "Snapshot", before: "Snapshot | None", part: slice
) -> list[dict[str, Any]]:
    """A dictionary a strike: what is open, its change and class; unknown without `before`."""
    from dhanfast.options.interest import BuildUp, interest_change

    moved = interest_change(before or rows, rows)
    held = {level: i for i, level in enumerate(moved.strike.tolist())} if before else {}
    table = []
    for i in range(*part.indices(len(rows))):
        strike = float(rows.strike[i])
        row: dict[str, Any] = {"strike": strike, "call_oi": float(rows.call_oi[i]),
               "put_oi": float(rows.put_oi[i])}  # fmt: skip
        at = held.get(strike)
        for side in ("call", "put"):
            change = getattr(moved, f"{side}_oi")[at] if at is not None else float("nan")
            kind = getattr(moved, f"{side}_class")[at] if at is not None else 0
            row |= {f"{side}_change": float(change), f"{side}_class": BuildUp(int(kind)).text}
        table.append(row)
    return table


def _interest_lines(told: dict[str, Any], near: int) -> list[str]:
    def shown(levels: list[dict[str, Any]]) -> str:
        return ", ".join(f"{one['strike']:g} ({amount(one['oi'])}, {amount(one['change'])})"
                         for one in levels) or "none"  # fmt: skip

    return [
        f"calls {amount(told['call_oi'])}, puts {amount(told['put_oi'])} units; puts a call "
        f"{number(told['put_call_oi'])}, within {near} strikes "
        f"{number(told['put_call_oi_near'])}; max pain {number(told['max_pain'], 0)}",
        f"resistance (calls): {shown(told['resistance'])}",
        f"support (puts):     {shown(told['support'])}",
        f"changes since {told['since']} IST" if told["since"] is not None
        else "no changes: there is no earlier snapshot to compare with",
    ]  # fmt: skip


def _interest_table(rows: list[dict[str, Any]], money: float) -> list[str]:
    lines = [f"{'CALLS':<14} {'Change':>7} {'OI':>7}  {'Strike':^9}  {'OI':<7} {'Change':<7} "
             f"{'PUTS':<14}".rstrip()]  # fmt: skip
    for row in rows:
        mark = f"*{row['strike']:g}*" if row["strike"] == money else f"{row['strike']:g}"
        lines.append(
            f"{row['call_class']:<14} {amount(row['call_change']):>7} {amount(row['call_oi']):>7}"
            f"  {mark:^9}  {amount(row['put_oi']):<7} {amount(row['put_change']):<7} "
            f"{row['put_class']}".rstrip()
        )
    return lines
