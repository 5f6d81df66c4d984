"""How many structures are sent: margins against a plain search, sizes against sums by hand."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import Missing
from dhanfast._core.live.inputs import Command
from dhanfast.app.config import load_config
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.leg_judge import Judge
from dhanfast.engine.leg_margin import volatility_at
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_size import Wanted, at_risk, checked_leg_sizing, structures_of
from dhanfast.engine.margin_asker import MarginAsker
from dhanfast.engine.margin_settings import MarginSettings, checked_margin
from dhanfast.engine.settings import RiskSettings
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.errors import BadData, ConfigError
from dhanfast.options.margin import margin_estimate
from dhanfast.options.payoff import Leg
from tests.brokers.dhan.virtual_time import VirtualClock, VirtualLoop, run_virtually

EXPIRY = dt.date(2026, 1, 27)
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
NOW = int(dt.datetime(2026, 1, 22, 9, 20, tzinfo=IST).timestamp()) * 10**9
SECOND = 1_000_000_000
SPOT = 5_900_000
LOT = 30
Row = tuple[int, int, int, int, int, int]


def contracts() -> Contracts:
    made = Contracts("BANKNIFTY")
    for strike in range(57_000, 61_001, 500):
        for right in ("CE", "PE"):
            made.number(EXPIRY, strike * 100, right)
    return made


def row(place: int, strike: int, right: str, side: int, price: int, freeze: int = 600) -> Row:
    number = contracts().number(EXPIRY, strike * 100, right)
    return place, number, side * LOT, LOT, freeze, price


SPREAD = [row(0, 59_500, "CE", -1, 40_000), row(1, 60_500, "CE", 1, 12_000)]


def spread_plan(lots: int = 1, **more: Any) -> StructurePlan:
    return plan_of({
        "underlying": "BANKNIFTY",
        "leg": [
            {"side": "sell", "right": "CE", "strike": "59500", "lots": lots,
             **more.pop("sold", {})},
            {"side": "buy", "right": "CE", "strike": "60500", "lots": lots},
        ],
        **more,
    })  # fmt: skip


def judge_of(
    margin: MarginSettings | None = None,
    sizing: SizingSettings | None = None,
    *,
    plan: StructurePlan | None = None,
    far: bool = False,
    risk: RiskSettings | None = None,
) -> Judge:
    return Judge(plan or spread_plan(), contracts(), margin or MarginSettings(),
                 sizing or SizingSettings(), risk or RiskSettings(), far=far)  # fmt: skip


def needed(rows: list[Row]) -> float:
    """Rupees for one structure, asked of the estimate itself."""
    told = contracts()
    legs = []
    for _, number, qty, _, _, price in rows:
        expiry, strike, right = told.keys[number]
        sigma = volatility_at(price / 100, SPOT / 100, strike / 100, expiry, right, NOW,
                              "BANKNIFTY")  # fmt: skip
        legs.append(Leg(right, strike / 100, qty, price / 100, expiry, sigma))
    return float(margin_estimate(legs, "BANKNIFTY", NOW, SPOT / 100).required)


# ---- margin ---------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    wanted=st.integers(1, 40),
    funds=st.integers(0, 4_000_000_00),
    spare=st.sampled_from([0, 1, 1_000, 9_000]),
    short=st.sampled_from(["refuse", "fewer"]),
)
def test_as_many_as_the_funds_cover(wanted: int, funds: int, spare: int, short: str) -> None:
    """Against a search from the most downwards; the estimate is of one, rounded up to the paisa."""
    judge = judge_of(MarginSettings(short=short, spare_e4=spare))
    one = ceil(100 * needed(SPREAD) - 1e-6)
    unused = ceil(Fraction(funds * spare, 10_000))
    fits = max(times for times in range(wanted + 1) if one * times <= funds - unused)
    if short == "refuse" and fits < wanted:
        fits = 0
    assert judge.begin(SPREAD, wanted, NOW, SPOT, funds) == (fits or -int(Missing.MARGIN))
    assert judge.tally.asked == 1
    told = judge.lines()
    assert bool(told) == (fits != wanted)


def test_nothing_is_asked_when_it_is_off() -> None:
    judge = judge_of()
    assert judge.begin(SPREAD, 3, NOW, SPOT, 0) == 3 and judge.tally.asked == 0


def test_without_a_level_of_the_index_it_is_not_known_yet() -> None:
    assert judge_of(MarginSettings(short="refuse")).begin(SPREAD, 1, NOW, 0, 10**12) == 0


def test_bought_options_need_their_premium_in_cash() -> None:
    """120 x 30 = 3,600 rupees."""
    bought = [row(0, 60_500, "CE", 1, 12_000)]
    judge = judge_of(MarginSettings(short="refuse"))
    assert judge.begin(bought, 1, NOW, SPOT, 360_000) == 1
    assert judge.begin(bought, 1, NOW, SPOT, 359_999) == -int(Missing.MARGIN)


def test_a_leg_again_is_asked_with_what_is_held() -> None:
    """The sold leg beside its hedge needs less than alone; funds follow the books' equity."""
    judge = judge_of(MarginSettings(short="refuse"))
    one = round(100 * needed(SPREAD)) + 1
    assert judge.begin(SPREAD, 1, NOW, SPOT, one) == 1
    assert judge.again(SPREAD[0], [SPREAD[1]], NOW, SPOT, one) == 1
    assert judge.again(SPREAD[0], [SPREAD[1]], NOW, SPOT, one - 10_000) == 0
    assert judge.again(SPREAD[0], [], NOW, SPOT, one) == 0
    assert judge.tally.counts["not_again"] == 2


