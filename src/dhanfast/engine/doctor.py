"""Is everything ready to trade? Small checks over facts that somebody else has gathered.

green   as it should be
yellow  works, and somebody should look at it
red     trading must not begin
"""

import datetime as dt
import enum
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from dhanfast.clock import Clock
from dhanfast.engine.control import Found
from dhanfast.errors import DhanfastError, OutOfCalendar
from dhanfast.market.calendar import Calendar

NS_PER_S: Final = 1_000_000_000
MINUTE_NS: Final = 60 * NS_PER_S
MB: Final = 1_000_000
PROBES: Final = 15
SKEW_GREEN_S: Final = 1.5  # an HTTP date has whole seconds
SKEW_RED_S: Final = 5.0
TOKEN_YELLOW_MIN: Final = 60
MASTER_RED_DAYS: Final = 7
DISK_RED: Final = 500 * MB
DISK_YELLOW: Final = 2_000 * MB
FILES_RED: Final = 256
FILES_YELLOW: Final = 1_024
LOCKED_YELLOW: Final = 8 * MB
SLOW_YELLOW_MS: Final = 250.0
SLOW_RED_MS: Final = 1_000.0


class Level(enum.StrEnum):
    """How bad it is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Finding(msgspec.Struct, frozen=True):
    """What one check says.

    Attributes:
        name: of the check. said: what is so. remedy: what to do; empty when green.
        fix: name of a repair that is safe, see `repair`; empty when there is none.
    """

    name: str
    level: Level
    said: str
    remedy: str = ""
    fix: str = ""


def green(name: str, said: str) -> Finding:
    """As it should be."""
    return Finding(name, Level.GREEN, said)


def yellow(name: str, said: str, remedy: str, fix: str = "") -> Finding:
    """Somebody should look at it."""
    return Finding(name, Level.YELLOW, said, remedy, fix)


def red(name: str, said: str, remedy: str, fix: str = "") -> Finding:
    """Trading must not begin."""
    return Finding(name, Level.RED, said, remedy, fix)


# ---- the account and its broker ----------------------------------------------------------------


class DoctorBroker(Protocol):
    """What the doctor asks a broker."""

    async def profile(self) -> Any:
        """The account: `token_ends_ns`, `has_data`, `data_ends_ns`, `client_id`."""
        ...

    async def ip(self) -> Any:
        """Addresses orders may come from: `matches`, `orders_allowed`, `detected`, `primary`."""
        ...

    async def funds(self) -> Any:
        """Money: `available`, paise."""
        ...

    async def probe(self) -> Mapping[str, str]:
        """A cheap GET over a warm connection; the headers of its answer."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What the broker said; an answer that did not come is the text of its error.

    Attributes:
        latencies_ns: of each probe, the first one (a cold connection) left out.
        skew_s: its clock less ours; None when it did not tell.
    """

    profile: Any
    ip: Any
    funds: Any
    latencies_ns: tuple[int, ...]
    skew_s: float | None


async def ask_broker(
    broker: DoctorBroker, clock: Clock, *, live: bool, probes: int = PROBES
) -> BrokerFacts:
    """Ask everything once.

    Args:
        clock: compared with the broker's, and measures the probes.
        live: what only orders need is asked as well.
        probes: how many.
    """

    async def answer(call: Any) -> Any:
        try:
            return await call()
        except DhanfastError as error:
            return str(error)

    profile = await answer(broker.profile)
    taken: list[int] = []
    skew: float | None = None
    if not isinstance(profile, str):
        for _ in range(probes + 1):
            begun = clock.now_ns()
            headers = await answer(broker.probe)
            ended = clock.now_ns()
            if isinstance(headers, str):
                break
            taken.append(ended - begun)
            skew = skew_of(headers, (begun + ended) // 2)
    return BrokerFacts(
        profile=profile,
        ip=await answer(broker.ip) if live else None,
        funds=await answer(broker.funds) if live else None,
        latencies_ns=tuple(taken[1:]),
        skew_s=skew,
    )


def skew_of(headers: Mapping[str, str], now_ns: int) -> float | None:
    """The clock of an HTTP server less ours, seconds; None when it does not tell.

    Args:
        headers: of an answer. now_ns: our time in the middle of the exchange.
    """
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        said = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if said.tzinfo is None:
        said = said.replace(tzinfo=dt.UTC)
    return said.timestamp() + 0.5 - now_ns / NS_PER_S


def check_reach(facts: BrokerFacts) -> Finding:
    """The broker answers."""
    if isinstance(facts.profile, str):
        return red("broker", facts.profile, "look at the network, and log in: dhanfast auth login")
    return green("broker", f"answers for client id {facts.profile.client_id}")


def check_skew(skew_s: float | None) -> Finding:
    """This machine's clock against the broker's."""
    if skew_s is None:
        return yellow("clock", "the broker does not tell its time", "compare the clock by hand")
    said = f"{abs(skew_s):.1f} s {'behind' if skew_s > 0 else 'ahead of'} the broker"
    if abs(skew_s) <= SKEW_GREEN_S:
        return green("clock", f"within {SKEW_GREEN_S} s of the broker's")
    remedy = "switch time synchronisation on: timedatectl set-ntp true"
    return (red if abs(skew_s) > SKEW_RED_S else yellow)("clock", said, remedy)


def check_token(ends_ns: int | None, now_ns: int, needed_until_ns: int = 0) -> Finding:
    """The access token lives, and long enough.

    Args:
        ends_ns: None when there is none, 0 when it is not known.
        needed_until_ns: the end of today's market; 0 = not known.
    """
    if ends_ns is None:
        return red("token", "there is none that the broker takes", "run: dhanfast auth login")
    if not ends_ns:
        return yellow("token", "does not say when it ends", "look: dhanfast auth status")
    left = (ends_ns - now_ns) // MINUTE_NS if ends_ns > now_ns else -1
    if left < 0:
        return red("token", "has ended", "run: dhanfast auth login")
    said = f"{left // 60} h {left % 60} min left"
    if left < TOKEN_YELLOW_MIN or ends_ns < needed_until_ns:
        return yellow("token", said + ", less than the day", "run: dhanfast auth renew")
    return green("token", said)


def check_data_plan(has_data: bool, ends_ns: int, now_ns: int) -> Finding:
    """The market feed is paid for."""
    if not has_data or (ends_ns and ends_ns < now_ns):
        return red("data plan", "not active: no market feed",
                   "subscribe to Data APIs on the broker's site")  # fmt: skip
    if ends_ns and ends_ns - now_ns < 3 * 1440 * MINUTE_NS:
        return yellow("data plan", "ends within three days", "renew it on the broker's site")
    return green("data plan", "active")


def check_ip(state: Any) -> Finding:
    """Orders may come from this machine.

    Args:
        state: what the broker said of addresses, or the text of an error.
    """
    if isinstance(state, str):
        return red("address", f"cannot be asked: {state}", "try again; orders need a known address")
    if state.matches is False or state.orders_allowed is False:
        seen = f" ({state.detected})" if state.detected else ""
        return red("address", f"orders from this machine{seen} are refused; registered: "
                   f"{state.primary or 'none'}",
                   "register its address with the broker, or set broker.order_proxy")  # fmt: skip
    if not state.primary:
        return red("address", "none is registered, so orders are refused",
                   "register a static address with the broker")  # fmt: skip
    if state.matches is None and state.orders_allowed is None:
        return yellow("address", f"{state.primary} is registered; the broker does not say whether "
                      "this machine has it", "compare it with your address")  # fmt: skip
    return green("address", f"{state.detected or state.primary} is registered")


def check_funds(funds: Any, needed: int = 0) -> Finding:
    """There is money to trade with.

    Args:
        funds: what the broker said, or the text of an error.
        needed: paise that an entry takes, about; 0 = not known.
    """
    if isinstance(funds, str):
        return red("funds", f"cannot be read: {funds}", "try again")
    said = f"{funds.available / 100:,.2f} rupees available"
    if funds.available <= 0:
        return red("funds", said, "add funds, or trade on paper")
    if funds.available < needed:
        return yellow("funds", f"{said}, less than {needed / 100:,.0f}", "entries may be refused")
    return green("funds", said)


def check_kill_switch(said: Any) -> Finding:
    """The broker's kill switch is not thrown.

    Args:
        said: whether it is on, or the text of an error.
    """
    if isinstance(said, str):
        return yellow("kill switch", f"cannot be read: {said}", "look at the broker's site")
    if said:
        return red("kill switch", "on: the broker takes no orders today",
                   "take it back on the broker's site, or come back tomorrow")  # fmt: skip
    return green("kill switch", "off")


def check_exit(said: Any, loss: int, profit: int) -> Finding:
    """The broker's own exit on a profit or loss of the day, as it is now.

    Args:
        said: what the broker said of it, or the text of an error.
        loss, profit: paise that [risk] wants; 0 = none.
    """
    name, wanted = "P&L exit", bool(loss or profit)
    if isinstance(said, str):
        say = red if wanted else yellow
        return say(name, f"cannot be read: {said}", "try again; it is asked for at the start")
    if said.status.upper() != "ACTIVE":
        return green(name, "off; set at the start" if wanted else "off")
    told = f"on at loss {said.loss / 100:,.2f}, profit {said.profit / 100:,.2f}"
    for amount, there, key in (
        (loss, said.loss, "broker_loss_exit"), (profit, said.profit, "broker_profit_exit")
    ):  # fmt: skip
        if amount and amount != there:
            return yellow(name, told, f"the start sets what risk.{key} says: "
                          f"{amount / 100:,.2f}")  # fmt: skip
    if not wanted:
        return yellow(name, f"{told}, and [risk] wants none",
                      "it closes everything when reached: see the broker's site")  # fmt: skip
    return green(name, told)


def check_latency(latencies_ns: Sequence[int]) -> Finding:
    """How far away the broker is, in time."""
    if not latencies_ns:
        return red("latency", "the broker did not answer", "look at the network")
    ordered = sorted(latencies_ns)
    p50 = ordered[len(ordered) // 2] / 1e6
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] / 1e6
    said = f"p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, of {len(ordered)} over a warm connection"
    if p99 > SLOW_RED_MS:
        return red("latency", said, "look at the network; orders would be late")
    if p99 > SLOW_YELLOW_MS:
        return yellow("latency", said, "a machine in Mumbai is nearer")
    return green("latency", said)


# ---- the machine -------------------------------------------------------------------------------


def check_disk(free_bytes: int, folder: Path) -> Finding:
    """The journal has room: without it nothing is traded."""
    said = f"{free_bytes / 1e9:,.1f} GB free for {folder}"
    if free_bytes < DISK_RED:
        return red("disk", said, "free some space: the journal must never be full")
    if free_bytes < DISK_YELLOW:
        return yellow("disk", said, "free some space soon")
    return green("disk", said)


def check_limits(files: int, locked: int) -> Finding:
    """What the system allows this user: open files, and memory that is never swapped.

    Args:
        files, locked: soft limits of RLIMIT_NOFILE and RLIMIT_MEMLOCK; -1 = unlimited.
    """
    said = f"{'no limit' if files < 0 else f'{files:,}'} open files, " + (
        "no limit" if locked < 0 else f"{locked / 1e6:,.1f} MB"
    ) + " of locked memory"  # fmt: skip
    if 0 <= files < FILES_RED:
        return red("limits", said, "run: ulimit -n 4096")
    if 0 <= files < FILES_YELLOW:
        return yellow("limits", said, "run: ulimit -n 4096")
    if 0 <= locked < LOCKED_YELLOW:
        return yellow("limits", said, "run: ulimit -l 65536, as root for good in limits.conf")
    return green("limits", said)


def check_core(pin_core: int, cores: frozenset[int], governor: str) -> Finding:
    """The core the engine is bound to, and how it is clocked.

    Args:
        pin_core: -1 = not bound. cores: what this process may use.
        governor: of the frequency; empty when the system does not tell.
    """
    if pin_core >= 0 and pin_core not in cores:
        listed = ", ".join(map(str, sorted(cores)[:8]))
        return red("core", f"engine.pin_core is {pin_core}, and this process may use {listed}",
                   "set engine.pin_core to one of them, or to -1")  # fmt: skip
    said = f"bound to core {pin_core}" if pin_core >= 0 else "not bound to a core"
    if governor and governor != "performance":
        return yellow("core", f"{said}; frequency governor {governor}",
                      "run: cpupower frequency-set -g performance")  # fmt: skip
    if pin_core == 0:
        return yellow("core", f"{said}, which the system uses for itself", "choose another one")
    return green("core", said)


def check_extras(missing: Sequence[str]) -> Finding:
    """The packages that live trading needs."""
    if missing:
        return red("packages", f"missing: {', '.join(missing)}",
                   "run: pip install 'dhanfast[live]'")  # fmt: skip
    return green("packages", "all of dhanfast[live]")


# ---- what is on disk ---------------------------------------------------------------------------


def check_config(problem: str, strategy: str) -> Finding:
    """The configuration is read and its strategy can be made."""
    if problem:
        return red("configuration", problem, "correct it, then: dhanfast config validate")
    if not strategy:
        return red("configuration", "valid, and has no strategy",
                   'add [[strategy]], or preset = "scalper"')  # fmt: skip
    return green("configuration", f"valid; strategy {strategy}")


def check_master(day: str, today: dt.date) -> Finding:
    """The instrument list is today's.

    Args:
        day: of the newest copy, empty when there is none.
    """
    run = "run: dhanfast instruments update"
    if not day:
        return red("instruments", "there is no list of contracts", run, "instruments")
    age = (today - dt.date.fromisoformat(day)).days
    if age > MASTER_RED_DAYS:
        return red("instruments", f"of {day}, {age} days old", run, "instruments")
    if age > 0:
        return yellow("instruments", f"of {day}, not today's", run, "instruments")
    return green("instruments", f"of {day}")


def check_calendar(calendar: Calendar, today: dt.date) -> Finding:
    """The table of holidays knows today."""
    try:
        holiday = calendar.holiday(today)
        trading = calendar.is_trading_day(today)
    except OutOfCalendar as error:
        return red("calendar", str(error), "update dhanfast: its tables end before today")
    if not trading:
        return yellow("calendar", f"no trading today: {holiday or 'weekend'}", "come back")
    if calendar.confidence(today) not in "AB":
        return yellow("calendar", f"{today}: the holidays of this year are not certain",
                      "compare with the exchange's circular")  # fmt: skip
    return green("calendar", f"{today} is a trading day")


def check_crashed(found: Sequence[Found]) -> Finding:
    """No engine has ended without closing its day."""
    running = [one.run for one in found if one.pid]
    stale = [one.run for one in found if not one.pid]
    if stale:
        return yellow("engine", f"{', '.join(stale)} ended without closing",
                      "`dhanfast trade` goes on from its journal; look at its positions "
                      "first")  # fmt: skip
    return green("engine", f"running: {', '.join(running)}" if running else "none is running")


def check_folders(root: Path, modes: Mapping[str, int]) -> Finding:
    """The user's folders are there, and what is private is private.

    Args:
        root: the user's folder. modes: {name: mode} of what stands in it.
    """
    missing, loose, foreign = [], [], []
    for name, mode in modes.items():
        try:
            about = os.lstat(root / name)
        except FileNotFoundError:
            missing.append(name)
            continue
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
            foreign.append(name)
        elif mode == 0o700 and stat.S_IMODE(about.st_mode) & 0o077:
            loose.append(name)
    if foreign:
        return red("folders", f"{', '.join(foreign)} in {root}: not a folder of yours",
                   "look who made it, and move it away")  # fmt: skip
    if loose:
        return red("folders", f"others can look into {', '.join(loose)}",
                   f"run: chmod 700 {' '.join(str(root / name) for name in loose)}",
                   "folders")  # fmt: skip
    if missing:
        return yellow("folders", f"missing in {root}: {', '.join(missing)}",
                      "run: dhanfast init", "folders")  # fmt: skip
    return green("folders", f"{root}, private where they must be")


def check_secrets(files: Mapping[Path, int]) -> Finding:
    """Files that hold secrets are readable by their owner alone.

    Args:
        files: {path: mode}.
    """
    loose = [path for path, mode in files.items() if mode & 0o077]
    if loose:
        said = f"others can read {', '.join(map(str, loose))}"
        remedy = f"run: chmod 600 {' '.join(map(str, loose))}, and make new ones"
        return red("secrets", said, remedy, "secrets")
    return green("secrets", f"{len(files)} files, private" if files else "no file of secrets yet")


# ---- repairs -----------------------------------------------------------------------------------


def repair_folders(root: Path, modes: Mapping[str, int]) -> list[str]:
    """Make folders that are missing, and private ones private; tells what was done.

    Raises:
        OSError: the system refuses.
    """
    done = []
    root.mkdir(parents=True, exist_ok=True)
    for name, mode in modes.items():
        folder = root / name
        if folder.is_symlink():
            continue  # somebody else's: for a person to look at
        if not folder.exists():
            folder.mkdir(mode=mode)
            folder.chmod(mode)
            done.append(f"made {folder}")
        elif mode == 0o700 and folder.is_dir() and stat.S_IMODE(folder.lstat().st_mode) & 0o077:
            folder.chmod(mode)
            done.append(f"{folder}: mode 700")
    return done


def repair_secrets(files: Mapping[Path, int]) -> list[str]:
    """Take files of secrets away from others; tells what was done.

    Raises:
        OSError: the system refuses.
    """
    done = []
    for path, mode in files.items():
        if mode & 0o077:
            path.chmod(0o600)
            done.append(f"{path}: mode 600")
    return done


def worst(findings: Sequence[Finding]) -> Level:
    """The worst of all; green when there are none."""
    order = (Level.GREEN, Level.YELLOW, Level.RED)
    return max((one.level for one in findings), key=order.index, default=Level.GREEN)
