"""`dhanfast greeks`: implied volatility, premium and greeks of one option."""

import datetime as dt
import json
from math import isfinite
from typing import Any, Final

import click

from dhanfast.errors import UsageError

DAYS: Final = 365.0
VOLATILITY_MAX: Final = 10.0  # a larger fraction is a percentage without its sign
VOLATILITY_MOST: Final = 1_000.0
RATE_MAX: Final = 1.0
ROWS: Final = (  # name, unit of the derivative, trader's name, its unit
    ("delta", "per 1 of {by}", "", ""),
    ("gamma", "of delta per 1 of {by}", "", ""),
    ("vega", "per 1.00 of volatility", "vega_percent", "per 1 %"),
    ("theta", "per year", "theta_day", "per day"),
    ("rho", "per 1.00 of rate", "rho_percent", "per 1 %"),
    ("vanna", "of delta per 1.00", "vanna_percent", "per 1 %"),
    ("volga", "of vega per 1.00", "volga_percent", "per 1 %"),
    ("charm", "of delta per year", "charm_day", "per day"),
)


@click.command(
    epilog="Example: dhanfast greeks --forward 25180 --strike 25200 --right CE --price 312.4 "
    '--expiry 2026-11-30 --at "2026-11-23 10:15"'
)
@click.option("--forward", type=float, help="Forward of the option's expiry: Black's formula.")
@click.option("--spot", type=float, help="Price of the stock instead: Black-Scholes-Merton.")
@click.option("--strike", type=float, required=True, help="Strike.")
@click.option("--right", required=True, metavar="CE|PE", help="CE a call, PE a put.")
@click.option("--price", type=float, help="Premium: the volatility is found from it.")
@click.option("--volatility", metavar="15%|0.15", help="Volatility a year, instead of --price.")
@click.option("--years", type=float, help="Time to expiry in years, instead of --expiry.")
@click.option("--expiry", metavar="DATE", help="Expiry date: ends at that day's close of trading.")
@click.option("--at", metavar='"DATE HH:MM"', help="The moment, IST; now unless given.")
@click.option(
    "--rate", default="0%", metavar="6.5%|0.065", help="Interest, continuous; 0 % unless given."
)
@click.option(
    "--dividend", default="0%", metavar="1%|0.01", help="Yield of the stock, with --spot."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def greeks(as_json: bool, **given: Any) -> None:
    """Show volatility, premium and greeks of one European option.

    By Black's formula on the forward, or with --spot by Black-Scholes-Merton. Greeks come as plain
    derivatives and in the trader's units: per percentage point, per calendar day.
    """
    shown = _solved(given)
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(_table(shown)))


def _solved(given: dict[str, Any]) -> dict[str, Any]:
    """All that is shown, by name."""
    from dhanfast import options

    spot, forward, strike = given["spot"], given["forward"], given["strike"]
    if (spot is None) == (forward is None):
        raise UsageError("give either --forward or --spot: which price the option is on")
    if given["right"] not in ("CE", "PE"):
        raise UsageError(f"--right {given['right']!r}: give CE for a call or PE for a put")
    for name in ("strike", "forward", "spot"):
        if given[name] is not None and not 1e-100 <= given[name] <= 1e100:
            raise UsageError(f"--{name} {given[name]:g}: give a positive price in rupees")
    years = _years(given)
    rate = _fraction("rate", given["rate"], RATE_MAX)
    dividend = _fraction("dividend", given["dividend"], RATE_MAX)
    if spot is None and dividend:
        raise UsageError(f"--dividend {given['dividend']}: a forward has its dividends in it; "
                         "give --spot, or leave --dividend out")  # fmt: skip
    right: str = given["right"]
    place = (strike, years, right, rate)
    volatility = _volatility(given, place, dividend)
    if spot is None:
        found = options.greeks(volatility, forward, *place)
    else:
        found = options.stock_greeks(volatility, spot, *place, dividend)
    trader = {name: getattr(found, name) for *_, name, _ in ROWS if name}
    values = {**found._asdict(), **trader}
    return {
        "model": "black" if spot is None else "black-scholes-merton",
        "forward" if spot is None else "spot": forward if spot is None else spot,
        "strike": strike,
        "right": right,
        "years": years,
        "rate": rate,
        **({} if spot is None else {"dividend": dividend}),
        "volatility": volatility,
        **{name: value if isfinite(value) else None for name, value in values.items()},
    }


def _years(given: dict[str, Any]) -> float:
    """Time to expiry, from --years or from --expiry and --at."""
    if (given["years"] is None) == (given["expiry"] is None):
        raise UsageError("give either --years or --expiry: how long the option lives")
    if given["years"] is not None:
        if given["at"] is not None:
            raise UsageError(f"--at {given['at']!r} goes with --expiry, not with --years")
        years = float(given["years"])
        if not 0.0 <= years <= 100.0:
            raise UsageError(f"--years {years:g}: give 0 to 100, as 7/365 = 0.0192 for a week")
        return years
    from dhanfast.clock import SystemClock
    from dhanfast.market.calendar import IST_OFFSET_NS

    try:
        day = dt.date.fromisoformat(given["expiry"])
    except ValueError:
        raise UsageError(f"--expiry {given['expiry']!r} is not a date; write YYYY-MM-DD") from None
    end_ns = _end_ns(day)
    if given["at"] is None:
        return _left(SystemClock().now_ns(), end_ns, day)
    try:
        moment = dt.datetime.fromisoformat(given["at"])
        since = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else None
    except ValueError:
        since = None
    if since is None:
        raise UsageError(f"--at {given['at']!r} is not a time; write 'YYYY-MM-DD HH:MM', IST")
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    now_ns = (since - epoch) // dt.timedelta(microseconds=1) * 1000 - IST_OFFSET_NS
    return _left(now_ns, end_ns, day)


