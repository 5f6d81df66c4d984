"""Every setting there is: one frozen struct a section, one documented line a field.

The JSON Schema, docs/reference/config.md and the file that `dhanfast init` writes are made from
these declarations; a test refuses a field without its line.
"""

from typing import Annotated as A
from typing import Any, Final, Literal

import msgspec
from msgspec import Meta

from dhanfast.app.config_guards import GuardTables
from dhanfast.app.config_section import Section as Section
from dhanfast.app.config_values import (
    Amount,
    Duration,
    MaybeNamed,
    Percent,
    Rupees,
    SecretName,
    Slip,
    Span,
    Sync,
    TimeOfDay,
    TimeOrNone,
)

VERSION: Final = 2
HOST: Final = r"^$|^(https?|wss?)://[^\s@?#]+$"  # no user, password, query: they may hold secrets
WEB: Final = r"^$|^env:[A-Za-z_][A-Za-z0-9_]*$|^https?://[^\s@?#]+$"
LIKE: Final = "https://127.0.0.1:8080/v2"
NAME: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,31}$"
RING: Final = r"^$|^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
INSTRUMENT: Final = r"^[A-Z]+_[A-Z]+:[0-9]+$"


class Hosts(Section, frozen=True):
    """Where the broker is; empty = its own address."""

    rest: A[str, Meta(description="REST API.", pattern=HOST, examples=[LIKE])] = ""
    auth: A[str, Meta(description="Login.", pattern=HOST, examples=[LIKE])] = ""
    feed: A[str, Meta(description="Live market feed.", pattern=HOST, examples=[LIKE])] = ""
    depth20: A[str, Meta(description="Depth of 20 levels.", pattern=HOST, examples=[LIKE])] = ""
    depth200: A[str, Meta(description="Depth of 200 levels.", pattern=HOST, examples=[LIKE])] = ""
    order_updates: A[str, Meta(description="Order updates.", pattern=HOST, examples=[LIKE])] = ""
    instruments: A[
        str, Meta(description="Folder of the instrument lists.", pattern=HOST, examples=[LIKE])
    ] = ""


class Broker(Section, frozen=True):
    """The account that trades and where its broker is."""

    name: A[Literal["dhan"], Meta(description="The broker.")] = "dhan"
    client_id: A[
        MaybeNamed, Meta(description="Client id, or env:NAME of the variable that holds it.")
    ] = MaybeNamed("")
    token: A[
        SecretName,
        Meta(description="Where the access token is: store:NAME, keyring:NAME or env:NAME."),
    ] = SecretName("store:dhan")
    product: A[
        Literal["INTRADAY", "MARGIN"],
        Meta(description="Product of every order: INTRADAY, or MARGIN to carry over night."),
    ] = "INTRADAY"
    order_proxy: A[
        str,
        Meta(
            description="HTTP proxy with the registered static IP, for order calls alone, or "
            "env:NAME of the variable that holds its address; empty = none.",
            pattern=WEB,
            examples=["http://10.0.0.5:3128"],
        ),
    ] = ""
    exchange: A[
        str,
        Meta(
            description="Address of `dhanfast exchange`, http://127.0.0.1:PORT: sets all hosts.",
            pattern=r"^$|^http://(127\.0\.0\.1|localhost):[0-9]{1,5}/?$",
            examples=["http://127.0.0.1:8080"],
        ),
    ] = ""
    hosts: A[Hosts, Meta(description="Addresses one by one; they win over `exchange`.")] = Hosts()


class Feed(Section, frozen=True):
    """The live market feed."""

    mode: A[
        Literal["ticker", "quote", "full"],
        Meta(description="What is subscribed: price, price and volume, or that and five levels."),
    ] = "full"
    stale_after: A[
        Span, Meta(description="An instrument without a packet so long in market hours is stale.")
    ] = Span("15s")
    reconnect_first: A[
        Span, Meta(description="Pause before the first reconnect; it doubles with each failure.")
    ] = Span("1s")
    reconnect_max: A[Span, Meta(description="Longest pause between two reconnects.")] = Span("60s")
    instruments: A[
        tuple[A[str, Meta(pattern=INSTRUMENT)], ...],
        Meta(
            description='Published besides the strategy\'s own, as "NSE_FNO:12345".',
            examples=[["NSE_FNO:12345"]],
        ),
    ] = ()
    ring: A[
        str,
        Meta(
            description="Ring that the feed's ticks are published to, for `dhanfast record --ring`;"
            " empty = none.",
            pattern=RING,
            examples=["live"],
        ),
    ] = ""


class ClockSource(Section, frozen=True):
    """Whose time it is."""

    source: A[
        Literal["system", "exchange"],
        Meta(description="The market's time: this machine's, or that of `dhanfast exchange`."),
    ] = "system"


