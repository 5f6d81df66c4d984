"""Every setting of a backtest in one frozen tree, and the texts people write for them."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dhanfast.engine.chain_settings import ChainSettings, checked_chain
from dhanfast.engine.execution_settings import ExecutionSettings, checked_execution
from dhanfast.engine.filter_settings import FilterSettings, checked_filters
from dhanfast.engine.guard_settings import GuardSettings, checked_guards
from dhanfast.engine.margin_settings import MarginSettings, checked_margin
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

NS_PER_S = 1_000_000_000
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)\s*$")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_MEASURED = re.compile(r"^\s*measured(?::(\d{1,3}))?\s*$")
SESSIONS = 20  # of the last, that a measured slippage is of when nothing else is said
SESSIONS_MAX = 250
_SLIPPAGE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ticks?|pts?|points?|bps|%)\s*$")


def duration_ns(text: str, name: str) -> int:
    """`250ms`, `5s`, `1m`, `1h` as nanoseconds.

    Raises:
        ConfigError: no number, no unit, or an unknown unit.
    """
    found = _DURATION.match(text)
    if not found:
        raise ConfigError(
            f"{name}: {text!r} is not a duration; write a number and a unit, "
            "one of ns us ms s m h d, for example 250ms or 1m"
        )
    length = float(found[1]) * _UNIT_NS[found[2]]
    if length >= 2.0**63:  # infinite as well: of hundreds of digits
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise ConfigError(f"{name}: {shown!r} is longer than 290 years")
    return round(length)


def timeframe_text(interval_ns: int) -> str:
    """60_000_000_000 -> 1m."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if interval_ns % _UNIT_NS[unit] == 0:
            return f"{interval_ns // _UNIT_NS[unit]}{unit}"
    return f"{interval_ns}ns"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measured slippage is the median of.

    Attributes:
        mode: live or paper. days: exchange days, from `first` to `last` (YYYYMMDD).
        market_fills, stop_fills: orders that filled. apart: stops have a median of their own.
    """

    symbol: str
    mode: str
    days: int
    first: int
    last: int
    market_fills: int
    stop_fills: int
    apart: bool


@dataclass(frozen=True, slots=True)
class Slippage:
    """What a market fill loses against the price it is taken at.

    Attributes:
        ticks: in ticks of the contract on the day. paise: absolute. rate_e6: 1e-6 of the price.
        stop_more: paise that a triggered stop loses beside (or less).
        sessions: to be measured over so many of the last days; 0 = a figure that was given.
        measured: what it was measured of; None until then.
    """

    ticks: int = 0
    paise: int = 0
    rate_e6: int = 0
    stop_more: int = 0
    sessions: int = 0
    measured: Measured | None = None

    @classmethod
    def parse(cls, text: str) -> "Slippage":
        """`1tick`, `2ticks`, `1.5pts`, `3bps`, `0.02%`, `0`, `measured`, `measured:10`.

        Raises:
            ConfigError: none of these.
        """
        if text.strip() in ("0", "none"):
            return cls()
        measured = _MEASURED.match(text)
        if measured:
            days = int(measured[1] or SESSIONS)
            if not 1 <= days <= SESSIONS_MAX:
                raise ConfigError(f"slippage: {text!r} must be of 1..{SESSIONS_MAX} days")
            return cls(sessions=days)
        found = _SLIPPAGE.match(text)
        if not found:
            raise ConfigError(
                f"slippage: {text!r} is not understood; write for example 1tick, 2pts, "
                "3bps, 0.02% or measured"
            )
        amount, unit = float(found[1]), found[2]
        if unit.startswith("tick"):
            if amount != int(amount):
                raise ConfigError(f"slippage: {text!r} must be whole ticks")
            return cls(ticks=int(amount))
        if unit.startswith("p"):
            return cls(paise=round(amount * 100))
        return cls(rate_e6=round(amount * (100 if unit == "bps" else 10_000)))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; of a measured one also what it is of."""
        plain: dict[str, Any] = {
            "ticks": self.ticks,
            "paise": self.paise,
            "rate_e6": self.rate_e6,
        }
        if self.sessions:
            plain |= {"stop_more": self.stop_more, "sessions": self.sessions}
            plain["measured"] = None if self.measured is None else asdict(self.measured)
        return plain

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> "Slippage":
        """Back from `as_dict`."""
        values = dict(plain)
        found = values.pop("measured", None)
        return cls(**values, measured=None if found is None else Measured(**found))


