"""What `chain`, `iv`, `oi`, `payoff` share: which chain is meant, its head, and a page of it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import click

from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.options.chain import SolvedChain
    from dhanfast.storage.chains import ChainFile, Snapshot

Command = TypeVar("Command", bound=Callable[..., Any])
RATE_MAX: Final = 1.0
FILE_GENERATED: Final = "GENERATED, not recorded"


class ChainSource(Protocol):
    """Where a chain comes from: a file, or the broker."""

    @property
    def rows(self) -> "Snapshot":
        """The chain that is meant."""
        ...

    @property
    def notes(self) -> list[str]:
        """What a reader must know."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        ...

    def before(self, since: str | None) -> "Snapshot":
        """The chain that changes are against.

        Raises:
            UsageError: there is none at that moment.
        """
        ...

    def following(self) -> "Snapshot":
        """The chain of the expiry after, at the same moment.

        Raises:
            UsageError: there is none.
        """
        ...


@dataclass(frozen=True)
class FileChain:
    """One chain of a file: a `ChainSource`."""

    recorded: "ChainFile"
    rows: "Snapshot"

    @property
    def notes(self) -> list[str]:
        """What the file says of itself."""
        return [FILE_GENERATED] if self.recorded.generated else []

    @property
    def facts(self) -> dict[str, Any]:
        """Of a generated market; of recorded ones there is nothing to say."""
        return {"generated": True} if self.recorded.generated else {}

    def before(self, since: str | None) -> "Snapshot":
        """The snapshot of a moment, or the day's first one that is no failed batch of quotes.

        Raises:
            UsageError: not in the file; after the chain.
        """
        recorded, rows = self.recorded, self.rows
        if since is not None:
            moment = moment_ns(since, "since") or 0
            if moment > rows.at_ns and not _is_date(since):
                raise UsageError(f"--since {since}: after the chain of {rows.time_text}; give an "
                                 "earlier moment")  # fmt: skip
            return recorded.at(rows.underlying, min(moment, rows.at_ns), rows.expiry)
        places = recorded.places(rows.underlying, rows.expiry)
        for place in recorded.on_day(places, rows.date, rows.underlying):
            first = recorded[int(place)]
            if first.at_ns >= rows.at_ns or 2 * first.quoted > len(first):
                return first
        return rows

    def following(self) -> "Snapshot":
        """The chain of the expiry after, at the same moment or the last before it.

        Raises:
            UsageError: the file has none on that day.
        """
        return following(self.recorded, self.rows)


@dataclass(frozen=True)
class Page:
    """What a command has found: for JSON, and for people.

    Attributes:
        told: for JSON. prose: lines of words. table: lines, the first `fixed` of them its head.
        middle: the line of the table that matters most, from 0.
    """

    told: dict[str, Any]
    prose: list[str]
    table: list[str] = field(default_factory=list)
    fixed: int = 0
    middle: int = 0


Render = Callable[[ChainSource], Page]


