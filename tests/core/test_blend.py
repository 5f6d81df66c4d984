"""Blend: books are what the members trade alone, decisions are those of a plain model."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.blend import Blend, Mode, Role
from dhanfast._core.kernel import Kernel
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.strategy import Action
from dhanfast._core.watch import Watch
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import StrategyError
from tests.core.scripted import Scripted, unheard, wishes

MINUTE = 60_000_000_000
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
BARS = generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 3), seed=8)
COUNT = len(BARS.bars)


def scripted(seed: int, often: float = 0.2) -> Any:
    return Scripted(wishes(seed, COUNT, often)).runner(unheard, MINUTE)


def run(strategy: Any, plain: Settings) -> tuple[Engine, Any]:
    sessions = sessions_of(BARS, plain, MINUTE)
    engine = Engine(strategy, sessions, plain, interval_ns=MINUTE)
    engine.feed(BARS.bars)
    return engine, engine.finish()


class Model:
    """What a blend decides, by the words of its page, of stances and wishes that are given."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.wished = 0
        self.kept_out = self.conflicts = 0
        weights = [
            weight if role == Role.DECIDES else 0.0
            for weight, role in zip(told["weights"], told["roles"], strict=True)
        ]
        self.parts = [weight / sum(weights) for weight in weights]

    def decide(
        self,
        held: int,
        stances: list[int],
        asks: list[tuple[int, float, float]],
        can_enter: bool,
    ) -> tuple[int, float, float]:
        """(action, stop, target) of one bar."""
        told, roles = self.told, self.told["roles"]
        total = sum(part * stance for part, stance in zip(self.parts, stances, strict=True))
        on = {
            side: sum(
                stance == side
                for stance, role in zip(stances, roles, strict=True)
                if role == Role.DECIDES
            )
            for side in (1, -1)
        }
        want = self._want(total, on)
        who = [
            ask
            for ask, stance, role in zip(asks, stances, roles, strict=True)
            if role == Role.DECIDES and ask[0] == want == stance and want
        ]
        carried = (
            (
                on[held] >= told["stay"]
                if told["mode"] == Mode.VOTE
                else total * held > told["leave"] + 1e-12
            )
            if held
            else False
        )
        if held:
            self.wished = 0
            if want == -held and told["reverses"] and who and not self._blocked(want, stances):
                return self._enter(want, who)
            if want != -held and carried:
                return 0, 0.0, 0.0
            late = told["reverses"] and not can_enter
            turns = any(
                ask[0] == -held and role == Role.DECIDES
                for ask, role in zip(asks, roles, strict=True)
            )
            return (-held if late and turns else 2), 0.0, 0.0
        if want and who:
            if not self._blocked(want, stances):
                return self._enter(want, who)
        elif self.wished:
            keeps = (
                on[self.wished] >= told["stay"]
                if told["mode"] == Mode.VOTE
                else total * self.wished > told["leave"] + 1e-12
            )
            if not keeps:
                self.wished = 0
                return 2, 0.0, 0.0
        return 0, 0.0, 0.0

    def _want(self, total: float, on: dict[int, int]) -> int:
        told = self.told
        if told["mode"] == Mode.VOTE:
            sides = [side for side in (1, -1) if on[side] >= told["votes"]]
            self.conflicts += len(sides) == 2
            return sides[0] if len(sides) == 1 else 0
        edge = told["threshold"] - 1e-12 if told["mode"] == Mode.WEIGHTS else 1e-12
        return 1 if total >= edge else -1 if total <= -edge else 0

    def _blocked(self, side: int, stances: list[int]) -> bool:
        for stance, role in zip(stances, self.told["roles"], strict=True):
            if (role == Role.AGAINST and stance == -side) or (
                role == Role.UNLESS and stance != side
            ):
                self.kept_out += 1
                return True
        return False

    def _enter(self, side: int, who: list[tuple[int, float, float]]) -> tuple[int, float, float]:
        pick = max if self.told["widest"] else min
        stops = [stop for _, stop, _ in who if stop > 0]
        targets = [target for _, _, target in who if target > 0]
        endless = self.told["widest"] and any(target == 0 for _, _, target in who)
        self.wished = side
        return (
            side,
            pick(stops) if stops else 0.0,
            0.0 if endless or not targets else pick(targets),
        )


