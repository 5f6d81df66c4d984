"""What a running engine says of itself: the records that the control socket carries.

A face shows the fields it knows and passes over the others, so that an older face reads a newer
engine. `msgspec.to_builtins` makes the plain data that `Controlled` gives.
"""

from typing import Any, TypeVar

import msgspec


class LockLine(msgspec.Struct, frozen=True, kw_only=True):
    """One lock of the guards. Units as in `EngineStatus`, of value and limit as its guard's."""

    name: str = ""
    since_ns: int = 0
    until_ns: int = 0
    until: str = ""  # a time, next session, unlocked
    value: int = 0
    limit: int = 0
    text: str = ""


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One engine at one moment.

    Units:
        Prices and amounts in paise, quantities in units, times in UTC ns, ages and latencies as
        their names say; 0 and empty texts where there is nothing to tell.
    """

    run: str = ""
    mode: str = ""  # paper or live
    state: str = ""  # starting, trading, paused, exits only, closed, stopping
    pid: int = 0
    started_ns: int = 0
    now_ns: int = 0
    market_ns: int = 0  # differs from now_ns on an accelerated exchange
    strategy: str = ""  # that decides now
    strategy_since_ns: int = 0  # the market's; 0 = from the start of the day
    strategy_stopped: str = ""  # why nobody decides; empty = somebody does
    swaps: int = 0  # of strategies, today
    rollbacks: int = 0  # newcomers that failed before their second bar
    instrument: str = ""
    timeframe: str = ""
    capital: int = 0
    held: int = 0  # units, negative when short; of a structure all its contracts' added
    contracts: int = 0  # of a structure that are held; 0 for one instrument
    average: int = 0
    last: int = 0
    realised: int = 0  # before charges, today
    unrealised: int = 0
    charges: int = 0
    day_loss_max: int = 0
    trades: int = 0
    bars: int = 0
    orders_sent: int = 0
    orders_working: int = 0
    orders_filled: int = 0
    orders_refused: int = 0
    orders_unknown: int = 0
    # Orders placed, changed and cancelled by all engines of the account: window -> (sent, allowed);
    # empty where orders are simulated.
    requests: dict[str, tuple[int, int]] = {}
    requests_of: dict[str, int] = {}  # name of an engine -> of the day
    feed: str = ""  # connected, lost, mute, off
    feed_age_ms: int = -1  # since the last packet of what is traded; -1 = none yet
    packets: int = 0
    gaps: int = 0
    broker: str = ""  # connected, lost, simulated
    token_minutes: int = -1  # -1 = not known
    reconciled_ago_s: int = -1
    belt: str = ""  # the broker's own exit on profit or loss; empty = none is wanted
    journal: str = ""
    journal_bytes: int = 0
    latency_us: dict[str, float] = {}  # name of a percentile -> tick to order
    locks: tuple[LockLine, ...] = ()
    vetoes: dict[str, int] = {}  # of guards and filters: entries refused so far, by reason
    alerts: tuple[str, ...] = ()  # of the guards, near a limit
    notes: tuple[str, ...] = ()  # what somebody should look at

    @property
    def result(self) -> int:
        """What the day has brought so far, after charges, paise."""
        return self.realised + self.unrealised - self.charges


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One order of today. Units as in `EngineStatus`."""

    id: int = 0
    broker_id: str = ""
    at_ns: int = 0
    symbol: str = ""
    side: str = ""  # BUY or SELL
    kind: str = ""  # limit, stop
    role: str = ""  # entry, exit, stop, target
    qty: int = 0
    filled: int = 0
    price: int = 0
    trigger: int = 0
    average: int = 0
    state: str = ""  # waiting, working, filled, cancelled, refused, unknown
    reason: str = ""


class PositionLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, or was today, of one instrument. Units as in `EngineStatus`."""

    symbol: str = ""
    qty: int = 0
    average: int = 0
    last: int = 0
    stop: int = 0
    target: int = 0
    realised: int = 0
    unrealised: int = 0


Record = TypeVar("Record", bound=msgspec.Struct)


def read_record(plain: Any, kind: type[Record]) -> Record:
    """A record of plain data; fields that are not known are passed over.

    Raises:
        ValueError: a field of the wrong type.
    """
    return msgspec.convert(plain, kind)