def _end_ns(day: dt.date) -> int:
    """When trading ends on an expiry.

    Raises:
        UsageError: nothing is traded on that date. OutOfCalendar: the calendar does not know it.
    """
    from dhanfast.market.calendar import Calendar
    from dhanfast.market.optiontime import expiry_ns

    if Calendar.load().day(day) is None:
        raise UsageError(f"--expiry {day} is not a trading day, on which an option could end")
    return expiry_ns(day)


def _left(now_ns: int, end_ns: int, day: dt.date) -> float:
    """Years to the end of an expiry; 0 at that very moment.

    Raises:
        UsageError: it is over.
    """
    from dhanfast.market.optiontime import years_to_expiry
    from dhanfast.storage.stamps import ist_text

    if now_ns > end_ns:
        raise UsageError(f"--expiry {day}: over since {ist_text(end_ns)}; give an earlier --at, or "
                         "a later --expiry")  # fmt: skip
    return years_to_expiry(now_ns, end_ns)


def _fraction(name: str, text: str, limit: float) -> float:
    """A share that is written as 15% or 0.15."""
    try:
        value = float(text.removesuffix("%")) * (0.01 if text.endswith("%") else 1.0)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a number; write 15% or 0.15") from None
    if not isfinite(value) or (value < 0.0 and name == "volatility"):
        raise UsageError(f"--{name} {text}: give 0 or more, as 15% or 0.15")
    if not text.endswith("%") and limit < abs(value) <= 100.0 * limit:
        raise UsageError(f"--{name} {text} is {100 * value:g} %; write {text}% if you mean that")
    if abs(value) > (VOLATILITY_MOST if name == "volatility" else limit):
        most = VOLATILITY_MOST if name == "volatility" else limit
        raise UsageError(f"--{name} {text} is {100 * value:g} %; give at most {100 * most:g} %")
    return value


def _volatility(given: dict[str, Any], place: tuple[Any, ...], dividend: float) -> float:
    """As given, or implied by the premium.

    Raises:
        UsageError: no premium and no volatility, both, or a premium that none explains.
    """
    from math import exp

    from dhanfast.options import OptionStatus, implied_volatility_status

    if (given["price"] is None) == (given["volatility"] is None):
        raise UsageError("give either --price or --volatility: the other one is computed")
    if given["volatility"] is not None:
        return _fraction("volatility", given["volatility"], VOLATILITY_MAX)
    strike, years, right, rate = place
    price, forward = given["price"], given["forward"]
    if forward is None:
        forward = given["spot"] * exp((rate - dividend) * years)
    found, status = implied_volatility_status(price, forward, *place)
    code = OptionStatus(int(status))
    if code in (OptionStatus.PRICED, OptionStatus.AT_INTRINSIC):
        return float(found)
    discount = exp(-rate * years)
    worth = discount * max(forward - strike if right == "CE" else strike - forward, 0.0)
    bound = discount * (forward if right == "CE" else strike)
    why = {
        OptionStatus.NO_TIME: "the option has expired: no volatility explains a premium; give an "
        "earlier --at, or --volatility",
        OptionStatus.BELOW_INTRINSIC: f"below what exercise is worth, {worth:.6g}: a stale quote, "
        "or a forward of another moment",
        OptionStatus.AT_BOUND: f"as much as the option can ever cost, {bound:.6g}; give less",
        OptionStatus.ABOVE_BOUND: f"more than the option can ever cost, {bound:.6g}; give less",
        OptionStatus.BAD_INPUT: "cannot be used; give a number",
    }[code]
    raise UsageError(f"--price {price:g}: {why}")


def _table(shown: dict[str, Any]) -> list[str]:
    """Lines of at most 80 columns."""
    by = "forward" if "forward" in shown else "spot"
    head = (
        f"{shown['right']} {shown['strike']:.10g} on {by} {shown[by]:.10g}, "
        f"{shown['years'] * DAYS:.6g} days, rate {100 * shown['rate']:.4g} %"
    )
    lines = [head]
    if shown.get("dividend"):
        lines.append(f"dividend yield {100 * shown['dividend']:.4g} %")
    lines += [
        "",
        f"{'volatility':<12}{100 * shown['volatility']:>14.6g} %",
        f"{'price':<12}{shown['price']:>14.8g}",
    ]
    for name, unit, trader, trader_unit in ROWS:
        line = f"{name:<12}{_number(shown[name]):>14} {unit.format(by=by):<24}"
        if trader:
            line += f"{_number(shown[trader]):>14} {trader_unit}"
        lines.append(line.rstrip())
    return lines


def _number(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.6g}"