# ---- the broker is asked --------------------------------------------------------------------


def asking(without: str = "refuse", short: str = "refuse", wanted: int = 1) -> Judge:
    judge = judge_of(MarginSettings(short=short, without=without), far=True)
    assert judge.begin(SPREAD, wanted, NOW, SPOT, 10**12) == 0
    return judge


def test_the_answer_decides_and_not_the_estimate() -> None:
    judge = asking(wanted=2)
    question = judge.question
    assert question is not None and question.times == 2
    assert [(units, price) for _, units, price in question.orders] == [(-60, 40_000), (60, 12_000)]
    assert judge.begin(SPREAD, 2, NOW + SECOND, SPOT, 10**12) == 0
    judge.told(question.number, 5_000_000, 5_000_000, NOW + SECOND)
    assert judge.question is None
    assert judge.begin(SPREAD, 2, NOW + SECOND, SPOT, 10**12) == 2


def test_an_answer_to_another_question_has_no_effect() -> None:
    judge = asking()
    judge.told(99, 1, 10**12, NOW)
    assert judge.question is not None and judge.begin(SPREAD, 1, NOW + SECOND, SPOT, 0) == 0
    judge.drop()
    judge.told(1, 1, 10**12, NOW)
    assert judge.begin(SPREAD, 1, NOW + SECOND, SPOT, 0) == 0
    assert judge.question is not None and judge.question.number == 2


def test_fewer_by_the_brokers_own_margin() -> None:
    judge = asking(short="fewer", wanted=3)
    judge.told(1, 9_000_000, 8_999_999, NOW)
    assert judge.begin(SPREAD, 3, NOW + SECOND, SPOT, 0) == 2


def test_what_is_bought_is_paid_whatever_the_broker_counts() -> None:
    judge = asking()
    judge.told(1, 1, 359_999, NOW)
    assert judge.begin(SPREAD, 1, NOW + SECOND, SPOT, 0) == -int(Missing.MARGIN)
    assert "3,600.00 rupees (by the broker)" in judge.lines()[0][1]


@pytest.mark.parametrize("answer", [None, (-1, 10**12), (10**6, -1)])
def test_without_an_answer_it_is_refused_or_goes_by_the_estimate(
    answer: tuple[int, int] | None,
) -> None:
    for without, wanted in (("refuse", -int(Missing.UNASKED)), ("estimate", 1)):
        judge = asking(without)
        if answer is not None:
            judge.told(1, *answer, NOW)
        assert judge.begin(SPREAD, 1, NOW + 3 * SECOND, SPOT, 10**12) == wanted
    early = asking()
    assert early.begin(SPREAD, 1, NOW + 3 * SECOND - 1, SPOT, 10**12) == 0


