"""The lines that a trader sees while the day goes on."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dhanfast._core.runlog import ORDER_ROW_DTYPE, TRADE_DTYPE
from dhanfast._core.types import OrderFlag, Reason, ReportKind
from dhanfast.app.live_report import _WHY, Narrator, order_line

AT = 1_795_495_960_000_000_000  # 23 November 2026, 10:22:40 in India
SYMBOL = "BANKNIFTY-Nov2026-FUT"


def order(**fields: int) -> Any:
    row = np.zeros(1, ORDER_ROW_DTYPE)
    usual = {"side": 1, "qty": 30, "filled": 30, "value": 30 * 6_628_800, "done_ns": AT,
             "status": int(ReportKind.FILLED), "reason": int(Reason.SIGNAL)}  # fmt: skip
    for name, value in (usual | fields).items():
        row[name] = value
    return row


def told_of(orders: Any, trades: Any) -> list[str]:
    kernel = SimpleNamespace(
        orders_sent=1, orders_refused=0, broker=SimpleNamespace(live=0), position=0
    )
    run = SimpleNamespace(kernel=kernel, rows_so_far=lambda: (trades, orders))
    live: Any = SimpleNamespace(
        engine=SimpleNamespace(run=run, holds=set()), view=SimpleNamespace(state="stopping"),
        contract=SimpleNamespace(symbol=SYMBOL),
    )  # fmt: skip
    lines: list[str] = []
    Narrator(live, lines.append).look()
    return lines


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_word(reason: Reason) -> None:
    assert _WHY[reason] in order_line(order(reason=int(reason))[0], SYMBOL)


def test_an_entry_whose_rest_the_exit_took_back_comes_first_and_brings_nothing() -> None:
    rows = np.concatenate([
        order(filled=90, qty=90, reason=int(Reason.STOP_LOSS), flags=int(OrderFlag.EXIT),
              value=90 * 6_628_800),
        order(side=-1, filled=90, qty=120, value=90 * 6_623_147,
              status=int(ReportKind.CANCELLED)),
    ])  # fmt: skip
    trade = np.zeros(1, TRADE_DTYPE)
    trade["exit_ns"], trade["gross"] = AT, -508_800
    lines = told_of(rows, trade)
    assert lines == [
        f"10:22:40  SELL     90 {SYMBOL} at 66,231.47  entry of 120",
        f"10:22:40  BUY      90 {SYMBOL} at 66,288.00  stop  -5,088.00",
    ]
    assert all(len(line) <= 80 for line in lines)
