"""From configuration to a live engine: the composition root of `dhanfast trade`."""

import contextlib
import hashlib
import json
import logging
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.timing import LatencyHistogram
from dhanfast.app.broker_session import broker_hosts, token_source
from dhanfast.app.config import Config
from dhanfast.app.live_market import Market, contract_of, market_of, sessions_of_day
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.clock import Clock, SystemClock
from dhanfast.engine.live import GRACE_NS, LiveRun, Recovered
from dhanfast.engine.live_engine import KEPT, LiveEngine, LivePlan
from dhanfast.engine.live_view import LiveView
from dhanfast.engine.settings import Settings
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.security.tokens import TokenSource

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.courier import DhanCourier
    from dhanfast.brokers.dhan.feed import DhanFeed
    from dhanfast.market.master import Contract

TRADED: Final = 0  # the feed's number of what is traded
CODE: Final = 1  # of the engine's decisions: a journal of another is not gone on with
_LOG: Final = logging.getLogger("dhanfast.trade")


@dataclass(frozen=True)
class Live:
    """A live engine and what belongs to it.

    Attributes:
        mode: paper or live. market: its time and day. contract: what is traded.
        recovered: what a journal of the same day brought back; None when the day is new.
    """

    engine: LiveEngine
    view: LiveView
    feed: "DhanFeed"
    mode: str
    market: Market
    contract: "Contract"
    recovered: Recovered | None


@contextlib.asynccontextmanager
async def live_engine(config: Config, mode: str) -> AsyncIterator[Live]:
    """Everything built and connected to each other, nothing started; closed on leaving.

    Args:
        config: the settings. mode: paper or live.
    Raises:
        ConfigError, UsageError, NotAuthenticated, BadData: what is missing or does not fit.
    """
    from dhanfast.brokers.dhan.web import AioWeb
    from dhanfast.security.owner import TokenOwner

    clock, hosts = SystemClock(), broker_hosts(config)
    market = await market_of(config, clock)
    contract = contract_of(config, hosts, market, clock)
    async with contextlib.AsyncExitStack() as stack:
        web = AioWeb()
        stack.push_async_callback(web.close)
        owner = TokenOwner(
            config.folders.secrets / "owner.lock", f"engine {config.engine.run}", clock
        )
        tokens = token_source(config, clock, web, owner=owner)
        capital = None
        rest = None
        if mode == "live":
            from dhanfast.brokers.dhan.rest import DhanRest

            client = DhanRest(hosts, tokens, clock, order_proxy=config.order_proxy())
            rest = await stack.enter_async_context(client)
            capital = (await rest.funds()).available
        journal, old = _journal(config, mode, market, contract, capital)
        stack.callback(journal.close)
        start = _started(old, capital, config)
        settings = _settings(config, start["capital"])
        sessions_of_day(config, settings, market, contract)
        courier: Any = None
        if rest is not None:
            courier = _courier(config, hosts, tokens, clock, journal, contract)
        run = _run(config, settings, market, journal, courier)
        if courier is not None:
            courier.on_update = run.loop.use_update
        run.loop.latency = LatencyHistogram()
        run.loop.set_market(market.wall_ns, market.market_ns, market.speed)
        recovered = _recover(run, old, journal, start, clock, market)
        feed = _feed(config, hosts, tokens, clock, run, market, contract)
        engine = _engine(
            config, run, clock, feed, rest=rest, tokens=tokens, hosts=hosts, contract=contract,
            market=market, courier=courier, holds=_operator_holds(old),
        )  # fmt: skip
        view = _view(config, engine, mode, contract, settings)
        yield Live(engine, view, feed, mode, market, contract, recovered)


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


# ---- the journal of the day ----------------------------------------------------------------------


def _view(
    config: Config, engine: LiveEngine, mode: str, contract: "Contract", settings: Settings
) -> LiveView:
    return LiveView(
        engine,
        run=config.engine.run,
        mode=mode,
        strategy=config.strategy.name,
        instrument=contract.symbol,
        timeframe=str(config.strategy.timeframe),
        day_loss_max=settings.risk.loss_day_max,
    )


