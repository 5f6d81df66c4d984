"""`dhanfast payoff`: a spread by name from a chain, or legs as they are typed."""

import re
from math import exp, isfinite
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.chain_live import live_options, refuse_live, show, show_page
from dhanfast.app.chain_options import (
    RATE_MAX,
    ChainSource,
    Page,
    chain_options,
    fraction,
    head,
    head_lines,
    number,
    percent_text,
    solved_of,
)
from dhanfast.app.edge import edge, wrapped
from dhanfast.errors import BadData, OutOfCalendar, UsageError

if TYPE_CHECKING:
    from dhanfast.options.margin import MarginEstimate
    from dhanfast.options.payoff import Leg, Payoff
    from dhanfast.options.smile import Smile
    from dhanfast.options.spreads import Spread

LEG: Final = re.compile(
    r"(?P<side>buy|sell)(?: +(?P<lots>\d+))? +(?P<strike>\d+(?:\.\d+)?) *(?P<right>CE|PE)"
    r" +(?P<premium>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
VOLATILITY_MAX: Final = 10.0
DEVIATIONS: Final = (-3, -2, -1, 0, 1, 2, 3)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@chain_options
@click.option(
    "--spread",
    metavar="NAME",
    help="bull-call, bear-call, bull-put, bear-put, straddle, "
    "strangle, iron-condor, iron-fly, butterfly, calendar, ratio.",
)
@click.option(
    "--strikes",
    metavar="RULES",
    help="A rule a strike, with commas: atm, atm+2, otm3, "
    "itm1, 0.25d, 100rs, >=100rs, +1.5%, -1w, or a strike.",
)
@click.option("--side", type=click.Choice(["buy", "sell"]), help="The other one turns every leg.")
@click.option(
    "--right",
    type=click.Choice(["CE", "PE"]),
    default="CE",
    show_default=True,
    help="Of butterfly, calendar and ratio.",
)
@click.option(
    "--ratio",
    type=click.IntRange(2, 10),
    default=2,
    show_default=True,
    help="How many a ratio sells.",
)
@click.option(
    "--lots",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="Lots of the spread, or of each leg.",
)
@click.option(
    "--lot",
    type=click.IntRange(1, 10**6),
    help="Units a lot; of an index the one of the date unless given.",
)
@click.option(
    "--leg",
    "typed",
    multiple=True,
    metavar='"sell 25200 CE 133.75"',
    help="Without FILE: a leg, as side, lots if not 1, strike, right, premium; repeat it.",
)
@click.option("--forward", type=float, help="Forward of the expiry: of a chain instead of that of "
              "put-call parity; with --leg for chances.")  # fmt: skip
@click.option("--volatility", metavar="15%|0.15", help="With --leg: volatility, for chances.")
@click.option("--days", type=float, help="With --leg: days to the expiry, for chances.")
@live_options
@edge
def payoff(file: str | None, typed: tuple[str, ...], **given: Any) -> None:
    """Show what an options spread earns, costs and blocks.

    Payoff, breakevens, most and least are exact at the expiry; a calendar's are by the model and
    say so. Chances are the market's prices of chances, not forecasts. The margin is an estimate.

    \b
    Example:
      dhanfast payoff chains.parquet -u NIFTY --spread iron-condor \\
          --strikes 0.1d,0.2d,0.2d,0.1d
      dhanfast payoff --live -u NIFTY --spread straddle --side sell
    """
    from dhanfast.options.spreads import SHAPES

    if [file is not None, bool(typed), given["live"]].count(True) != 1:
        raise UsageError("give either FILE with --spread, or --leg once or more, or --live with "
                         "--spread")  # fmt: skip
    if typed:
        refuse_live(given)
        told, lines = _typed(typed, given)
        show_page(Page(told, lines, *_point_lines(told["points"])), as_json=given["as_json"])
        return
    _refuse(given, ("volatility", "days"), "goes with --leg, not with a chain")
    if given["spread"] is None:
        raise UsageError(f"give --spread: one of {', '.join(SHAPES)}")

    def render(source: ChainSource) -> Page:
        told, lines = _from_chain(source, given)
        return Page(told, lines, *_point_lines(told["points"]))

    show(file, given, render, far=given["spread"] == "calendar")


# ---- from a chain ----------------------------------------------------------------------------


def _from_chain(source: ChainSource, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    from dhanfast.options.smile import smile_of
    from dhanfast.options.spreads import build_spread

    rows = source.rows
    near = solved_of(rows, given["rate"], given["forward"])
    two = given["spread"] == "calendar"
    far = solved_of(source.following(), given["rate"]) if two else None
    rules = None if given["strikes"] is None else given["strikes"].split(",")
    spread = build_spread(
        given["spread"], near, lots=given["lots"], lot=given["lot"] or _lot(rows), strikes=rules,
        side=given["side"], right=given["right"], ratio=given["ratio"], far=far,
    )  # fmt: skip
    try:
        smile: Smile | None = smile_of(near)
    except BadData:
        smile = None
    margin = _margin(spread)
    told = {
        **head(near, source), "spread": spread.name, "side": spread.side, **_legs(spread.legs),
        "premium": spread.premium, "delta": spread.delta, "gamma": spread.gamma,
        "theta_day": spread.theta_day, "vega_percent": spread.vega_percent,
        "profit_probability": spread.profit_probability(),
        "profit_probability_smile": None if smile is None else spread.profit_probability(smile),
        "margin": margin if isinstance(margin, str) else _margin_told(margin),
        **(_exact(spread.payoff()) if far is None else _modelled(spread)),
    }  # fmt: skip
    width = near.at_money_volatility() * near.years**0.5
    levels = [near.forward * exp(d * width) for d in DEVIATIONS]
    worth = spread.payoff() if far is None else spread.projection()
    told["points"] = _points(told, levels, worth.value)
    title = f"{spread.side} {given['lots']} {spread.name}"
    return told, [*head_lines(told, source), "", title, *_leg_lines(told), "", *_figures(told),
                  *_chance_lines(told), *_margin_lines(told)]  # fmt: skip


def _lot(rows: Any) -> int:
    """Units a lot of an index's contract on the date.

    Raises:
        UsageError: a stock, whose lots no table holds.
    """
    from dhanfast.market import expiries, instruments

    if rows.underlying not in expiries.underlyings():
        raise UsageError(f"--lot is needed: no table holds the lot of {rows.underlying}")
    cycle = expiries.cycle_of(rows.underlying, rows.expiry)
    return instruments.lot(rows.underlying, rows.expiry, cycle, rows.date)


def _margin(spread: "Spread") -> "MarginEstimate | str":
    """The estimate, or why there is none."""
    from dhanfast.options.margin import margin_estimate

    chains = [spread.near] + ([spread.far] if spread.far is not None else [])
    spot = spread.near.snapshot.spot
    try:
        return margin_estimate(
            spread.legs, spread.underlying, spread.near.snapshot.at_ns,
            spot if spot > 0.0 else spread.near.forward,
            forwards={one.snapshot.expiry: one.forward for one in chains}, rate=spread.near.rate,
        )  # fmt: skip
    except (OutOfCalendar, UsageError) as error:
        return str(error)


def _modelled(spread: "Spread") -> dict[str, Any]:
    """Figures of a projection at the first expiry, within its span."""
    import numpy as np

    low, high = spread.span()
    projection = spread.projection()
    worth = projection.value(np.linspace(low, high, 2_001))
    return {
        "modelled": True,
        "breakevens": list(projection.breakevens(low, high)),
        "profit_max": float(worth.max()),
        "loss_max": float(worth.min()),
        "span": [low, high],
        "kinks": [],
        "slopes": [],
    }


# ---- legs as typed ---------------------------------------------------------------------------


def _typed(typed: tuple[str, ...], given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    import datetime as dt

    from dhanfast.options.payoff import Leg, Payoff, lognormal_below

    _refuse(given, ("underlying", "expiry", "at", "spread", "strikes", "side"),
            "goes with FILE, not with --leg")  # fmt: skip
    fraction("rate", given["rate"], RATE_MAX)
    day, legs = dt.date(1970, 1, 1), []
    for text in typed:
        found = LEG.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"--leg {text!r}: write side, lots if not 1, strike, right and "
                             "premium, as 'sell 2 25200 CE 133.75'")  # fmt: skip
        units = int(found["lots"] or 1) * given["lots"] * (given["lot"] or 1)
        sign = 1 if found["side"].lower() == "buy" else -1
        legs.append(Leg(found["right"].upper(), float(found["strike"]), sign * units,
                        float(found["premium"]), day))  # fmt: skip
    whole = Payoff(legs)
    told = {**_legs(legs), "premium": whole.premium, **_exact(whole), "profit_probability": None}
    asked = [given[name] for name in ("forward", "volatility", "days")]
    levels = []
    if any(one is not None for one in asked):
        if any(one is None for one in asked):
            raise UsageError("chances need --forward, --volatility and --days, all three")
        volatility = fraction("volatility", given["volatility"], VOLATILITY_MAX)
        below = lognormal_below(given["forward"], volatility, given["days"] / 365.0)
        told["profit_probability"] = whole.profit_probability(below)
        width = volatility * (given["days"] / 365.0) ** 0.5
        levels = [given["forward"] * exp(d * width) for d in DEVIATIONS]
    told["points"] = _points(told, levels, whole.value)
    return told, [*_leg_lines(told), "", *_figures(told), *_chance_lines(told)]


def _refuse(given: dict[str, Any], names: tuple[str, ...], why: str) -> None:
    for name in names:
        if given[name] is not None:
            raise UsageError(f"--{name} {why}")


# ---- text ------------------------------------------------------------------------------------


def _legs(legs: "tuple[Leg, ...] | list[Leg]") -> dict[str, Any]:
    return {"legs": [
        {"right": leg.right, "strike": leg.strike, "quantity": leg.quantity,
         "premium": leg.premium, "volatility": leg.volatility,
         "expiry": None if leg.expiry.year == 1970 else leg.expiry.isoformat()}
        for leg in legs
    ]}  # fmt: skip


def _exact(whole: "Payoff") -> dict[str, Any]:
    return {
        "modelled": False,
        "breakevens": list(whole.breakevens),
        "profit_max": whole.profit_max,
        "loss_max": whole.loss_max,
        "kinks": [one._asdict() for one in whole.kinks],
        "slopes": list(whole.slopes),
    }


def _margin_told(margin: "MarginEstimate") -> dict[str, Any]:
    names = ("required", "span", "scan", "calendar", "exposure", "premium", "written_first",
             "error_low", "error_high", "note")  # fmt: skip
    return {name: getattr(margin, name) for name in names}


def _leg_lines(told: dict[str, Any]) -> list[str]:
    lines = []
    for leg in told["legs"]:
        side = "buy" if leg["quantity"] > 0 else "sell"
        line = (f"  {side:<4} {abs(leg['quantity']):>7,} {leg['strike']:>9g} {leg['right']} at "
                f"{leg['premium']:>9,.2f}")  # fmt: skip
        if isfinite(leg["volatility"]):
            line += f"   volatility {percent_text(leg['volatility'])} %"
        lines.append(line + (f"   {leg['expiry']}" if leg["expiry"] else ""))
    return lines


def _money(value: float) -> str:
    return "unlimited" if not isfinite(value) else f"Rs {value:,.2f}"


def _figures(told: dict[str, Any]) -> list[str]:
    word = "pay" if told["premium"] >= 0.0 else "receive"
    ends = ", ".join(number(one) for one in told["breakevens"]) or "none"
    lines = [
        f"{word} Rs {abs(told['premium']):,.2f}",
        f"most {_money(told['profit_max'])}, least {_money(told['loss_max'])}, breakevens {ends}",
    ]
    if told["modelled"]:
        low, high = told["span"]
        lines.append(wrapped("BY THE MODEL, at the first expiry, volatilities as they are, between "
                             f"{low:,.0f} and {high:,.0f}"))  # fmt: skip
    if "delta" in told:
        lines.append(f"delta {told['delta']:.4g} units, gamma {told['gamma']:.4g}, theta Rs "
                     f"{told['theta_day']:,.2f} a day, vega Rs {told['vega_percent']:,.2f} a point"
                     )  # fmt: skip
    return lines


def _chance_lines(told: dict[str, Any]) -> list[str]:
    if told["profit_probability"] is None:
        return []
    text = (f"chance of profit {percent_text(told['profit_probability'], 1)} % by normal returns "
            "at one volatility")  # fmt: skip
    by_smile = told.get("profit_probability_smile")
    if by_smile is not None:
        text += f", {percent_text(by_smile, 1)} % by the smile"
    return [wrapped(text + "; prices of chances, not forecasts")]


def _margin_lines(told: dict[str, Any]) -> list[str]:
    margin = told["margin"]
    if isinstance(margin, str):
        return [wrapped(f"no margin estimate: {margin}")]
    lines = [wrapped(
        f"margin about Rs {margin['required']:,.0f} ({margin['error_low']:+d} % to "
        f"{margin['error_high']:+d} %; {margin['note']}): span {margin['span']:,.0f}, exposure "
        f"{margin['exposure']:,.0f}, premium {margin['premium']:,.0f}"
    )]  # fmt: skip
    if margin["written_first"] > 1.05 * margin["required"]:
        lines.append(f"sent written legs first: about Rs {margin['written_first']:,.0f}")
    return lines


def _points(told: dict[str, Any], levels: list[float], value: Any) -> list[dict[str, Any]]:
    """Payoff at kinks, breakevens and deviations."""
    marked = {one["level"]: "strike" for one in told["kinks"]}
    marked |= dict.fromkeys(told["breakevens"], "breakeven")
    for deviation, level in zip(DEVIATIONS, levels, strict=False):
        marked.setdefault(round(level, 2), f"{deviation:+d} deviations" if deviation else "forward")
    return [{"level": level, "value": float(value(level)), "what": what}
            for level, what in sorted(marked.items()) if level > 0.0]  # fmt: skip


def _point_lines(table: list[dict[str, Any]]) -> tuple[list[str], int, int]:
    """The table, how many lines its head has, and the line that matters most."""
    lines = [f"{'Level':>12} {'Rupees':>16}"]
    lines += [f"{row['level']:>12,.2f} {round(row['value'], 2) + 0.0:>16,.2f}  {row['what']}"
              for row in table]  # fmt: skip
    return lines, 1, 1 + len(table) // 2
