"""A download from the configuration to the files: list, plan, requests, files, report."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from dhanfast.app.broker_session import broker_hosts, open_rest
from dhanfast.app.console import count_text, duration_text
from dhanfast.app.edge import PATIENCE_NS, WIDTH
from dhanfast.brokers.dhan.history import Ask, Downloader, Step, Stopped, Tally, asks_of
from dhanfast.brokers.dhan.limits import CallClass, LimitSettings
from dhanfast.clock import Clock, SystemClock
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import Calendar, exchange_date
from dhanfast.storage.completeness import SeriesReport, examine_series, missing_days
from dhanfast.storage.download_files import Made, file_is_current, make_file
from dhanfast.storage.downloads import DownloadFolder, Line

if TYPE_CHECKING:
    from dhanfast.app.config import Config
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.market.master import Master

BROKER: Final = "dhan"
LATE_NS: Final = 30 * 60 * 1_000_000_000  # after the close until a day's last bars are there
MINUTES_YEARS: Final = 5  # that the broker keeps minutes for
TOLD_EVERY_NS: Final = 10_000_000_000  # on a stream that is no terminal
Lines = Callable[["Master"], list[Line]]


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    lines: Lines
    first: date
    last: date | None
    out: Path
    expiry: date | None
    refill: bool
    dry_run: bool


@dataclass
class Done:
    """What came of it.

    Units:
        seconds that the broker's limits make it take at least.
    """

    root: Path
    generated: bool
    dry_run: bool
    asks: int
    seconds: float
    asked: int = 0
    rows: int = 0
    empty: int = 0
    unchanged: int = 0
    files: list[Made] = field(default_factory=list)
    reports: list[SeriesReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        files = [{"path": str(one.path), "rows": one.rows, "instruments": one.instruments,
                  "first": one.first, "last": one.last} for one in self.files]  # fmt: skip
        return {
            "folder": str(self.root), "generated": self.generated, "dry_run": self.dry_run,
            "requests": self.asks, "asked": self.asked, "bars": self.rows, "empty": self.empty,
            "unchanged": self.unchanged, "files": files, "notes": self.notes,
            "series": [report_plain(one, days=False) for one in self.reports],
        }  # fmt: skip


def report_plain(report: SeriesReport, *, days: bool) -> dict[str, Any]:
    """A report for JSON.

    Args:
        days: each of them, too.
    """
    statuses = sorted({one.status for one in report.days})
    plain = {
        "key": report.key, "kind": report.kind, "first": report.first, "last": report.last,
        "expected": report.expected, "held": report.held, "bad_days": report.bad,
        "days": {status: report.count(status) for status in statuses},
        "notes": list(report.notes),
    }  # fmt: skip
    if days:
        plain["each"] = msgspec.to_builtins(report.days)
    return plain


def downloaded(config: "Config", wish: Wish, say: Callable[[str], None]) -> Done:
    """Download what is wished for, make the files, and compare them with the exchange's hours.

    Args:
        say: a message for a person.

    Raises:
        UsageError: dates, names or folder do not fit. Stopped: a request failed for good.
        NotAuthenticated, ConfigError: there is no login. DhanfastError: the disk refuses.
    """
    clock, calendar = SystemClock(), Calendar.load()
    last = last_day(clock.now_ns(), calendar, wish.first, wish.last)
    if wish.last is not None and last < wish.last:
        say(f"--to: {wish.last} has not ended, so that its bars are not all there; taking {last}")
    hosts = broker_hosts(config)
    lines = wish.lines(master_of(config, hosts, clock, wish.expiry))
    for line in lines:
        if line.expiry and line.expiry < str(wish.first):
            raise UsageError(
                f"--from: {wish.first} lies behind the expiry of {line.name}, {line.expiry}"
            )
    _warn_of_age(lines, wish.first, clock, say)
    generated = is_generated(hosts, clock)
    folder = DownloadFolder(wish.out)
    if wish.dry_run:
        asks = _plan(folder, lines, wish, last, calendar)
        return Done(wish.out, generated, True, len(asks), len(asks) / calls_a_second())
    with folder.changing(BROKER, generated):
        asks = _plan(folder, lines, wish, last, calendar)
        done = Done(wish.out, generated, False, len(asks), 0.0)
        names = dict.fromkeys(line.file for line in lines)
        try:
            tally = asyncio.run(_asked(config, folder, asks, clock, calendar)) if asks else Tally()
        except Stopped:
            pending = {ask.line.file for ask in _plan(folder, lines, wish, last, calendar)}
            _make(folder, [name for name in names if name not in pending], generated)
            raise
        done.asked, done.rows, done.empty = tally.asked, tally.rows, tally.empty
        done.unchanged, done.notes = tally.unchanged, tally.notes
        done.files = _make(folder, names, generated)
    done.reports = _reports(folder, lines, wish.first, last, calendar)
    return done


def _make(folder: DownloadFolder, names: Iterable[str], generated: bool) -> list[Made]:
    """Make the files that are not made of what is held now."""
    found = []
    for name in names:
        made = None if file_is_current(folder, name) else make_file(folder, name, generated)
        found += [made] if made else []
    return found


async def _asked(
    config: "Config", folder: DownloadFolder, asks: Sequence[Ask], clock: Clock, calendar: Calendar
) -> Tally:
    """Send the requests."""
    async with open_rest(config, clock) as rest:
        told = Told(clock)
        work = Downloader(rest, folder, clock, random.Random(clock.now_ns()), told)
        try:
            return await work.run(asks, calendar)
        finally:
            told.end()


def _plan(
    folder: DownloadFolder, lines: Sequence[Line], wish: Wish, last: date, calendar: Calendar
) -> list[Ask]:
    """What is not held yet, series after series within the same cells."""
    asks: list[Ask] = []
    for line in lines:
        series = folder.agreed(line)
        end = min(last, date.fromisoformat(line.expiry)) if line.expiry else last
        again = missing_days(folder, series, calendar) if wish.refill else set()
        asks += asks_of(series, wish.first, end, calendar, again)
    return asks


def _reports(
    folder: DownloadFolder, lines: Sequence[Line], first: date, last: date, calendar: Calendar
) -> list[SeriesReport]:
    found = []
    for line in lines:
        series = folder.find(line.key)
        if series is not None and series.pieces:
            found.append(examine_series(folder, series, calendar, first, last))
    return found


def last_day(now_ns: int, calendar: Calendar, first: date, last: date | None) -> date:
    """The last day to ask for: as wished, but none that has not ended.

    Raises:
        UsageError: the first day has not ended, or lies behind the last.
    """
    today = exchange_date(now_ns)
    trading = calendar.day(today) if calendar.covers(today) else None
    is_open = trading is not None and trading.windows and now_ns < trading.close_ns + LATE_NS
    ended = today - timedelta(days=1) if is_open else today
    if last is not None and last < first:
        raise UsageError(f"--to {last} lies before --from {first}")
    if first > ended:
        raise UsageError(f"--from: {first} has not ended; the last day that has is {ended}")
    return ended if last is None else min(last, ended)


def _warn_of_age(
    lines: Sequence[Line], first: date, clock: Clock, say: Callable[[str], None]
) -> None:
    """Say that the broker keeps minutes for some years only."""
    oldest = exchange_date(clock.now_ns()) - timedelta(days=MINUTES_YEARS * 365 + 1)
    if first < oldest and any(line.interval_s < 86_400 for line in lines):
        say(f"--from: the broker keeps minutes for about {MINUTES_YEARS} years, so that days "
            f"before {oldest} may come empty")  # fmt: skip


def calls_a_second() -> float:
    """As many as the limits that are kept let through."""
    quota = LimitSettings().quotas[CallClass.DATA][0]
    return quota.count / quota.window_s


def master_of(config: "Config", hosts: "Hosts", clock: Clock, expiry: date | None) -> "Master":
    """The instrument list that knows the names: the newest, or that of an expiry that is past.

    Raises:
        UsageError: there is none; the message says how to fetch one.
    """
    from dhanfast.brokers.dhan_instruments import DEFAULT_FORM, from_address
    from dhanfast.brokers.download import Limits
    from dhanfast.storage.masters import MasterStore, UpdateOptions

    today = exchange_date(clock.now_ns())
    store = MasterStore(config.folders.instruments)
    if hosts.is_loopback:  # its contracts are not those of the real market
        store = MasterStore(config.folders.instruments / "loopback")
        address = f"{hosts.instruments}/api-scrip-master-detailed.csv"
        options = UpdateOptions(DEFAULT_FORM, today, 1, 0.01, True, 730)
        limits = Limits(plain_http=True)
        store.update(from_address(address, limits, clock, fresh=True), options, clock)
        return store.load(store.newest())
    past = expiry is not None and expiry < today
    return store.load(store.as_of(expiry) if past and expiry else store.newest())


def is_generated(hosts: "Hosts", clock: Clock) -> bool:
    """Whether the bars come from a generated market: the exchange on this machine says so itself.

    Raises:
        DhanfastError: it does not answer. BadData: what answers is no exchange of ours.
    """
    from dhanfast.brokers.download import Limits, Validators, download

    if not hosts.is_loopback:
        return False
    place = hosts.rest.removesuffix("/v2")
    got = download(f"{place}/exchange/status", Limits(total_s=10.0), Validators(), clock)
    try:
        said = msgspec.json.decode(got.data or b"", type=dict[str, Any])
        return bool(said["history_generated"])
    except (msgspec.DecodeError, ValueError, KeyError):
        raise BadData(f"{place}: no exchange of dhanfast answers there") from None


class Told:
    """Says on stderr how far a download is: one line that changes, or one now and then.

    Args:
        clock: of the pauses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ns = clock.now_ns()
        self._last_ns = 0
        self._wide = 0
        self._terminal = sys.stderr.isatty()

    def __call__(self, step: Step) -> None:
        """Take note of a step."""
        now_ns = self._clock.now_ns()
        if now_ns - self._start_ns < PATIENCE_NS:
            return
        if not self._terminal and now_ns - self._last_ns < TOLD_EVERY_NS:
            return
        self._last_ns = now_ns
        text = step_text(step, (now_ns - self._start_ns) / 1e9)
        if not self._terminal:
            click.echo(text, err=True)
            return
        click.echo("\r" + text.ljust(self._wide), err=True, nl=False)
        self._wide = len(text)

    def end(self) -> None:
        """Leave the line."""
        if self._wide:
            click.echo("", err=True)


def step_text(step: Step, seconds: float) -> str:
    """How far a download is, in one line of less than 80 columns."""
    left_s = seconds / step.done * (step.total - step.done) if step.done else 0.0
    left = f"{duration_text(left_s)} left" if step.done else ""
    tail = (f" {step.ask.first}  {step.done:,}/{step.total:,}  {count_text(step.rows)} bars  "
            f"{left}")  # fmt: skip
    room = WIDTH - 1 - len(tail)
    name = step.ask.line.name
    return (name if len(name) <= room else f"{name[: room - 3]}...") + tail