@st.composite
def told(draw: Any) -> dict[str, Any]:
    count = draw(st.integers(1, 4))
    roles = [Role.DECIDES, *(draw(st.sampled_from(list(Role))) for _ in range(count - 1))]
    deciders = sum(role == Role.DECIDES for role in roles)
    threshold = draw(st.sampled_from([0.3, 0.5, 1.0]))
    votes = draw(st.integers(1, deciders))
    return {
        "weights": [draw(st.sampled_from([0.5, 1.0, 2.5])) for _ in range(count)],
        "roles": roles,
        "mode": draw(st.sampled_from(list(Mode))),
        "threshold": threshold,
        "leave": draw(st.sampled_from([0.0, threshold / 2, threshold])),
        "votes": votes,
        "stay": draw(st.integers(1, votes)),
        "widest": draw(st.booleans()),
    }


@settings(max_examples=30, deadline=None)
@given(given_=told(), seed=st.integers(0, 2**32), opposite=st.sampled_from(["keep", "reverse"]))
def test_every_decision_is_the_model_s(given_: dict[str, Any], seed: int, opposite: str) -> None:
    count = len(given_["roles"])
    members = [Watch(scripted(seed + at), COUNT) for at in range(count)]
    blend = Blend(members, [f"m{at}" for at in range(count)], **given_)
    watch = Watch(
        blend, COUNT, probes=BARS.bars["start_ns"], state_of=lambda: {"now": blend.members_now()}
    )
    plain = Settings(capital=10**10, on_opposite=opposite)
    engine, written = run(watch, plain)
    model = Model(given_ | {"reverses": opposite == "reverse"})
    for at, row in enumerate(watch.decisions):
        stances = [one["stance"] for one in watch.states[int(row["start_ns"])]["now"]]
        asks = [
            (
                int(said["action"]) if abs(said["action"]) == 1 else 0,
                float(said["stop"]),
                float(said["target"]),
            )
            for said in (one.decisions[at] for one in members)
        ]
        held = int(np.sign(row["position"]))
        clock = dt.datetime.fromtimestamp((int(row["start_ns"]) + MINUTE) // 10**9, IST).time()
        expected = model.decide(held, stances, asks, dt.time(9, 20) <= clock < dt.time(15, 0))
        assert (row["action"], row["stop"], row["target"]) == expected, (at, stances, asks, held)
    assert blend.kept_out == model.kept_out and blend.conflicts == model.conflicts
    for at in range(count):
        alone = run(scripted(seed + at), plain)[1]
        assert blend.seat(at).trades().tobytes() == alone.trades.tobytes()
    rows = engine.decisions.told(len(written.trades))["factors"]
    assert len(rows.rows) == len(written.trades)
    assert (rows.rows["side"] == written.trades["side"]).all()
    assert (rows.rows["decided_ns"] <= written.trades["entry_ns"]).all()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("opposite", ["keep", "close", "reverse"])
def test_a_blend_of_one_trades_as_it_does_alone(mode: Mode, opposite: str) -> None:
    plain = Settings(capital=10**10, on_opposite=opposite)
    for seed in range(6):
        alone = run(scripted(seed, 0.3), plain)[1]
        blended = run(
            Blend([scripted(seed, 0.3)], ["one"], [1.0], [0], mode=mode, scale=True), plain
        )[1]
        assert len(alone.trades) > 20
        assert blended.trades.tobytes() == alone.trades.tobytes()


def test_a_member_sees_its_own_position_and_not_the_blend_s() -> None:
    holds = Scripted([(0, 0.0, 0.0)] * 20 + [(1, 0.0, 0.0)])
    never = Scripted([])
    blend = Blend(
        [holds.runner(unheard, MINUTE), never.runner(unheard, MINUTE)],
        ["a", "b"],
        [1.0, 1.0],
        [0, 0],
        mode=Mode.NET,
    )
    run(blend, Settings(capital=10**10))
    assert any(position for _, position in holds.seen)
    assert not any(position for _, position in never.seen)


def test_opposite_wishes_cancel_inside() -> None:
    """Two that want opposite sides on the same bar: their books trade, the run does not."""
    up = Scripted([(0, 0.0, 0.0)] * 20 + [(1, 20.0, 20.0)])
    down = Scripted([(0, 0.0, 0.0)] * 20 + [(-1, 20.0, 20.0)])
    blend = Blend(
        [one.runner(unheard, MINUTE) for one in (up, down)],
        ["up", "down"],
        [1.0, 1.0],
        [0, 0],
        mode=Mode.NET,
    )
    _, written = run(blend, Settings(capital=10**10))
    assert len(blend.seat(0).trades()) == len(blend.seat(1).trades()) == 1
    assert len(written.trades) == 0 and len(written.orders) == 0


@pytest.mark.parametrize(("lots", "bought"), [(1, 0), (3, 2), (4, 3), (8, 6)])
def test_size_follows_the_net_down_to_whole_lots(lots: int, bought: int) -> None:
    up = Scripted([(0, 0.0, 0.0)] * 20 + [(1, 0.0, 0.0)])
    blend = Blend(
        [up.runner(unheard, MINUTE), scripted(1, 0.0)],
        ["up", "idle"],
        [3.0, 1.0],
        [0, 0],
        mode=Mode.NET,
        scale=True,
    )
    engine, written = run(blend, Settings(capital=10**11, lots=lots))
    lot = 25
    assert written.trades["qty"].tolist() == ([bought * lot] if bought else [])
    assert engine.kernel.signals_unsized == (0 if bought else 1)
    assert engine.counters()["signals_without_size"] == (0 if bought else 1)


def test_a_member_that_lost_its_budget_is_off_until_the_next_session_or_for_good() -> None:
    losing = [
        (1 if at % 2 else -1, 0.0, 0.0) if at % 10 == 5 else (2 if at % 10 == 9 else 0, 0.0, 0.0)
        for at in range(COUNT)
    ]
    plain = Settings(capital=10**10)
    free = Blend([Scripted(losing).runner(unheard, MINUTE)], ["one"], [1.0], [0])
    run(free, plain)
    days = [blend_days(free.seat(0).trades())]
    for limits in ({"day_losses": [500_00]}, {"losses": [500_00]}):
        blend = Blend([Scripted(losing).runner(unheard, MINUTE)], ["one"], [1.0], [0], **limits)
        _, written = run(blend, plain)
        days.append(blend_days(blend.seat(0).trades()))
        book = blend.seat(0).trades()
        for name in set(book.dtype.names) - {"exit_reason"}:  # the book's own exit is by its budget
            assert (book[name] == written.trades[name]).all()
        now = blend.members_now()[0]
        assert now["days_off"] == (3 if "day_losses" in limits else 1)
        assert now["off"] == ("day" if "day_losses" in limits else "good")
    assert len(days[0]) == len(days[1]) == 3 and len(days[2]) == 1
    assert sum(days[1].values()) < sum(days[0].values())


def blend_days(trades: Any) -> dict[int, int]:
    """{day: trades that began on it}."""
    day = (trades["entry_ns"] + 19_800 * 10**9) // (86_400 * 10**9)
    return {int(one): int((day == one).sum()) for one in np.unique(day)}


def test_an_unknown_stop_is_no_entry() -> None:
    unknown = Scripted([(0, 0.0, 0.0)] * 20 + [(1, float("nan"), 0.0)] * 5)
    _, written = run(
        Blend([unknown.runner(unheard, MINUTE)], ["one"], [1.0], [0]), Settings(capital=10**10)
    )
    assert len(written.trades) == 0


def test_a_member_that_raises_stops_the_run() -> None:
    class Broken(Scripted):
        def on_bar(self, ctx: Any, bar: Any) -> None:
            raise KeyError("gone")

    blend = Blend([scripted(1), Broken([]).runner(unheard, MINUTE)], ["a", "b"], [1.0, 1.0], [0, 0])
    with pytest.raises(StrategyError, match="KeyError"):
        run(blend, Settings(capital=10**10))


def test_without_its_books_it_stops_the_run() -> None:
    sessions = sessions_of(BARS, Settings(), MINUTE)
    gate = Gate(instruments=1)
    blend = Blend([scripted(1)], ["a"], [1.0], [0])
    kernel = Kernel(
        blend, Match(gate, instruments=1), Portfolio(10**10, 1), gate, RunLog(), sessions
    )
    with pytest.raises(StrategyError, match="gives it its books"):
        kernel.run(BARS.bars.view(np.uint8))


@pytest.mark.parametrize(
    ("words", "given_"),
    [
        ("members must be 1..16", {"inners": []}),
        ("as many names", {"names": ["a", "b"]}),
        ("threshold must be", {"threshold": 0.0}),
        ("leave in 0..threshold", {"threshold": 0.4, "leave": 0.5}),
        ("votes must be in 1..1", {"mode": Mode.VOTE, "votes": 2}),
        ("votes must be in 1..0", {"roles": [Role.AGAINST]}),
        ("weight of a must be above 0", {"weights": [0.0]}),
    ],
)
def test_what_cannot_be_is_refused(words: str, given_: dict[str, Any]) -> None:
    whole: dict[str, Any] = {
        "inners": [scripted(1)],
        "names": ["a"],
        "weights": [1.0],
        "roles": [0],
    } | given_
    with pytest.raises(ValueError, match=words):
        Blend(
            whole.pop("inners"),
            whole.pop("names"),
            whole.pop("weights"),
            whole.pop("roles"),
            **whole,
        )


def test_a_wish_for_flat_is_an_action() -> None:
    assert Action.GO_FLAT == 2  # as `Scripted` and the model write it
