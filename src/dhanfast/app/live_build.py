"""From configuration to a live engine: the composition root of `dhanfast trade`."""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.timing import LatencyHistogram
from dhanfast.app.broker_session import broker_hosts, token_source
from dhanfast.app.config import Config
from dhanfast.app.config_chain import Chain
from dhanfast.app.live_account import belt_of, belt_plan, live_account
from dhanfast.app.live_chain import chain_of
from dhanfast.app.live_feed import FeedRing, about_feed, live_feed, subscribed, vix_of
from dhanfast.app.live_market import Market, market_of, master_of
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.clock import Clock, SystemClock
from dhanfast.engine.account import LiveAccount
from dhanfast.engine.belt import Belt
from dhanfast.engine.kelly_history import HistoryKeeper, history_of_day, told
from dhanfast.engine.live import GRACE_NS, RunOrders
from dhanfast.engine.live_engine import KEPT, LiveEngine, LivePlan
from dhanfast.engine.live_view import LiveView
from dhanfast.engine.locks import LockFile, LockKeeper, opening
from dhanfast.engine.served import Recovered, ServedRun
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.sizing_settings import TradeHistory
from dhanfast.engine.swap_words import read_words
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.security.tokens import TokenSource
from dhanfast.strategies.plugins import LEGS, find_strategy

if TYPE_CHECKING:
    from dhanfast.app.live_traded import Traded
    from dhanfast.brokers.dhan.courier import DhanCourier
    from dhanfast.brokers.dhan.feed import DhanFeed
    from dhanfast.market.master import Contract, Master

DECIDING: Final = ("strategy", "risk", "simulation")
# What the broker does by itself: another belt goes on with the same journal.
NOT_DECIDING: Final = (
    "broker_loss_exit", "broker_profit_exit", "broker_exit_kill", "without_broker_exit",
)  # fmt: skip
# What is done about a strategy that misbehaves is said in the journal where it was done.
ITS_MISUSE: Final = ("on_error", "callback_limit", "memory_limit")
Records = Iterable[tuple[int, bytes]]  # (kind, payload), from the beginning at each look
CODE: Final = 2  # of the engine's decisions: a journal of another is not gone on with


@dataclass(frozen=True)
class Live:
    """A live engine and what belongs to it.

    Attributes:
        mode: paper or live. market: its time and day. contract: what is traded.
        recovered: what a journal of the same day brought back; None when the day is new.
        ring: what the feed is published to; None: nothing.
        names: of contracts by the number that orders have; None: all are `contract`.
        account: what it shares with other engines of the broker's account; None on paper.
    """

    engine: LiveEngine
    view: LiveView
    feed: "DhanFeed"
    mode: str
    market: Market
    contract: "Contract"
    recovered: Recovered | None
    ring: FeedRing | None
    names: Mapping[int, str] | None = None
    account: LiveAccount | None = None