@dataclass
class Loop:
    """Takes commands."""

    judge: Judge
    told: list[tuple[int, int, int, int]] = field(default_factory=list)

    def command(self, command: int, wall_ns: int, *, units: int = 0, price: int = 0,
                contract: int = 0) -> None:  # fmt: skip
        self.told.append((command, contract, units, price))
        self.judge.told(contract, units, price, wall_ns)


class Account:
    """Says what it is told to say, later."""

    def __init__(self, required: Any, funds: Any, seconds: float = 0.0) -> None:
        self.said, self.seconds, self.asked = (required, funds), seconds, 0

    async def _say(self, what: Any) -> int:
        await asyncio.sleep(self.seconds)
        if isinstance(what, Exception):
            raise what
        return int(what)

    async def required(self, orders: Any) -> int:
        self.asked += 1
        return await self._say(self.said[0])

    async def funds(self) -> int:
        return await self._say(self.said[1])


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (Account(700, 900), (700, 900)),
        (Account(BadData("nonsense"), 900), (-1, 900)),
        (Account(700, BadData("nonsense")), (700, -1)),
        (Account(700, 900, seconds=2.9), (700, 900)),
        (Account(700, 900, seconds=3.1), (-1, -1)),
    ],
)
def test_a_question_is_asked_once_and_every_end_is_an_answer(
    account: Account, expected: tuple[int, int]
) -> None:
    judge = asking()
    loop = Loop(judge)

    virtual = VirtualLoop()

    async def look() -> None:
        clock = VirtualClock(virtual, NOW)
        asker = MarginAsker(loop, judge, account, clock, 3.0)  # type: ignore[arg-type]
        task = asyncio.create_task(asker.keep())
        await asyncio.sleep(10)
        task.cancel()

    run_virtually(look(), virtual)
    assert loop.told == [(Command.MARGIN, 1, *expected)] and account.asked == 1


# ---- sizes ----------------------------------------------------------------------------------


def risk_rupees(plan: StructurePlan, rows: list[Row] = SPREAD) -> tuple[float, str] | None:
    wanted = [Wanted(*one) for one in rows]
    told = contracts()
    legs = [
        Leg(told.keys[one.number][2], told.keys[one.number][1] / 100, one.qty, one.price / 100,
            EXPIRY, 0.2)
        for one in wanted
    ]  # fmt: skip
    found = at_risk(plan, wanted, legs)
    return None if found is None else (round(found.rupees, 6), found.bound)


def test_what_a_structure_may_lose_is_its_nearest_bound() -> None:
    """Sold at 400, bought at 120, 1,000 apart: (1,000 - 280) x 30 = 21,600 by the payoff.

    Stops: 25 % of 400 is 100, and 120 for the bought leg: 220 x 30 = 6,600; entered again twice,
    the sold leg counts three times. Of the whole: 5,000 rupees, or 10 % of 280 x 30.
    """
    assert risk_rupees(spread_plan()) == (21_600.0, "the most its payoff can lose")
    sold = {"stop": "25%"}
    assert risk_rupees(spread_plan(sold=sold)) == (6_600.0, "the stops of the legs")
    again = {"stop": "25%", "after_stop": {"again": "cost", "times": 2}}
    assert risk_rupees(spread_plan(sold=again)) == (12_600.0, "the stops of the legs")
    assert risk_rupees(spread_plan(stop="5000")) == (5_000.0, "the stop of the whole")
    assert risk_rupees(spread_plan(2, stop="5000")) == (2_500.0, "the stop of the whole")
    assert risk_rupees(spread_plan(stop="10%")) == (840.0, "the stop of the whole")
    naked = plan_of({"underlying": "BANKNIFTY",
                     "leg": [{"side": "sell", "right": "CE", "strike": "59500"}]})  # fmt: skip
    assert risk_rupees(naked, SPREAD[:1]) is None


