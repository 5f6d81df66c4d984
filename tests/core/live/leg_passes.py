"""What the order machines let an entry pass: guards, and a judge that asks the broker."""

import datetime as dt
from typing import Any

from dhanfast._core.guards import Guards
from dhanfast._core.legrisk import LegRisk
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.leg_judge import Judge
from dhanfast.engine.leg_settings import LegPlan, Strike, StructurePlan
from dhanfast.engine.margin_settings import MarginSettings
from dhanfast.engine.settings import RiskSettings
from dhanfast.engine.sizing_settings import SizingSettings


class AnyContract(Contracts):
    """Every number is a contract of one expiry: what it is does not matter to who is asked."""

    def __init__(self) -> None:
        super().__init__("BANKNIFTY")
        self.keys = [(dt.date(2026, 12, 29), 5_000_000, "CE")] * 1024


class AskingJudge(Judge):
    """A judge whose estimate is a sum that can be done in the head."""

    def _estimated(self, legs: Any, now_ns: int, spot: int) -> int:
        return 1_000_000


def plan_of_rules(rules: list[dict[str, Any]]) -> StructurePlan:
    """The plan of native rules, as far as a judge reads it."""
    legs = tuple(
        LegPlan(
            "buy" if each["side"] > 0 else "sell",
            "CE" if each["right"] > 0 else "PE",
            Strike.parse("atm", "CE", "leg"),
            lots=each["lots"],
        )
        for each in rules
    )
    return StructurePlan("machine", "BANKNIFTY", legs)


def risk_of(rules: list[dict[str, Any]], gates: str) -> LegRisk:
    """What an entry has to pass, as one life of the engine makes it.

    Args:
        gates: guards, refuse or fewer; the last two ask the broker, too.
    """
    guards = Guards(
        instruments=len(rules), trades_max=1, day_loss=50_000_00, day_loss_flat=1,
        cooldown_pause=60_000_000_000,
    )  # fmt: skip
    if gates == "guards":
        return LegRisk(guards)
    margin = MarginSettings(short=gates)
    judge = AskingJudge(
        plan_of_rules(rules), AnyContract(), margin, SizingSettings(), RiskSettings(), far=True
    )
    return LegRisk(guards, judge)
