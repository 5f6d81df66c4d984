"""Guards against a plain model on random streams, each rule at its edge, and the law of exits."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dhanfast._core.guard_rules import NEXT_SESSION, RULES, UNTIL_UNLOCK
from dhanfast._core.guardlocks import GuardKind
from dhanfast._core.guards import Guards
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.types import REPORT_DTYPE, OrderFlag, RejectReason, ReportKind
from dhanfast.errors import ConfigError, OrderRefused, UsageError
from tests.core.guards_model import DAY, IST, Model

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
MONDAY = 1_641_181_500 * 10**9  # 2022-01-03 09:15 IST
CAPITAL = 100_000_000
SESSION = {"lot": 1, "tick": 1, "date": 20220103, "contract": 20220127}
LOCKABLE = [kind.name.lower() for kind in GuardKind]


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "qty": 1, "side": 1, "kind": 0, "price": 10_000} | fields


def ask(gate: Gate, *, side: int = 1, now: int = MONDAY, **view: Any) -> str:
    """The verdict on an entry."""
    fields = entry(side=side, **view.pop("order", {}))
    try:
        gate.check(fields, now_ns=now, **{"session": SESSION, "mark": 10_000, **view})
    except OrderRefused as refusal:
        return refusal.reason.name  # type: ignore[attr-defined, no-any-return]
    return "NONE"


def guarded(**rules: Any) -> tuple[Guards, Gate]:
    guards = Guards(**rules)
    return guards, Gate(guards=guards)


def began(**rules: Any) -> tuple[Guards, Gate]:
    guards, gate = guarded(**rules)
    guards.start_day(20220103, CAPITAL, MONDAY)
    return guards, gate


# ---- against the model ---------------------------------------------------------------------------

PAUSES = st.sampled_from([-1, 10 * MINUTE, 2 * HOUR, 30 * HOUR])
rules_of_a_run = st.fixed_dictionaries(
    {},
    optional={
        "drawdown_e4": st.sampled_from([100, 500]),
        "drawdown_paise": st.just(2_000_000),
        "drawdown_flat": st.just(1),
        "day_loss": st.sampled_from([1_000_000, 3_000_000]),
        "day_loss_flat": st.just(1),
        "alert_e4": st.sampled_from([8_000, 5_000, 10_000]),
        "trades_max": st.integers(1, 4),
        "cooldown_pause": PAUSES,
        "vix_age": st.sampled_from([HOUR, 40 * HOUR]),
    },
)
profit = st.fixed_dictionaries({
    "profit_arm": st.sampled_from([500_000, 2_000_000]), "profit_floor": st.integers(0, 400_000),
    "profit_step": st.sampled_from([0, 1, 100_000]), "profit_flat": st.integers(0, 1),
})  # fmt: skip
windows = st.fixed_dictionaries({
    "losses_max": st.integers(1, 3), "losses_pause": PAUSES,
    "stops_limit": st.integers(1, 3), "stops_lookback": st.sampled_from([HOUR, 26 * HOUR]),
    "stops_pause": PAUSES, "stops_per_side": st.integers(0, 1),
    "low_limit": st.integers(1, 4), "low_lookback": st.sampled_from([HOUR, 50 * HOUR]),
    "low_pause": PAUSES, "low_required": st.integers(-500_000, 500_000),
    "fall_allowed": st.integers(1, 900_000), "fall_limit": st.integers(0, 4),
    "fall_lookback": st.sampled_from([HOUR, 50 * HOUR]), "fall_pause": PAUSES,
})  # fmt: skip
bands = st.fixed_dictionaries({
    "vix_high": st.just(2_000), "vix_high_leave": st.integers(1_700, 2_000),
    "vix_low": st.just(1_100), "vix_low_leave": st.integers(1_100, 1_300),
    "rank_high_e4": st.sampled_from([0, 7_500]), "rank_high_leave_e4": st.integers(1, 7_500),
    "rank_low_e4": st.sampled_from([0, 2_000]), "rank_low_leave_e4": st.integers(2_000, 5_000),
    "rank_days": st.sampled_from([2, 3, 6]), "rank_days_min": st.integers(0, 2),
})  # fmt: skip
NOTHING = st.just({})
every_rule = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()},
    rules_of_a_run, profit | NOTHING, windows | NOTHING, bands | NOTHING,
)  # fmt: skip

steps = st.one_of(
    st.tuples(st.just("mark"), st.integers(-6_000_000, 6_000_000)),
    st.tuples(st.just("mark"), st.integers(-1_200_000, 2_500_000)),
    st.tuples(st.just("enter")),
    st.tuples(st.just("close"), st.integers(-400_000, 400_000), st.sampled_from([1, -1]),
              st.booleans()),
    st.tuples(st.just("vix"), st.integers(800, 2_600)),
    st.tuples(st.just("vix"), st.sampled_from([0, 213, 299, 300, 2_000, 1_999, 15_001])),
    st.tuples(st.just("unlock"), st.sampled_from(LOCKABLE)),
    st.tuples(st.just("lock"), st.sampled_from([10 * MINUTE, 20 * HOUR, None])),
    st.tuples(st.just("wait")),
)  # fmt: skip
streams = st.lists(
    st.tuples(st.sampled_from([1, MINUTE, 25 * MINUTE, 5 * HOUR]), steps), max_size=60
)


class Pair:
    """The native guards and the model, told the same."""

    def __init__(self, rules: dict[str, int]) -> None:
        self.rules = rules
        self.native, self.gate = guarded(**rules)
        self.model = Model(rules)
        self.now = MONDAY
        self.begin()

    def begin(self) -> None:
        """The session of the date of now, unless it has begun."""
        date = 20220103 + (self.now + IST) // DAY - 18_995  # a label that rises
        for each in (self.native, self.model):
            each.start_day(date, CAPITAL, self.now)

    def step(self, wait: int, what: tuple[Any, ...]) -> None:
        self.now += wait
        self.begin()
        if what[0] == "mark":
            self.native.mark(self.now, CAPITAL + what[1])
            self.model.mark(self.now, CAPITAL + what[1])
        elif what[0] == "enter":
            self.native.enter(self.now)
            self.model.enter(self.now)
        elif what[0] == "close":
            self.native.close_trade(self.now, *what[1:])
            self.model.close_trade(self.now, *what[1:])
        elif what[0] == "vix":
            self.native.vix(self.now, what[1])
            self.model.vix(self.now, what[1])
        elif what[0] == "unlock":
            assert self.native.unlock(what[1], now_ns=self.now) == self.model.unlock(
                what[1], self.now
            )
        elif what[0] == "lock":
            until = UNTIL_UNLOCK if what[1] is None else self.now + what[1]
            self.native.lock("operator", now_ns=self.now, until_ns=until)
            self.model.lock("operator", self.now, until, 0, 0)

    def agree(self) -> None:
        for side in (1, -1):
            assert ask(self.gate, side=side, now=self.now) == self.model.verdict(side, self.now)
        assert [tuple(lock) for lock in self.native.locks()] == self.model.standing(self.now)
        assert self.native.wish_flat == self.model.wish_flat
        assert self.native.alerts_made == self.model.alerts


@given(rules=every_rule, stream=streams)
@settings(max_examples=150, deadline=None)
def test_every_verdict_and_lock_is_the_models(
    rules: dict[str, int], stream: list[tuple[int, tuple[Any, ...]]]
) -> None:
    pair = Pair(rules)
    for wait, what in stream:
        pair.step(wait, what)
        pair.agree()


@given(rules=every_rule, stream=streams, cut=st.integers(0, 59))
@settings(max_examples=60, deadline=None)
def test_what_is_carried_goes_on_as_if_nothing_had_happened(
    rules: dict[str, int], stream: list[tuple[int, tuple[Any, ...]]], cut: int
) -> None:
    pair = Pair(rules)
    for wait, what in stream[:cut]:
        pair.step(wait, what)
    carried = json.loads(json.dumps(pair.native.carry()))
    pair.native = Guards(carried=carried, **rules)
    pair.gate = Gate(guards=pair.native)
    assert pair.native.carry() == carried
    alerts = pair.model.alerts
    for wait, what in stream[cut:]:
        pair.step(wait, what)
        pair.model.alerts -= alerts  # the new object counts its own
        pair.agree()
        pair.model.alerts += alerts


def test_a_lock_that_has_ended_by_itself_is_not_ended_again() -> None:
    """Whether another event has come since or not."""
    for between in ((), (("enter",),)):
        pair = Pair({"drawdown_e4": 100})
        pair.step(1, ("lock", 600_000_000_000))
        for what in between:
            pair.step(700_000_000_000, what)
        pair.step(700_000_000_000, ("unlock", "operator"))
        assert pair.native.unlock("operator", now_ns=pair.now) is False
    pair.step(1, ("lock", 600_000_000_000))
    assert pair.native.unlock("operator", now_ns=pair.now) is True


@given(rules=every_rule, stream=streams)
@settings(max_examples=60, deadline=None)
def test_no_guard_ever_blocks_an_exit(
    rules: dict[str, int], stream: list[tuple[int, tuple[Any, ...]]]
) -> None:
    every = {"expiry_day_off": 1, "stale_ns": 1, "before_flat": DAY, "underlying_paise": 1,
             "expiry_lots": 1, "correlated_paise": 1, **rules}  # fmt: skip
    pair = Pair(every)
    session = SESSION | {"contract": 20220103, "square_off_ns": MONDAY}
    for wait, what in stream:
        pair.step(wait, what)
        leaving = entry(side=-1, flags=int(OrderFlag.EXIT), qty=5)
        before = pair.native.carry()
        assert pair.gate.check(leaving, position=5, now_ns=pair.now, session=session)
        assert pair.native.carry() == before  # and is not even asked about
        assert ask(pair.gate, now=pair.now, session=session) != "NONE"


@given(
    rules=st.builds(lambda a, b: a | b, rules_of_a_run, profit | NOTHING),
    marks=st.lists(st.integers(-6_000_000, 6_000_000), min_size=1, max_size=40),
)
@settings(max_examples=100, deadline=None)
def test_between_the_lines_nothing_changes(rules: dict[str, int], marks: list[int]) -> None:
    guards, _ = began(**rules)
    for at, mark in enumerate(marks):
        low, high = guards.lines
        before = guards.carry()
        guards.mark(MONDAY + at, CAPITAL + mark)
        if low < CAPITAL + mark <= high:
            assert guards.carry() == before | {"equity": CAPITAL + mark}
        low, high = guards.lines
        assert low < CAPITAL + mark <= high  # told again, it would change nothing


# ---- each rule at its edge -----------------------------------------------------------------------


@pytest.mark.parametrize(("equity", "want"), [(95_000_001, "NONE"), (95_000_000, "GUARD_DRAWDOWN")])
def test_drawdown_locks_at_its_limit(equity: int, want: str) -> None:
    guards, gate = began(drawdown_e4=500)
    guards.mark(MONDAY + MINUTE, equity)
    assert ask(gate, now=MONDAY + MINUTE) == want
    assert gate.verdicts == {want: 1}
    assert guards.vetoed == ({} if want == "NONE" else {want: 1})


def test_drawdown_is_of_the_days_peak_and_ends_with_the_session() -> None:
    guards, gate = began(drawdown_e4=500, alert_e4=8_000)
    guards.mark(MONDAY + 1, 101_240_000)
    guards.mark(MONDAY + 2, 97_190_401)
    assert guards.alerts_made == 0
    guards.mark(MONDAY + 3, 97_190_400)  # 80 % of the limit
    assert guards.alerts_made == 1
    guards.mark(MONDAY + 4, 96_178_001)
    assert ask(gate, now=MONDAY + 4) == "NONE"
    guards.mark(MONDAY + 5, 96_178_000)
    assert ask(gate, now=MONDAY + 6) == "GUARD_DRAWDOWN"
    assert guards.explain("GUARD_DRAWDOWN") == (
        "drawdown 5 % of the day's peak 1,012,400.00 is at or over the limit 5 %: entries wait for "
        "the next session or `dhanfast unlock drawdown`"
    )
    assert guards.locks() == [("drawdown", MONDAY + 5, NEXT_SESSION, 5_062_000, 5_062_000)]
    guards.mark(MONDAY + 7, 101_240_000)  # it came back: the lock stays
    assert ask(gate, now=MONDAY + 8) == "GUARD_DRAWDOWN"
    guards.start_day(20220104, 101_240_000, MONDAY + DAY)
    assert ask(gate, now=MONDAY + DAY) == "NONE"
    assert [one.what for one in guards.events()] == ["alert", "lock", "veto", "veto"]
    assert guards.events() == []


def test_unlocked_drawdown_is_measured_from_the_equity_of_then() -> None:
    guards, gate = began(drawdown_e4=500)
    guards.mark(MONDAY + 1, 95_000_000)
    assert not guards.unlock("day_loss", now_ns=MONDAY + 2)
    assert guards.unlock("drawdown", now_ns=MONDAY + 2)
    assert ask(gate, now=MONDAY + 3) == "NONE"
    guards.mark(MONDAY + 4, 90_250_001)
    assert ask(gate, now=MONDAY + 4) == "NONE"
    guards.mark(MONDAY + 5, 90_250_000)
    assert ask(gate, now=MONDAY + 5) == "GUARD_DRAWDOWN"


def test_profit_lock_arms_trails_and_locks() -> None:
    guards, gate = began(profit_arm=800_000, profit_floor=500_000, profit_step=100_000,
                         profit_flat=1)  # fmt: skip
    told = [(799_999, "NONE"), (400_000, "NONE"), (800_000, "NONE"), (500_001, "NONE"),
            (1_099_999, "NONE"), (700_001, "NONE"), (700_000, "GUARD_PROFIT_LOCK")]  # fmt: skip
    for at, (gain, want) in enumerate(told):
        assert not guards.wish_flat
        guards.mark(MONDAY + at, CAPITAL + gain)
        assert ask(gate, now=MONDAY + at) == want, gain
    assert guards.wish_flat
    assert "7,000.00 is at or under its floor 7,000.00" in guards.explain("profit_lock")


@pytest.mark.parametrize(
    ("session", "now", "want"),
    [
        ({"contract": 20220103}, MONDAY, "GUARD_EXPIRY"),
        ({"contract": 20220110}, MONDAY, "NONE"),
        ({"contract": 0, "date": 0}, MONDAY, "NONE"),
    ],
)
def test_an_expiry_day_without_entries(session: dict[str, int], now: int, want: str) -> None:
    _, gate = began(expiry_day_off=1)
    assert ask(gate, now=now, session=SESSION | session) == want


@pytest.mark.parametrize(("minutes", "want"), [(224, "NONE"), (225, "GUARD_EXPIRY")])
def test_no_entries_from_a_time_of_the_expiry_day(minutes: int, want: str) -> None:
    guards, gate = began(expiry_day_until=13 * HOUR)
    now = MONDAY + minutes * MINUTE  # 09:15 and 3 hours 45 minutes
    assert ask(gate, now=now, session=SESSION | {"contract": 20220103}) == want
    assert ask(gate, now=now) == "NONE"
    if want != "NONE":
        assert guards.explain("GUARD_EXPIRY") == (
            "the contract expires today, 2022-01-03 and 13:00 is at or after 13:00: entries wait "
            "for the next session"
        )


@pytest.mark.parametrize(("before", "want"), [(15 * MINUTE, "GUARD_FLAT_BY"),
                                              (15 * MINUTE + 1, "NONE")])  # fmt: skip
def test_no_entries_just_before_the_square_off(before: int, want: str) -> None:
    guards, gate = began(before_flat=15 * MINUTE)
    until = MONDAY + 6 * HOUR
    assert ask(gate, now=until - before, session=SESSION | {"square_off_ns": until}) == want
    assert ask(gate, now=until - before) == "NONE"
    if want != "NONE":
        assert guards.explain(RejectReason.GUARD_FLAT_BY) == (
            "15m before the square-off at 15:15, an entry needs 15m"
        )


@pytest.mark.parametrize(("age", "want"), [(5 * 10**9, "NONE"), (5 * 10**9 + 1, "GUARD_STALE")])
def test_no_entries_on_data_that_is_old(age: int, want: str) -> None:
    _, gate = began(stale_ns=5 * 10**9)
    assert ask(gate, now=MONDAY + MINUTE, data_ns=MONDAY + MINUTE - age) == want
    assert ask(gate, now=MONDAY + MINUTE) == "NONE"


def test_vix_history_is_known_no_earlier_than_it_was() -> None:
    """The value of a minute counts from the next minute on, and not one event earlier."""
    times = np.array([MONDAY + MINUTE, MONDAY + 2 * MINUTE], np.int64)
    guards, gate = guarded(vix_high=2_000, vix_high_leave=1_800,
                           vix=(times, np.array([1_500, 2_500], np.int64)))  # fmt: skip
    guards.start_day(20220103, CAPITAL, MONDAY)
    assert ask(gate, now=MONDAY + MINUTE - 1) == "GUARD_VIX"  # nothing is known
    assert guards.explain("GUARD_VIX") == "India VIX is not known: entries wait for it"
    assert ask(gate, now=MONDAY + 2 * MINUTE - 1) == "NONE"
    assert ask(gate, now=MONDAY + 2 * MINUTE) == "GUARD_VIX"
    assert guards.explain("GUARD_VIX") == "India VIX 25.00: entries wait until it is below 18.00"


def test_a_freak_print_of_vix_is_ignored() -> None:
    guards, gate = began(vix_low=1_000, vix_low_leave=1_100)
    guards.vix(MONDAY, 1_500)
    guards.vix(MONDAY + 1, 213)
    assert ask(gate, now=MONDAY + 2) == "NONE"
    assert guards.vix_bad == 1 and guards.vix_now == (1_500, -1, 0)


# ---- exposure and correlation --------------------------------------------------------------------


def held(positions: dict[int, tuple[int, int]], count: int) -> Portfolio:
    """Books with (signed units, mark) by instrument."""
    books = Portfolio(10**12, count)
    for at, (qty, mark) in positions.items():
        if qty:
            fill = np.zeros(1, REPORT_DTYPE)
            fill["kind"], fill["instrument"] = int(ReportKind.FILLED), at
            fill["order_id"], fill["side"] = at + 1, 1 if qty > 0 else -1
            fill["qty"], fill["price"] = abs(qty), mark
            books.apply_report(fill)
        books.set_mark(at, mark)
    return books


# Four instruments: two expiries of one underlying, and two others; lots of 25, 25, 15 and 1.
TABLE = [(7, 20220127, 25), (7, 20220224, 25), (8, 20220127, 15), (9, 20220127, 1)]
MATRIX = [[1.0, 0.96875, 0.75, -0.5], [0.96875, 1.0, 0.75, -0.25],
          [0.75, 0.75, 1.0, 0.0], [-0.5, -0.25, 0.0, 1.0]]  # fmt: skip
units_held = st.integers(-200, 200)


@given(
    books=st.lists(st.tuples(units_held, st.integers(1, 50_000)), min_size=4, max_size=4),
    at=st.integers(0, 3),
    side=st.sampled_from([1, -1]),
    qty=st.integers(1, 300),
    pending=units_held,
    limits=st.tuples(*[st.integers(0, n) for n in (20_000_000, 40, 12_000_000, 30, 15_000_000)]),
)
@settings(max_examples=200, deadline=None)
@example(books=[(0, 1)] * 4, at=0, side=1, qty=1, pending=0, limits=(0, 0, 0, 0, 0))
def test_exposure_and_correlation_of_several_instruments(
    books: list[tuple[int, int]], at: int, side: int, qty: int, pending: int,
    limits: tuple[int, ...],
) -> None:  # fmt: skip
    names = ("underlying_paise", "underlying_lots", "expiry_paise", "expiry_lots",
             "correlated_paise")  # fmt: skip
    guards = Guards(instruments=4, **dict(zip(names, limits, strict=True)))
    for index, row in enumerate(TABLE):
        guards.describe(index, *row)
    guards.attach(held(dict(enumerate(books)), 4))
    guards.correlate(MATRIX)
    gate = Gate(guards=guards)
    got = ask(gate, side=side, order={"instrument": at, "qty": qty}, position=books[at][0],
              pending=pending, mark=books[at][1])  # fmt: skip

    # By hand: what would be held, the entry and what is pending filled or not, whichever is worse.
    after = [books[at][0] + side * qty, books[at][0] + side * qty + pending]
    worst = max(after, key=abs)
    would = [abs(worst) if index == at else abs(books[index][0]) for index in range(4)]
    same = [index for index in range(4) if TABLE[index][0] == TABLE[at][0]]
    here = [index for index in same if TABLE[index][1] == TABLE[at][1]]
    money = [would[index] * books[index][1] for index in range(4)]
    lots = [-(-would[index] // TABLE[index][2]) for index in range(4)]
    found = [sum(money[i] for i in same), sum(lots[i] for i in same),
             sum(money[i] for i in here), sum(lots[i] for i in here)]  # fmt: skip
    others = sum(MATRIX[at][i] * books[i][0] * books[i][1] for i in range(4) if i != at)
    weighted = max(abs(others + quantity * books[at][1]) for quantity in after)
    if any(limit and value > limit for value, limit in zip(found, limits[:4], strict=True)):
        assert got == "GUARD_EXPOSURE"
        assert guards.explain("GUARD_EXPOSURE").startswith("exposure in the ")
    elif limits[4] and weighted > limits[4]:
        assert got == "GUARD_CORRELATION"
    else:
        assert got == "NONE"


def test_a_hedge_makes_correlated_exposure_smaller() -> None:
    """Long 100 at 1,000 rupees: 80 units more of a twin are refused, 80 units less of it pass."""
    guards = Guards(instruments=2, correlated_paise=10_000_000)
    guards.attach(held({0: (100, 100_000), 1: (0, 100_000)}, 2))
    guards.correlate([[1.0, 0.9], [0.9, 1.0]])
    gate = Gate(guards=guards)
    more = {"order": {"instrument": 1, "qty": 80, "price": 100_000}, "mark": 100_000}
    assert ask(gate, side=1, **more) == "GUARD_CORRELATION"  # 0.9 * 100,000 + 80,000 rupees
    assert guards.explain("GUARD_CORRELATION") == (
        "correlated exposure would be 170,000.00, the limit is 100,000.00"
    )
    assert ask(gate, side=-1, **more) == "NONE"  # 0.9 * 100,000 - 80,000


# ---- what is told --------------------------------------------------------------------------------


def test_events_that_nobody_takes_are_counted() -> None:
    guards, gate = began(cooldown_pause=MINUTE)
    for at in range(4_102):
        guards.close_trade(MONDAY + at, -1, 1, False)
    for _ in range(70):
        ask(gate, now=MONDAY + 5_000)
    events = guards.events()
    assert guards.events_lost == 6 and len(events) == 4_096 + 64
    assert guards.vetoed == {"GUARD_COOLDOWN": 70}
    assert events[0].time_ns == MONDAY + 6 and events[-1].what == "veto"


@pytest.mark.parametrize(
    ("rules", "does", "name", "text"),
    [
        ({"day_loss": 500_000}, lambda g: g.mark(MONDAY, CAPITAL - 500_000), "day_loss",
         "loss 5,000.00 from the equity 1,000,000.00 is at or over the limit 5,000.00: entries "
         "wait for the next session or `dhanfast unlock day_loss`"),
        ({"trades_max": 1}, lambda g: g.enter(MONDAY), "max_trades",
         "1 position opened today, the limit is 1: entries wait for the next session or `dhanfast "
         "unlock max_trades`"),
        ({"losses_max": 1, "losses_pause": MINUTE}, lambda g: g.close_trade(MONDAY, -5, 1, False),
         "consecutive_losses",
         "1 losing trade in a row, the limit is 1: entries wait until 2022-01-03 09:16:00 IST or "
         "`dhanfast unlock consecutive_losses`"),
        ({"stops_limit": 1, "stops_lookback": HOUR, "stops_pause": -1, "stops_per_side": 1},
         lambda g: g.close_trade(MONDAY, -5, 1, True), "stoploss_long",
         "1 stop of long positions within 1h, the limit is 1: entries wait for the next session "
         "or `dhanfast unlock stoploss_long`"),
        ({"low_limit": 1, "low_lookback": HOUR, "low_pause": -1},
         lambda g: g.close_trade(MONDAY, -12_345, 1, True), "low_profit",
         "the window's 1 trade brought -123.45, less than 0.00: entries wait for the next "
         "session or `dhanfast unlock low_profit`"),
        ({"fall_allowed": 100, "fall_lookback": HOUR, "fall_pause": -1},
         lambda g: g.close_trade(MONDAY, -250, 1, True), "max_drawdown",
         "the results of the window's 1 trade fell by 2.50, the limit is 1.00: entries wait for "
         "the next session or `dhanfast unlock max_drawdown`"),
        ({}, lambda g: g.lock("operator", now_ns=MONDAY), "operator",
         "operator locked by command: entries wait for `dhanfast unlock operator`"),
    ],
)  # fmt: skip
def test_a_lock_says_what_it_found(
    rules: dict[str, int], does: Any, name: str, text: str
) -> None:  # fmt: skip
    guards, gate = began(**rules)
    assert guards.explain(name) == f"{name} is not locked"
    does(guards)
    assert ask(gate, now=MONDAY) == Model(rules).verdict(1, MONDAY) or guards.locks()
    assert guards.explain(name) == text
    veto = next(one for one in guards.events() if one.what == "veto")
    assert veto.text == text and guards.explain(veto.name) == text
    assert guards.unlock(name, now_ns=MONDAY + 1)
    assert ask(gate, now=MONDAY + 1) == "NONE"
    assert [one.text for one in guards.events()] == [f"{name} unlocked by command"]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"drawdwon_e4": 1}, "no rule is called 'drawdwon_e4'"),
        ({"drawdown_e4": 10_001}, "drawdown_e4 must be a whole number in 0..10000, was 10001"),
        ({"drawdown_e4": 0.5}, "drawdown_e4 must be a whole number"),
        ({"losses_pause": -2}, "losses_pause must be a whole number in -1.."),
        ({"profit_arm": 5, "profit_floor": 5}, "profit_floor must be below profit_arm 5, was 5"),
        ({"vix_high": 2_000}, "vix_high_leave must be above 0 and at most vix_high 2000, was 0"),
        ({"vix_low": 1_000}, "vix_low_leave must be at least vix_low 1000, was 0"),
        ({"rank_high_e4": 10, "rank_high_leave_e4": 10}, "rank_days must be at least 2"),
        ({"rank_days": 3, "rank_days_min": 4}, "rank_days_min must be at most rank_days 3, was 4"),
        ({"instruments": 0}, "instruments must be a whole number in 1..1024, was 0"),
        ({"vix": ([2, 1], [5, 5])}, "vix times must be in ascending order"),
        ({"vix": ([1, 2], [5])}, "vix values must be int64 arrays of one length"),
        ({"carried": 5}, "carried must be a mapping, was int"),
        ({"carried": {}}, "carried.version is missing"),
        ({"carried": {"x": 1}}, "carried.x is not known"),
    ],
)
def test_refusals_name_the_rule_and_the_value(rules: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        Guards(**rules)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "carried.version must be 1, was 2"),
        ({"closes": 5}, "carried.closes must be a list"),
        ({"closed": [1, 2, 3]}, "carried.closed has 3 numbers"),
        ({"locked": 1 << 12}, "unknown locks"),
        ({"peak": 0.5}, "carried.peak must be a whole number"),
    ],
)
def test_what_is_carried_is_checked(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Guards(carried=Guards().carry() | change)


def test_other_refusals() -> None:
    guards = Guards(instruments=2)
    with pytest.raises(UsageError, match=r"instrument must be in 0\.\.1, was 2"):
        guards.describe(2, 0, 0, 1)
    with pytest.raises(UsageError, match="2 instruments, but the portfolio has 1"):
        guards.attach(Portfolio(1, 1))
    for matrix in ([[1.0]], [[1, 2], [2, 1]], [[1, 0.5], [0.4, 1]], [[0, 0], [0, 1]]):
        with pytest.raises(ConfigError, match="correlations must be"):
            guards.correlate(matrix)
    with pytest.raises(UsageError, match="no lock is called 'drawdwon'"):
        guards.unlock("drawdwon", now_ns=1)
    with pytest.raises(UsageError, match="until_ns must be after now 5, was 5"):
        guards.lock("operator", now_ns=5, until_ns=5)
    assert guards.explain("guard_vix") == "no entry was refused for guard_vix"


def test_rules_are_named_as_the_struct_has_them() -> None:
    numbers = {name: 1 for name in RULES}
    # Kept from contradicting each other: floors below arms, leaves beyond edges.
    numbers |= {"profit_arm": 2, "rank_days": 2, "rank_days_min": 2}
    assert Guards(**numbers).rules_in_force == numbers