class Engine(Section, frozen=True):
    """How the engine runs."""

    run: A[
        str,
        Meta(
            description="Name of this engine: of its journal and its control socket.",
            pattern=NAME,
            examples=["main"],
        ),
    ] = "main"
    journal_sync: A[
        Sync,
        Meta(description="The journal is on disk within this time; each = before every order."),
    ] = Sync("50ms")
    pin_core: A[
        int, Meta(description="Core the engine's thread is bound to; -1 = none.", ge=-1, le=4095)
    ] = -1
    busy_poll: A[
        bool,
        Meta(description="Poll the sockets without sleeping: quicker, and a core is always busy."),
    ] = False
    heartbeat: A[Span, Meta(description="How often the engine says how it is.")] = Span("60s")
    reconcile_every: A[
        Span, Meta(description="How often positions and orders are compared with the broker's.")
    ] = Span("30s")
    warm_orders: A[
        int, Meta(description="Connections kept open for orders.", ge=1, le=4)
    ] = 2  # fmt: skip


class Risk(Section, frozen=True):
    """Limits; 0 switches one off. Exits pass all of them."""

    day_loss: A[
        Amount, Meta(description="No entries for the rest of a day that lost so much.")
    ] = Amount("5000")  # fmt: skip
    orders_per_second: A[
        int, Meta(description="Entries beyond it are refused; the exchange's is 10.", ge=1, le=10)
    ] = 9  # fmt: skip
    qty_max: A[int, Meta(description="Largest order, units (not lots).", ge=0, le=10**15)] = 0
    notional_max: A[Rupees, Meta(description="Largest order, rupees of contract value.")] = Rupees(
        "0"
    )
    position_max: A[int, Meta(description="Largest position, units.", ge=0, le=10**15)] = 0
    band: A[
        Percent, Meta(description="Farthest that a limit price may be from the market.")
    ] = Percent("0")  # fmt: skip
    margin_check: A[bool, Meta(description="An entry needs free margin.")] = True
    entry_from: A[TimeOfDay, Meta(description="No entry before this time.")] = TimeOfDay("09:20")
    entry_until: A[TimeOfDay, Meta(description="No entry at or after this time.")] = TimeOfDay(
        "15:00"
    )
    flat_by: A[
        TimeOrNone, Meta(description="Positions are closed at this time; none carries them.")
    ] = TimeOrNone("15:15")  # fmt: skip
    broker_loss_exit: A[
        Amount,
        Meta(description="Live: the broker itself closes everything at this loss of the day."),
    ] = Amount("0")
    broker_profit_exit: A[
        Amount, Meta(description="Live: the same at this profit of the day.")
    ] = Amount("0")  # fmt: skip
    broker_exit_kill: A[
        bool, Meta(description="The broker then bars the account for the rest of the day.")
    ] = False
    without_broker_exit: A[
        Literal["hold", "trade"],
        Meta(description="While the broker's exit is wanted and not set: no entries, or trade on."),
    ] = "hold"
    guards: A[
        GuardTables, Meta(description="Rules that keep entries out for a while.")
    ] = GuardTables()  # fmt: skip


class Simulation(Section, frozen=True):
    """The simulated exchange of paper trading."""

    capital: A[Rupees, Meta(description="What the paper account starts with.")] = Rupees("1000000")
    slippage: A[
        Slip,
        Meta(
            description="What a market fill or stop loses: 1tick, 2pts, 3bps, 0.02%; measured: the "
            "median of the last 20 days' fills, measured:N of the last N days'."
        ),
    ] = Slip("1tick")
    latency: A[Duration, Meta(description="From decision to the exchange.")] = Duration("0ms")
    protection: A[
        Percent,
        Meta(description="How far from the market a market order may fill; live: its limit price."),
    ] = Percent("5%")
    limit_through: A[
        bool, Meta(description="A limit order fills only when the price trades through it.")
    ] = False


class Strategy(Section, frozen=True):
    """What is traded, and how. One a file: an engine runs one strategy."""

    name: A[
        str,
        Meta(
            description="What it is called in journal and reports.", pattern=NAME, examples=["mine"]
        ),
    ]
    use: A[
        str,
        Meta(
            description="The strategy: a built-in's name, path.py[:Class] or package.module:Class.",
            min_length=1,
        ),
    ]
    underlying: A[
        str,
        Meta(
            description="Symbol of what is traded.",
            pattern=r"^[A-Z0-9&-]{1,32}$",
            examples=["BANKNIFTY"],
        ),
    ] = "BANKNIFTY"
    timeframe: A[Span, Meta(description="Length of the bars it decides on.")] = Span("1m")
    lots: A[int, Meta(description="Size of an entry.", ge=1, le=100_000)] = 1
    on_opposite: A[
        Literal["keep", "close", "reverse"],
        Meta(description="What an entry signal against the open position does."),
    ] = "keep"
    params: A[
        dict[str, Any],
        Meta(description="Its own parameters; `dhanfast strategies` lists them."),
    ] = msgspec.field(default_factory=dict)


