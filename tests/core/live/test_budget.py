"""The broker's limits of orders, against a list of times; and at the order desk."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.live.budget import OrderBudget
from dhanfast._core.live.records import Outcome, Seen
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.errors import ConfigError

from .desk import CANCEL, LOT, MS, PLACE, QUERY, SECOND, STOP_FLAGS, Desk

NEVER = 2**63 - 1
SPANS = {"per_second": SECOND, "per_minute": 60 * SECOND, "per_hour": 3_600 * SECOND}


class Plain:
    """What is kept, by counting a list."""

    def __init__(self, limits: dict[str, int], kept_e2: int) -> None:
        self.limits, self.kept_e2 = limits, kept_e2
        self.times: list[int] = []
        self.today = 0

    def _room(self, name: str, urgent: bool) -> int:
        limit = self.limits[name]
        if urgent or not self.kept_e2 or limit == 1:
            return limit
        return limit - max(1, limit * self.kept_e2 // 100)

    def held_until(self, now: int, urgent: bool) -> int:
        if not urgent and self.today >= self._room("per_day", False):
            return NEVER
        at = now
        for name, span in SPANS.items():
            room = self._room(name, urgent)
            inside = sorted(time for time in self.times if time > now - span)
            if len(inside) >= room:
                at = max(at, inside[len(inside) - room] + span)
        return 0 if at == now else at

    def take(self, now: int) -> None:
        self.times.append(now)
        self.today += 1


LIMITS = st.fixed_dictionaries(
    {"per_second": st.integers(1, 5), "per_minute": st.integers(1, 12),
     "per_hour": st.integers(1, 30), "per_day": st.integers(1, 40)}
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 200 * MS, SECOND, 7 * SECOND, 60 * SECOND, 900 * SECOND]),
              st.booleans(), st.booleans()),
    max_size=80,
)  # fmt: skip


@settings(max_examples=120)
@given(limits=LIMITS, kept=st.sampled_from([0, 20, 50]), steps=STEPS)
def test_says_what_a_list_of_times_says(
    limits: dict[str, int], kept: int, steps: list[tuple[int, bool, bool]]
) -> None:
    budget, plain, now = OrderBudget(**limits, exits_kept_e2=kept), Plain(limits, kept), SECOND
    for wait, urgent, obey in steps:
        now += wait
        held = budget.held_until(now, urgent=urgent)
        assert held == plain.held_until(now, urgent)
        if held == 0 or not obey:
            budget.take(now)
            plain.take(now)
    assert budget.used_today == plain.today


@settings(max_examples=120)
@given(limits=LIMITS, steps=STEPS)
def test_no_window_holds_more_than_its_limit_and_ways_out_find_what_is_kept(
    limits: dict[str, int], steps: list[tuple[int, bool, bool]]
) -> None:
    budget, now = OrderBudget(**limits), SECOND
    left: list[tuple[int, bool]] = []
    for wait, urgent, _ in steps:
        now += wait
        if budget.held_until(now, urgent=urgent) == 0:
            budget.take(now)
            left.append((now, urgent))
        elif not urgent:
            held = budget.held_until(now)
            assert budget.held_until(now, urgent=True) <= held, "a way out never waits for longer"
    for name, span in SPANS.items():
        limit, entries = limits[name], [time for time, urgent in left if not urgent]
        times = [time for time, _ in left]
        for at in range(len(times) - limit):
            assert times[at + limit] - times[at] >= span
        kept = max(1, limit // 5) if limit > 1 else 0
        for at in range(len(entries) - (limit - kept)):
            assert entries[at + limit - kept] - entries[at] >= span, "what is kept was used"
    assert sum(not urgent for _, urgent in left) <= limits["per_day"]


def test_a_day_and_a_penalty_keep_entries_alone() -> None:
    budget = OrderBudget(per_day=5, exits_kept_e2=20)
    for _ in range(4):
        assert budget.held_until(SECOND) == 0
        budget.take(SECOND)
    assert budget.held_until(SECOND) == NEVER and budget.held_until(SECOND, urgent=True) == 0
    budget.new_day()
    assert budget.held_until(SECOND) == 0
    budget.close_until(9 * SECOND)
    assert budget.held_until(SECOND) == 9 * SECOND
    assert budget.held_until(SECOND, urgent=True) == 0
    assert budget.held_until(9 * SECOND) == 0


@pytest.mark.parametrize("bad", [{"per_second": 0}, {"per_hour": 8_001}, {"exits_kept_e2": 91},
                                 {"per_day": 1.5}, {"per_week": 1}])  # fmt: skip
def test_limits_out_of_range_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"budget.{next(iter(bad))}"):
        OrderBudget(**bad)


# ---- at the desk ---------------------------------------------------------------------------------


def left_at(desk: Desk, until: Callable[[], bool], step: int = 50 * MS) -> list[tuple[int, Any]]:
    """(time, request) of everything that leaves until something is so."""
    found: list[tuple[int, Any]] = []
    while not until():
        found += [(desk.now, made) for made in desk.sent()]
        desk.wait(step)
    return found + [(desk.now, made) for made in desk.sent()]


@settings(max_examples=60)
@given(
    limits=st.fixed_dictionaries({"per_second": st.integers(2, 4),
                                  "per_minute": st.integers(4, 9)}),
    acts=st.lists(st.sampled_from(["enter", "enter", "exit", "cancel", "spend", "answer", "refuse",
                                   "wait", "pause"]), max_size=40),
)  # fmt: skip
def test_whatever_is_wished_for_no_window_of_the_desk_is_overdrawn(
    limits: dict[str, int], acts: list[str]
) -> None:
    desk = Desk(position=20 * LOT, **limits)
    times: list[int] = []
    open_: list[Any] = []
    entries: list[int] = []
    for act in acts:
        if act == "enter":
            entries.append(desk.enter())
        elif act == "exit":
            desk.order(-1, LOT, OrderKind.MARKET, flags=OrderFlag.EXIT, group=len(times) + 1)
        elif act == "cancel" and entries:
            ended = {row[1] for row in desk.reports() if row[0] != "ACCEPTED"}
            entries = [order for order in entries if order not in ended]
            if entries:
                desk.cancel(entries[0])
        elif act == "spend":
            if desk.remote.wait_of(desk.now, urgent=True) == 0:
                desk.remote.spend_requests(1)
                times.append(desk.now)
        elif act in ("answer", "refuse") and open_:
            made = open_.pop(0)
            if act == "answer":
                desk.answer(made)
            else:
                desk.refuse(made, 429)
        desk.wait({"wait": 300 * MS, "pause": 20 * SECOND}.get(act, 0))
        made = desk.sent()
        open_ += made
        times += [desk.now for one in made if one["kind"] != QUERY]
    for name, limit in limits.items():
        for at in range(len(times) - limit):
            assert times[at + limit] - times[at] >= SPANS[name]


def test_when_the_budget_is_short_the_exit_leaves_first_though_it_was_wished_for_last() -> None:
    desk = Desk(position=LOT, per_second=1)
    desk.enter()
    desk.refuse(desk.one(PLACE), error=906)
    desk.enter()
    desk.enter()
    desk.exit()
    assert desk.sent() == []
    desk.wait(SECOND)
    assert desk.one(PLACE)["flags"] & OrderFlag.EXIT
    desk.wait(SECOND)
    assert not desk.one(PLACE)["flags"] & OrderFlag.EXIT


def test_entries_leave_room_for_an_exit_and_a_cancel_at_once() -> None:
    desk = Desk(position=LOT, per_second=9)
    orders = [desk.enter() for _ in range(12)]
    made = desk.sent()
    assert len(made) == 8, "one of nine is kept"
    desk.answer(made[0])
    desk.cancel(orders[0])
    assert desk.one(CANCEL)["order"] == made[0]["order"]
    desk.exit()
    assert desk.sent() == []
    desk.wait(SECOND)
    assert desk.sent()[0]["flags"] & OrderFlag.EXIT


def test_a_change_of_an_entry_waits_and_its_cancel_does_not() -> None:
    desk = Desk(per_minute=2, exits_kept_e2=50)
    order = desk.order(1, LOT, OrderKind.LIMIT, price=9_500)
    placed = desk.one(PLACE)
    desk.resting(placed)
    desk.resize(order, 2 * LOT, price=9_600)
    desk.wait(10 * SECOND)
    assert desk.sent() == []
    desk.cancel(order)
    assert desk.one(CANCEL)["order"] == placed["order"]


def test_what_others_spend_counts_and_the_desk_says_how_long_they_wait() -> None:
    desk = Desk(per_second=2, per_day=10)
    assert desk.remote.wait_of(desk.now) == 0
    desk.remote.spend_requests(2)
    assert desk.remote.requests_today == 2
    assert desk.remote.wait_of(desk.now, urgent=True) == SECOND
    assert desk.remote.wait_of(desk.now + 400 * MS, urgent=True) == 600 * MS
    assert desk.remote.wait_of(desk.now + SECOND) == 0
    desk.remote.spend_requests(6)
    assert desk.remote.wait_of(desk.now + SECOND) == NEVER
    desk.enter()
    assert desk.reports()[0][0] == "REJECTED"


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [({"code": 429}, 1), ({"error": 904}, 1), ({"error": 805}, 5),
     ({"code": 429, "retry_after_s": 3}, 3)],
)  # fmt: skip
def test_too_fast_makes_all_entries_wait_and_no_exit(answer: dict[str, int], seconds: int) -> None:
    desk = Desk(position=LOT)
    desk.enter()
    desk.refuse(desk.one(PLACE), **answer)
    desk.exit()
    assert desk.one(PLACE)["flags"] & OrderFlag.EXIT
    assert desk.remote.wait_of(desk.now) == seconds * SECOND
    desk.reports()
    entry = desk.enter()
    if seconds > 1:
        assert desk.reports() == [("REJECTED", entry, 0, 0, 0)], "too long to wait for"
    else:
        assert desk.sent() == [] and desk.reports() == []
        desk.wait(SECOND)
        desk.one(PLACE)


def test_an_exit_waits_for_a_minutes_place_and_takes_it() -> None:
    desk = Desk(position=2 * LOT, per_minute=2)
    desk.exit()
    desk.resting(desk.one(PLACE))
    desk.remote.spend_requests(1)
    desk.order(-1, LOT, OrderKind.SLM, trigger=9_000, flags=STOP_FLAGS, group=901)
    assert desk.sent() == [] and desk.reports() == []
    began = desk.now
    left = left_at(desk, lambda: desk.now - began > 61 * SECOND)
    ((at, made),) = [(at, made) for at, made in left if made["kind"] != QUERY]
    assert at - began == 60 * SECOND and made["kind"] == PLACE


def test_over_a_days_count_an_exit_is_still_asked_for() -> None:
    desk = Desk(position=LOT, per_day=1)
    desk.remote.spend_requests(5)
    desk.exit()
    made = desk.one(PLACE)
    desk.answer(made, Outcome.TAKEN)
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 9_990)
    assert desk.reports()[-1][0] == "FILLED"
