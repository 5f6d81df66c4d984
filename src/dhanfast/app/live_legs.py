"""A structure of options as the engine trades it: the day's contracts around index or stock."""

import difflib
import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.live.journal import Journal
from dhanfast.app.config import DEFAULT, Config
from dhanfast.app.legs_file import read_plan
from dhanfast.app.live_build import ITS_MISUSE
from dhanfast.app.live_market import Market
from dhanfast.app.live_one import begun_source, limits_of, started_file, watch_of
from dhanfast.app.live_traded import Compared
from dhanfast.clock import Clock
from dhanfast.engine.hedge_prices import FUT, future_session
from dhanfast.engine.hedge_settings import FUTURE
from dhanfast.engine.leg_risk import guards_of_legs, with_history
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_size import checked_leg_sizing
from dhanfast.engine.leg_universe import Slot, Universe, universe_of
from dhanfast.engine.legs import checked_legs
from dhanfast.engine.legs_chain import sessions_of
from dhanfast.engine.legs_live import LegsRun, check_live_plan
from dhanfast.engine.margin_asker import MarginAsker
from dhanfast.engine.seat import Misuse
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.stock_terms import StockList, Terms, filled, marked
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.calendar import Calendar
from dhanfast.market.optionsessions import (
    is_index,
    option_expiries,
    option_segment,
    option_sessions,
)
from dhanfast.strategies.plugins import LEGS
from dhanfast.strategies.shelf import lookup

if TYPE_CHECKING:
    import datetime as dt

    from numpy.typing import NDArray

    from dhanfast.app.config_fields import Strategy
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.market.master import Contract, Master

STOCK_SEGMENT: Final = "NSE_FNO"
EQUITY: Final = "NSE_EQ"
USUAL_SERIES: Final = "EQ"
NAME_MAX: Final = 32
PRESET: Final = "preset "  # how the source of a preset's values begins
LOOK_S: Final = 1.0  # between two looks at an index that has no price yet
BESIDE: Final = {
    "timeframe": "the seconds of the market",
    "lots": "lots of each leg",
    "on_opposite": "exit in the legs file",
}  # keys of [[strategy]] that a legs file says itself
_LOG: Final = logging.getLogger("dhanfast.trade")


def legs_place(config: Config, text: str) -> str:
    """The legs file that a person means: a path, or a name of `dhanfast strategies`.

    Raises:
        UsageError: two of the user's own strategies have the same name.
    """
    found = lookup(text, config.folders.strategies)
    return found.place if found is not None and found.legs else text


def with_legs(config: Config, path: str, params: Mapping[str, Any] | None = None) -> Config:
    """The configuration with a legs file in the place of its strategy.

    What is done about a strategy that misbehaves is kept: the legs may follow one.

    Args:
        path: of the file. params: values of its parameters.
    Raises:
        ConfigError: the file cannot be read. UsageError: it has no such parameter.
    """
    from dhanfast.app.config_fields import Strategy

    place, values = Path(path).absolute(), dict(params or {})
    before = config.tree.strategy[0] if config.tree.strategy else None
    misuse = {} if before is None else {key: getattr(before, key) for key in ITS_MISUSE}
    plan = read_plan(place, values)
    strategy = Strategy(
        name=_as_name(plan.name), use=LEGS, legs=str(place), underlying=plan.underlying,
        params=values, **misuse,
    )  # fmt: skip
    kept = tuple(f"strategy.{key}" for key in ITS_MISUSE)
    sources = {key: one for key, one in config.sources.items()
               if key in kept or not key.startswith("strategy.")}  # fmt: skip
    told = dict.fromkeys(("strategy.legs", *(["strategy.params"] if values else [])), "--legs")
    tree = msgspec.structs.replace(config.tree, strategy=(strategy,))
    return replace(config, tree=tree, sources=sources | told)