def deciding_digest(config: Config, mode: str, contract: "Contract") -> bytes:
    """SHA-256 of everything that decisions depend on: only the same goes on with a journal."""
    plain = config.as_dict()
    parts = {name: plain[name] for name in ("strategy", "risk", "simulation")}
    parts |= {"mode": mode, "code": CODE, "product": config.broker.product}
    path = Path(config.strategy_place().partition(":")[0])
    if path.suffix == ".py" and path.is_file():
        parts["strategy_file"] = hashlib.sha256(path.read_bytes()).hexdigest()
    parts |= {"contract": [contract.segment, contract.security_id, contract.lot, contract.tick]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).digest()


def _journal(
    config: Config, mode: str, market: Market, contract: "Contract", capital: int | None
) -> tuple[Journal, list[tuple[int, bytes]]]:
    """The day's journal, open for writing, and what it holds already."""
    folder = config.folders.journal
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{market.day:%Y%m%d}-{config.engine.run}-{mode}.dfj"
    digest = deciding_digest(config, mode, contract)
    old: list[tuple[int, bytes]] = []
    sync = config.engine.journal_sync
    if path.exists() and path.stat().st_size:
        old = [(kind, bytes(payload)) for kind, _, _, payload in JournalReader(str(path))]
        journal = Journal(str(path), sync_ns=sync.ns or 50_000_000)
        if journal.header.config_digest != digest:
            journal.close()
            raise ConfigError(
                f"{path} was written today with another strategy, other risk settings or another "
                "contract: go on with those, or give this engine another name (engine.run)"
            )
        return journal, old
    header = JournalHeader(
        epoch=int.from_bytes(os.urandom(4), "little") | 1,
        date=int(f"{market.day:%Y%m%d}"),
        run=config.engine.run,
        config_digest=digest,
        created_ns=market.wall_ns,
        text=json.dumps({"mode": mode, "config": config.as_dict()}, default=str),
    )
    return Journal(str(path), header, sync_ns=sync.ns or 50_000_000), old


def _started(old: list[tuple[int, bytes]], capital: int | None, config: Config) -> dict[str, Any]:
    """What the day was started with; the first start decides."""
    for kind, payload in old:
        if kind == Kind.START:
            found: dict[str, Any] = json.loads(payload)
            return found
    return {"capital": config.simulation.capital.paise if capital is None else capital}


def _operator_holds(old: list[tuple[int, bytes]]) -> tuple[str, ...]:
    """What an operator had said when the journal ended: a pause, a panic."""
    held: tuple[str, ...] = ()
    for kind, payload in old:
        if kind == Kind.NOTE:
            with contextlib.suppress(ValueError):
                note = json.loads(payload)
                if "holds" in note:
                    held = tuple(reason for reason in KEPT if reason in note["holds"])
    return held


def _recover(
    run: LiveRun,
    old: list[tuple[int, bytes]],
    journal: Journal,
    start: dict[str, Any],
    clock: Clock,
    market: Market,
) -> Recovered | None:
    if not any(kind == Kind.START for kind, _ in old):
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


def _run(
    config: Config, settings: Settings, market: Market, journal: Journal, courier: Any
) -> LiveRun:
    strategy = config.strategy

    def remote(gate: Gate) -> Remote:
        return Remote(
            gate,
            protection_e4=0,  # what leaves is protected by its premium's slab, in any run
            stop_room_e4=0,
            per_second=config.risk.orders_per_second,
        )

    return LiveRun(
        config.strategy_place(),
        symbol=strategy.underlying,
        journal=journal,
        instrument=TRADED,
        first_ns=market.market_ns,
        params=strategy.params,
        settings=settings,
        interval=str(strategy.timeframe),
        remote_of=remote if courier is not None else None,
        courier=courier,
        grace_ns=round(GRACE_NS * market.speed),  # late ticks are late by the machine's clock
        sync_each=config.engine.journal_sync.ns == 0,
        generated=market.generated,
        notes=market.notes,
    )


