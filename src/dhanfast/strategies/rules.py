"""RuleStrategy: rules written as expressions, run natively with no Python between two bars.

    from dhanfast.strategies import RuleStrategy, Rules, param

    class Momentum(RuleStrategy):
        \"\"\"EMA, RSI and MACD agree.\"\"\"
        fast = param(9, low=3, high=50)

        def rules(self, m):
            ema, rsi, macd = m.ema(self.fast), m.rsi(14), m.macd(12, 26, 9)
            return Rules(
                long=(m.close > ema) & (rsi > 60) & (macd.hist > 0),
                short=(m.close < ema) & (rsi < 40) & (macd.hist < 0),
                stop=1.5 * m.atr(14), target=3.0 * m.atr(14))

`rules` runs once. Combine with & | ~ (not and/or/not). A series is NaN during warm-up and NaN is
never true; a comparison with it is false, so invert no comparison that may still be warming up:
write `rsi <= 60`, not `~(rsi > 60)`. Entries are levels, not crossings: write
`a.crosses_above(b)` for a crossing.
"""

from dataclasses import dataclass

from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.rules.runner import RuleRunner
from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import StrategyError
from dhanfast.strategies.base import MINUTE_NS, Log
from dhanfast.strategies.market import Market
from dhanfast.strategies.params import Parametric, param
from dhanfast.strategies.score import Score

__all__ = ["Market", "RuleStrategy", "Rules", "Score", "param"]

Series = Expr | float


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules answer on every bar.

    Attributes:
        long, short: enter when true and flat; both true on one bar: neither.
        exit_long, exit_short: close the position when true (checked before entries).
        stop, target: rupees from the fill price, read on the bar of the signal; 0 = none. Below 0
            or NaN (an indicator in warm-up): no entry, for it would be one without its stop.
        score: gives long and short instead, and exits beside those above; see `strategies.score`.
    """

    long: Series = 0.0
    short: Series = 0.0
    exit_long: Series = 0.0
    exit_short: Series = 0.0
    stop: Series = 0.0
    target: Series = 0.0
    score: Score | None = None


class RuleStrategy(Parametric):
    """A strategy made of rules. Override `rules`.

    Raises:
        StrategyError: `rules` returns something else, mixes series of two strategies, or asks for
            a negative stop or target.
    """

    def rules(self, m: Market) -> Rules:
        """The rules as expressions over the market `m`; called once."""
        raise StrategyError(f"{type(self).__name__} must define rules(self, m) -> Rules")

    def runner(self, log: Log, interval_ns: int = MINUTE_NS) -> NativeStrategy:
        """This strategy compiled for the kernel; used by the engine."""
        graph = Graph()
        rules = self.rules(Market(graph, interval_ns))
        if not isinstance(rules, Rules):
            raise StrategyError(
                f"{type(self).__name__}.rules must return Rules, was {type(rules).__name__}"
            )
        for name in ("stop", "target"):
            distance = getattr(rules, name)
            if not isinstance(distance, Expr) and distance < 0:
                raise StrategyError(
                    f"{type(self).__name__}: {name} is a distance in rupees from the fill price, "
                    f"it cannot be negative, was {distance}"
                )
        fields = ("long", "short", "exit_long", "exit_short", "stop", "target")
        series = [graph.as_expr(getattr(rules, name)) for name in fields]
        if rules.score is None:
            return RuleRunner(graph, *series)
        return self._scored(graph, rules, rules.score, series)

    def _scored(
        self, graph: Graph, rules: Rules, score: Score, series: list[Expr]
    ) -> NativeStrategy:
        """The rules with a score in the place of long and short."""
        for name in ("long", "short"):
            given = getattr(rules, name)
            if isinstance(given, Expr) or given != 0.0:
                raise StrategyError(
                    f"{type(self).__name__}: the score gives long and short; leave {name} out, or "
                    "make what it says a factor"
                )
        score.checked()
        total, factors = score.total(graph)
        series[:2] = score.sides(graph, total)
        if score.exits:
            series[2] = series[2] | ~series[0]
            series[3] = series[3] | ~series[1]
        weights = [weight for _, weight in score.factors.values()]
        parts = [weight / sum(weights) for weight in weights]
        return RuleRunner(graph, *series, score=(total, list(score.factors), parts, factors))
