"""Factor tables of a run in which another strategy decides: row i is of trade i, or is not."""

from pathlib import Path

import pytest

from dhanfast.reports.terminal import factor_lines
from tests.engine.live_stage import MINUTE, PRICE, Stage

SCORED = """
from dhanfast.strategies import Rules, RuleStrategy, Score, Strategy


class Scored(RuleStrategy):
    def rules(self, m):
        moved = m.scaled(m.close - m.close.shift(1), -1, 1)
        return Rules(score=Score({"moved": (moved, 1.0)}, long_at=0.1, short_at=-0.1, exits=False),
                     stop=30.0, target=30.0)


class Brief(Strategy):
    '''In and out on ticks; FAILS.'''

    def on_start(self, m):
        self.ticks = 0

    def on_tick(self, ctx, tick):
        self.ticks += 1
        if self.ticks == 9 and FAILS:
            raise ArithmeticError("ninth")
        if ctx.position:
            ctx.exit()
        else:
            ctx.buy()
"""


def wave(now_ns: int) -> int:
    """100 rupees up in two minutes, and down again."""
    at = now_ns % (4 * MINUTE)
    return PRICE + round(10_000 * min(at, 4 * MINUTE - at) / (2 * MINUTE))


@pytest.mark.parametrize("fails", [True, False])
def test_trades_of_others_have_no_factors(tmp_path: Path, fails: bool) -> None:
    """Put back, the first one enters again: no row of it may stand beside another's trade."""
    path = tmp_path / "scored.py"
    path.write_text(SCORED.replace("FAILS", str(fails)))
    stage = Stage(tmp_path, f"{path}:Scored", price=wave)
    before: list[int] = []

    async def act() -> None:
        run = stage.run
        await stage.until(lambda: len(run.rows_so_far()[0]) >= 2 and not run.kernel.position, 2000)
        before.append(len(run.rows_so_far()[0]))
        await stage.engine.command("swap", strategy=f"{path}:Brief")
        if fails:
            await stage.until(lambda: run.seat.rollbacks == 1, 200)
            assert run.seat.now.name == "Scored"
        await stage.until(lambda: len(run.rows_so_far()[0]) >= before[0] + 5, 3000)

    stage.play(act)
    result = stage.run.finish()
    assert len(result.trades) >= before[0] + 5 and result.factors is not None
    rows = result.factors.rows
    assert len(rows) == before[0]
    for row, trade in zip(rows, result.trades, strict=False):
        assert row["side"] == trade["side"]
        assert 0 <= trade["entry_ns"] - row["decided_ns"] < MINUTE
    assert any("moved" in line for line in factor_lines(result, 80))
