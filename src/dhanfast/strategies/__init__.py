"""What to do: the strategy contract, rule expressions and the built-in library."""

from dhanfast.strategies.base import Context, Strategy
from dhanfast.strategies.market import Market
from dhanfast.strategies.params import param
from dhanfast.strategies.rules import Rules, RuleStrategy, Score

__all__ = ["Context", "Market", "RuleStrategy", "Rules", "Score", "Strategy", "param"]
