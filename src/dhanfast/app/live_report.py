"""What a trader sees of a live day: a line for each fill, and the day's figures at its end."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.types import OrderFlag, Reason, RejectReason, ReportKind
from dhanfast.app.edge import wrapped
from dhanfast.engine.live_engine import KEPT, LivePlan
from dhanfast.engine.live_view import percentiles_us
from dhanfast.engine.settings import clock_time
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.reports.figures import rupees
from dhanfast.reports.metrics import trade_net

if TYPE_CHECKING:
    from dhanfast.app.config import Config
    from dhanfast.app.live_build import Live
    from dhanfast.reports.result import RunResult

IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
LOOK_S: Final = 0.2
UPAISE: Final = 1_000_000  # micro-paise in a paisa
INDENT: Final = " " * 10  # as wide as a time and its gap
_LOG: Final = logging.getLogger("dhanfast.trade")
_WHY: Final = {
    Reason.SIGNAL: "entry",
    Reason.REVERSAL: "reversal",
    Reason.STOP_LOSS: "stop",
    Reason.TAKE_PROFIT: "target",
    Reason.EXIT_SIGNAL: "exit",
    Reason.TIME_EXIT: "square-off",
    Reason.TIME_STOP: "time stop",
    Reason.EXPIRY_EXIT: "expiry",
    Reason.RISK_EXIT: "risk",
    Reason.OPERATOR: "operator",
    Reason.END_OF_DATA: "end",
}


def hour(at_ns: int) -> str:
    """HH:MM:SS in India."""
    return dt.datetime.fromtimestamp(at_ns // 10**9, IST).strftime("%H:%M:%S")


def ends_at(live: "Live", text: str) -> LivePlan:
    """The engine's plan, ending at a time of the market's day.

    Raises:
        UsageError: the time has passed.
    """
    time = clock_time(text, "until")
    if time is None:
        raise UsageError("--until must be a time of day, HH:MM")
    moment = dt.datetime.combine(live.market.day, time, IST)
    until_ns = int(moment.timestamp()) * 10**9
    if until_ns <= live.market.now_ns():
        raise UsageError(f"--until {text}: it is {hour(live.market.now_ns())} already")
    return dataclasses.replace(live.engine.plan, until_ns=until_ns)


class Narrator:
    """Tells what happens, a line at a time.

    Args:
        live: the engine. tell: takes a line.
        names: of contracts by the number that orders have; None: all are the live's contract.
        texts: what the run tells beside its orders, all so far: (UTC ns of the market, text).
    """

    def __init__(
        self, live: "Live", tell: Callable[[str], None], names: Mapping[int, str] | None = None,
        texts: Callable[[], Sequence[tuple[int, str]]] = tuple,
    ) -> None:  # fmt: skip
        self._live, self._tell = live, tell
        self._names, self._texts = names or {}, texts
        self._read = 0
        self._told = self._trades = 0
        self._seen: tuple[object, ...] = ()
        self._state = ""
        self._refusal, self._refusals = -1, 0

    def begin(self) -> None:
        """What is about to run."""
        live, found = self._live, self._live.recovered
        word = "PAPER: orders are simulated" if live.mode == "paper" else "LIVE: orders are real"
        begun = f"{live.market.day}, {hour(live.market.now_ns())} IST"
        self._tell(wrapped(f"{live.view.strategy} on {live.contract.symbol}, {begun}", "", INDENT))
        self._tell(f"{INDENT}{word}")
        if found is not None:
            kernel = live.engine.run.kernel
            held = f"{kernel.position:+,}" if kernel.position else "flat"
            if live.names is not None and kernel.position:
                held = live.engine.run.held_text()
            went = f"went on with today's journal: {found.records:,} records, position {held}"
            self._tell(wrapped(went, INDENT, INDENT))
            if found.open or found.unmet:
                self._tell(
                    f"{INDENT}{found.open} requests in doubt, {found.unmet} that had not left"
                )
            trades, orders = live.engine.run.rows_so_far()
            self._trades, self._told = len(trades), len(orders)
            self._read = len(self._texts())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await self._live.engine.clock.sleep(LOOK_S)

    def stopping(self, again: bool) -> None:
        """Somebody has asked for the end."""
        open_now = not self._live.engine.flat
        if again:
            self._at_now("leaving what is open as it is" if open_now else "ending")
        else:
            self._at_now("closing what is open; once more leaves it" if open_now else "ending")

    def end(self) -> None:
        """Tell the rest."""
        self.look()
        self._tell_refusals()

    def look(self) -> None:
        """Tell what is new."""
        run, state = self._live.engine.run, self._live.view.state
        kernel = run.kernel
        texts = self._texts()[self._read :]
        for at_ns, text in texts:
            self._tell(f"{hour(at_ns)}  {text}")
        self._read += len(texts)
        seen = (state, kernel.orders_sent, kernel.orders_refused, kernel.broker.live,
                kernel.position)  # fmt: skip
        if seen == self._seen:
            return
        self._seen = seen
        trades, orders = run.rows_so_far()
        nets = {
            (int(row["exit_ns"]), int(row["instrument"])): int(net) // UPAISE
            for row, net in zip(
                trades[self._trades :], trade_net(trades[self._trades :]), strict=True
            )
        }
        for row in sorted(orders[self._told :], key=_in_order):
            if not _is_routine(row):
                self._tell_order(row, nets)
        self._trades, self._told = len(trades), len(orders)
        if state != self._state and state not in ("starting", "stopping"):
            reasons = sorted(self._live.engine.holds - set(KEPT))
            self._at_now(f"{state} ({', '.join(reasons)})" if reasons else state)
            self._state = state

    def _at_now(self, words: str) -> None:
        self._tell(f"{hour(self._live.market.now_ns())}  {words}")

    def _tell_order(self, row: Any, nets: dict[tuple[int, int], int]) -> None:
        """One line; refusals for one reason are told once and then counted.

        Args:
            nets: what each trade has brought, paise after charges, by the time of its end and the
                number of its contract.
        """
        if _refused(row) and int(row["refused"]) == self._refusal:
            self._refusals += 1
            return
        self._tell_refusals()
        self._refusal = int(row["refused"]) if _refused(row) else -1
        closes = row["filled"] and int(row["flags"]) & OrderFlag.EXIT
        net = nets.get((int(row["done_ns"]), int(row["instrument"]))) if closes else None
        self._tell(order_line(row, self._name_of(row), net))

    def _name_of(self, row: Any) -> str:
        """What an order is of."""
        symbol: str = self._live.contract.symbol
        return self._names.get(int(row["instrument"]), symbol)

    def _tell_refusals(self) -> None:
        if self._refusals:
            what = "entry was" if self._refusals == 1 else "entries were"
            self._tell(f"{INDENT}{self._refusals} more {what} refused for the same reason")
        self._refusals = 0


def _in_order(row: Any) -> tuple[int, bool]:
    """By the time of its end; an entry whose rest was taken back by the exit comes before it."""
    return int(row["done_ns"]), bool(int(row["flags"]) & OrderFlag.EXIT)


def _refused(row: Any) -> bool:
    """By the gate: it never left."""
    return int(row["status"]) == ReportKind.REJECTED and not row["filled"]


def _is_routine(row: Any) -> bool:
    """The stop or target that ends because the other one has filled."""
    exits = int(row["flags"]) & OrderFlag.EXIT
    return bool(exits) and int(row["status"]) == ReportKind.CANCELLED and not row["filled"]


def order_line(row: Any, symbol: str, net: int | None = None) -> str:
    """One order that has ended, in at most 80 columns.

    Args:
        net: what the trade that it ended has brought, paise.
    """
    side = "BUY " if row["side"] > 0 else "SELL"
    flags, filled = int(row["flags"]), int(row["filled"])
    why = _WHY[Reason(int(row["reason"]))]
    head = f"{hour(int(row['done_ns']))}  {side} {filled or int(row['qty']):>6} {symbol}"
    if filled:
        part = f" of {int(row['qty'])}" if filled < int(row["qty"]) else ""
        brought = "" if net is None else f"  {rupees(net, sign=True)}"
        return f"{head} at {int(row['value']) / filled / 100:,.2f}  {why}{part}{brought}"
    status = ReportKind(int(row["status"]))
    if status is ReportKind.REJECTED:
        words = RejectReason(int(row["refused"])).name.lower().replace("_", " ")
        return f"{head}  {why} refused: {words}"
    what = "stop" if flags & OrderFlag.STOP else "target" if flags & OrderFlag.TARGET else why
    return f"{head}  {what} {status.name.lower()}"


def day_text(live: "Live", result: "RunResult | None") -> str:
    """The day's figures and the engine's own."""
    from dhanfast.reports import day

    run, feed = live.engine.run, live.feed.status()
    lines = []
    if result is None:
        lines.append("No trade of the instrument came while its market was open: nothing to show.")
    else:
        title = f"{live.mode} · {live.view.strategy} · {live.contract.symbol} · {result.timeframe}"
        lines.append(day.day_text(result, title=title))
    late = f", {run.late:,} too late for their bar" if run.late else ""
    packets = feed.counters.get("packets", 0)
    facts = {
        "feed": f"{packets:,} packets, {feed.gaps} gaps, {feed.mute} times mute{late}",
        "journal": f"{run.journal.seq:,} records, {run.journal.bytes:,} bytes",
    }
    latency = percentiles_us(run.loop.latency)
    if latency:
        told = ", ".join(f"{name} {value:,.1f} us" for name, value in latency.items())
        facts["tick to order"] = told
    if run.remote is not None:
        remote = run.remote
        facts["requests"] = (
            f"{remote.requests:,} sent, {remote.doubts} in doubt, {remote.lost} lost, "
            f"{remote.odd_events().get('FOREIGN', 0)} updates of others"
        )
    if result is not None:
        facts["digest"] = result.digest
    return "\n".join([*lines, "", *(f"{name:<15}{text}" for name, text in facts.items())])


def store_slippage(config: "Config", live: "Live", result: "RunResult") -> None:
    """Add what the day's orders cost to the user's store. A day goes on without it: what cannot be
    stored is told, and is stored when the same day is ended again."""
    from dhanfast.engine.measured import session_of, store_day
    from dhanfast.storage.slippage import SlippageStore

    session = session_of(
        result,
        date=live.engine.run.journal.header.date,
        run=config.engine.run,
        mode=live.mode,
        tag=live.engine.run.journal.tag,
    )
    try:
        store_day(SlippageStore(config.folders.slippage), result, session)
    except DhanfastError as error:
        _LOG.error("the day's slippage was not stored: %s", error)


def export_day(result: "RunResult", folder: str) -> Path:
    """Write the run directory with its report; where the page is."""
    from dhanfast.app.run_options import export_place
    from dhanfast.reports.rundir import write_run

    place = export_place(folder)
    assert place is not None
    return write_run(result, place) / "report.html"
