"""Every setting there is: one frozen struct a section, one documented line a field.

The JSON Schema, docs/reference/config.md and the file that `dhanfast init` writes are made from
these declarations; a test refuses a field without its line.
"""

from typing import Annotated as A
from typing import Any, Final, Literal

import msgspec
from msgspec import Meta

from dhanfast.app.config_chain import Chain
from dhanfast.app.config_filters import Filters
from dhanfast.app.config_guards import GuardTables
from dhanfast.app.config_margin import Margin
from dhanfast.app.config_route import Route
from dhanfast.app.config_section import Section as Section
from dhanfast.app.config_values import (
    Amount,
    Bytes,
    Duration,
    Far,
    MaybeNamed,
    Percent,
    Protection,
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


class History(Section, frozen=True):
    """Trades that closed before, for `method = "kelly"`: averages after charges, rupees a unit."""

    trades: A[int, Meta(description="How many trades.", ge=0, le=10**9)] = 0
    win_rate: A[Percent, Meta(description="The share of them that won.")] = Percent("0")
    win: A[Rupees, Meta(description="Average win, rupees a unit.")] = Rupees("0")
    loss: A[Rupees, Meta(description="Average loss, rupees a unit, above 0.")] = Rupees("0")


class Sizing(Section, frozen=True):
    """How large an entry is: whole lots, rounded down."""

    method: A[
        Literal["lots", "risk", "kelly", "volatility"],
        Meta(
            description="strategy.lots; by what the stop may lose; by the edge of the trades so "
            "far; by a day's volatility of equity."
        ),
    ] = "lots"
    risk: A[
        Amount, Meta(description="risk: what the stop may lose; a percentage is of equity.")
    ] = Amount("0")
    kelly_fraction: A[
        Percent, Meta(description="kelly: part of the shrunk Kelly fraction that is used.")
    ] = Percent("50%")
    kelly_cap: A[Percent, Meta(description="kelly: most of equity at stake in one trade.")] = (
        Percent("2%")
    )
    kelly_trades_min: A[
        int, Meta(description="kelly: fewer closed trades are too few.", ge=1, le=10**9)
    ] = 30
    kelly_fall_back: A[
        Literal["none", "lots"],
        Meta(
            description="kelly: without an edge or with too few trades: no entry, or strategy.lots."
        ),
    ] = "none"
    volatility: A[Percent, Meta(description="volatility: wanted of equity.")] = Percent("0")
    volatility_per: A[
        Literal["day", "year"], Meta(description="volatility: of a day, or of a year of 252 days.")
    ] = "day"
    measure: A[
        Literal["atr", "returns"],
        Meta(description="volatility: of the traded instrument, by true range or by returns."),
    ] = "atr"
    period: A[
        int, Meta(description="volatility: signal bars that measure it.", ge=2, le=10_000)
    ] = 14
    fit: A[
        bool,
        Meta(
            description="Cut to qty_max, notional_max, position_max, the freeze quantity and free "
            "margin; otherwise an entry above them is refused."
        ),
    ] = False
    history: A[History, Meta(description="Trades that closed before, for kelly.")] = History()


class Stops(Section, frozen=True):
    """Where a stop is first, how it follows the market, how long a position is held."""

    stop: A[Far, Meta(description="First stop, when the strategy gives none.")] = Far("none")
    target: A[Far, Meta(description="Target, when the strategy gives none.")] = Far("none")
    override: A[bool, Meta(description="stop and target also when the strategy gives its own.")] = (
        False
    )
    trail: A[Far, Meta(description="Distance that the stop keeps from the best price.")] = Far(
        "none"
    )
    trail_from: A[Far, Meta(description="Gain at which that begins; none = at once.")] = Far("none")
    cost_at: A[Far, Meta(description="Gain at which the stop goes to what was paid.")] = Far("none")
    cost_plus: A[Far, Meta(description="Beyond what was paid.")] = Far("none")
    cost_charges: A[
        bool, Meta(description="What was paid counts the charges of both sides.")
    ] = False  # fmt: skip
    rest: A[
        bool,
        Meta(
            description="The stop rests at the exchange; false: it is watched here, and not sent."
        ),
    ] = True
    step_ticks: A[int, Meta(description="Least move of a stop, ticks.", ge=1, le=100_000)] = 20
    every: A[Duration, Meta(description="Least time between two moves.")] = Duration("5s")
    changes_max: A[
        int,
        Meta(
            description="Moves of one order; after these the stop goes on here. A broker allows 25 "
            "changes of an order, and a target and the exit need some.",
            ge=0,
            le=20,
        ),
    ] = 15
    atr_period: A[int, Meta(description="Signal bars of the ATR.", ge=1, le=10_000)] = 14
    bars_max: A[
        int, Meta(description="A position is left after so many signal bars; 0 = never.", ge=0)
    ] = 0
    time_max: A[Duration, Meta(description="And after so long; 0s = never.")] = Duration("0s")
    only_losing: A[bool, Meta(description="But only while it has no profit.")] = False


class Risk(Section, frozen=True):
    """Limits; 0 switches one off. Exits pass all of them."""

    day_loss: A[
        Amount, Meta(description="No entries for the rest of a day that lost so much.")
    ] = Amount("5000")  # fmt: skip
    orders_per_second: A[
        int, Meta(description="Entries beyond it are refused; the exchange's is 10.", ge=1, le=10)
    ] = 9  # fmt: skip
    orders_per_minute: A[
        int,
        Meta(
            description="Requests of orders in any minute; the broker's limit is 250. Of this and "
            "of the other three a fifth is left to exits and cancels.",
            ge=1,
            le=250,
        ),
    ] = 240
    orders_per_hour: A[
        int, Meta(description="In any hour; the broker's limit is 1,000.", ge=1, le=1_000)
    ] = 960  # fmt: skip
    orders_per_day: A[
        int, Meta(description="In a day; the broker's limit is 7,000.", ge=1, le=7_000)
    ] = 6_900  # fmt: skip
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
    sizing: A[Sizing, Meta(description="How large an entry is.")] = Sizing()
    margin: A[Margin, Meta(description="Funds of a structure of legs, before it is sent.")] = (
        Margin()
    )
    stops: A[Stops, Meta(description="Stops and targets.")] = Stops()


class Execution(Section, frozen=True):
    """How orders are worked. Stops, targets, square-off and panic never wait for an algorithm."""

    algo: A[
        Literal["none", "slice", "twap", "vwap", "pov", "iceberg"],
        Meta(description="How an order is divided: none sends it whole."),
    ] = "none"
    entries: A[bool, Meta(description="Entries are worked.")] = True
    exits: A[bool, Meta(description="Exits that a signal asks for are worked.")] = True
    horizon: A[
        Span,
        Meta(description="From an order to its deadline; not beyond entry_until, flat_by."),
    ] = Span("5m")
    interval: A[Span, Meta(description="A step of twap, vwap and pov.")] = Span("30s")
    reprice_after: A[
        Duration, Meta(description="A resting child is priced again after so long; 0s = never.")
    ] = Duration("5s")
    randomise: A[
        Percent, Meta(description="Sizes and times move by at most this share, up to 50%.")
    ] = Percent("0%")  # fmt: skip
    min_lots: A[
        int,
        Meta(description="Smallest child; a smaller rest is let go at the deadline.", ge=1),
    ] = 1
    max_child_lots: A[
        int, Meta(description="Largest child; 0 = the freeze quantity.", ge=0, le=100_000)
    ] = 0  # fmt: skip
    volume_cap: A[
        Percent,
        Meta(description="twap, vwap: at most this share of the volume since the start; 0 = off."),
    ] = Percent("0%")
    participation: A[
        Percent, Meta(description="pov: share of the volume traded since the start.")
    ] = Percent("10%")  # fmt: skip
    participation_floor: A[
        Percent, Meta(description="pov: at least this share of an even schedule; 0 = none.")
    ] = Percent("0%")  # fmt: skip
    display_lots: A[int, Meta(description="iceberg: lots that show at once.", ge=1)] = 1
    limit: A[
        Percent,
        Meta(description="No child pays more than so far from the price at the start; 0 = off."),
    ] = Percent("0%")
    remainder: A[
        Literal["reprice", "cancel", "keep"],
        Meta(
            description="What an entry has not filled at its deadline: takes what the market "
            "offers, is let go, or stays where it rests."
        ),
    ] = "reprice"
    style: A[
        Literal["passive", "normal", "urgent"],
        Meta(description="How children are priced: wait, look at the spread, or take."),
    ] = "normal"
    seed: A[int, Meta(description="Of everything random.", ge=0, le=2**63 - 1)] = 0
    profile: A[
        str,
        Meta(
            description="vwap: file of volume by minute of the day, as scripts/volume-profile "
            "writes it; in the user's folder unless absolute.",
            examples=["banknifty.profile"],
        ),
    ] = ""
    route: A[Route, Meta(description="Type and price of each child.")] = Route()


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
        Protection,
        Meta(
            description="How far from the market a market order may fill; slab: 5 % of a premium "
            "below 10, 3 % below 100, 2 % below 500, else 1 %, as live orders always."
        ),
    ] = Protection("5%")
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
            description="The strategy: a name of `dhanfast strategies`, path.py[:Class] or "
            'package.module:Class; or "legs": the structure of the file that `legs` names.',
            min_length=1,
        ),
    ]
    legs: A[
        str,
        Meta(
            description='With use = "legs": the legs file, in the folder of the user or of the '
            "command.",
            examples=["straddle.toml"],
        ),
    ] = ""
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
    on_error: A[
        Literal["flatten", "keep", "stop"],
        Meta(
            description="When it raises, hangs or eats memory: flatten closes what is open and "
            "makes no entries; keep leaves it to its stop, its target and the square-off; stop "
            "closes it and ends the engine."
        ),
    ] = "flatten"
    callback_limit: A[
        Duration,
        Meta(
            description="How long a call of a Python strategy may take, up to 60s; 0s: as long "
            "as it likes."
        ),
    ] = Duration("1s")
    memory_limit: A[
        Bytes,
        Meta(
            description="By how much the engine's memory may grow while a strategy decides; 0MB: "
            "by any amount."
        ),
    ] = Bytes("0MB")
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
    filters: A[Filters, Meta(description="What takes back entries.")] = Filters()
    execution: A[Execution, Meta(description="How orders are worked.")] = Execution()
    simulation: A[Simulation, Meta(description="Paper trading.")] = Simulation()
    chain: A[Chain, Meta(description="The option chain that a strategy sees.")] = Chain()
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
