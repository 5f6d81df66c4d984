"""What the columns of a tick file are: by the names that brokers and recorders give them.

A role is a field of a tick, or a fact of its instrument. A column that has no role is kept all the
same, under its own name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dhanfast.errors import UsageError

CLOCKS: Final = ("recv", "exch")
PRICES: Final = ("price", "bid", "ask")
QUANTITIES: Final = ("volume", "qty", "bid_qty", "ask_qty", "oi")

# role -> names, in lower case; the first that the file has is taken
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "recv": ("recv_ns", "recv_time", "local_ts", "local_timestamp", "received_at", "receive_time",
             "recv_ts"),
    "exch": ("exch_ns", "exch_time", "exch_ts", "exchange_timestamp", "exchange_time", "ltt",
             "last_trade_time"),
    "ts": ("ts", "timestamp", "time", "datetime", "date_time", "date"),
    "instrument": ("symbol", "instrument", "tradingsymbol", "trading_symbol", "instrument_token",
                   "security_id", "token", "ticker"),
    "price": ("price", "ltp", "last_price", "last_traded_price", "trade_price"),
    "qty": ("qty", "ltq", "last_qty", "last_traded_quantity", "last_traded_qty", "quantity"),
    "bid": ("bid", "bid_price", "bid_price1", "bid_price_1", "best_bid", "best_bid_price", "bp1"),
    "bid_qty": ("bid_qty", "bid_qty1", "bid_qty_1", "bid_quantity", "best_bid_qty", "bid_size",
                "bq1"),
    "ask": ("ask", "ask_price", "ask_price1", "ask_price_1", "best_ask", "best_ask_price", "sp1",
            "offer"),
    "ask_qty": ("ask_qty", "ask_qty1", "ask_qty_1", "ask_quantity", "best_ask_qty", "ask_size",
                "sq1"),
    "volume": ("volume", "volume_traded", "total_volume", "vol", "day_volume"),
    "oi": ("oi", "open_interest", "openinterest"),
    "flags": ("flags",),
    "expiry": ("expiry", "expiry_date"),
    "strike": ("strike", "strike_price"),
    "right": ("right", "option_type"),
    "kind": ("instrument_type",),
}  # fmt: skip
BARS: Final = frozenset(("open", "high", "low", "close"))
SHORT_BARS: Final = frozenset(("o", "h", "l", "c"))
MESSAGES: Final = frozenset(("event", "side", "price", "qty"))
_OPTIONVAULT: Final = (
    frozenset(("timestamp", "price", "tradingsymbol", "instrument_type", "segment")),
    frozenset(("timestamp", "symbol", "bid_price1", "ask_price5", "ltp")),
)


@dataclass(frozen=True)
class Layout:
    """Which column plays which role.

    Attributes:
        name: for people.
        roles: role -> index of the column.
        tz: zone of stamps that carry none, None when it must be said.
        clock: recv or exch: which clock the file's only time is; None when it has both.
        messages: rows are messages of an order book (event, side, price, qty).
        pairs: of ours and the file's names, for people.
    """

    name: str
    roles: Mapping[str, int]
    tz: str | None
    clock: str | None
    messages: bool
    pairs: tuple[str, ...] = field(default=())


def looks_like_bars(names: Sequence[str]) -> bool:
    """Whether a header is that of bars: open, high, low, close."""
    lower = {name.strip().lower() for name in names}
    return lower >= BARS or lower >= SHORT_BARS


def looks_like_ticks(names: Sequence[str]) -> bool:
    """Whether a header is that of ticks: a time and a price or quote, and no bars."""
    lower = {name.strip().lower() for name in names}
    timed = any(lower & set(NAMES[role]) for role in ("recv", "exch", "ts"))
    priced = any(lower & set(NAMES[role]) for role in PRICES)
    return timed and priced and not looks_like_bars(names)


def find_layout(
    names: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    tz: str | None = None,
    clock: str | None = None,
) -> Layout:
    """Say which column is what.

    Args:
        names: the header.
        columns: role -> name, or `none` for a role that no column plays; the rest is found.
        tz: zone of stamps that carry none, when the user said so.
        clock: recv or exch, when the user said so.

    Raises:
        UsageError: no column is a time or a price, or a name is not in the header.
    """
    lower = [name.strip().lower() for name in names]
    roles: dict[str, int] = {}
    given = _given(columns or {}, names, lower)
    taken = {at for at in given.values() if at is not None}
    for role, known in NAMES.items():
        if role in given:
            if given[role] is not None:
                roles[role] = given[role]  # type: ignore[assignment]
            continue
        at = next((lower.index(name) for name in known if name in lower), None)
        if at is not None and at not in taken:
            roles[role] = at
            taken.add(at)
    if "qty" not in given and "qty" not in roles and "volume" in roles:
        # Two columns `volume`: the day's, then that of the last trade.
        twins = [at for at, name in enumerate(lower) if name == lower[roles["volume"]]]
        if len(twins) == 2:
            roles["qty"] = twins[1]
    ours = next((known for known in _OPTIONVAULT if known <= set(lower)), None)
    messages = set(lower) >= MESSAGES and not columns and bool({"recv", "ts"} & set(roles))
    name = "order book messages" if messages else "quotes and trades"
    if ours is not None:
        name = "OptionVault ticks" if "price" in ours else "OptionVault depth"
    roles, only = _clocks(roles, clock, lower)
    if not set(PRICES) & set(roles):
        raise UsageError(
            "no column is a price, bid or ask; say which with --columns price=...; the file has "
            f"{', '.join(names[:20])}"
        )
    pairs = tuple(f"{role}={names[at]}" for role, at in sorted(roles.items(), key=lambda p: p[1]))
    zone = tz or ("Asia/Kolkata" if ours is not None else None)
    return Layout(name, roles, zone, only, messages, pairs)


def _given(
    columns: Mapping[str, str], names: Sequence[str], lower: Sequence[str]
) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    alias = {"symbol": "instrument", "recv_ns": "recv", "exch_ns": "exch"}
    for ours, theirs in columns.items():
        role = alias.get(ours, ours)
        if role not in NAMES:
            raise UsageError(
                f"--columns: {ours!r} is not a column of ours; for ticks those are "
                f"{', '.join(sorted(NAMES))}"
            )
        if theirs == "none":
            found[role] = None
        elif theirs in names:
            found[role] = names.index(theirs)
        elif theirs.lower() in lower:
            found[role] = lower.index(theirs.lower())
        else:
            raise UsageError(
                f"--columns: the file has no column {theirs!r}; it has {', '.join(names[:20])}"
            )
    return found


def _clocks(
    roles: dict[str, int], clock: str | None, lower: Sequence[str]
) -> tuple[dict[str, int], str | None]:
    """Settle which column is the receiver's clock and which the exchange's."""
    if clock is not None and clock not in CLOCKS:
        raise UsageError(f"--clock: {clock!r} is not known; use recv or exch")
    roles = dict(roles)
    alone = roles.pop("ts", None)
    if alone is not None:
        if "recv" in roles and "exch" not in roles:
            roles["exch"] = alone
        elif "exch" in roles and "recv" not in roles:
            roles["recv"] = alone
        elif "recv" not in roles:
            only = clock or "recv"
            roles[only] = alone
            return roles, only
    if "recv" in roles and "exch" in roles:
        if clock is not None:
            raise UsageError(
                f"--clock {clock}: the file has both clocks, {lower[roles['recv']]} and "
                f"{lower[roles['exch']]}; leave --clock out, or choose with --columns"
            )
        return roles, None
    if "recv" not in roles and "exch" not in roles:
        raise UsageError(
            "no column is a time; say which with --columns ts=... (or recv=..., exch=...)"
        )
    only = "recv" if "recv" in roles else "exch"
    if clock is not None and clock != only:
        roles[clock] = roles.pop(only)
    return roles, clock or only