def clock_time(text: str | dt.time | None, name: str) -> dt.time | None:
    """`15:15` as a time of day in IST; `none` or None as None.

    Raises:
        ConfigError: not a time.
    """
    if text is None or isinstance(text, dt.time):
        return text
    if text.strip().lower() == "none":
        return None
    try:
        found = dt.time.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:
        raise ConfigError(f"{name}: {text!r} is not a time of day; write HH:MM in IST, or none")
    return found


def _time_text(time: dt.time) -> str:
    """HH:MM, or more where there is more to say."""
    return time.isoformat("auto" if time.second or time.microsecond else "minutes")


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """Limits of the risk gate; 0 switches one off. Exits pass all of them.

    Attributes:
        qty_max: units an order. notional_max: paise an order. position_max: units held.
        loss_day_max: paise; no entries for the rest of a day that lost this much.
        band_e4: largest distance of a limit price from the market, 1e-4.
        orders_per_s_max: entries beyond it are refused. margin_check: an entry needs free margin.
    """

    qty_max: int = 0
    notional_max: int = 0
    position_max: int = 0
    loss_day_max: int = 0
    band_e4: int = 0
    orders_per_s_max: int = 9
    margin_check: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """One backtest's settings, as they are written into its result.

    Attributes:
        capital: paise. lots: an entry's size. timeframe_ns: of the signal bars; 0 = the data's.
        slippage, latency_ns: of the simulated exchange. seed: for anything random (nothing yet is).
        entry_from, entry_until: entries are sent in [from, until), IST. square_off: positions are
        closed at this time; None carries them over night. on_opposite: keep, close or reverse.
        limit_through: a limit order fills only when the price trades through it.
        protection_e4: how far from the market a market order may fill, 1e-4.
        protection_slab: it is that of the premium's slab instead (5, 3, 2 or 1 %).
        execution: how orders are worked.
        sizing: what an entry's size follows from. stops: rules of stops and targets.
        chain: the option chain that the strategy sees.
        margin: what is asked before a structure of legs is sent.
        filters: what takes back entries of the strategy.
    """

    capital: int = 100_000_000
    lots: int = 1
    timeframe_ns: int = 0
    slippage: Slippage = field(default_factory=lambda: Slippage(ticks=1))
    latency_ns: int = 0
    seed: int = 0
    entry_from: dt.time = dt.time(9, 20)
    entry_until: dt.time = dt.time(15, 0)
    square_off: dt.time | None = dt.time(15, 15)
    on_opposite: str = "keep"
    limit_through: bool = False
    protection_e4: int = 500
    protection_slab: bool = False
    risk: RiskSettings = field(default_factory=RiskSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    sizing: SizingSettings = field(default_factory=SizingSettings)
    stops: StopSettings = field(default_factory=StopSettings)
    chain: ChainSettings = field(default_factory=ChainSettings)
    margin: MarginSettings = field(default_factory=MarginSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order; what is off by default is left out while it is off."""
        slab = {"protection_slab": True} if self.protection_slab else {}
        used = {
            name: getattr(self, name) for name, usual in _UNUSED if getattr(self, name) != usual
        }
        plain = {
            "capital_paise": self.capital,
            "lots": self.lots,
            "timeframe": timeframe_text(self.timeframe_ns) if self.timeframe_ns else "data",
            "slippage": self.slippage.as_dict(),
            "latency_ns": self.latency_ns,
            "seed": self.seed,
            "entry_from": _time_text(self.entry_from),
            "entry_until": _time_text(self.entry_until),
            "square_off": _time_text(self.square_off) if self.square_off else None,
            "on_opposite": self.on_opposite,
            "limit_through": self.limit_through,
            "protection_e4": self.protection_e4,
            **slab,
            "risk": {name: getattr(self.risk, name) for name in RiskSettings.__slots__},
            **{name: each.as_dict() for name, each in used.items()},
        }
        if self.guards.any_on:
            plain["guards"] = self.guards.as_dict()
        if self.execution.works:
            plain["execution"] = self.execution.as_dict()
        return plain


_UNUSED = (
    ("sizing", SizingSettings()),
    ("stops", StopSettings()),
    ("chain", ChainSettings()),
    ("margin", MarginSettings()),
    ("filters", FilterSettings()),
)
LIMIT_MAX = 10**15
OPPOSITE = {"keep": 0, "close": 1, "reverse": 2}


Need = Callable[[bool, str, object, str], None]


def checked(settings: Settings) -> Settings:
    """`settings`, or a refusal that names the field, the value and the range.

    Raises:
        ConfigError: a value out of range.
    """

    def need(ok: bool, name: str, value: object, rule: str) -> None:
        if not ok:
            raise ConfigError(f"{name} must be {rule}, was {value}")

    need(
        100 <= settings.capital <= 10**15,
        "capital",
        settings.capital / 100,
        "in 1..10,000,000,000,000 rupees",
    )
    need(1 <= settings.lots <= 100_000, "lots", settings.lots, "in 1..100000")
    need(
        0 <= settings.timeframe_ns <= 7 * _UNIT_NS["d"],
        "timeframe",
        timeframe_text(settings.timeframe_ns),
        "at most 7d",
    )
    need(
        0 <= settings.latency_ns <= 3600 * NS_PER_S,
        "latency",
        timeframe_text(settings.latency_ns),
        "in 0ns..1h",
    )
    _check_slippage(settings, need)
    for name in RiskSettings.__slots__:
        limit = getattr(settings.risk, name)
        need(0 <= limit <= LIMIT_MAX, f"risk.{name}", limit, f"in 0..{LIMIT_MAX} (0 = off)")
    need(
        settings.entry_from < settings.entry_until,
        "entry-from",
        settings.entry_from,
        f"before the last-entry time {settings.entry_until}",
    )
    if settings.square_off is not None:
        need(
            settings.entry_until <= settings.square_off,
            "last-entry",
            settings.entry_until,
            f"at or before the square-off time {settings.square_off}",
        )
    if settings.on_opposite not in OPPOSITE:
        raise ConfigError(unknown("value of on-opposite", settings.on_opposite, OPPOSITE))
    checked_guards(settings.guards)
    checked_margin(settings.margin)
    checked_filters(settings.filters)
    checked_execution(settings.execution, settings.lots)
    settings.sizing.native(settings.lots, settings.timeframe_ns or NS_PER_S)
    settings.stops.native()
    checked_chain(settings.chain)
    return settings


def _check_slippage(settings: Settings, need: Need) -> None:
    slip = settings.slippage
    widest_e4 = 100 if settings.protection_slab else settings.protection_e4
    need(0 <= slip.ticks <= 10_000, "slippage", f"{slip.ticks} ticks", "in 0..10000 ticks")
    need(0 <= slip.paise <= 10**7, "slippage", f"{slip.paise / 100} pts", "in 0..100000 pts")
    need(
        0 <= slip.rate_e6 <= widest_e4 * 100,
        "slippage",
        f"{slip.rate_e6 / 10_000:g}%",
        f"in 0..{widest_e4 / 100:g}%, what a market order may lose at most",
    )
