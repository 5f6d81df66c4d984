"""Configuration: one frozen tree of settings, each value with its source.

From low to high: defaults, a preset, files in order, the user's .env, the environment
(`DHANFAST__SECTION__KEY`), and `--set section.key=value`. Nothing else reads configuration.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, TextIO

import msgspec

from dhanfast.app.config_chain import Chain, chain_settings
from dhanfast.app.config_fields import (
    Broker,
    ClockSource,
    Engine,
    Feed,
    Log,
    Risk,
    Simulation,
    Strategy,
    Tree,
)
from dhanfast.app.config_filters import filter_settings
from dhanfast.app.config_folders import Folders, user_folders
from dhanfast.app.config_guards import guard_settings
from dhanfast.app.config_layers import (
    Flat,
    Layers,
    is_section,
    plain_type,
    read_dotenv,
    read_preset,
    read_toml,
    variables,
)
from dhanfast.app.config_margin import margin_settings
from dhanfast.app.config_risk import sizing_settings, stop_settings
from dhanfast.app.config_route import route_settings
from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Written
from dhanfast.engine.execution_settings import ExecutionSettings, read_profile
from dhanfast.engine.settings import RiskSettings, Settings, checked
from dhanfast.errors import ConfigError
from dhanfast.strategies.plugins import LEGS
from dhanfast.strategies.shelf import place_of

DEFAULT: Final = "default"
STRATEGY: Final = "strategy."


class Environ(Mapping[str, str]):
    """Variables of the environment and the user's .env; printing it shows names, never values.

    Args:
        variables: by name.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"Environ({len(self._variables)} variables)"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force.

    Attributes:
        tree: all of them. folders: where the user's files are. files: what was read, in order.
        sources: {dotted key: where its value comes from}; a key that is absent has its default.
        environ: the variables that `env:NAME` reads.
    """

    tree: Tree
    folders: Folders
    files: tuple[str, ...]
    sources: Mapping[str, str]
    environ: Environ

    @property
    def broker(self) -> Broker:
        """[broker]."""
        return self.tree.broker

    @property
    def feed(self) -> Feed:
        """[feed]."""
        return self.tree.feed

    @property
    def clock(self) -> ClockSource:
        """[clock]."""
        return self.tree.clock

    @property
    def engine(self) -> Engine:
        """[engine]."""
        return self.tree.engine

    @property
    def risk(self) -> Risk:
        """[risk]."""
        return self.tree.risk

    @property
    def simulation(self) -> Simulation:
        """[simulation]."""
        return self.tree.simulation

    @property
    def chain(self) -> Chain:
        """[chain]."""
        return self.tree.chain

    @property
    def log(self) -> Log:
        """[log]."""
        return self.tree.log

    @property
    def strategy(self) -> Strategy:
        """The one [[strategy]].

        Raises:
            ConfigError: there is none.
        """
        if not self.tree.strategy:
            raise ConfigError(
                "no strategy: add a table [[strategy]] with name and use, or preset = "
                '"scalper"; `dhanfast init` writes a whole file'
            )
        return self.tree.strategy[0]

    def strategy_place(self) -> str:
        """What `strategy.use` means to `find_strategy`.

        A name of the user's strategies folder is its file there; a relative path is the user
        folder's.
        """
        use = self.strategy.use
        path, colon, name = use.partition(":")
        beside = self.folders.root / path
        if path.endswith((".py", ".toml")) and not os.path.isabs(path) and beside.is_file():
            return f"{beside}{colon}{name}"
        return place_of(use, self.folders.strategies)

    def source(self, key: str) -> str:
        """Where a value comes from."""
        return self.sources.get(key, DEFAULT)

    def client_id(self) -> str:
        """The client id, empty when none is set.

        Raises:
            ConfigError: it names a variable that is not set.
        """
        return self._named(self.broker.client_id.variable, str(self.broker.client_id), "client_id")

    def order_proxy(self) -> str:
        """The proxy of order calls; it may hold a password: never show it. Empty = none.

        Raises:
            ConfigError: it names a variable that is not set.
        """
        text = self.broker.order_proxy
        return self._named(text.removeprefix("env:") if text.startswith("env:") else "", text,
                           "order_proxy")  # fmt: skip

    def hosts(self) -> dict[str, str]:
        """Addresses that differ from the broker's own, by the names of [broker.hosts]."""
        found: dict[str, str] = {}
        if self.broker.exchange:
            web = self.broker.exchange.rstrip("/").replace("localhost", "127.0.0.1")
            socket = web.replace("http://", "ws://")
            found = {"rest": f"{web}/v2", "auth": web, "feed": socket,
                     "depth20": f"{socket}/twentydepth", "depth200": f"{socket}/twohundreddepth",
                     "order_updates": f"{socket}/orderupdate",
                     "instruments": f"{web}/api-data"}  # fmt: skip
        own = msgspec.to_builtins(self.broker.hosts)
        return found | {name: address for name, address in own.items() if address}

    def settings(self, capital: int | None = None) -> Settings:
        """What the engine takes.

        Args:
            capital: of the account, paise; the paper account's when not given.

        Raises:
            ConfigError: values that contradict each other, or no strategy.
        """
        risk, paper, strategy = self.risk, self.simulation, self.strategy
        money = paper.capital.paise if capital is None else capital
        made = Settings(
            capital=money,
            lots=strategy.lots,
            timeframe_ns=strategy.timeframe.ns,
            slippage=paper.slippage.slippage,
            latency_ns=paper.latency.ns,
            entry_from=risk.entry_from.time,
            entry_until=risk.entry_until.time,
            square_off=risk.flat_by.time,
            on_opposite=strategy.on_opposite,
            limit_through=paper.limit_through,
            protection_e4=paper.protection.e4,
            protection_slab=paper.protection.slab,
            risk=RiskSettings(
                qty_max=risk.qty_max,
                notional_max=risk.notional_max.paise,
                position_max=risk.position_max,
                loss_day_max=risk.day_loss.paise_of(money),
                band_e4=risk.band.e4,
                orders_per_s_max=risk.orders_per_second,
                margin_check=risk.margin_check,
            ),
            guards=guard_settings(risk.guards, money),
            execution=self._execution(),
            sizing=sizing_settings(risk.sizing),
            stops=stop_settings(risk.stops),
            chain=chain_settings(self.chain),
            margin=margin_settings(risk.margin),
            filters=filter_settings(self.tree.filters, self.folders.root),
        )
        return checked(made)

    def _execution(self) -> ExecutionSettings:
        how = self.tree.execution
        profile: tuple[int, ...] = ()
        if how.algo == "vwap" and how.profile:
            profile = read_profile(self.folders.root / how.profile)
        return ExecutionSettings(
            algo=how.algo,
            entries=how.entries,
            exits=how.exits,
            horizon_ns=how.horizon.ns,
            interval_ns=how.interval.ns,
            reprice_ns=how.reprice_after.ns,
            random_e4=how.randomise.e4,
            child_lots=how.max_child_lots,
            least_lots=how.min_lots,
            cap_e4=how.volume_cap.e4,
            rate_e4=how.participation.e4,
            floor_e4=how.participation_floor.e4,
            display_lots=how.display_lots,
            limit_e4=how.limit.e4,
            remainder=how.remainder,
            style=how.style,
            seed=how.seed,
            profile=profile,
            route=route_settings(how.route),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it would be written in a file; there is no secret in it."""
        plain: dict[str, Any] = msgspec.to_builtins(self.tree, enc_hook=_encode)
        return plain

    def digest(self) -> str:
        """SHA-256 of all settings: two runs with the same one were set alike."""
        text = json.dumps(self.as_dict(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _named(self, variable: str, text: str, key: str) -> str:
        """A value, or that of the variable it names."""
        if not variable:
            return text
        found = self.environ.get(variable, "").strip()
        if not found:
            raise ConfigError(
                f"broker.{key} is env:{variable} (from {self.source(f'broker.{key}')}), and no "
                f"variable {variable} is set, in the environment or in {self.folders.dotenv}"
            )
        return found


def load_config(
    files: Sequence[str],
    user_dir: str | os.PathLike[str] | None,
    sets: Sequence[str],
    environ: Mapping[str, str],
    *,
    stdin: TextIO | None = None,
    beneath: Mapping[str, Any] | None = None,
    named_only: bool = False,
) -> Config:
    """Read all layers.

    Args:
        files: TOML files, later ones win; `-` is standard input. None: config.toml of the
            user's folder, when it is there.
        user_dir: the user's folder; None for the usual place.
        sets: texts `section.key=value` of --set.
        environ: variables of the process.
        stdin: read for `-`; the process's own when not given.
        beneath: a table beneath all others.
        named_only: no file is read that is not in `files`, and no variable.

    Raises:
        ConfigError: an unknown key, a wrong value, a file that cannot be read; the message says
            where.
    """
    folders = user_folders(user_dir, environ)
    names = list(files)
    if not names and not named_only and folders.config.exists():
        names = [str(folders.config)]
    read = [read_toml(name, stdin or sys.stdin) for name in names]
    dotenv = {} if named_only else read_dotenv(folders.dotenv)
    environ = {} if named_only else environ

    def stacked(preset: str) -> Layers:
        layers = Layers()
        if beneath:
            layers.table(beneath, DEFAULT)
        if preset:
            layers.table(read_preset(preset), f"preset {preset}")
        for table, source in read:
            layers.table(table, source)
        variables(layers, dotenv, str(folders.dotenv))
        variables(layers, environ, "environment")
        _take_sets(layers, sets)
        return layers

    layers = stacked("")  # the preset lies beneath all others, and they choose it
    chosen = layers.flat.get("preset")
    if chosen is not None and chosen.value:
        layers = stacked(chosen.value)
    sources = {key: one.source for key, one in layers.flat.items()}
    for flat in layers.strategies:
        sources |= {key: one.source for key, one in flat.items()}
    tree = _built(layers)
    together = {**dotenv, **environ}
    return _consistent(
        Config(tree, folders, tuple(source for _, source in read), sources, Environ(together))
    )


def _take_sets(layers: Layers, sets: Sequence[str]) -> None:
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"--set {_keyed(text)}: write section.key=value, for example risk.day_loss=5000"
            )
        layers.text(key.strip(), value.strip(), f"--set {key.strip()}")


def _keyed(text: str) -> str:
    """A --set that is not understood, as far as it can be shown: it may hold a secret."""
    return repr(text.partition("=")[0][:40])


def _built(layers: Layers) -> Tree:
    """The tree of all values."""
    if len(layers.strategies) > 1:
        listed = ", ".join(
            str(one["strategy.name"].value) if "strategy.name" in one else "?"
            for one in layers.strategies
        )
        raise ConfigError(
            f"{len(layers.strategies)} strategies ({listed}): one strategy an engine for now; "
            "keep one [[strategy]], and start another engine with its own file and engine.run "
            "for each of the others"
        )
    tree: Tree = _struct(Tree, "", layers.flat)
    made = tuple(_strategy(flat) for flat in layers.strategies)
    return msgspec.structs.replace(tree, strategy=made)


def _struct(kind: type[Any], prefix: str, flat: Flat) -> Any:
    """A section with its sections."""
    values = {}
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}{field.name}"
        if is_section(field.type):
            values[field.name] = _struct(plain_type(field.type), f"{key}.", flat)
        elif key in flat:
            values[field.name] = flat[key].value
    return kind(**values)


def _strategy(flat: Flat) -> Strategy:
    """One [[strategy]]."""
    for name in ("name", "use"):
        if f"{STRATEGY}{name}" not in flat:
            source = next(iter(flat.values())).source if flat else "[[strategy]]"
            raise ConfigError(f'{source}: strategy.{name} is missing; write {name} = "..."')
    return Strategy(**{key.removeprefix(STRATEGY): one.value for key, one in flat.items()})


def _consistent(config: Config) -> Config:
    """The configuration, after what no single value shows."""

    def refuse(key: str, words: str) -> NoReturn:
        raise ConfigError(f"{config.source(key)}: {key}: {words}")

    risk = config.risk
    if risk.entry_from.time >= risk.entry_until.time:
        key = "risk.entry_from"
        if key not in config.sources:
            key = "risk.entry_until"
        refuse(key, f"entries must begin ({risk.entry_from}) before they end ({risk.entry_until})")
    if risk.flat_by.time is not None and risk.entry_until.time > risk.flat_by.time:
        key = "risk.flat_by" if "risk.flat_by" in config.sources else "risk.entry_until"
        refuse(key, f"entries end at {risk.entry_until}, which must not be after risk.flat_by, "
               f"{risk.flat_by}; lower risk.entry_until as well")  # fmt: skip
    if config.clock.source == "exchange" and not config.broker.exchange:
        refuse("clock.source", "exchange needs broker.exchange, the address of `dhanfast exchange`")
    if config.feed.reconnect_first.ns > config.feed.reconnect_max.ns:
        refuse("feed.reconnect_first", "must not be longer than feed.reconnect_max")
    if config.feed.instruments and not config.feed.ring:
        refuse("feed.instruments", "only feed.ring publishes them: give it a name, or leave both")
    if config.simulation.capital.paise < 100:
        refuse("simulation.capital", "must be at least 1 rupee")
    if config.hosts():
        _check_hosts(config)
    if not config.tree.strategy:  # the rest is judged all the same
        any_one = msgspec.structs.replace(config.tree, strategy=(Strategy(name="any", use="any"),))
        replace(config, tree=any_one).settings()
    else:
        if config.strategy.legs and config.strategy.use != LEGS:
            use = config.strategy.use
            refuse("strategy.legs", f"names a legs file, and strategy.use is {use}: write "
                   'use = "legs", or leave the file out')  # fmt: skip
        limit_ns = config.strategy.callback_limit.ns
        if limit_ns and not 1_000_000 <= limit_ns <= 60_000_000_000:
            refuse("strategy.callback_limit", f"must be in 1ms..60s, or 0s for none, was "
                   f"{config.strategy.callback_limit}")  # fmt: skip
        config.settings()
    return config


def _check_hosts(config: Config) -> None:
    """Refuse addresses that would lose the token, when the file is read."""
    from dhanfast.brokers.dhan.hosts import Hosts

    try:
        Hosts(**config.hosts())
    except ConfigError as error:
        name = str(error).partition(":")[0]
        raise ConfigError(f"{config.source(f'broker.{name}')}: broker.{error}") from None


def _encode(value: Any) -> Any:
    """msgspec's `enc_hook`: a written value as it was written."""
    if isinstance(value, Written):
        return str(value)
    raise TypeError(f"no setting is of type {type(value).__name__}")


def each_field(
    kind: type[Section] = Tree, prefix: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every setting with its dotted key, in the order declared; those of [[strategy]] too."""
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}{field.name}"
        if is_section(field.type):
            yield from each_field(plain_type(field.type), f"{key}.")
        elif key == "strategy":
            yield from each_field(Strategy, STRATEGY)
        else:
            yield key, field