@contextlib.asynccontextmanager
async def live_engine(config: Config, mode: str) -> AsyncIterator[Live]:
    """Everything built and connected to each other, nothing started; closed on leaving.

    Args:
        config: the settings. mode: paper or live.
    Raises:
        ConfigError, UsageError, NotAuthenticated, BadData: what is missing or does not fit.
    """
    from dhanfast.brokers.dhan.rest import DhanRest

    clock, hosts = SystemClock(), broker_hosts(config)
    market = await market_of(config, clock)
    master = master_of(hosts, config.folders, market, clock)
    traded = traded_of(config, master, market)
    vix = [vix_of(master)] if config.settings().guards.needs_vix else []
    subscribed(config, master, traded.contract, vix)  # what is wrong is said before a day begins
    async with contextlib.AsyncExitStack() as stack:
        tokens = _tokens(config, clock, stack)
        client = DhanRest(hosts, tokens, clock, order_proxy=config.order_proxy())
        rest = await stack.enter_async_context(client)
        capital = (await rest.funds()).available if mode == "live" else None
        path = journal_path(config, mode, market)
        old = Past(path)
        await traded.begin(begun_with(old), rest)
        start = _started(old, capital, config, market, mode)
        start |= {} if _has_begun(old) else traded.started()
        settings = traded.settings(start, mode)
        traded.check(settings)
        real, notes, plan = mode == "live", _notes(old), belt_plan(config, start["capital"])
        account = live_account(config, hosts, traded, plan, stack) if real else None
        journal = _journal(config, mode, market, traded.words, path, old)
        stack.callback(journal.close)
        courier = _courier(config, hosts, tokens, clock, journal, traded) if real else None
        carried = subscribed(config, master, traded.contract, (*traded.watched[1:], *vix))
        run = traded.run(settings, journal, courier, start, carried.index(vix[0]) if vix else None)
        stack.enter_context(traded.watch or contextlib.nullcontext())
        if courier is not None:
            courier.on_update = run.loop.use_update
            rest.limits.share(RunOrders(run, clock))  # one account, one budget
        if account is not None and run.remote is not None:
            run.remote.share(account.budget)
        run.loop.latency = LatencyHistogram()
        run.loop.set_market(market.wall_ns, market.market_ns, market.speed)
        recovered = _recover(run, old, journal, start, clock, market)
        ring = _ring(config, carried, market, stack)
        feed = live_feed(config, hosts, tokens, clock, run.loop, market, carried, rest, ring)
        engine = _engine(
            config, run, clock, feed, rest=rest if real else None, tokens=tokens, hosts=hosts,
            traded=traded, market=market, courier=courier, holds=_operator_holds(notes),
            belt=belt_of(plan, rest, clock, notes, account), mode=mode, start=start,
        )  # fmt: skip
        engine.chain = chain_of(config, run, master, rest, market)
        view = _view(config, engine, mode, traded, settings, account)
        yield Live(engine, view, feed, mode, market, traded.contract, recovered, ring,
                   traded.names, account)  # fmt: skip


def _tokens(config: Config, clock: Clock, stack: contextlib.AsyncExitStack) -> TokenSource:
    """The access token, which this engine renews when nobody else does."""
    from dhanfast.brokers.dhan.web import AioWeb
    from dhanfast.security.owner import TokenOwner

    web = AioWeb()
    stack.push_async_callback(web.close)
    owner = TokenOwner(config.folders.secrets / "owner.lock", f"engine {config.engine.run}", clock)
    return token_source(config, clock, web, owner=owner)


def _ring(
    config: Config, carried: Sequence["Contract"], market: Market, stack: contextlib.AsyncExitStack
) -> FeedRing | None:
    """What the feed is published to, closed with the engine; None: nothing."""
    if not config.feed.ring:
        return None
    ring = FeedRing(config.feed.ring, about_feed(carried, market))
    stack.callback(ring.close)
    return ring


def traded_of(config: Config, master: "Master", market: Market) -> "Traded":
    """What the configuration trades.

    Raises:
        BadData, UsageError, ConfigError: the broker's list does not have it, or the file that
            describes it cannot be traded.
    """
    if config.strategy.use == LEGS:
        from dhanfast.app.live_legs import Structure

        return Structure(config, master, market)
    from dhanfast.app.live_one import OneFuture

    return OneFuture(config, master, market)


def _settings(config: Config, capital: int) -> Settings:
    """What the engine takes.

    Raises:
        ConfigError: a position would be carried over night.
    """
    settings = config.settings(capital)
    if settings.square_off is None:
        raise ConfigError(
            "risk.flat_by is none: a position that is carried over night is not known to the next "
            "day's engine, so nothing is carried; set a time"
        )
    return settings


def settings_of_day(
    config: Config, start: dict[str, Any], mode: str, *, generated: bool = False
) -> Settings:
    """What a day's engine takes, by the configuration and what the day was started with.

    Raises:
        ConfigError: it cannot be traded with.
    """
    settings = _settings(config, start["capital"])
    if start["history"] is not None:
        known = TradeHistory(**start["history"]["known"])
        settings = replace(settings, sizing=replace(settings.sizing, history=known))
    return _slippage(config, settings, start, mode, generated=generated)


