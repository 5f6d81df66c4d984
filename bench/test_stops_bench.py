"""What stops that move cost a tick, a position being held all day, and what a size costs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dhanfast._core.sizing import Sizer
from dhanfast.engine.engine import Engine
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.engine.stop_settings import Distance, StopSettings
from dhanfast.strategies import Rules, RuleStrategy

from .test_ticks_bench import MARKETS, MINUTE, SETTINGS

FAR = Distance(2_000, "points")  # kept from the best price, and never reached
RULES = {
    "off": StopSettings(),
    "trail": StopSettings(trail=FAR),
    "trail, each tick it can": StopSettings(trail=FAR, step_ticks=1, every_ns=0, changes_max=20),
    "watched here": StopSettings(trail=FAR, rest=False),
    "time": StopSettings(time_max_ns=86_000 * 10**9, bars_max=10_000, only_losing=True),
}


class Holds(RuleStrategy):
    """In at the first bar it may, and out at the end."""

    def rules(self, m: Any) -> Rules:
        """Always long."""
        return Rules(long=m.close > 0.0, stop=m.close * 0.0 + 2_000.0)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("rules", RULES)
def test_a_tick_while_a_position_is_held(benchmark: Any, rules: str, market: str) -> None:
    """ns a tick, against the same ticks with everything off."""
    ticks, sessions = MARKETS[market]()
    settings = replace(SETTINGS, stops=RULES[rules])
    benchmark.group = f"stops on ticks: {market}"
    benchmark.extra_info["ticks_per_round"] = len(ticks)

    def call() -> Any:
        runner = Holds().runner(lambda at_ns, text: None, MINUTE)
        engine = Engine(runner, sessions, settings, interval_ns=MINUTE)
        engine.feed_ticks(ticks)
        moved = engine.kernel.stops_moved
        return engine.finish(), moved

    written, moved = benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_a_tick"] = round(benchmark.stats.stats.median * 1e9 / len(ticks), 2)
    benchmark.extra_info["stops_moved"] = moved
    assert (moved > 5) == (RULES[rules].trail is not None)
    assert len(written.trades) >= 1


SIZES = {
    "risk": SizingSettings(method="risk", risk_e6=10_000, fit=True),
    "kelly": SizingSettings(
        method="kelly", fit=True, history=TradeHistory(60, 0.45, win=4_000.0, loss=2_000.0)
    ),
    "volatility": SizingSettings(method="volatility", target_e6=10_000, fit=True),
}


@pytest.mark.parametrize("method", SIZES)
def test_a_size(benchmark: Any, method: str) -> None:
    """One decision, the call from Python and its record of the session included."""
    _, sessions = MARKETS["dense"]()
    sizer = Sizer(SIZES[method].native(1, MINUTE))
    for at in range(40):
        sizer.bar({"start_ns": at, "open": 5, "high": 51_500, "low": 48_500, "close": 50_000})
    session = np.ascontiguousarray(sessions[:1])
    benchmark.group = "a size"
    assert benchmark(sizer.entry, session, price=50_000, equity=10**9, stop=20.0) > 0