def chain_options(command: Command) -> Command:
    """The options that name a chain."""
    options = (
        click.option("-u", "--underlying", metavar="NAME", help="NIFTY, RELIANCE, ...; not needed "
                     "where the file has one."),
        click.option("-e", "--expiry", metavar="DATE|next", help="Expiry; the nearest of the day "
                     "unless given."),
        click.option("--at", metavar='"DATE HH:MM"', help="The moment, IST: the last snapshot of "
                     "that day up to it. A date alone is its end [default: the file's last]."),
        click.option("--rate", default="0%", metavar="6.5%|0.065", help="Interest, continuous; 0 % "
                     "unless given."),
        click.option("--json", "as_json", is_flag=True, help="Print as JSON."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def fraction(name: str, text: str, limit: float) -> float:
    """A share that is written as 15% or 0.15.

    Raises:
        UsageError: not a number, or beyond the limit without a percent sign.
    """
    try:
        value = float(text.removesuffix("%")) * (0.01 if text.endswith("%") else 1.0)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a number; write 15% or 0.15") from None
    if not isfinite(value) or abs(value) > limit:
        raise UsageError(f"--{name} {text} is {100 * value:g} %; give at most {100 * limit:g} %")
    return value


def moment_ns(text: str | None, name: str = "at") -> int | None:
    """`2026-01-22 11:15` or `2026-01-22` (its end), IST, as ns UTC.

    Raises:
        UsageError: neither.
    """
    from dhanfast.market.calendar import IST_OFFSET_NS

    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:
        raise UsageError(f"--{name} {text!r} is not a moment; write 'YYYY-MM-DD HH:MM', IST")
    if _is_date(text):
        found += dt.timedelta(days=1, microseconds=-1)
    since = found.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since // dt.timedelta(microseconds=1) * 1000 - IST_OFFSET_NS


def _is_date(text: str) -> bool:
    """A date alone, which is its end."""
    return len(text.strip()) == len("2026-01-22")


def chosen(given: dict[str, Any], file: str) -> FileChain:
    """The snapshot of a file that the options name.

    Raises:
        UsageError: not in the file. BadData: a file that is refused.
    """
    from dhanfast.storage.chains import read_chains

    recorded = read_chains(file)
    name = given["underlying"]
    if name is None:
        if len(recorded.underlyings) > 1:
            shown = ", ".join(recorded.underlyings[:8])
            raise UsageError(f"{recorded.name} has {len(recorded.underlyings)} underlyings: name "
                             f"one with -u, as {shown}")  # fmt: skip
        name = recorded.underlyings[0]
    at_ns, wanted = moment_ns(given["at"]), given["expiry"]
    if wanted in (None, "nearest"):
        return FileChain(recorded, recorded.at(name, at_ns))
    if wanted == "next":
        return FileChain(recorded, following(recorded, recorded.at(name, at_ns)))
    try:
        expiry = dt.date.fromisoformat(wanted)
    except ValueError:
        raise UsageError(
            f"--expiry {wanted!r} is not a date; write YYYY-MM-DD, nearest or next"
        ) from None
    return FileChain(recorded, recorded.at(name, at_ns, expiry))


def following(recorded: "ChainFile", near: "Snapshot") -> "Snapshot":
    """The chain of the expiry after one, at the same moment or the last before it.

    Raises:
        UsageError: the file has none on that day.
    """
    places = recorded.on_day(recorded.places(near.underlying), near.date, near.underlying)
    later = sorted({recorded[int(place)].expiry for place in places} - {near.expiry})
    later = [expiry for expiry in later if expiry > near.expiry]
    if not later:
        raise UsageError(f"{recorded.name}: no expiry of {near.underlying} after {near.expiry} on "
                         f"{near.date}")  # fmt: skip
    return recorded.at(near.underlying, near.at_ns, later[0])


def solved_of(rows: "Snapshot", rate: str, forward: float | None = None) -> "SolvedChain":
    """The snapshot with forward, volatilities and greeks.

    Args:
        forward: of its expiry; by put-call parity unless given.

    Raises:
        UsageError, BadData, OutOfCalendar: as `solve_chain`.
    """
    from dhanfast.options.chain import solve_chain

    return solve_chain(rows, fraction("rate", rate, RATE_MAX), forward=forward)


def head(solved: "SolvedChain", source: ChainSource) -> dict[str, Any]:
    """What every answer begins with."""
    rows = solved.snapshot
    return {
        "underlying": rows.underlying,
        "expiry": rows.expiry.isoformat(),
        "at": rows.time_text,
        "days": 365.0 * solved.years,
        "rate": solved.rate,
        "spot": rows.spot,
        "forward": solved.forward,
        "at_money_volatility": solved.at_money_volatility(),
        **source.facts,
    }


def head_lines(told: dict[str, Any], source: ChainSource) -> list[str]:
    """The same as two lines, after what a reader must know."""
    spot = "" if told["spot"] != told["spot"] else f"spot {told['spot']:,.2f}   "
    return [
        *source.notes,
        f"{told['underlying']} {told['expiry']}, at {told['at']} IST, "
        f"{told['days']:.2f} days to go, rate {100 * told['rate']:.4g} %",
        f"{spot}forward {told['forward']:,.2f}   volatility at the money "
        f"{percent_text(told['at_money_volatility'])} %",
    ]


def page_lines(page: Page) -> list[str]:
    """Words wrapped to 80 columns, and the table as it is."""
    from dhanfast.app.edge import WIDTH, wrapped

    lines = [line if len(line) <= WIDTH else wrapped(line) for line in page.prose]
    return [*lines, "", *page.table] if page.table else lines


def plain(value: Any) -> Any:
    """Data as JSON can say it: no NaN, no infinity, no numpy."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def number(value: float, digits: int = 2, empty: str = "-") -> str:
    """A number with separators, or a dash where there is none."""
    return empty if not isfinite(value) else f"{value:,.{digits}f}"


def percent_text(value: float, digits: int = 2) -> str:
    """A fraction in percent, or a dash where there is none."""
    return "-" if not isfinite(value) else f"{100 * value:.{digits}f}"


def amount(value: float) -> str:
    """Open interest or volume in five signs: 950, 12.3k, 4.56M, with its sign."""
    from dhanfast.app.console import count_text

    if not isfinite(value):
        return "-"
    return f"{'-' if value < 0 else ''}{count_text(abs(value))}"


def crores(value: float) -> str:
    """Rupees as crores."""
    return "-" if not isfinite(value) else f"{value / 1e7:,.0f} crore"