@settings(max_examples=100, deadline=None)
@given(
    legs=st.lists(
        st.tuples(st.sampled_from([57_000, 58_000, 59_000, 60_000]), st.sampled_from(["CE", "PE"]),
                  st.sampled_from([1, -1]), st.integers(1, 20_000)),
        min_size=1, max_size=4),
)  # fmt: skip
def test_the_payoff_bound_is_the_worst_of_every_level(
    legs: list[tuple[int, str, int, int]],
) -> None:
    """Against the payoff's values at its strikes, at 0 and far out."""
    rows = [row(at, strike, right, side, 5 * price)
            for at, (strike, right, side, price) in enumerate(legs)]  # fmt: skip
    plan = plan_of({"underlying": "BANKNIFTY", "leg": [
        {"side": "buy" if side > 0 else "sell", "right": right, "strike": str(strike)}
        for strike, right, side, _ in legs]})  # fmt: skip
    calls = sum(side for _, right, side, _ in legs if right == "CE")
    levels = [0, *sorted({strike for strike, *_ in legs}), 10**6]
    worst = min(
        sum(side * LOT * (100 * max(0, level - strike if right == "CE" else strike - level)
                          - 5 * price) for strike, right, side, price in legs)
        for level in levels
    )  # fmt: skip
    bounds = [-worst] if calls >= 0 and worst < 0 else []
    if all(side > 0 for *_, side, _ in legs):
        bounds.append(sum(5 * price * LOT for *_, price in legs))
    found = risk_rupees(plan, rows)
    assert (found is None) == (not bounds)
    if found is not None:
        assert found[0] == pytest.approx(min(bounds) / 100)


@pytest.mark.parametrize(
    ("sizing", "equity", "times"),
    [
        (SizingSettings(method="risk", risk=66_000_00), 10**12, 10),  # 6,600 each
        (SizingSettings(method="risk", risk=65_999_99), 10**12, 9),
        (SizingSettings(method="risk", risk_e6=10_000), 1_320_000_00, 2),  # 1 % of 13,20,000
        (SizingSettings(method="risk", risk=6_599_99), 10**12, -int(Missing.NO_SIZE)),
        (SizingSettings(method="risk", risk=66_000_000_00), 10**13, 20),  # the freeze quantity
        (SizingSettings(fit=True), 10**12, 1),
    ],
)
def test_sizes_are_whole_structures_and_never_above_the_freeze_quantity(
    sizing: SizingSettings, equity: int, times: int
) -> None:
    judge = judge_of(sizing=sizing, plan=spread_plan(sold={"stop": "25%"}))
    assert judge.begin(SPREAD, 1, NOW, SPOT, equity) == times
    assert "structure" in judge.lines()[0][1]


def test_a_size_is_capped_by_the_margin_it_needs() -> None:
    sizing = SizingSettings(method="risk", risk=66_000_00)
    one = needed(SPREAD)
    judge = judge_of(sizing=sizing, plan=spread_plan(sold={"stop": "25%"}))
    assert judge.begin(SPREAD, 1, NOW, SPOT, int(100 * one * 4.5)) == 4
    assert judge.wanted == 10 and judge.tally.counts["fewer"] == 1


def test_limits_of_a_leg_cut_a_size_when_that_is_asked_for() -> None:
    for fit, times in ((True, 3), (False, 10)):
        sizing = SizingSettings(method="risk", risk=66_000_00, fit=fit)
        judge = judge_of(sizing=sizing, plan=spread_plan(sold={"stop": "25%"}),
                         risk=RiskSettings(qty_max=100))  # fmt: skip
        assert judge.begin(SPREAD, 1, NOW, SPOT, 10**12) == times


def test_kelly_counts_structures_that_have_closed() -> None:
    """40 wins of 3,000 and 20 losses of 2,000: p 2/3, payoff 1.5, edge 2/3 - (1/3) / 1.5 = 4/9.

    Shrunk: (4/9)^2 / ((4/9)^2 + (2.5/1.5)^2 x (2/3)(1/3) / 60) = 0.95050; half of it on 4/9 is
    0.21122, above the cap of 2 %. 2 % of 50,00,000 is 1,00,000; one may lose 6,600, more than the
    average loss: 15 structures.
    """
    known = TradeHistory(trades=60, win_rate=2 / 3, win=300_000.0, loss=200_000.0)
    sizing = SizingSettings(method="kelly", history=known)
    judge = judge_of(sizing=sizing, plan=spread_plan(sold={"stop": "25%"}))
    assert judge.begin(SPREAD, 1, NOW, SPOT, 5_000_000_00) == 15
    text = judge.lines()[0][1]
    assert "60 have closed, edge 0.4444, shrunk by 0.9505, 2.000 % of equity at stake" in text
    for _ in range(200):
        judge.closed(-4_000_00 * 2, 2)
    assert judge.explained["trades"] == 260
    assert judge.explained["loss"] == pytest.approx((20 * 2_000 + 200 * 4_000) / 220)
    assert judge.begin(SPREAD, 1, NOW, SPOT, 5_000_000_00) == -int(Missing.NO_SIZE)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "structure-risk.md"


