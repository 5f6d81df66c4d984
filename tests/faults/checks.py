"""What must be true when a run has ended, whatever happened on the way."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from dhanfast._core.live.courier import Courier
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind
from dhanfast._core.types import OrderFlag, RejectReason, ReportKind
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.errors import BadData

from .deciders import seat_figures

if TYPE_CHECKING:
    from .world import World

R = RejectReason
LIMITS = {R.LIMIT_QTY, R.LIMIT_NOTIONAL, R.LIMIT_POSITION, R.LIMIT_RATE, R.LIMIT_LOSS, R.LIMIT_BAND,
          R.STATE_REDUCING, R.STATE_HALTED, R.LIMIT_MARGIN}  # fmt: skip
SECOND = 1_000_000_000
PER_SECOND = 9


def check(world: "World") -> None:
    """Every promise; broken ones are added to the outcome."""
    life = world.lives[-1]
    if life.run.loop.unjournaled or life.run.loop.entries_lost:
        world.violate(f"{life.run.loop.unjournaled} inputs found no room in the journal")
    records = [(kind, bytes(payload)) for kind, _, _, payload in JournalReader(str(world.path))]
    _positions(world)
    _money(world)
    _numbers(world)
    _requests(world, records)
    _limits(world)
    _exits(world, life.run)
    _again(world, records)


def _positions(world: "World") -> None:
    run = world.lives[-1].run
    net = world.core.books.net(world.contract, "INTRADAY")
    if run.kernel.position != net:
        world.violate(f"the engine holds {run.kernel.position}, the exchange {net}")
    if net or run.remote.stray_qty:
        world.violate(f"not flat at the end: {net}, stray {run.remote.stray_qty}")
    working = [one.order_id for one in world.core.desk.blotter.working]
    if working:
        world.violate(f"orders still work at the exchange: {working}")


def _money(world: "World") -> None:
    trades, _ = world.lives[-1].run.rows_so_far()
    theirs = sum(-one.ticket.side * one.qty * one.price for one in world.core.books.trades)
    ours = int(trades["gross"].sum())
    if ours != theirs:
        world.violate(f"gross result {ours} paise, the exchange's trades say {theirs}")
    snapshot = world.lives[-1].run.portfolio.snapshot()
    if snapshot["realised"] != theirs:
        world.violate(f"cash is not conserved: {snapshot} against {ours}")


def _numbers(world: "World") -> None:
    tag = world.lives[-1].run.journal.tag
    seen: set[int] = set()
    for ticket in world.core.desk.blotter.tickets:
        number = order_of(ticket.wish.correlation or "", tag)
        if not number or number in seen:
            world.violate(f"order {number} was placed twice, or is nobody's: {ticket.order_id}")
        seen.add(number)


def _requests(world: "World", records: list[tuple[int, bytes]]) -> None:
    """Written before it left; answered exactly once, or still on its way."""
    asked: dict[int, int] = {}
    answers: dict[int, int] = {}
    for kind, payload in records:
        if kind == Kind.INTENT:
            made = np.frombuffer(payload, INTENT_DTYPE)[0]
            if int(made["id"]) in asked:
                world.violate(f"request {made['id']} is twice in the journal")
            asked[int(made["id"])] = int(made["kind"])
        elif kind == Kind.ANSWER:
            number = int.from_bytes(payload[:8], "little")
            answers[number] = answers.get(number, 0) + 1
    carried = [number for life in world.lives for _, number, _ in life.courier.carried]
    unwritten = sorted(set(carried) - set(asked))
    if unwritten:
        world.violate(f"requests left that the journal does not hold: {unwritten}")
    if len(carried) != len(set(carried)):
        world.violate("a request left twice")
    often = [number for number, count in answers.items() if count > 1]
    lost = sorted(set(asked) - set(answers) - set(world.lives[-1].courier.waiting))
    if often or lost:
        world.violate(f"requests answered more than once: {often}, never: {lost}")
    world.outcome.counts.update(f"{IntentKind(kind).name} request" for kind in asked.values())


def _limits(world: "World") -> None:
    most = world.plan.lots * world.contract.lot
    largest = min(most, world.contract.freeze or most)
    held = 0
    for trade in world.core.books.trades:
        before, held = held, held + trade.ticket.side * trade.qty
        if abs(held) > most:
            world.violate(f"{held} units were held, {most} are allowed")
        if before * held < 0:
            world.violate(f"a fill turned {before} units into {held}")
    for ticket in world.core.desk.blotter.tickets:
        if ticket.wish.qty > largest:
            world.violate(f"{ticket.order_id} is of {ticket.wish.qty} units, {largest} are allowed")
    if any(event.kind == "clock-step" for event in world.plan.events):
        return  # who sets the clock sets the windows
    times = sorted(at_ns for life in world.lives for at_ns, _, _ in life.courier.carried)
    for first, tenth in zip(times, times[PER_SECOND:], strict=False):
        if tenth - first < SECOND:
            world.violate(f"more than {PER_SECOND} requests within a second at {first}")
            break


def _exits(world: "World", run: Any) -> None:
    _, orders = run.rows_so_far()
    for row in orders:
        is_exit = row["flags"] & OrderFlag.EXIT and row["status"] == ReportKind.REJECTED
        reason = R(int(row["refused"]))
        if is_exit and reason in LIMITS:
            world.violate(f"exit {row['id']} was kept out: {reason.name}")


def _again(world: "World", records: list[tuple[int, bytes]]) -> None:
    """The journal, repeated by a new engine, gives the same requests and the same books."""
    last = world.lives[-1]
    path = world.path.with_suffix(".again")
    header = JournalHeader(1, 20261120, "again", bytes(32), 1, "")
    journal = Journal(str(path), header, segment_bytes=1 << 19, reserve_bytes=1 << 14,
                      sync_ns=0)  # fmt: skip
    try:
        run = world.live_run(journal, Courier())
        unmet, waiting = run.loop.replay(records)
    except BadData as error:
        world.violate(f"the journal is not made again: {error}")
        return
    finally:
        journal.close()
        path.unlink(missing_ok=True)
    run.seat.repeated()
    if world.plan.decided is not None and seat_figures(run) != seat_figures(last.run):
        world.violate(f"repeated, {seat_figures(run)}, and not {seat_figures(last.run)}")
    if len(unmet):
        world.violate(f"repeated, it makes requests that were never made: {unmet['id'].tolist()}")
    if {int(each) for each in waiting["id"]} != set(last.courier.waiting):
        world.violate(f"repeated, {waiting['id'].tolist()} have no answer")
    was, now = last.run.rows_so_far(), run.rows_so_far()
    for name, before, after in zip(("trades", "orders"), was, now, strict=True):
        if before.tobytes() != after.tobytes():
            world.violate(f"repeated, the {name} are others")
    if run.portfolio.snapshot() != last.run.portfolio.snapshot():
        world.violate("repeated, the books are others")
    digest = hashlib.sha256(b"".join(rows.tobytes() for rows in now))
    digest.update(repr(sorted(run.portfolio.snapshot().items())).encode())
    digest.update(b"".join(payload for kind, payload in records if kind == Kind.INTENT))
    world.outcome.digest = digest.hexdigest()