def _slippage(
    config: Config, settings: Settings, start: dict[str, Any], mode: str, *, generated: bool
) -> Settings:
    """A measured slippage is looked up once a day: a restart goes on with the same.

    Raises:
        ConfigError: it is to be measured, and there are too few fills.
    """
    if not settings.slippage.sessions:
        return settings
    if mode == "live":  # the fills are real: there is nothing to simulate
        return replace(settings, slippage=Slippage())
    if "slippage" not in start:
        from dhanfast.engine.measured import with_measured
        from dhanfast.storage.slippage import SlippageStore

        settings = with_measured(
            settings,
            config.strategy.underlying,
            generated=generated,
            ticks=True,
            store=SlippageStore(config.folders.slippage),
        )
        start["slippage"] = settings.slippage.as_dict()
    return replace(settings, slippage=Slippage.of_dict(start["slippage"]))


# ---- the journal of the day ----------------------------------------------------------------------


def contract_words(contract: "Contract") -> list[Any]:
    """What decisions depend on of a contract."""
    return [contract.segment, contract.security_id, contract.lot, contract.tick]


def strategy_file(config: Config) -> Path | None:
    """The file of the configuration's strategy, or of the one that its legs follow; None: it has a
    name that is none of a file."""
    place = config.strategy_place()
    if config.strategy.use == LEGS:
        from dhanfast.app.live_legs import plan_of

        place = plan_of(config).signals
    path = Path(place.partition(":")[0])
    return path if path.suffix == ".py" and path.is_file() else None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def deciding_digest(config: Config, mode: str, contract: list[Any], file: str = "") -> bytes:
    """SHA-256 of everything that decisions depend on: only the same goes on with a journal.

    Args:
        contract: see `contract_words`. file: SHA-256 of the strategy's file, where it is not what
            the file says now that decides.
    """
    plain = config.as_dict()
    parts: dict[str, Any] = {name: plain[name] for name in DECIDING}
    # A legs file decides by what it says, which is with the contract, not by where it is.
    parts["strategy"] = [
        {key: told for key, told in one.items() if key not in ("legs", *ITS_MISUSE)}
        for one in plain["strategy"]
    ]
    parts["risk"] = {key: told for key, told in plain["risk"].items() if key not in NOT_DECIDING}
    parts |= {"mode": mode, "code": CODE, "product": config.broker.product}
    if plain["execution"]["algo"] != "none":
        parts["execution"] = config.settings().execution.as_dict()
    if config.tree.execution.route.stop_room.e4:  # of stops, with or without an algorithm
        parts["stop_room"] = config.tree.execution.route.stop_room.e4
    path = strategy_file(config)
    if file:
        parts["strategy_file"] = file
    elif path is not None:
        parts["strategy_file"] = file_sha256(path)
    if config.chain != Chain():
        parts["chain"] = {name: plain["chain"][name] for name in ("expiry", "near", "max_age")}
    parts |= {"contract": contract}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).digest()


def journal_path(config: Config, mode: str, market: Market) -> Path:
    """Where the day's journal is, or will be; its folder is made."""
    folder = config.folders.journal
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{market.day:%Y%m%d}-{config.engine.run}-{mode}.dfj"


