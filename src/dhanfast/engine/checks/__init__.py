"""Checks of a strategy's honesty: does it see the future, is it warm, does it do the same twice.

Every check runs the strategy through the engine as a backtest does, with a `Watch` around it that
writes down each decision. What a check finds is a `Finding`; a strategy with none passes.
"""

from dhanfast.engine.checks.lookahead import Lookahead, check_lookahead
from dhanfast.engine.checks.stage import Finding
from dhanfast.engine.checks.steady import Steady, check_strategy
from dhanfast.engine.checks.warmup import Warmup, check_warmup

__all__ = [
    "Finding",
    "Lookahead",
    "Steady",
    "Warmup",
    "check_lookahead",
    "check_strategy",
    "check_warmup",
]