def test_the_worked_example_of_the_page() -> None:
    """Its own numbers, asked of the program."""
    text = PAGE.read_text("utf-8")
    block = text.split("<!-- structure -->\n")[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    told = {one[0]: float(one[2].replace(",", "")) for one in cells[2:]}
    plan = spread_plan(sold={"stop": "25%"})
    config = load_config([], None, [
        "risk.margin.short=fewer", "risk.margin.spare=40%", "risk.sizing.method=risk",
        "risk.sizing.risk=8%"], {}, beneath={"strategy": [{"name": "x", "use": "legs"}]},
        named_only=True)  # fmt: skip
    made = config.settings(40_000_000)
    judge = judge_of(made.margin, made.sizing, plan=plan)
    sent = judge.begin(SPREAD, 1, NOW, SPOT, 40_000_000)
    assert risk_rupees(spread_plan()) == (told["payoff"], "the most its payoff can lose")
    assert risk_rupees(plan) == (told["stops"], "the stops of the legs")
    assert told["risk"] == 0.08 * 400_000 and judge.wanted == told["wanted"]
    one = ceil(100 * needed(SPREAD) - 1e-6)
    assert one == round(100 * told["margin of one"])
    assert round(100 * told["needed"]) == one * judge.wanted
    assert sent == told["sent"] == int(told["may be used"] * judge.wanted / told["needed"])
    log = text.split("<!-- structure log -->\n")[1].split("\n\n")[0]
    assert [line.strip() for line in log.splitlines()] == [line for _, line in judge.lines()]


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [({"short": "les"}, "risk.margin: .*les"), ({"without": "guess"}, "risk.margin: .*guess"),
     ({"answer_ns": 499_999_999}, r"0\.5s is not in|0.5s..60s"), ({"spare_e4": 9_001}, "90.01%"),
     ({"spare_e4": -1}, "spare")],
)  # fmt: skip
def test_margin_settings_out_of_range(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked_margin(MarginSettings(**given))


def test_a_loss_without_a_bound_is_refused_before_the_first_day() -> None:
    sizing = SizingSettings(method="risk", risk=1_000_00)
    naked = plan_of({"underlying": "BANKNIFTY",
                     "leg": [{"side": "sell", "right": "CE", "strike": "atm"}]})  # fmt: skip
    with pytest.raises(ConfigError, match="sold legs without a stop that nothing covers"):
        judge_of(sizing=sizing, plan=naked)
    with pytest.raises(ConfigError, match="does not follow one"):
        checked_leg_sizing(SizingSettings(method="volatility", target_e6=10_000))
    assert structures_of(spread_plan(6)) == 6


@pytest.mark.parametrize("method", ["risk", "kelly"])
def test_a_hedge_of_a_size_that_changes_needs_its_limit_written(method: str) -> None:
    tree = {"underlying": "BANKNIFTY", "stop": "5000", "hedge": {"band": "1 lot"},
            "leg": [{"side": "sell", "right": "CE", "strike": "atm"}]}  # fmt: skip
    sizing = SizingSettings(method=method, risk=1_000_00)
    with pytest.raises(ConfigError, match=r"hedge\.lots_max: with sizing\.method"):
        checked_leg_sizing(sizing, plan_of(tree))
    written = plan_of(tree | {"hedge": {"band": "1 lot", "lots_max": 9}})
    assert checked_leg_sizing(sizing, written) is sizing
    assert checked_leg_sizing(SizingSettings(), plan_of(tree)) == SizingSettings()