class Past:
    """What a journal holds now: (kind, payload), read anew by each look and never held together.

    A day of a whole chain is millions of records. What is written from now on is not of it.

    Args:
        path: of the journal; there need not be one.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        if path.exists() and path.stat().st_size:
            with JournalReader(str(path)) as reader:
                self._count = reader.skim()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        if not self._count:
            return
        with JournalReader(str(self._path)) as reader:
            for kind, _, _, payload in itertools.islice(reader, self._count):
                yield kind, bytes(payload)


def first_file(config: Config, old: Records) -> str:
    """SHA-256 of the file that the day's first strategy was made of; "": as the file is now.

    A file may have changed since, and taken over by a swap: the day is repeated with what the
    journal has of it. But what it says now must be something that has decided today: nobody shall
    believe that another text decides.

    Raises:
        ConfigError: the file of a swap says now what never decided.
    """
    known: dict[str, set[str]] = {}
    begun, last = "", None
    first = strategy_file(config)
    for kind, payload in old:
        if kind == Kind.START:
            begun = str((json.loads(payload).get("strategy") or {}).get("sha256", ""))
            known.setdefault(str(first), set()).add(begun)
        elif kind == Kind.STRATEGY:
            told = read_words(payload[16:])
            if told["op"] == "swap" and told["place"].partition(":")[0].endswith(".py"):
                last = told["place"].partition(":")[0]
                known.setdefault(last, set()).add(told["sha256"])
    if last is not None:
        path = Path(last)
        if not path.is_file() or file_sha256(path) not in known[last]:
            raise ConfigError(
                f"{path} was swapped in today and has changed since, or is gone: put back what "
                "decided, or give this engine another name (engine.run)"
            )
    if first is not None and begun and file_sha256(first) in known[str(first)]:
        return begun
    return ""


def _has_begun(records: Records) -> bool:
    return any(kind == Kind.START for kind, _ in records)


def _journal(
    config: Config, mode: str, market: Market, words: list[Any], path: Path, old: Records
) -> Journal:
    """The day's journal, open for writing.

    Args:
        words: what decisions depend on of what is traded. old: what it holds.
    Raises:
        ConfigError: it was written with other words, another strategy or other settings.
    """
    digest = deciding_digest(config, mode, words, first_file(config, old))
    sync = config.engine.journal_sync
    if path.exists() and path.stat().st_size:
        journal = Journal(str(path), sync_ns=sync.ns or 50_000_000)
        if journal.header.config_digest != digest:
            journal.close()
            raise ConfigError(
                f"{path} was written today with another strategy, other risk settings or another "
                "contract: go on with those, or give this engine another name (engine.run)"
            )
        return journal
    if config.strategy.use != LEGS:  # what cannot be made leaves no journal behind
        find_strategy(config.strategy_place(), config.strategy.params)
    header = JournalHeader(
        epoch=int.from_bytes(os.urandom(4), "little") | 1,
        date=int(f"{market.day:%Y%m%d}"),
        run=config.engine.run,
        config_digest=digest,
        created_ns=market.wall_ns,
        text=json.dumps({"mode": mode, "config": config.as_dict(), "contract": words}, default=str),
    )
    return Journal(str(path), header, sync_ns=sync.ns or 50_000_000)


def _started(
    old: Records, capital: int | None, config: Config, market: Market, mode: str
) -> dict[str, Any]:
    """What the day was started with; the first start decides.

    Raises:
        BadData: what an earlier day left is damaged.
    """
    found = begun_with(old)
    if found is not None:
        return found
    begun = config.simulation.capital.paise if capital is None else capital
    settings = config.settings(begun)
    guards = settings.guards
    carried = None
    if guards.any_on:
        from dhanfast.app.live_settle import left_over

        carried = opening(guards, left_over(config, mode, market.day), market.day)
    return {
        "capital": begun,
        "grace_ns": round(GRACE_NS * market.speed),  # late ticks are late by the machine's clock
        "carried": carried,
        "history": _history(config, settings, mode, market),
    }


def _history(
    config: Config, settings: Settings, mode: str, market: Market
) -> dict[str, Any] | None:
    """The trades that Kelly sizing begins the day with; None: it is not asked."""
    if settings.sizing.method != "kelly":
        return None
    strategy, base = config.strategy, settings.sizing.history
    # Every structure is "legs": its name tells it from others.
    of = (f"{LEGS} {strategy.name}" if strategy.use == LEGS else strategy.use, strategy.underlying)
    folder, name = config.folders.journal, config.engine.run
    return told(history_of_day(folder, name, mode, market.day, base, of), base, of)


def begun_with(records: Records) -> dict[str, Any] | None:
    """What a journal says its day was started with; None: it has not begun."""
    for kind, payload in records:
        if kind == Kind.START:
            found: dict[str, Any] = json.loads(payload)
            return {"grace_ns": GRACE_NS, "carried": None, "history": None} | found
    return None


def _notes(old: Records) -> list[dict[str, Any]]:
    """The notes of a journal, in order."""
    found = []
    for kind, payload in old:
        if kind == Kind.NOTE:
            with contextlib.suppress(ValueError):
                found.append(json.loads(payload))
    return found


def _operator_holds(notes: list[dict[str, Any]]) -> tuple[str, ...]:
    """What an operator had said when the journal ended: a pause, a panic."""
    held = [note["holds"] for note in notes if "holds" in note]
    return tuple(reason for reason in KEPT if reason in held[-1]) if held else ()


def _recover(
    run: ServedRun,
    old: Records,
    journal: Journal,
    start: dict[str, Any],
    clock: Clock,
    market: Market,
) -> Recovered | None:
    if not _has_begun(old):
        words = json.dumps(start).encode()
        journal.append_record(Kind.START, words, clock.now_ns(), vital=True)
        return None
    journal.append_record(Kind.RESUME, b"{}", clock.now_ns(), vital=True)
    recovered = run.recover(old, clock.now_ns())
    now_ns = clock.now_ns()
    ahead_ns = run.loop.market_time(now_ns) - market.at(now_ns)
    if ahead_ns > 60_000_000_000:
        raise BadData(
            f"the journal of this day ends {ahead_ns // 10**9} s after the market's time now: the "
            "exchange was started again at an earlier time; give this engine another name "
            "(engine.run) or remove the journal"
        )
    return recovered


# ---- the parts ----------------------------------------------------------------------------------


def _courier(
    config: Config, hosts: Hosts, tokens: TokenSource, clock: Clock, journal: Journal,
    traded: "Traded",
) -> "DhanCourier":  # fmt: skip
    """The connections that orders leave by."""
    from dhanfast.brokers.dhan.courier import CourierSettings, DhanCourier

    # A request's number is a place in this list: what is watched, in the feed's order.
    table = [
        (each.segment, str(each.security_id), config.broker.product) for each in traded.watched
    ]
    settings = CourierSettings(connections=config.engine.warm_orders, proxy=config.order_proxy())
    return DhanCourier(hosts, tokens, clock, tag=journal.tag, instruments=table, settings=settings)


def _engine(
    config: Config, run: ServedRun, clock: Clock, feed: "DhanFeed", *, rest: Any,
    tokens: TokenSource, hosts: Hosts, traded: "Traded", market: Market,
    courier: "DhanCourier | None", holds: tuple[str, ...], belt: Belt | None,
    mode: str, start: dict[str, Any],
) -> LiveEngine:  # fmt: skip
    account = comparing = updates = None
    if rest is not None:
        from dhanfast.brokers.dhan.updates import OrderUpdates

        tag = run.journal.tag
        found = traded.compared(run, rest, clock, tag)
        account, comparing = found.account, found.comparing
        updates = OrderUpdates(
            hosts,
            tokens,
            clock,
            tag=tag,
            instruments=traded.ordered(),
            on_update=lambda update, words: run.loop.use_update(update),
            on_connected=lambda: engine.reread(),
            probe=rest.profile,
        )
    keeper = None
    if run.guards is not None:
        keeper = LockKeeper(
            run.guards, market.day,
            LockFile(config.folders.journal, config.engine.run, mode),
            now_ns=clock.now_ns, note=lambda **words: engine.note_if_room(**words), tell=run.tell,
        )  # fmt: skip
    plan = LivePlan(
        heartbeat_s=config.engine.heartbeat.seconds,
        reconcile_s=config.engine.reconcile_every.seconds,
        until_ns=market.ends_ns,
        stale_s=config.feed.stale_after.seconds,
    )
    engine = LiveEngine(
        run, clock, feed, account=account, updates=updates, courier=courier, plan=plan,
        holds=holds, belt=belt, keeper=keeper, comparing=comparing,
    )  # fmt: skip
    if start["history"] is not None:
        engine.history = HistoryKeeper(run.size_explained, start["history"], engine.note_if_room)
    if rest is not None:
        engine.asker = traded.asker(run, rest, clock)
    return engine


def _view(
    config: Config, engine: LiveEngine, mode: str, traded: "Traded", settings: Settings,
    account: LiveAccount | None,
) -> LiveView:  # fmt: skip
    return LiveView(
        engine,
        run=config.engine.run,
        mode=mode,
        strategy=config.strategy.name,
        instrument=traded.contract.symbol,
        timeframe=str(config.strategy.timeframe) if traded.names is None else "ticks",
        day_loss_max=settings.risk.loss_day_max,
        names=traded.names,
        account=account,
    )


def require_live_extra() -> None:
    """The libraries that live trading needs.

    Raises:
        UsageError: one is missing; the message says how to get it.
    """
    try:
        import aiohttp
        import picows
        import uvloop
    except ImportError as error:
        raise UsageError(f"trading needs {error.name}: pip install 'dhanfast[live]'") from None
    del aiohttp, picows, uvloop
