"""The lines that a trader sees while the day goes on."""

import datetime as dt
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


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_what_begins_is_told_in_80_columns(mode: str) -> None:
    held = ", ".join(f"-75 NIFTY-25Nov2025-{strike}-CE" for strike in range(25_000, 25_400, 100))
    run = SimpleNamespace(
        kernel=SimpleNamespace(position=-75), held_text=lambda: held, rows_so_far=lambda: ([], [])
    )
    live: Any = SimpleNamespace(
        mode=mode, names={}, engine=SimpleNamespace(run=run),
        view=SimpleNamespace(strategy="a-strategy-with-a-name-of-32-chars"),
        contract=SimpleNamespace(symbol="BANKNIFTY-Nov2026-FUT"),
        market=SimpleNamespace(day=dt.date(2026, 11, 20), now_ns=lambda: 1_763_352_900 * 10**9),
        recovered=SimpleNamespace(records=1_234_567, open=2, unmet=1),
    )  # fmt: skip
    lines: list[str] = []
    Narrator(live, lines.append).begin()
    told = "\n".join(lines)
    assert max(map(len, told.splitlines())) <= 80
    assert ("PAPER: orders are simulated" if mode == "paper" else "LIVE: orders are real") in told
    for words in (
        "BANKNIFTY-Nov2026-FUT",
        "09:45:00 IST",
        "1,234,567 records",
        "2 requests in doubt",
    ):
        assert words in told
    assert " ".join(told.split()).count("-75 NIFTY") == 4
