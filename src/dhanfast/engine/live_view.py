"""What faces see of a live engine: status, orders and positions as plain data."""

import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dhanfast._core.timing import LatencyHistogram
from dhanfast._core.types import OrderFlag, OrderKind, ReportKind
from dhanfast.engine.account import LiveAccount
from dhanfast.engine.live_engine import (
    FEED,
    KEPT,
    LOGIN,
    OPERATOR,
    PANIC,
    RECONCILE,
    UNANSWERED,
    UPDATES,
    LiveEngine,
)
from dhanfast.engine.status import EngineStatus, OrderLine

SHOWN_ORDERS: Final = 500
PERCENTILES: Final = (50.0, 99.0, 99.9)
BEGINNING: Final = {FEED, RECONCILE, UPDATES}  # what every start waits for
_STATES: Final = {
    ReportKind.FILLED: "filled",
    ReportKind.CANCELLED: "cancelled",
    ReportKind.EXPIRED: "cancelled",
    ReportKind.REJECTED: "refused",
}


class LiveView:
    """An engine as the control socket shows it; implements `control.Controlled`.

    Args:
        engine: in service.
        run, mode, strategy, instrument, timeframe: for the eye.
        day_loss_max: paise; 0 = none.
        names: of contracts by the number that orders have; None: all are `instrument`.
        account: what other engines share with it; None: nobody does.
    Attributes:
        strategy: as given.
    """

    def __init__(
        self,
        engine: LiveEngine,
        *,
        run: str,
        mode: str,
        strategy: str,
        instrument: str,
        timeframe: str,
        day_loss_max: int = 0,
        names: Mapping[int, str] | None = None,
        account: LiveAccount | None = None,
    ) -> None:
        self.engine, self.strategy = engine, strategy
        self._account = account
        self._names = names or {}
        self._fixed: dict[str, Any] = {
            "run": run,
            "mode": mode,
            "instrument": instrument,
            "timeframe": timeframe,
            "day_loss_max": day_loss_max,
        }

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """See `LiveEngine.command`."""
        return await self.engine.command(name, **arguments)

    def status(self) -> dict[str, Any]:
        """`EngineStatus` as plain data."""
        engine, live = self.engine, self.engine.run
        kernel, now_ns = live.kernel, self.engine.clock.now_ns()
        books, held = live.portfolio.snapshot(), live.held_now()
        trades, orders = live.rows_so_far()
        feed = self._feed(now_ns)
        told = EngineStatus(
            **self._fixed,
            **self._deciding(),
            **self._requests(now_ns),
            state=self.state,
            pid=os.getpid(),
            started_ns=engine.started_ns,
            now_ns=now_ns,
            market_ns=live.loop.market_time(now_ns),
            capital=books["capital"],
            held=kernel.position,
            average=held.average,
            last=held.last,
            contracts=held.contracts,
            realised=books["realised"],
            unrealised=books["open_pnl"],
            charges=books["charges"] + (books["charges_open"] + 500_000) // 1_000_000,
            trades=len(trades),
            bars=kernel.bars_seen,
            orders_sent=kernel.orders_sent,
            orders_working=kernel.broker.live,
            orders_filled=int((orders["filled"] > 0).sum()),
            orders_refused=kernel.orders_refused,
            orders_unknown=sum(
                order["state"] == "doubt"
                for order in (live.remote.orders_there() if live.remote is not None else ())
            ),
            feed=feed[0],
            feed_age_ms=feed[1],
            packets=live.loop.inputs,
            gaps=feed[2],
            broker=self._broker(),
            reconciled_ago_s=(now_ns - engine.reconciled_ns) // 10**9
            if engine.reconciled_ns
            else -1,
            belt="" if engine.belt is None else engine.belt.text,
            journal=str(live.journal.path),
            journal_bytes=live.journal.bytes,
            latency_us=percentiles_us(live.loop.latency),
            locks=tuple(engine.keeper.lines()) if engine.keeper is not None else (),
            vetoes=(live.guards.vetoed if live.guards is not None else {})
            | {f"FILTER_{name.upper()}": count for name, count in live.vetoed.items()},
            alerts=tuple(engine.keeper.alerts) if engine.keeper is not None else (),
            notes=(*self._waits(), *live.notes_now(), *engine.notes),
        )
        plain: dict[str, Any] = msgspec.to_builtins(told)
        return plain

    def _deciding(self) -> dict[str, Any]:
        """Who decides."""
        seat = self.engine.run.seat
        if seat is None:
            return {"strategy": self.strategy}
        return {
            "strategy": self.engine.run.decider(self.strategy),
            "strategy_since_ns": seat.now.since_ns,
            "strategy_stopped": seat.stopped,
            "swaps": seat.swaps,
            "rollbacks": seat.rollbacks,
        }

    def _requests(self, now_ns: int) -> dict[str, Any]:
        """What the account's engines have sent."""
        if self._account is None:
            return {}
        return {
            "requests": self._account.requests(now_ns),
            "requests_of": self._account.budget.by_engine(now_ns),
        }

    @property
    def state(self) -> str:
        """One word: starting, trading, paused, exits only, closed or stopping."""
        engine = self.engine
        if engine.stopping:
            return "stopping"
        if PANIC in engine.holds:
            return "closed"
        if OPERATOR in engine.holds:
            return "paused"
        if not engine.run.kernel.bars_seen and engine.holds <= BEGINNING:
            return "starting"
        return "exits only" if engine.holds or engine.run.loop.gate_state else "trading"

    def _waits(self) -> list[str]:
        """Why entries wait, where the state alone does not say it."""
        reasons = sorted(self.engine.holds - set(KEPT))
        return [f"entries wait: {reason}" for reason in reasons]

    def _feed(self, now_ns: int) -> tuple[str, int, int]:
        """(word, age of the last packet of what is traded in ms or -1, gaps)."""
        feed = self.engine.feed
        told = feed.status()
        seen_ns = feed.seen_ns(self.engine.run.instrument)
        word = "mute" if told.stale else "connected" if told.whole else "lost"
        age_ms = max(0, now_ns - seen_ns) // 1_000_000 if seen_ns else -1
        return (word if told.running else "off"), age_ms, told.gaps

    def _broker(self) -> str:
        engine = self.engine
        if engine.run.remote is None:
            return "simulated"
        heard = engine.updates is None or engine.updates.online
        return "connected" if heard and not engine.holds & {UNANSWERED, LOGIN} else "lost"

    def orders(self) -> list[dict[str, Any]]:
        """The latest orders of today, oldest first: `OrderLine` as plain data."""
        rows = self.engine.run.rows_so_far()[1][-SHOWN_ORDERS:]
        lines = [
            msgspec.to_builtins(_order_line(row, self._name_of(row["instrument"]))) for row in rows
        ]
        remote = self.engine.run.remote
        there = remote.orders_there() if remote is not None else []
        for order in there:
            line = OrderLine(
                id=order["number"],
                broker_id=order["broker_id"],
                symbol=self._name_of(order.get("instrument", 0)),
                side=order["side"],
                kind="stop" if order["kind"] == "SL" else "limit",
                qty=order["qty"],
                filled=order["filled"],
                price=order["price"],
                trigger=order["trigger"],
                state="unknown" if order["state"] == "doubt" else "working",
            )
            lines.append(msgspec.to_builtins(line))
        return lines

    def locks(self) -> list[dict[str, Any]]:
        """`LockLine`s as plain data."""
        keeper = self.engine.keeper
        return [] if keeper is None else [msgspec.to_builtins(one) for one in keeper.lines()]

    def positions(self) -> list[dict[str, Any]]:
        """`PositionLine` as plain data; empty before the first trade."""
        lines = self.engine.run.position_lines(self._fixed["instrument"])
        return [msgspec.to_builtins(line) for line in lines]

    def _name_of(self, number: Any) -> str:
        """What an order is of."""
        name: str = self._fixed["instrument"]
        return self._names.get(int(number), name)


def percentiles_us(latency: LatencyHistogram | None) -> dict[str, float]:
    """p50, p99 and p99.9 of a histogram in microseconds; empty without a sample."""
    if latency is None or latency.count == 0:
        return {}
    found = {f"p{at:g}": latency.percentile(at) for at in PERCENTILES}
    return {name: value / 1000 for name, value in found.items() if value is not None}


def _order_line(row: Any, symbol: object) -> OrderLine:
    flags, filled = int(row["flags"]), int(row["filled"])
    role = "entry"
    if flags & OrderFlag.EXIT:
        role = "target" if flags & OrderFlag.TARGET else "exit"
        role = "stop" if flags & OrderFlag.STOP else role
    return OrderLine(
        id=int(row["id"]),
        at_ns=int(row["created_ns"]),
        symbol=str(symbol),
        side="BUY" if row["side"] > 0 else "SELL",
        kind=OrderKind(int(row["kind"])).name.lower(),
        role=role,
        qty=int(row["qty"]),
        filled=filled,
        price=int(row["price"]),
        trigger=int(row["trigger"]),
        average=int(row["value"]) // filled if filled else 0,
        state=_STATES.get(ReportKind(int(row["status"])), "working"),
    )