class Log(Section, frozen=True):
    """What is written down for people."""

    level: A[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")
    ] = "info"
    file: A[
        str,
        Meta(description="File to log to, in the user's folder unless absolute; empty = none."),
    ] = ""


class Tree(Section, frozen=True):
    """The whole of a configuration."""

    version: A[Literal[2], Meta(description="Form of this file.")] = 2
    preset: A[
        Literal["", "scalper", "momentum"],
        Meta(description="A set of values beneath the file's own."),
    ] = ""
    broker: A[Broker, Meta(description="The account and its broker.")] = Broker()
    feed: A[Feed, Meta(description="The live market feed.")] = Feed()
    clock: A[ClockSource, Meta(description="Whose time it is.")] = ClockSource()
    engine: A[Engine, Meta(description="How the engine runs.")] = Engine()
    risk: A[Risk, Meta(description="Limits.")] = Risk()
    simulation: A[Simulation, Meta(description="Paper trading.")] = Simulation()
    log: A[Log, Meta(description="Messages.")] = Log()
    strategy: A[
        tuple[Strategy, ...], Meta(description="What is traded: one table [[strategy]].")
    ] = ()


# Every constant of version 1: (its name, the key that replaces it, or "" and why there is none).
V1: Final = (
    ("DHAN_CLIENT_ID", "broker.client_id", ""),
    ("DHAN_ACCESS_TOKEN", "broker.token", ""),
    ("PAPER_TRADING", "", "`dhanfast trade` is on paper; only `--live`, typed each time, is not"),
    ("INDEX_SYMBOL", "strategy.underlying", ""),
    ("INDEX_SECURITY_ID", "", "looked up in the day's instrument list by the underlying"),
    ("INDEX_EXCHANGE_SEGMENT", "", "looked up in the day's instrument list by the underlying"),
    ("LOT_SIZE", "", "a dated table: the lot of a contract changes by exchange circular"),
    ("NUM_LOTS", "strategy.lots", ""),
    ("QUANTITY", "", "lots times the lot of the contract on the day"),
    ("CANDLE_TIMEFRAME_SECONDS", "strategy.timeframe", ""),
    ("MIN_CANDLES_FOR_INDICATORS", "strategy.params.warmup", ""),
    ("EMA_PERIOD", "strategy.params.ema", ""),
    ("RSI_PERIOD", "strategy.params.rsi", ""),
    ("RSI_OVERBOUGHT", "strategy.params.rsi_long", ""),
    ("RSI_OVERSOLD", "strategy.params.rsi_short", ""),
    ("STOP_LOSS_POINTS", "strategy.params.stop", ""),
    ("TARGET_POINTS", "strategy.params.target", ""),
    ("SLIPPAGE_BUFFER", "simulation.protection", ""),
    ("MAX_DAILY_LOSS", "risk.day_loss", ""),
    ("MAX_POSITIONS", "", "an engine holds one position of one strategy"),
    ("MAX_ORDERS_PER_SECOND", "risk.orders_per_second", ""),
    ("ORDER_THROTTLE_SECONDS", "", "version 1 never used it"),
    ("SL_UPDATE_MIN_POINTS", "", "of a trailing stop that version 1 never reached"),
    ("SL_UPDATE_MIN_INTERVAL", "", "of a trailing stop that version 1 never reached"),
    ("MARKET_OPEN_HOUR", "", "a dated table: hours and holidays of the exchange"),
    ("MARKET_OPEN_MINUTE", "", "a dated table: hours and holidays of the exchange"),
    ("MARKET_CLOSE_HOUR", "", "a dated table; to leave earlier: risk.flat_by"),
    ("MARKET_CLOSE_MINUTE", "", "a dated table; to leave earlier: risk.flat_by"),
    ("SKIP_MINUTES_AFTER_OPEN", "risk.entry_from", ""),
    ("LOG_LEVEL", "log.level", ""),
    ("LOG_FILE", "log.file", ""),
    ("EXCHANGE_NSE", "", "a name for reference that nothing read"),
    ("EXCHANGE_NSE_FNO", "", "a name for reference that nothing read"),
    ("EXCHANGE_IDX", "", "a name for reference that nothing read"),
    ("queue sizes", "", "there is no queue between a tick and its order"),
    ("candle history", "strategy.params.vwap", ""),
    ("mock feed", "", "paper trades on the live feed, or on `dhanfast exchange --generate`"),
    ("reconnect of the feed", "feed.reconnect_first", ""),
    ("retry of orders", "", "an order is never sent again: its state is asked for"),
    ("paper option price", "", "a paper fill takes the market's price"),
)