def _as_name(text: str) -> str:
    """A structure's name as a configuration may have it: "short straddle" is short-straddle."""
    from dhanfast.app.config_fields import NAME

    found = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:NAME_MAX]
    return found if re.fullmatch(NAME, found) else LEGS


def plan_of(config: Config) -> StructurePlan:
    """The structure that the configuration names, if it can be traded live with its settings.

    Raises:
        ConfigError: it cannot; the message names file or key.
    """
    strategy = config.strategy
    if not strategy.legs:
        raise ConfigError(
            'strategy.use is "legs", and strategy.legs names no file: write legs = "FILE.toml", or '
            "dhanfast trade --legs FILE.toml"
        )
    path = config.folders.root / strategy.legs
    if not path.is_file() and Path(strategy.legs).is_file():
        path = Path(strategy.legs)  # as a strategy's file: the user's folder first
    own = any(
        key.startswith("strategy.params") and _was_set(config, key.removeprefix("strategy."))
        for key in config.sources
    )
    plan = read_plan(path, strategy.params if own else {})
    _refuse_beside(config, strategy, plan)
    _check_hours(config, plan, path)
    if config.feed.mode != "full":
        raise ConfigError(
            f"{config.source('feed.mode')}: feed.mode: {config.feed.mode} has no bid and no ask, "
            "and options are traded at them: write full"
        )
    sizing = settings(config, None).sizing
    try:
        checked_leg_sizing(sizing, plan)
        check_live_plan(marked(plan))
        return plan
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _refuse_beside(config: Config, strategy: "Strategy", plan: StructurePlan) -> None:
    """Refuse keys of [[strategy]] that do nothing, or say something else than the file."""
    for key, instead in BESIDE.items():
        if _was_set(config, key):
            raise ConfigError(
                f"{config.source(f'strategy.{key}')}: strategy.{key}: a legs file does not follow "
                f"it; it has {instead}"
            )
    if _was_set(config, "underlying") and strategy.underlying != plan.underlying:
        raise ConfigError(
            f"{config.source('strategy.underlying')}: strategy.underlying: {strategy.underlying} "
            f"is not what the legs file trades, {plan.underlying}: leave it out"
        )


def _was_set(config: Config, key: str) -> bool:
    """Whether somebody has set a key of [[strategy]]; a preset's are of the preset's strategy."""
    return not config.source(f"strategy.{key}").startswith((DEFAULT, PRESET))


def _check_hours(config: Config, plan: StructurePlan, path: Path) -> None:
    """Refuse times of the file that lie outside those that [risk] was told to keep."""
    risk = config.risk
    for key, limit, name, time in (
        ("entry_from", risk.entry_from.time, "entry", plan.entry),
        ("entry_until", risk.entry_until.time, "late", plan.until),
        ("flat_by", risk.flat_by.time, "exit", plan.exit),
    ):
        if f"risk.{key}" not in config.sources or limit is None or time is None:
            continue
        if time < limit if key == "entry_from" else time > limit:
            raise ConfigError(
                f"{path}: {name}: {time:%H:%M} lies outside risk.{key} {limit:%H:%M} (from "
                f"{config.source(f'risk.{key}')}): change one of them"
            )


def settings(config: Config, capital: int | None) -> Settings:
    """What a structure takes of the settings.

    Args:
        capital: of the account, paise; None: the paper account's.
    Raises:
        ConfigError: a setting of a single instrument is on.
    """
    found = replace(config.settings(capital), timeframe_ns=0)
    return checked_legs(found if _was_set(config, "lots") else replace(found, lots=1))


