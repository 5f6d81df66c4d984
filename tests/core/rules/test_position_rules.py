"""Rules that read the position against the same decisions written as Python callbacks."""

from typing import Any

import numpy as np
import pytest

from dhanfast.strategies import Market, Rules, RuleStrategy, Strategy

from ..stand import make, run, sessions
from .probe import SESSION_MINUTES, walk

HELD, GAIN, LOSS = 9, 25.0, 40.0


class HoldRules(RuleStrategy):
    """Enters on a crossing; leaves after some bars, a gain or a loss."""

    def rules(self, m: Market) -> Rules:
        slow = m.ema(12)
        ahead = m.close - m.entry_price
        tired = m.bars_held >= HELD
        return Rules(
            long=m.close.crosses_above(slow),
            short=m.close.crosses_below(slow) & (m.position <= 0),
            exit_long=tired | (ahead > GAIN) | (ahead < -LOSS),
            exit_short=tired | (ahead < -GAIN) | (ahead > LOSS),
            stop=60.0,
        )


class HoldPython(Strategy):
    """The same in Python, from numbers it keeps itself."""

    def on_start(self, m: Market) -> None:
        self.slow = m.ema(12)
        self.before = (float("nan"), float("nan"))

    def on_bar(self, ctx: Any, bar: Any) -> None:
        close, slow = bar.close, self.slow.value
        was_close, was_slow = self.before
        self.before = close, slow
        if ctx.position:
            ahead = close - ctx.entry_price
            side = 1 if ctx.position > 0 else -1
            if ctx.bars_held >= HELD or side * ahead > GAIN or side * ahead < -LOSS:
                ctx.exit()
                return
        if close > slow and was_close <= was_slow:
            ctx.buy(stop=60.0)
        elif slow > close and was_slow <= was_close and ctx.position <= 0:
            ctx.sell(stop=60.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("on_opposite", [0, 1, 2])
def test_position_rules_decide_as_the_python_door_does(seed: int, on_opposite: int) -> None:
    bars = walk(900, seed)
    table = sessions(12, SESSION_MINUTES, square_off=70, entry_until=60)
    rules = run(make(HoldRules(), table, on_opposite=on_opposite), bars)
    python = run(make(HoldPython(), table, on_opposite=on_opposite), bars)
    for one, other in zip(rules, python, strict=True):
        assert one.tobytes() == other.tobytes()
    assert len(rules[0]) > 10


def test_bars_held_of_the_rules_is_that_of_the_trade() -> None:
    class Timed(RuleStrategy):
        def rules(self, m: Market) -> Rules:
            return Rules(long=m.position.equals(0), exit_long=m.bars_held >= 4)

    trades, _, _ = run(make(Timed(), sessions(2, SESSION_MINUTES)), walk(60, 9))
    # Four bars seen while holding, out at the open of the fifth; entered again a bar later.
    assert np.unique(trades["bars"][:-1]).tolist() == [4] and len(trades) == 12
    minute = 60_000_000_000
    assert np.unique(trades["exit_ns"][:-1] - trades["entry_ns"][:-1]).tolist() == [4 * minute]
