"""Score: several factors weighed against each other, as the long and short of rules.

    Rules(
        score=Score(
            {
                "trend": (m.scaled(m.close - m.ema(50), -20, 20), 2.0),
                "rsi": (m.scaled(m.rsi(14), 30, 70), 1.0),
            },
            long_at=0.5, short_at=-0.5, long_until=0.1, short_until=-0.1,
        ),
        stop=1.5 * m.atr(14),
    )

Each factor is a series in -1..1, where 1 is all for long and -1 all for short; what lies outside is
cut to it. The score is the sum of factor times weight, divided by the sum of the weights: it is in
-1..1 as well. A score with a factor that is unknown is unknown, and is no entry.

Hysteresis: the score is for long from the bar on which it reaches `long_at` until the bar on which
it is below `long_until`, and for short the other way round. While it is for a side it wishes to
enter, and when that ends an open position of the side is closed (`exits`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dhanfast._core.rules.graph import Expr, Graph
from dhanfast.errors import StrategyError

FACTORS_MAX = 32
LABEL = "score"  # of the sum in a graph; a factor is LABEL.NAME


@dataclass(frozen=True, slots=True)
class Score:
    """A weighted sum of factors with thresholds.

    Attributes:
        factors: {name: (series or number in -1..1, weight above 0)}.
        long_at: the score is for long from here on, above 0 and at most 1; None: never.
        short_at: for short, below 0 and at least -1; None: never.
        long_until, short_until: for long while at least, for short while at most; None: the
            thresholds themselves.
        exits: a position is closed when the score is no longer for its side.
    Raises:
        StrategyError: see `checked`.
    """

    factors: Mapping[str, tuple[Expr | float, float]]
    long_at: float | None = None
    short_at: float | None = None
    long_until: float | None = None
    short_until: float | None = None
    exits: bool = True

    def checked(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            StrategyError: no factors or too many, a weight that is not above 0, thresholds out of
                order; the message names the value.
        """
        if not 1 <= len(self.factors) <= FACTORS_MAX:
            raise StrategyError(f"score: factors must be 1..{FACTORS_MAX}, were "
                                f"{len(self.factors)}")  # fmt: skip
        for name, told in self.factors.items():
            if not isinstance(told, tuple) or len(told) != 2:
                raise StrategyError(f"score: factor {name!r} must be (series, weight)")
            if not isinstance(told[1], int | float) or not 0.0 < told[1] < 1e12:
                raise StrategyError(
                    f"score: the weight of {name!r} must be above 0, was {told[1]!r}; a minus "
                    "before its series turns a factor round"
                )
        if self.long_at is None and self.short_at is None:
            raise StrategyError("score: give long_at, short_at or both")
        _need(self.long_at, self.long_until, "long", 1)
        _need(self.short_at, self.short_until, "short", -1)

    def total(self, graph: Graph) -> tuple[Expr, list[Expr]]:
        """The score, and each factor cut to -1..1, as series of a graph."""
        whole = sum(weight for _, weight in self.factors.values())
        factors = []
        for at, (name, (series, _)) in enumerate(self.factors.items()):
            least = graph.add("max", (series, -1.0))[0]
            # The number is of no use to the operation: it keeps equal factors apart, by name.
            made = graph.add("min", (least, 1.0), (float(at),), label=f"{LABEL}.{name}")
            factors.append(made[0])
        parts = [
            factor * (weight / whole)
            for factor, (_, weight) in zip(factors, self.factors.values(), strict=True)
        ]
        summed = parts[0]
        for part in parts[1:]:
            summed = summed + part
        return graph.add("max", (summed, -2.0), label=LABEL)[0], factors

    def sides(self, graph: Graph, total: Expr) -> tuple[Expr, Expr]:
        """Whether the score is for long, and for short: 1 or 0."""
        found = []
        for sign, begin, end in (
            (1.0, self.long_at, self.long_until),
            (-1.0, self.short_at, self.short_until),
        ):
            if begin is None:
                found.append(graph.constant(0.0))
                continue
            until = begin if end is None else end
            signed = total if sign > 0 else -total
            found.append(graph.add("latch", (signed,), (sign * begin, sign * until))[0])
        return found[0], found[1]


def _need(begin: float | None, end: float | None, side: str, sign: int) -> None:
    """Thresholds of one side, in order."""
    if begin is None:
        if end is not None:
            raise StrategyError(f"score: {side}_until is {end}, and there is no {side}_at")
        return
    if not 0.0 < sign * begin <= 1.0:
        rule = "above 0 and at most 1" if sign > 0 else "below 0 and at least -1"
        raise StrategyError(f"score: {side}_at must be {rule}, was {begin}")
    if end is not None and not -1.0 <= sign * end <= sign * begin:
        rule = f"in -1..{begin}" if sign > 0 else f"in {begin}..1"
        raise StrategyError(f"score: {side}_until must be {rule}, was {end}")
