"""Gathers the facts that the doctor judges: the account, the machine, the files.

`examine` is what `dhanfast doctor` shows and what `dhanfast trade --live` asks first.
"""

import asyncio
import contextlib
import datetime as dt
import importlib.util
import os
import resource
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast.app.broker_session import broker_hosts, open_rest
from dhanfast.app.config import Config
from dhanfast.app.config_folders import MODES
from dhanfast.clock import Clock
from dhanfast.engine import doctor
from dhanfast.engine.control import engines
from dhanfast.engine.doctor import BrokerFacts, Finding
from dhanfast.errors import CheckFailed, DhanfastError, NotAuthenticated
from dhanfast.market.calendar import Calendar, exchange_date

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.answers_account import IpState, Profile
    from dhanfast.brokers.dhan.rest import DhanRest

EXTRAS: Final = ("picows", "uvloop", "aiohttp", "cryptography", "keyring")
GOVERNOR: Final = "/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"


class RestProbe:
    """The broker's client as the doctor asks it.

    Args:
        rest: the client.
    """

    def __init__(self, rest: "DhanRest") -> None:
        self._rest = rest

    async def profile(self) -> "Profile":
        """The account."""
        return await self._rest.profile()

    async def ip(self) -> "IpState":
        """Addresses orders may come from."""
        return await self._rest.ip()

    async def funds(self) -> Any:
        """Money of the account."""
        return await self._rest.funds()

    async def probe(self) -> Mapping[str, str]:
        """The headers of a cheap answer."""
        from dhanfast.brokers.dhan.limits import CallClass

        return (await self._rest.raw("/profile", CallClass.OTHER)).headers


async def examine(
    config: Config | None, clock: Clock, *, live: bool, problem: str = "", root: Path
) -> list[Finding]:
    """Every check.

    Args:
        config: None when it could not be read: `problem` says why.
        clock: of the comparison with the broker's.
        live: what only orders need is checked as well.
        root: the user's folder.
    """
    found = [_configuration(config, problem), doctor.check_extras(missing_extras())]
    found += on_disk(root, clock)
    today = exchange_date(clock.now_ns())
    found.append(doctor.check_calendar(Calendar.load(), today))
    found.append(_instruments(root, today))
    found += machine(root, config.engine.pin_core if config else -1)
    if config is not None:
        found += await _account(config, clock, live)
    return found


def _configuration(config: Config | None, problem: str) -> Finding:
    """The configuration, and its strategy made once."""
    from dhanfast.strategies.plugins import LEGS, find_strategy

    if config is None or not config.tree.strategy:
        return doctor.check_config(problem, "")
    try:
        if config.strategy.use == LEGS:
            from dhanfast.app.live_legs import plan_of

            plan_of(config)
        else:
            find_strategy(config.strategy_place(), config.strategy.params)
    except DhanfastError as error:
        return doctor.check_config(str(error), "")
    return doctor.check_config("", config.strategy.name)


def missing_extras() -> list[str]:
    """Packages of live trading that are not installed."""
    return [name for name in EXTRAS if importlib.util.find_spec(name) is None]


def on_disk(root: Path, clock: Clock) -> list[Finding]:
    """Folders, files of secrets, engines that have crashed."""
    return [
        doctor.check_folders(root, MODES),
        doctor.check_secrets(secret_files(root)),
        doctor.check_crashed(engines(root / "run")),
    ]


def secret_files(root: Path) -> dict[Path, int]:
    """Files below the user's folder that hold secrets, with their modes."""
    found = {}
    places = [root / ".env", root / ".dhan_token.json"]
    if (root / "secrets").is_dir():
        with contextlib.suppress(PermissionError):  # the folder's own check says so
            places += sorted((root / "secrets").iterdir())
    for path in places:
        try:
            about = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode):
            found[path] = stat.S_IMODE(about.st_mode)
    return found


def _instruments(root: Path, today: dt.date) -> Finding:
    """The newest copy of the instrument list."""
    from dhanfast.storage.masters import MasterStore

    folder = root / "instruments"
    try:
        copies = MasterStore(folder).copies() if folder.is_dir() else ()
    except DhanfastError as error:
        return doctor.red("instruments", str(error), "run: dhanfast instruments update")
    return doctor.check_master(copies[-1].day if copies else "", today)


