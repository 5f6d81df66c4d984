from collections.abc import Sequence
from typing import Self, final

from dhanfast._core.factors import Factors
from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.strategy import NativeStrategy

@final
class RuleRunner(NativeStrategy):
    graph: Graph
    conflicts: int
    factors: Factors | None
    def __new__(
        cls,
        graph: Graph,
        enter_long: Expr,
        enter_short: Expr,
        exit_long: Expr,
        exit_short: Expr,
        stop: Expr,
        target: Expr,
        *,
        score: tuple[Expr, Sequence[str], Sequence[float], Sequence[Expr]] | None = None,
    ) -> Self: ...
