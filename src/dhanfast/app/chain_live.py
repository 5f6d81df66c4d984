"""Showing a chain: once from a file, or from the broker, once or again and again, and kept.

    --live      the broker's chain, through the configuration
    --watch     again and again: in place on a terminal, page after page elsewhere, with --json one
                object a line. Ctrl-C, SIGTERM or a lost terminal end it with exit code 0.
    --keep      every snapshot goes into a chain file, too

What will be over by itself (no answer, a limit, an answer that is no chain) is told while a watch
goes on; what will not (no login, no permission, no such expiry) ends it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dhanfast.app.chain_options import Page, Render, chosen, page_lines, plain
from dhanfast.app.config_options import with_config_options
from dhanfast.app.edge import print_json
from dhanfast.clock import SystemClock
from dhanfast.errors import (
    BadData,
    ConfigError,
    DhanfastError,
    NotAuthenticated,
    OutOfCalendar,
    UsageError,
)

if TYPE_CHECKING:
    from dhanfast.app.chain_broker import BrokerChain, BrokerChains
    from dhanfast.app.config import Config
    from dhanfast.storage.chain_recorder import ChainRecorder

Command = TypeVar("Command", bound=Callable[..., Any])
EVERY_MIN_S: Final = 3.0  # the broker's limit of one chain
EVERY_MAX_S: Final = 3_600.0
EVERY_S: Final = 5.0
PAUSE_MAX_S: Final = 60.0  # while it says that it is too much
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# On a terminal: to its corner; the rest of the line away; what is below away.
HOME, LINE_END, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
LIVE_ONLY: Final = ("watch", "keep", "config_files", "sets")
WORDS: Final = {"config_files": "config", "sets": "set"}


def live_options(command: Command) -> Command:
    """The options of a chain that comes from the broker."""
    options = (
        click.option("--live", is_flag=True, help="Ask the broker, instead of FILE."),
        click.option("--watch", is_flag=False, flag_value=EVERY_S, metavar="[SECONDS]",
                     type=click.FloatRange(EVERY_MIN_S, EVERY_MAX_S),
                     help="With --live: again after so many seconds, until Ctrl-C "
                     f"[{EVERY_S:g} unless given, at least {EVERY_MIN_S:g}]."),
        click.option("--keep", metavar="FILE.parquet",
                     type=click.Path(dir_okay=False, path_type=Path),
                     help="With --live: append every snapshot to this file of chains."),
    )  # fmt: skip
    command = with_config_options(command)
    for option in reversed(options):
        command = option(command)
    return command


def refuse_live(given: dict[str, Any]) -> None:
    """Refuse what goes with --live alone.

    Raises:
        UsageError: one was given.
    """
    for name in LIVE_ONLY:
        if given[name]:
            raise UsageError(f"--{WORDS.get(name, name)} goes with --live")


def show(file: str | None, given: dict[str, Any], render: Render, *, far: bool = False) -> None:
    """Show a chain as the options say.

    Args:
        file: FILE, or None. render: makes a page of a chain.
        far: the chain of the next expiry is needed, too.

    Raises:
        UsageError: options that do not go together; no such chain. DhanfastError: see `chosen`, and
            what the broker or the disk says.
    """
    if not given["live"]:
        if file is None:
            raise UsageError("give FILE, a Parquet file of chains, or --live for the broker's")
        refuse_live(given)
        show_page(render(chosen(given, file)), as_json=given["as_json"])
        return
    if file is not None:
        raise UsageError("--live asks the broker: leave FILE out; --keep FILE.parquet keeps chains")
    if given["at"] is not None:
        raise UsageError("--at goes with FILE: the broker tells now only")
    _show_live(given, render, far=far)


def show_page(page: Page, *, as_json: bool) -> None:
    """Print a page, once."""
    if as_json:
        print_json(plain(page.told))
    else:
        click.echo("\n".join(page_lines(page)))


# ---- the broker ------------------------------------------------------------------------------


def _show_live(given: dict[str, Any], render: Render, *, far: bool) -> None:
    from dhanfast.app.chain_broker import BrokerChains, market_time
    from dhanfast.app.config import load_config
    from dhanfast.app.downloading import master_of
    from dhanfast.brokers.dhan.caller import CallSettings
    from dhanfast.brokers.dhan.history_lines import underlying_of

    config = load_config(given["config_files"], given["user_dir"], given["sets"], os.environ)
    from dhanfast.app.broker_session import broker_hosts, open_rest

    clock, hosts = SystemClock(), broker_hosts(config)
    settings = CallSettings(tries=1) if given["watch"] else None  # the watch tries again itself
    rest = open_rest(config, clock, settings=settings)
    found = underlying_of(master_of(config, hosts, clock, None), _name(given, config))
    time = market_time(config, hosts, clock)
    name = found.symbol if found.kind == "EQ" else found.underlying or found.symbol

    async def run() -> None:
        async with rest:
            chains = BrokerChains(rest, time, name, found.segment, found.security_id,
                                  given["expiry"], far=far)  # fmt: skip
            with _recorder(given, time.generated) as recorder:
                if given["watch"]:
                    screen = Screen(as_json=given["as_json"])
                    await _ended(Watch(chains, render, recorder, screen, given["watch"]).run())
                else:
                    chain = await chains.fetch()
                    page = render(chain)
                    _say(_kept(recorder, chain))
                    show_page(page, as_json=given["as_json"])

    asyncio.run(run())


def _name(given: dict[str, Any], config: "Config") -> str:
    """The underlying that is meant: by -u, else the strategy's."""
    name: str | None = given["underlying"]
    return (name if name is not None else config.strategy.underlying).strip().upper()