class Structure:
    """An option structure; a `live_traded.Traded`.

    Args:
        config: the settings. master: the broker's list. market: its day.
    Raises:
        BadData: the list has no such index or stock. ConfigError: see `plan_of`.
    """

    def __init__(self, config: Config, master: "Master", market: Market) -> None:
        self._config, self._master, self._market = config, master, market
        self.watch: CallWatch | None = None
        self._plan = self._said = plan_of(config)
        self._stock: StockList | None = None
        if is_index(self._plan.underlying):
            self._segment = option_segment(self._plan.underlying, self._plan.lot)[0]
            self.contract: Contract = index_of(master, self._plan.underlying)
        else:
            self._segment = STOCK_SEGMENT
            self.contract = stock_of(master, self._plan.underlying)
            self._stock = stock_list(master, self._plan.underlying, market.day)
        self._universe: Universe | None = None
        self._contracts: list[Contract] = []
        hours = Calendar.load().day(market.day, self._segment)
        if hours is None:
            raise BadData(f"{market.day} is no trading day of {self._segment}")
        self._hours = hours

    @property
    def universe(self) -> Universe:
        """The day's contracts, once it has begun."""
        assert self._universe is not None, "begin() comes first"
        return self._universe

    @property
    def watched(self) -> Sequence["Contract"]:
        """The index, and the day's contracts in the order of the universe."""
        return [self.contract, *self._contracts]

    @property
    def names(self) -> Mapping[int, str]:
        """Names by number: the index is 0."""
        found = {0: self._plan.underlying}
        for number, one in enumerate(self._contracts, 1):
            if one.kind == FUT:
                found[number] = f"{self._plan.underlying} {one.expiry} {FUT}"
                continue
            rupees = f"{one.strike / 100:.2f}".removesuffix(".00")
            found[number] = f"{self._plan.underlying} {one.expiry} {rupees} {one.kind}"
        return found

    @property
    def words(self) -> list[Any]:
        """The index or stock, the rules of each expiry's contracts, and the whole file."""
        rules = [[int(row["contract"]), int(row["lot"]), int(row["tick"])] for row in self._rows()]
        if self._plan.hedge is not None and self._plan.hedge.instrument == FUTURE:
            row = future_session(self._plan.underlying, self._hours)[0]
            rules.append([int(row["contract"]), int(row["lot"]), int(row["tick"])])
        return [self.contract.segment, self.contract.security_id, rules, self._plan.source]

    def _rows(self) -> "NDArray[Any]":
        """How contracts of each expiry trade: by dated tables, of a stock by the day's record."""
        if self._stock is not None:
            return sessions_of(self.universe, self._hours)
        names = option_expiries(self._plan.underlying, self._market.day)
        dates = sorted({names[name] for name in self._plan.expiries})
        return option_sessions(self._plan.underlying, self._hours, dates)

    async def begin(self, found: Mapping[str, Any] | None, rest: "DhanRest") -> None:
        """Choose the day's contracts around the level, or take those that it was begun with.

        Raises:
            BadData: an expiry or a strike is not listed; of a stock, another lot than the file's.
            ConfigError: a leg reaches too far from the money.
            DhanfastError: the broker could not be asked for the index's price.
        """
        if found is not None and "universe" in found:
            self._universe = Universe.of_dict(found["universe"])
        else:
            level = await self._level(rest)
            self._universe = universe_of(
                self._said, self._market.day, level, self._listed, self._stock
            )  # fmt: skip
        self._plan = filled(self._said, self._universe)
        self._universe.places(self._plan, self._market.day)
        self._contracts = [
            self._listed_contract(*wanted) for wanted in self._universe.contracts()
        ]  # fmt: skip

    async def _level(self, rest: "DhanRest") -> int:
        """The last price of index or stock; waited for when there is none yet."""
        key = (self.contract.segment, self.contract.security_id)
        told = False
        while self._market.now_ns() < self._market.ends_ns:
            seen = (await rest.ltp({key[0]: [key[1]]})).get(key)
            if seen is not None and seen.last > 0:
                return int(seen.last)
            if not told:
                _LOG.info("%s has no price yet: waiting for its first", self._plan.underlying)
                told = True
            await self._market.clock.sleep(LOOK_S)
        raise BadData(f"{self._plan.underlying} had no price until the market's close")

    def _listed(self, expiry: "dt.date") -> Any:
        """Strikes that have a call and a put, paise, rising."""
        calls, puts = (
            self._master.strikes(self._plan.underlying, expiry, segment=self._segment, right=right)
            for right in ("CE", "PE")
        )
        return np.intersect1d(calls, puts)

    def _listed_contract(self, expiry: "dt.date", strike: int, right: str) -> "Contract":
        """One contract of the broker's list.

        Raises:
            UsageError: it is not there, or twice.
        """
        if right == FUT:
            return self._master.one(
                self._plan.underlying, segment=self._segment, expiry=expiry, kind=FUT
            )  # fmt: skip
        return self._master.one(
            self._plan.underlying, segment=self._segment, expiry=expiry, strike=strike, right=right
        )

    def started(self) -> dict[str, Any]:
        """The day's contracts: a restart must number them alike; and the file that is followed."""
        return {"universe": self.universe.as_dict(), **started_file(self._config)}

    def settings(self, start: dict[str, Any], mode: str) -> Settings:
        """What the day's engine takes: capital as it was at the day's start."""
        history = start.get("history")
        known = None if history is None else history["known"]
        found = with_history(settings(self._config, start["capital"]), known)
        # Live fills are real: there is nothing to simulate.
        return replace(found, slippage=Slippage()) if mode == "live" else found

    def check(self, settings: Settings) -> None:
        """Whether dated tables and the broker's list agree on lot and tick of every contract.

        Of a stock no table has them: then all contracts of an expiry must agree with what the day
        was begun with, in the freeze quantity too.

        Raises:
            BadData: they differ: orders would be refused or too large.
        """
        rows = sessions_of(self.universe, self._hours)
        rules: dict[Any, tuple[Slot, Any]] = {
            slot.expiry: (slot, row) for slot, row in zip(self.universe.slots, rows, strict=True)
        }
        for contract in self._contracts:
            if contract.kind == FUT:
                row = future_session(self._plan.underlying, self._hours)[0]
            else:
                row = rules[contract.expiry][1]
            pairs = [
                ("lot", int(row["lot"]), contract.lot),
                ("tick in paise", int(row["tick"]), contract.tick),
            ]
            ours_are = f"in the dated tables for {self._market.day}"
            if self._stock is not None:
                pairs.append(("freeze quantity", int(row["freeze"]), contract.freeze or 0))
                ours_are = "what this day was begun with, as other contracts of its expiry have it"
            for name, ours, theirs in pairs:
                if ours != theirs:
                    raise BadData(
                        f"{contract.symbol}: {name} is {theirs} in the broker's list and {ours} "
                        f"{ours_are}: nothing is traded until they agree"
                    )

    def run(
        self, settings: Settings, journal: Journal, courier: Any, start: dict[str, Any],
        vix: int | None,
    ) -> LegsRun:  # fmt: skip
        """The day's run."""
        strategy = self._config.strategy
        if self._plan.signals:
            self.watch = watch_of(self._config)
        return LegsRun(
            self._plan, settings, self.universe, self._hours, journal,
            limits=None if courier is None else limits_of(self._config),
            courier=courier,
            sync_each=self._config.engine.journal_sync.ns == 0,
            generated=self._market.generated,
            notes=self._market.notes,
            guards=guards_of_legs(settings.guards, self._plan, carried=start.get("carried")),
            vix=vix is not None,
            misuse=Misuse(strategy.on_error, strategy.memory_limit.bytes),
            watch=self.watch,
            folder=self._config.folders.strategies,
            source=begun_source(start),
        )  # fmt: skip

    def ordered(self) -> dict[tuple[str, str], int]:
        """Every contract of the day; the index is not ordered."""
        return {
            (one.segment, str(one.security_id)): number
            for number, one in enumerate(self._contracts, 1)
        }

    def asker(self, run: LegsRun, rest: Any, clock: Clock) -> MarginAsker | None:
        """Asks the broker's margin calculator and the account's funds; None: nothing asks."""
        from dhanfast.brokers.dhan.basket import DhanBasket

        margin = self._config.settings().margin
        if run.judge is None or not margin.on:
            return None
        numbers = {number: key for key, number in self.ordered().items()}
        basket = DhanBasket(rest, numbers, self._config.broker.product)
        return MarginAsker(run.loop, run.judge, basket, clock, margin.answer_ns / 1e9)

    def compared(self, run: Any, rest: Any, clock: Clock, tag: str) -> Compared:
        """The broker's side of the account, contract by contract."""
        from dhanfast.brokers.dhan.account import DhanContracts
        from dhanfast.engine.legs_reconcile import LegsReconciler

        account = DhanContracts(
            rest,
            clock,
            tag=tag,
            instruments=self.ordered(),
            product=self._config.broker.product,
            ending=self._ending(),
        )
        delivery = None if self._stock is None else account.delivery
        return Compared(account, LegsReconciler(run, clock, account, delivery))

    def _ending(self) -> dict[tuple[str, str], str]:
        """Contracts of a stock that end today in delivery: (segment, security id) -> name."""
        if self._stock is None:
            return {}
        rows = self._master.pick(
            self._plan.underlying, segment=STOCK_SEGMENT, expiry=self._market.day
        )  # fmt: skip
        listed = [self._master.contract(int(row)) for row in rows]
        return {(one.segment, str(one.security_id)): one.symbol for one in listed}


