"""What an operator says to the algorithms that work a run's orders, and what he is told."""

from typing import Any, Final

from dhanfast._core.execution.worker import Worker
from dhanfast._core.live.inputs import Command
from dhanfast.engine.served import ServedRun
from dhanfast.errors import DhanfastError

HOLDS: Final = {
    "pause-orders": Command.PAUSE_ORDERS,
    "resume-orders": Command.RESUME_ORDERS,
    "cancel-orders": Command.CANCEL_ORDERS,
}


def worker_in(run: ServedRun) -> Worker | None:
    """What works the run's orders; None: they leave whole."""
    broker = run.kernel.broker
    return broker if isinstance(broker, Worker) else None


def hold_worked(run: ServedRun, name: str, now_ns: int) -> dict[str, Any]:
    """Pause, resume or cancel what is worked; the journal repeats it.

    Args:
        name: one of HOLDS. now_ns: UTC ns of the engine's clock.
    Returns:
        text: what was done; worked: how many orders are still worked.
    Raises:
        DhanfastError: no algorithm works orders, or the loop does not take commands any more.
    """
    worker = worker_in(run)
    if worker is None:
        raise DhanfastError(
            f"{name}: no algorithm works orders: execution.algo is none; `dhanfast pause` holds "
            "entries back, `dhanfast flatten` closes the position"
        )
    before = len(worker.parents_now())
    run.loop.command(HOLDS[name], now_ns)
    after = len(worker.parents_now())
    if name == "pause-orders":
        text = (
            f"algorithms are paused, {_orders(after)} at work: entries' children are taken back, "
            "an exit's child stays; stops and targets go on"
        )
    elif name == "resume-orders":
        text = f"algorithms go on, {_orders(after)} at work"
    else:
        text = (
            f"{_orders(before)} told to end, {after} still to: entries with what has filled, "
            "exits at once"
        )
    return {"text": text, "worked": after}


def worked_note(run: ServedRun) -> list[str]:
    """What a status says while the algorithms are paused; nothing otherwise."""
    worker = worker_in(run)
    if worker is None or not worker.paused:
        return []
    return [f"algorithms are paused, {_orders(len(worker.parents_now()))} at work: "
            "`dhanfast orders resume`"]  # fmt: skip


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"