def _recorder(
    given: dict[str, Any], generated: bool
) -> "contextlib.AbstractContextManager[ChainRecorder | None]":
    from dhanfast.storage.chain_recorder import ChainRecorder

    if given["keep"] is None:
        return contextlib.nullcontext()
    return ChainRecorder(given["keep"], generated=generated)


def _kept(recorder: "ChainRecorder | None", chain: "BrokerChain") -> str:
    """Keep what there is to keep; why it was not kept, or nothing."""
    if recorder is None:
        return ""
    kept = chain.kept
    if not kept:
        return f"{recorder.path}: nothing is kept while the market is closed"
    if not recorder.append(*kept):
        return (f"{recorder.path}: holds chains that are not older than this one of "
                f"{chain.rows.time_text}, which is not kept")  # fmt: skip
    return ""


def _say(text: str) -> None:
    if text:
        click.echo(text, err=True)


async def _ended(work: Any) -> None:
    """Run until a signal says that it is enough."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    asked: list[int] = []

    def stop() -> None:
        asked.append(1)
        task.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not asked:
            raise
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


class Watch:
    """Asks, shows and keeps, again and again.

    Args:
        chains: whom it asks. render: makes a page. recorder: keeps chains, or None.
        screen: where pages go. every_s: seconds from one beginning to the next.
    """

    def __init__(
        self, chains: "BrokerChains", render: Render, recorder: "ChainRecorder | None",
        screen: "Screen", every_s: float,
    ) -> None:  # fmt: skip
        self._chains, self._render, self._recorder = chains, render, recorder
        self._screen, self._every_s = screen, every_s
        self._clock = SystemClock()
        self._failures = 0
        self._shown = False

    async def run(self) -> None:
        """Until it is cancelled.

        Raises:
            DhanfastError: what will not be over by itself.
        """
        while True:
            start_ns = self._clock.monotonic_ns()
            pause_s = await self._once()
            gone_s = (self._clock.monotonic_ns() - start_ns) / 1e9
            await self._clock.sleep(max(pause_s - gone_s, 0.0))

    async def _once(self) -> float:
        """One round; the seconds from its beginning to the next.

        Raises:
            DhanfastError: what will not be over by itself.
        """
        try:
            chain = await self._chains.fetch()
        except BadData as error:
            return self._troubled(error)
        except DhanfastError as error:
            if lasts(error):
                raise
            return self._troubled(error)
        self._failures = 0
        words = _kept(self._recorder, chain)  # before it is shown: what is seen is kept
        try:
            page = self._render(chain)
        except (BadData, UsageError, OutOfCalendar) as error:
            if not self._shown and not isinstance(error, BadData):
                raise
            self._screen.trouble(f"{error}{self._again(self._every_s)}")
            return self._every_s
        self._shown = True
        self._screen.show(page, self._status(words), words)
        return self._every_s

    def _troubled(self, error: DhanfastError) -> float:
        """Tell, and how long to wait: longer and longer where it was too much."""
        from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind

        self._failures += 1
        pause_s = self._every_s
        if isinstance(error, BrokerError) and error.kind is ErrorKind.RATE:
            grown_s = min(pause_s * 2.0 ** min(self._failures, 10), max(PAUSE_MAX_S, pause_s))
            pause_s = max(grown_s, float(error.retry_after_s))
        self._screen.trouble(f"{error}{self._again(pause_s)}")
        return pause_s

    @staticmethod
    def _again(pause_s: float) -> str:
        return f"; again after {pause_s:g} s"

    def _status(self, words: str) -> str:
        """The last line of a page on a terminal."""
        if words:
            return words
        kept = ""
        if self._recorder is not None:
            kept = f"; {self._recorder.kept:,} kept in {self._recorder.path}"
        return f"every {self._every_s:g} s{kept}; Ctrl-C ends"


def lasts(error: DhanfastError) -> bool:
    """Whether what went wrong stays wrong however often one asks."""
    from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind

    if isinstance(error, BrokerError):
        return error.kind in (ErrorKind.AUTH, ErrorKind.ACCESS, ErrorKind.ACCOUNT, ErrorKind.INPUT,
                              ErrorKind.ADDRESS)  # fmt: skip
    return isinstance(error, NotAuthenticated | UsageError | ConfigError | OutOfCalendar)


# ---- the terminal ----------------------------------------------------------------------------


class Screen:
    """Where the pages of a watch go.

    Args:
        as_json: one object a line.
        drawn: over each other on a terminal; what standard output is unless given.
    """

    def __init__(self, *, as_json: bool, drawn: bool | None = None) -> None:
        terminal = sys.stdout.isatty() if drawn is None else drawn
        self._as_json, self._drawn = as_json, terminal and not as_json
        self._lines: list[str] = []
        self._said = ""
        self._begun = False

    def show(self, page: Page, status: str, words: str = "") -> None:
        """A page.

        Args:
            status: its last line on a terminal. words: what to say beside it elsewhere.
        """
        if self._drawn:
            size = shutil.get_terminal_size()
            self._lines = fitted(page, size.lines - 2, size.columns)
            self._draw(status)
            return
        if words != self._said:
            _say(words)
            self._said = words
        if self._as_json:
            click.echo(json.dumps(plain(page.told), ensure_ascii=False, default=str))
        else:
            click.echo("\n".join([*page_lines(page), ""]))

    def trouble(self, text: str) -> None:
        """What went wrong: under the last page, or on standard error."""
        if self._drawn:
            self._draw(text)
        else:
            click.echo(f"error: {text}", err=True)

    def _draw(self, status: str) -> None:
        size = shutil.get_terminal_size()
        words = [status[at : at + size.columns] for at in range(0, len(status), size.columns)]
        lines = [*self._lines[: max(size.lines - len(words) - 1, 0)], *words]
        body = "".join(f"{line[: size.columns]}{LINE_END}\n" for line in lines)
        above = "" if self._begun else "\n" * size.lines  # what stood there scrolls away, unharmed
        self._begun = True
        click.echo(f"{above}{HOME}{body}{BELOW}", nl=False, color=True)


def fitted(page: Page, height: int, width: int) -> list[str]:
    """The lines of a page that fit: of the table those around its middle."""
    lines = [line for text in page_lines(Page(page.told, page.prose)) for line in text.split("\n")]
    if not page.table:
        return [line[:width] for line in lines[:height]]
    room = max(height - len(lines) - 1 - page.fixed, 0)
    rows = page.table[page.fixed :]
    first = min(max(page.middle - page.fixed - room // 2, 0), max(len(rows) - room, 0))
    shown = [*lines, "", *page.table[: page.fixed], *rows[first : first + room]]
    return [line[:width] for line in shown[: max(height, 0)]]