def stock_of(master: "Master", underlying: str) -> "Contract":
    """A stock that has options, in the broker's list: the share that these are written on.

    Raises:
        BadData: there is no such stock, or it has no options.
    """
    rows = master.pick(underlying, segment=STOCK_SEGMENT, kind="CE")
    number = master.contract(int(rows[0])).underlying_id if len(rows) else None
    shares = [
        master.contract(int(row)) for row in master.pick(underlying, segment=EQUITY, kind="EQ")
    ]
    # A name may have several series of shares: the options say which; else it is the usual one.
    if number is not None:
        shares = [one for one in shares if one.security_id == number]
    elif len(shares) > 1:
        shares = [one for one in shares if one.series == USUAL_SERIES]
    if not len(rows) or len(shares) != 1:
        near = difflib.get_close_matches(underlying, list(master.underlyings), n=3)
        what = "options" if not len(rows) else f"one share ({EQUITY}) behind the options"
        raise BadData(
            f"underlying: {underlying!r} is no index, and the instrument list has no {what} of a "
            "stock of that name: "
            + (f"did you mean {', '.join(near)}? " if near and underlying not in near else "")
            + f"look for it: dhanfast instruments find {shlex.quote(underlying)}"
        )
    return shares[0]


def stock_list(master: "Master", underlying: str, day: "dt.date") -> StockList:
    """A stock's options as the broker lists them.

    Args:
        day: of the list.
    """

    def terms(expiry: "dt.date") -> Terms:
        rows = master.pick(underlying, segment=STOCK_SEGMENT, expiry=expiry, right="CE")
        one = master.contract(int(rows[0]))
        return Terms(one.lot, one.tick, one.freeze or 0)

    dates = master.expiries(underlying, segment=STOCK_SEGMENT, kind="CE")
    return StockList(f"the broker's list of {day}", dates, terms)


def index_of(master: "Master", underlying: str) -> "Contract":
    """An index in the broker's list.

    Raises:
        BadData: it is not there: a structure follows its level.
    """
    rows = master.pick(underlying, segment="IDX_I", kind="IDX")
    if not len(rows):
        raise BadData(
            f"the instrument list has no index {underlying} (IDX_I), and legs are chosen by its "
            f"level: look for it: dhanfast instruments find {underlying}"
        )
    return master.contract(int(rows[0]))