def machine(root: Path, pin_core: int) -> list[Finding]:
    """Disk, limits, cores."""
    journal = root / "journal"
    place = next(one for one in (journal, *journal.parents) if one.exists())
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    governor = Path(GOVERNOR.format(core=max(pin_core, 0)))
    try:
        clocked = governor.read_text().strip()
    except OSError:
        clocked = ""  # a virtual machine does not tell
    return [
        doctor.check_disk(shutil.disk_usage(place).free, journal),
        doctor.check_limits(files, locked),
        doctor.check_core(pin_core, frozenset(os.sched_getaffinity(0)), clocked),
    ]


async def _account(config: Config, clock: Clock, live: bool) -> list[Finding]:
    """What the broker says."""
    try:
        async with open_rest(config, clock) as rest:
            facts = await doctor.ask_broker(RestProbe(rest), clock, live=live)
            safety = await _safety(config, rest, facts) if live else []
    except NotAuthenticated as error:
        return [doctor.red("token", str(error), "run: dhanfast auth login")]
    except DhanfastError as error:
        return [doctor.red("broker", str(error), "correct it, then: dhanfast doctor")]
    return judged(facts, clock.now_ns(), live) + safety


async def _safety(config: Config, rest: "DhanRest", facts: BrokerFacts) -> list[Finding]:
    """What the broker itself would stop: kill switch, exit on profit or loss."""
    if isinstance(facts.profile, str):
        return []

    async def said(call: Any) -> Any:
        try:
            return await call()
        except DhanfastError as error:
            return str(error)

    capital = getattr(facts.funds, "available", 0)
    amounts = (config.risk.broker_loss_exit, config.risk.broker_profit_exit)
    loss, profit = (amount.paise_of(capital) for amount in amounts)
    return [
        doctor.check_kill_switch(await said(rest.kill_switch_is_on)),
        doctor.check_exit(await said(rest.pnl_exit), loss, profit),
    ]


def judged(facts: BrokerFacts, now_ns: int, live: bool) -> list[Finding]:
    """The checks of what the broker said."""
    found = [doctor.check_reach(facts)]
    if isinstance(facts.profile, str):
        return found
    calendar, today = Calendar.load(), exchange_date(now_ns)
    day = calendar.day(today) if calendar.covers(today) else None
    found += [
        doctor.check_skew(facts.skew_s),
        doctor.check_token(facts.profile.token_ends_ns, now_ns, day.close_ns if day else 0),
        doctor.check_data_plan(facts.profile.has_data, facts.profile.data_ends_ns, now_ns),
        doctor.check_latency(facts.latencies_ns),
    ]
    if live:
        found += [doctor.check_ip(facts.ip), doctor.check_funds(facts.funds)]
    return found


def require_ready(config: Config, clock: Clock) -> None:
    """Refuse real orders while the doctor finds anything red.

    An exchange on this machine takes no real orders: it is not examined.

    Raises:
        CheckFailed: something is red; the message names each with its remedy.
    """
    if broker_hosts(config).is_loopback:
        return
    found = asyncio.run(examine(config, clock, live=True, root=config.folders.root))
    reds = [one for one in found if one.level is doctor.Level.RED]
    if reds:
        listed = "".join(f"\n  {one.name}: {one.said}; {one.remedy}" for one in reds)
        raise CheckFailed(
            f"not ready for real orders:{listed}\n  all checks: dhanfast doctor --live"
        )


def repaired(config: Config | None, root: Path, findings: list[Finding]) -> list[str]:
    """Repair what is safe to repair: folders, modes; tells what was done.

    Raises:
        OSError: the system refuses.
    """
    wanted = {one.fix for one in findings if one.fix}
    done = []
    if "folders" in wanted:
        done += doctor.repair_folders(root, MODES)
    if "secrets" in wanted:
        done += doctor.repair_secrets(secret_files(root))
    if "instruments" in wanted:
        done.append(_updated(config, root))
    return done


def _updated(config: Config | None, root: Path) -> str:
    """Take today's instrument list, as `dhanfast instruments update` does."""
    from dhanfast.app.cli import run

    words = ["instruments", "update", "--folder", str(root / "instruments")]
    address = config.hosts().get("instruments") if config is not None else None
    if address:
        words += ["--from", f"{address}/api-scrip-master-detailed.csv"]
    code = run(words)
    return "instruments: updated" if code == 0 else f"instruments: not updated (exit {code})"
