"""One future as the engine trades it: the front month of the strategy's underlying."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast.app.config import Config
from dhanfast.app.live_build import contract_words, settings_of_day, strategy_file
from dhanfast.app.live_feed import TRADED
from dhanfast.app.live_market import Market, contract_of, sessions_of_day
from dhanfast.app.live_traded import Compared
from dhanfast.clock import Clock
from dhanfast.engine.guard_build import guards_of
from dhanfast.engine.live import LiveRun
from dhanfast.engine.margin_asker import MarginAsker
from dhanfast.engine.seat import Misuse
from dhanfast.engine.settings import Settings
from dhanfast.engine.swap_words import bytes_of, text_of
from dhanfast.errors import ConfigError
from dhanfast.market.optionsessions import is_index

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.market.master import Contract, Master


class OneFuture:
    """The front-month future of an underlying; a `live_traded.Traded`.

    Args:
        config: the settings. master: the broker's list. market: its day.
    Raises:
        BadData, UsageError: the list has no such future. ConfigError: it is that of a stock.
    """

    def __init__(self, config: Config, master: "Master", market: Market) -> None:
        self._config, self._market = config, market
        self.watch: CallWatch | None = None
        name = config.strategy.underlying
        self.contract: Contract = contract_of(master, name, market.day)
        if not is_index(name):
            raise ConfigError(
                f"{config.source('strategy.underlying')}: strategy.underlying: {name} is a stock, "
                "and a strategy trades the future of an index: choose one; options of a stock are "
                "traded by a structure, dhanfast trade --legs FILE"
            )

    @property
    def watched(self) -> Sequence["Contract"]:
        """What the run needs of the feed."""
        return [self.contract]

    @property
    def names(self) -> Mapping[int, str] | None:
        """There is one, and it is `contract`."""
        return None

    @property
    def words(self) -> list[Any]:
        """What decisions depend on of it."""
        return contract_words(self.contract)

    async def begin(self, found: Mapping[str, Any] | None, rest: "DhanRest") -> None:
        """Nothing of it is settled once a day."""

    def started(self) -> dict[str, Any]:
        """What the strategy's file says: a restart repeats the day with it."""
        return started_file(self._config)

    def settings(self, start: dict[str, Any], mode: str) -> Settings:
        """What the day's engine takes; see `settings_of_day`."""
        return settings_of_day(self._config, start, mode, generated=self._market.generated)

    def check(self, settings: Settings) -> None:
        """Whether dated tables and the broker's list say the same; see `sessions_of_day`."""
        sessions_of_day(self._config, settings, self._market, self.contract)

    def run(
        self, settings: Settings, journal: Journal, courier: Any, start: dict[str, Any],
        vix: int | None,
    ) -> LiveRun:  # fmt: skip
        """The day's run."""
        self.watch = watch_of(self._config)
        return run_of(
            self._config, settings, self._market, journal, courier, start, vix=vix,
            watch=self.watch,
        )  # fmt: skip

    def ordered(self) -> dict[tuple[str, str], int]:
        """What may be ordered."""
        return {(self.contract.segment, str(self.contract.security_id)): TRADED}

    def asker(self, run: Any, rest: Any, clock: Clock) -> MarginAsker | None:
        """The gate looks at the margin of one future by itself."""
        return None

    def compared(self, run: Any, rest: Any, clock: Clock, tag: str) -> Compared:
        """The broker's side of the account."""
        from dhanfast.brokers.dhan.account import DhanAccount
        from dhanfast.engine.reconcile import Reconciler

        account = DhanAccount(
            rest,
            clock,
            tag=tag,
            security=(self.contract.segment, str(self.contract.security_id)),
            product=self._config.broker.product,
        )
        return Compared(account, Reconciler(run, clock, account))


def started_file(config: Config) -> dict[str, Any]:
    """Of a START record: the text of the strategy's file, where it has one."""
    path = strategy_file(config)
    if path is None:
        return {}
    source = path.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    return {"strategy": {"sha256": sha256, "source": text_of(source)}}


def begun_source(start: Mapping[str, Any]) -> bytes:
    """The text of the file that a day was started with; empty: of none."""
    return bytes_of((start.get("strategy") or {}).get("source", ""))


def limits_of(config: Config) -> dict[str, int]:
    """The broker's limits of requests, as the configuration has them."""
    return {
        "per_second": config.risk.orders_per_second,
        "per_minute": config.risk.orders_per_minute,
        "per_hour": config.risk.orders_per_hour,
        "per_day": config.risk.orders_per_day,
    }


def watch_of(config: Config) -> CallWatch | None:
    """What ends calls of a strategy that take too long, not started; None: they may."""
    limit_ns = config.strategy.callback_limit.ns
    return CallWatch(limit_ns, f"engine {config.engine.run}") if limit_ns else None


def run_of(
    config: Config, settings: Settings, market: Market, journal: Journal, courier: Any,
    start: dict[str, Any], *, vix: int | None, watch: CallWatch | None = None,
) -> LiveRun:  # fmt: skip
    """One day's run, before its first input or the repeating of its journal.

    Args:
        courier: of real orders; None: they are simulated. start: what the day was started with.
        vix: the feed's number of India VIX. watch: ends calls of its strategy that take too long.
    """
    strategy = config.strategy

    def remote(gate: Gate) -> Remote:
        return Remote(
            gate,
            protection_e4=0,  # what leaves is protected by its premium's slab, in any run
            stop_room_e4=settings.execution.route.stop_room_e4,
            desk=None,
            place=0,
            **limits_of(config),
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
        grace_ns=start["grace_ns"],
        sync_each=config.engine.journal_sync.ns == 0,
        generated=market.generated,
        notes=market.notes,
        guards=guards_of(settings.guards, carried=start.get("carried")),
        vix=vix,
        source=begun_source(start),
        name=strategy.name,
        misuse=Misuse(strategy.on_error, strategy.memory_limit.bytes),
        watch=watch,
        folder=config.folders.strategies,
    )
