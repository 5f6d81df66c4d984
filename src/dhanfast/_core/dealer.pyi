from enum import IntEnum

from typing_extensions import disjoint_base

from dhanfast._core.broker import Broker
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.strategy import NativeStrategy

class Opposite(IntEnum):
    KEEP = 0
    CLOSE = 1
    REVERSE = 2

@disjoint_base
class Dealer:
    broker: Broker
    portfolio: Portfolio
    gate: Gate
    strategy: NativeStrategy
    log: RunLog
    position: int
    entry_id: int
    exit_id: int
    stop_id: int
    target_id: int
    stop_price: int
    target_price: int
    signals: int
    signals_late: int
    signals_held: int
    signals_unready: int
    signals_unsized: int
    stops_moved: int
    orders_sent: int
    orders_refused: int
    quoted: bool