def _feed(
    config: Config, hosts: Hosts, tokens: TokenSource, clock: Clock, run: LiveRun,
    market: Market, contract: "Contract",
) -> "DhanFeed":  # fmt: skip
    from dhanfast._core.live.intake import FeedIntake
    from dhanfast._core.wire.dhan import DhanDecoder
    from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
    from dhanfast.brokers.dhan.feed_connection import World
    from dhanfast.brokers.dhan.feed_door import Door
    from dhanfast.brokers.dhan.feed_requests import Mode, Security
    from dhanfast.brokers.dhan.feed_socket import picows_connect
    from dhanfast.brokers.dhan.feed_watch import Hours, WatchSettings
    from dhanfast.brokers.link import Backoff
    from dhanfast.market.calendar import Calendar

    rng = random.Random(clock.now_ns())
    wanted = Security.of(contract.segment, contract.security_id)
    others = [Security.of(*text.split(":", 1)) for text in config.feed.instruments]
    table = [(wanted.segment, wanted.security_id, TRADED, contract.tick)]
    table += [
        (each.segment, each.security_id, place, 5)
        for place, each in enumerate((each for each in others if each != wanted), TRADED + 1)
    ]
    intake = FeedIntake(DhanDecoder(table, depth=False, stats=False), run.loop, clock=clock)
    backoff = Backoff(
        first_s=config.feed.reconnect_first.seconds, most_s=config.feed.reconnect_max.seconds
    )
    world = World(clock, rng, tokens, Door(clock, rng), picows_connect, backoff=backoff)
    watch = WatchSettings(stale_s=max(1.0, config.feed.stale_after.seconds))
    feed = DhanFeed(
        hosts.feed,
        intake,
        world,
        hours=Hours(Calendar.load()),
        settings=FeedSettings(connections=1, watch=watch),
        market_clock=market,
    )
    mode = Mode[config.feed.mode.upper()]
    feed.subscribe([wanted, *(each for each in others if each != wanted)], mode)
    return feed


def _courier(
    config: Config, hosts: Hosts, tokens: TokenSource, clock: Clock, journal: Journal,
    contract: "Contract",
) -> "DhanCourier":  # fmt: skip
    """The connections that orders leave by."""
    from dhanfast.brokers.dhan.courier import CourierSettings, DhanCourier

    traded = (contract.segment, str(contract.security_id), config.broker.product)
    settings = CourierSettings(connections=config.engine.warm_orders, proxy=config.order_proxy())
    return DhanCourier(
        hosts, tokens, clock, tag=journal.tag, instruments=[traded], settings=settings
    )


def _engine(
    config: Config, run: LiveRun, clock: Clock, feed: "DhanFeed", *, rest: Any,
    tokens: TokenSource, hosts: Hosts, contract: "Contract", market: Market,
    courier: "DhanCourier | None", holds: tuple[str, ...],
) -> LiveEngine:  # fmt: skip
    account = updates = None
    security = (contract.segment, str(contract.security_id))
    if rest is not None:
        from dhanfast.brokers.dhan.account import DhanAccount
        from dhanfast.brokers.dhan.updates import OrderUpdates

        tag = run.journal.tag
        account = DhanAccount(
            rest, clock, tag=tag, security=security, product=config.broker.product
        )
        updates = OrderUpdates(
            hosts,
            tokens,
            clock,
            tag=tag,
            instruments={security: TRADED},
            on_update=lambda update, words: run.loop.use_update(update),
            on_connected=lambda: engine.reread(),
            probe=rest.profile,
        )
    plan = LivePlan(
        heartbeat_s=config.engine.heartbeat.seconds,
        reconcile_s=config.engine.reconcile_every.seconds,
        until_ns=market.ends_ns,
        stale_s=config.feed.stale_after.seconds,
    )
    engine = LiveEngine(
        run, clock, feed, account=account, updates=updates, courier=courier, plan=plan,
        holds=holds,
    )  # fmt: skip
    return engine


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
