"""The rule of a hedge against a plain model, and against what was printed and what must hold."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast._core.hedge import HedgeRule, HedgeTo, HedgeWhy
from dhanfast.errors import ConfigError

SECOND = 1_000_000_000
RULES: dict[str, Any] = {
    "band": 0.0,
    "band_lots": 0.0,
    "risk_aversion": 0.0,
    "cost_points": 0.0,
    "cost_rate": 0.0,
    "target": 0.0,
    "target_lots": 0.0,
    "hysteresis": 0.25,
    "interval_ns": 0,
    "pause_ns": 0,
    "lots_max": 100,
    "hedges_max": 1000,
    "to": int(HedgeTo.CENTRE),
    "dry": 0,
    "right": 0,
    "strike_rule": 0,
    "premium_rule": 0,
    "strike": 0.0,
}


@dataclass
class PlainHedge:
    """The rule, written for reading: floats, whole lots, one question after the other."""

    rules: dict[str, Any]
    look_at: int = 0
    last: int = 0
    count: int = 0

    def look(
        self, now: int, net: float, gamma: float, price: float, held: int, *, unit: float,
        lot: int, freeze: int, hours: tuple[int, int], shut: bool,
    ) -> tuple[int, str]:  # fmt: skip
        """(units to hold, why)."""
        rules = self.rules
        step = abs(unit) * lot
        if math.isnan(net) or math.isnan(unit) or step == 0.0 or price <= 0.0:
            return held, "BLIND"
        if rules["interval_ns"] and now < self.look_at:
            return held, "INSIDE"
        self.look_at = now + rules["interval_ns"]
        gap = net - (rules["target"] + rules["target_lots"] * step)
        fixed = rules["band"] + rules["band_lots"] * step
        costs = 0.0
        if rules["risk_aversion"]:
            cost = (rules["cost_points"] + rules["cost_rate"] * price) / abs(unit)
            costs = (1.5 * cost * gamma**2 / rules["risk_aversion"]) ** (1 / 3)
        band = max(fixed, costs, (0.5 + rules["hysteresis"]) * step)
        if abs(gap) <= band:
            return held, "INSIDE"
        plain = not (rules["band"] or rules["band_lots"] or rules["risk_aversion"])
        why = "INTERVAL" if plain else "COST_BAND" if costs > fixed else "BAND"
        if rules["to"] == HedgeTo.EDGE:
            lots = 1
            while abs(gap) - lots * step > band:
                lots += 1
        else:
            lots = max(range(1, int(abs(gap) / step) + 2), key=lambda n: -abs(abs(gap) - n * step))
        if freeze:
            lots = min(lots, freeze // lot)
        want = held - lots * lot * (1 if (gap > 0) == (unit > 0) else -1)
        want = min(want, rules["lots_max"] * lot)
        want = max(want, 0 if rules["right"] else -rules["lots_max"] * lot)
        if shut and held and (want > 0) != (held > 0):
            want = 0
        larger = abs(want) > abs(held) or want * held < 0
        if not hours[0] <= now < hours[1]:
            return want, "HOURS"
        if want == held:
            return want, "AT_MOST"
        if shut and larger:
            return want, "SHUT"
        if self.last and now - self.last < rules["pause_ns"]:
            return want, "WAITS"
        if self.count >= rules["hedges_max"]:
            return want, "DAY_LIMIT"
        self.last, self.count = now, self.count + 1
        return want, why


DONE = {"BAND", "COST_BAND", "INTERVAL"}
some_rules = st.fixed_dictionaries(
    {
        "band": st.sampled_from([0.0, 3.0, 20.0]),
        "band_lots": st.sampled_from([0.0, 0.5, 2.0]),
        "risk_aversion": st.sampled_from([0.0, 1e-6, 1e-3]),
        "cost_points": st.just(1.5),
        "cost_rate": st.sampled_from([0.0, 1e-4]),
        "target": st.sampled_from([0.0, -12.0]),
        "hysteresis": st.sampled_from([0.0, 0.25, 1.0]),
        "interval_ns": st.sampled_from([60 * SECOND, 300 * SECOND]),
        "pause_ns": st.sampled_from([0, 30 * SECOND, 600 * SECOND]),
        "lots_max": st.sampled_from([1, 5, 100]),
        "hedges_max": st.sampled_from([3, 1000]),
        "to": st.sampled_from([0, 1]),
        "right": st.sampled_from([0, 1]),
    }
).map(lambda found: RULES | found)


class HedgeMachine(RuleBasedStateMachine):
    """A day of a market that wanders: the native rule and the plain one never differ."""

    @initialize(rules=some_rules, lot=st.sampled_from([1, 15, 75]),
                freeze=st.sampled_from([0, 150, 900]))  # fmt: skip
    def begin(self, rules: dict[str, Any], lot: int, freeze: int) -> None:
        self.rules, self.lot, self.freeze = rules, lot, freeze
        self.native, self.plain = HedgeRule(rules), PlainHedge(rules)
        self.now, self.held, self.legs, self.done = SECOND, 0, 0.0, 0

    @rule(
        seconds=st.integers(1, 400),
        move=st.floats(-80.0, 80.0),
        gamma=st.floats(-0.5, 0.5),
        unit=st.sampled_from([1.0, 1.0, 0.5, -0.4]),
        price=st.sampled_from([50_000.0, 120.0, 0.0]),
        shut=st.sampled_from([False, False, False, True]),
        known=st.sampled_from([True, True, True, False]),
        late=st.sampled_from([False, False, False, True]),
    )
    def look(self, seconds: int, move: float, gamma: float, unit: float, price: float, shut: bool,
             known: bool, late: bool) -> None:  # fmt: skip
        self.now += seconds * SECOND
        self.legs += move
        net = self.legs + self.held * unit if known else math.nan
        hours = (0, self.now if late else self.now + 1)
        want, why, go, gap, band = self.native.look(
            self.now, net, gamma, price, self.held, unit=unit, lot=self.lot, freeze=self.freeze,
            from_ns=hours[0], until_ns=hours[1], shut=shut,
        )  # fmt: skip
        plain, reason = self.plain.look(
            self.now, net, gamma, price, self.held, unit=unit, lot=self.lot, freeze=self.freeze,
            hours=hours, shut=shut,
        )  # fmt: skip
        assert (want, why.name, go) == (plain, reason, reason in DONE)
        if go:
            assert abs(gap) > band
            self.held, self.done = want, self.done + 1

    @invariant()
    def what_is_held_is_whole_lots_and_bounded(self) -> None:
        if not hasattr(self, "held"):
            return
        assert self.held % self.lot == 0
        assert abs(self.held) <= self.rules["lots_max"] * self.lot
        assert self.held >= 0 or not self.rules["right"]
        assert self.done <= self.rules["hedges_max"]


TestHedgeMachine = HedgeMachine.TestCase
TestHedgeMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(
    start=st.floats(-500.0, 500.0),
    lot=st.sampled_from([1, 15, 75]),
    unit=st.sampled_from([1.0, 0.5, -0.4]),
    hysteresis=st.sampled_from([0.1, 0.25, 1.0]),
    band=st.sampled_from([0.0, 5.0, 60.0]),
    to=st.sampled_from([0, 1]),
    interval=st.sampled_from([0, 1]),
)
def test_a_hedge_is_not_taken_back_until_the_gap_has_moved(
    start: float, lot: int, unit: float, hysteresis: float, band: float, to: int, interval: int
) -> None:
    found = RULES | {"band": band, "to": to, "hysteresis": hysteresis, "lots_max": 5_000}
    found["interval_ns"] = 1 if interval or not band else 0
    native, step = HedgeRule(found), abs(unit) * lot
    want, _, go, gap, _ = native.look(1, start, 0.0, 1.0, 0, unit=unit, lot=lot)
    after = gap + want * unit
    if not go:
        return
    # Anything nearer than `hysteresis` lots to where it is now leads to no hedge the other way.
    for share in (0.0, 0.5, 0.98):
        back = after - math.copysign(share * hysteresis * step, start)
        again, _, done, _, _ = native.look(3, back, 0.0, 1.0, want, unit=unit, lot=lot)
        assert not done or abs(again) > abs(want)


def test_one_hedge_is_enough_when_nothing_moves() -> None:
    for to in (0, 1):
        for start in range(-400, 401, 7):
            native = HedgeRule(RULES | {"band": 20.0, "to": to})
            want, _, go, _, _ = native.look(1, float(start), 0.0, 1.0, 0, lot=15)
            assert not native.look(2, float(start) + want, 0.0, 1.0, want, lot=15)[2] or not go


def test_the_cost_aware_band_is_that_of_the_paper() -> None:
    # Whalley and Wilmott (1997): half-width (3/2 k S gamma^2 / lambda)^(1/3) in units of the stock.
    # k S = 50 a unit, gamma = 0.004, lambda = 1e-4: 1.5 * 50 * 1.6e-5 / 1e-4 = 12, cube root.
    native = HedgeRule(RULES | {"risk_aversion": 1e-4, "cost_points": 50.0})
    assert native.cost_band(0.004, 52_000.0) == pytest.approx(12.0 ** (1 / 3), rel=1e-15)
    # A part of the price counts as that; of a hedge with half a delta twice as much is traded.
    rate = HedgeRule(RULES | {"risk_aversion": 1e-4, "cost_rate": 0.001})
    assert rate.cost_band(0.004, 50_000.0) == pytest.approx(12.0 ** (1 / 3), rel=1e-12)
    assert rate.cost_band(-0.004, 25_000.0, 0.5) == pytest.approx(12.0 ** (1 / 3), rel=1e-12)


def test_a_hedge_of_the_other_side_leaves_only_while_entries_are_held_back() -> None:
    native = HedgeRule(RULES | {"band": 10.0})
    want, why, go, _, _ = native.look(1, 95.0, 0.0, 1.0, 30, lot=15, shut=True)
    assert (want, why, go) == (0, HedgeWhy.BAND, True)
    want, why, go, _, _ = native.look(2, 65.0, 0.0, 1.0, 0, lot=15, shut=True)
    assert (why, go) == (HedgeWhy.SHUT, False)


def test_a_new_day_counts_anew() -> None:
    native = HedgeRule(RULES | {"band": 1.0, "hedges_max": 1})
    assert native.look(1, 50.0, 0.0, 1.0, 0, lot=15)[2]
    assert native.look(2, 50.0, 0.0, 1.0, 0, lot=15)[1] is HedgeWhy.DAY_LIMIT
    native.new_day()
    assert native.look(3, 50.0, 0.0, 1.0, 0, lot=15)[2]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("band", -1.0, "hedge.band must be in"),
        ("band", math.nan, "hedge.band must be in"),
        ("hysteresis", -0.1, "hedge.hysteresis"),
        ("risk_aversion", 2.0, "hedge.risk_aversion"),
        ("lots_max", 0, "hedge.lots_max must be in 1"),
        ("hedges_max", 0, "hedge.hedges_max must be in 1"),
        ("interval_ns", -1, "hedge.interval_ns"),
        ("to", 2, "hedge.to"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(field: str, value: float, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        HedgeRule(RULES | {"band": 5.0} | {field: value})


def test_a_hedge_needs_a_rule_and_a_cost_aware_one_a_cost() -> None:
    with pytest.raises(ConfigError, match="there is no rule"):
        HedgeRule(RULES)
    with pytest.raises(ConfigError, match=r"hedge\.cost"):
        HedgeRule(RULES | {"risk_aversion": 1e-5})
