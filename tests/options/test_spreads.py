"""Spreads by name: their legs, their shapes, their greeks; what cannot be built is refused."""

import math

import numpy as np
import pytest

from dhanfast import options
from dhanfast.errors import BadData, UsageError
from dhanfast.options import SHAPES, build_spread
from tests.options.made import EXPIRY, FORWARD, NEXT, RATE, chain

NEAR = options.solve_chain(chain(tick=0.05), RATE)
FAR = options.solve_chain(chain(tick=0.05, expiry=NEXT, scale=6.0), RATE)


def built(name: str, **words: object) -> options.Spread:
    far = FAR if name == "calendar" else None
    return build_spread(name, NEAR, lot=65, far=far, **words)  # type: ignore[arg-type]


# Slopes of the payoff in lots, lowest levels first: what makes each shape itself.
SLOPES = {
    "bull-call": (0, 1, 0), "bear-call": (0, -1, 0), "bull-put": (0, 1, 0), "bear-put": (0, -1, 0),
    "straddle": (-1, 1), "strangle": (-1, 0, 1), "iron-condor": (0, 1, 0, -1, 0),
    "iron-fly": (0, 1, -1, 0), "butterfly": (0, 1, -1, 0), "ratio": (0, 1, -1),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_shapes(name: str) -> None:
    spread = built(name, lots=2)
    assert spread.payoff().slopes == tuple(130 * one for one in SLOPES[name])
    assert spread.side == SHAPES[name].side
    turned = built(name, lots=2, side="sell" if spread.side == "buy" else "buy")
    assert turned.payoff().slopes == tuple(-130 * one for one in SLOPES[name])
    assert turned.premium == -spread.premium
    assert sorted(SLOPES) == sorted(set(SHAPES) - {"calendar"})


@pytest.mark.parametrize("name", ["bull-call", "bear-put", "straddle", "strangle", "butterfly"])
def test_what_can_only_gain_later_is_paid_for(name: str) -> None:
    spread = built(name)
    assert spread.premium > 0.0 and spread.payoff().loss_max == -spread.premium


@pytest.mark.parametrize("name", ["bear-call", "bull-put", "iron-condor", "iron-fly"])
def test_what_can_only_lose_later_is_received(name: str) -> None:
    spread = built(name)
    assert spread.premium < 0.0 and spread.payoff().profit_max == -spread.premium


@pytest.mark.parametrize("name", SHAPES)
def test_legs_are_the_chains_and_bought_ones_come_first(name: str) -> None:
    spread = built(name)
    sides = [leg.quantity > 0 for leg in spread.legs]
    assert sides == sorted(sides, reverse=True)
    delta = theta = 0.0
    for leg in spread.legs:
        one = FAR if leg.expiry == NEXT else NEAR
        i = int(np.flatnonzero(one.snapshot.strike == leg.strike)[0])
        price = (one.snapshot.call if leg.right == "CE" else one.snapshot.put)[i]
        assert leg.premium == pytest.approx(price, abs=1e-9)
        assert leg.volatility == one.volatility[i]
        table = one.call if leg.right == "CE" else one.put
        delta += leg.quantity * table.delta[i]
        theta += leg.quantity * table.theta[i] / 365
    assert spread.delta == pytest.approx(delta) and spread.theta_day == pytest.approx(theta)


def test_strikes_by_rule() -> None:
    spread = built("iron-condor", strikes=["0.1d", "0.2d", "0.2d", "0.1d"])
    strikes = sorted(leg.strike for leg in spread.legs)
    places = [NEAR.select(right, rule) for right, rule in
              (("PE", "0.1d"), ("PE", "0.2d"), ("CE", "0.2d"), ("CE", "0.1d"))]  # fmt: skip
    assert strikes == NEAR.snapshot.strike[places].tolist()
    ratio = built("ratio", right="PE", strikes=["atm", "otm3"], ratio=3)
    assert [leg.quantity for leg in ratio.legs] == [65, -195]
    assert ratio.legs[0].strike > ratio.legs[1].strike


def test_the_chance_of_profit_by_one_volatility_and_by_the_smile() -> None:
    spread = built("straddle", side="sell")
    low, high = spread.payoff().breakevens
    below = options.lognormal_below(NEAR.forward, NEAR.at_money_volatility(), NEAR.years)
    assert spread.profit_probability() == pytest.approx(below(high) - below(low))
    smile = options.smile_of(NEAR)
    wanted = smile.probability_below(high) - smile.probability_below(low)
    assert spread.profit_probability(smile) == pytest.approx(wanted)
    assert 0.4 < wanted < 0.8


def test_a_calendar_is_by_the_model() -> None:
    spread = built("calendar")
    assert [leg.expiry for leg in spread.legs] == [NEXT, EXPIRY]
    with pytest.raises(UsageError, match="several expiries"):
        spread.payoff()
    projection = spread.projection()
    left = FAR.years - NEAR.years
    level = 25_300.0
    far = options.price(spread.legs[0].volatility, level * FAR.forward / NEAR.forward,
                        spread.legs[0].strike, left, "CE", RATE)  # fmt: skip
    wanted = 65 * (far - spread.legs[0].premium) - 65 * (
        max(level - spread.legs[1].strike, 0.0) - spread.legs[1].premium
    )
    assert float(projection.value(level)) == pytest.approx(wanted, rel=1e-9)
    assert 0.3 < spread.profit_probability() < 0.9


def test_before_the_expiry_a_projection_starts_at_nothing() -> None:
    """Now, at today's forward, the position is worth what it costs, to the ticks of its prices."""
    spread = built("iron-condor")
    now = float(spread.projection(0.0).value(NEAR.forward))
    assert abs(now) < 4 * 65 * 0.05
    with pytest.raises(UsageError, match="years from now"):
        spread.projection(NEAR.years * 1.01)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("iron-condr", {}, "did you mean iron-condor"),
        ("xyz", {}, "no spread 'xyz': there are bull-call"),
        ("straddle", {"side": "long"}, "side 'long'"),
        ("straddle", {"lots": 0}, "lots 0"),
        ("ratio", {"ratio": 1}, "ratio 1"),
        ("butterfly", {"right": "FUT"}, "right 'FUT'"),
        ("iron-fly", {"strikes": ["atm"]}, "iron-fly has 3 strikes, 1 are given"),
        ("bull-call", {"strikes": ["otm2", "atm"]}, "must rise: otm2,atm gives 25400, 25200"),
        ("strangle", {"strikes": ["atm", "atm"]}, "must rise"),
        ("ratio", {"right": "PE", "strikes": ["otm2", "atm"]}, "must fall"),
    ],
)
def test_refusals(name: str, words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(name, **words)


def test_expiries_that_do_not_belong() -> None:
    for name, near, far in (("calendar", NEAR, None), ("straddle", NEAR, FAR),
                            ("calendar", FAR, NEAR), ("calendar", NEAR, NEAR)):  # fmt: skip
        with pytest.raises(UsageError):
            build_spread(name, near, lot=65, far=far)


def test_an_option_without_a_quote() -> None:
    rows = chain(tick=0.05)
    call = rows.call.copy()
    call[NEAR.money + 2] = np.nan
    broken = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, call, rows.put)
    solved = options.solve_chain(broken, RATE, forward=FORWARD)
    with pytest.raises(BadData, match="NIFTY 2026-01-27 25400 CE at 2026-01-22 11:15 has no quote"):
        build_spread("bull-call", solved, lot=65)
    assert not math.isnan(build_spread("bull-put", solved, lot=65).delta)
