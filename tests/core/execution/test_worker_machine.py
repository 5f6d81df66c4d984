"""Every algorithm under random markets, wishes, pauses, timers and days, through a kernel.

After each step what may never break is looked at in full: see `Machine.nothing_is_broken`.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast._core.broker import Hold
from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.stops import Stops
from dhanfast._core.types import OrderFlag, Reason

from ..tick_stand import LOT, SECOND, TickStand

PRICE = 100_000
FREEZE = 5 * LOT
LOTS = 13
STEP = 5

TRAIL = {"trail": (1.5, "points"), "step_ticks": 1, "every_ns": 0}
TRAILS: list[dict[str, Any] | None] = [
    None, TRAIL, TRAIL | {"rest": False}, TRAIL | {"changes_max": 1, "every_ns": 2 * SECOND},
]  # fmt: skip
PROFILE = np.zeros(1440, np.int64)
PROFILE[555:575] = 100


class Machine(RuleBasedStateMachine):
    """A kernel, a worker, the simulated exchange, and whoever has it in for them."""

    algo = Algo.TWAP

    @initialize(
        random_e4=st.sampled_from([0, 3_000]),
        remainder=st.sampled_from(list(Remainder)),
        urgency=st.integers(0, 2),
        latency_ms=st.sampled_from([0, 0, 300]),
        limit_e4=st.sampled_from([0, 0, 20]),
        cap_e4=st.sampled_from([0, 2_000]),
        rate=st.sampled_from([0, 5]),
        least=st.sampled_from([1, 1, 3]),
        share_e4=st.sampled_from([0, 5_000]),
        trail=st.sampled_from(TRAILS),
    )
    def begin(
        self, random_e4: int, remainder: int, urgency: int, latency_ms: int, limit_e4: int,
        cap_e4: int, rate: int, least: int, share_e4: int, trail: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        self.latency = latency_ms > 0
        self.stand = TickStand(
            lots=LOTS,
            freeze=FREEZE,
            square_off=10,
            latency_ns=latency_ms * 1_000_000,
            gate={"orders_per_s_max": rate},
            match={"volume_share_e4": share_e4},
            stops=None if trail is None else Stops(**trail),
            worker={
                "algo": self.algo, "random_e4": random_e4, "remainder": remainder,
                "urgency": urgency, "limit_e4": limit_e4, "cap_e4": cap_e4, "rate_e4": 3_000,
                "floor_e4": 3_000, "display_lots": 2, "least_lots": least, "seed": 9,
                "horizon_ns": 60 * SECOND, "interval_ns": 7 * SECOND, "reprice_ns": SECOND,
                "profile": PROFILE,
            },
        )  # fmt: skip
        self.kernel: Any = self.stand.kernel
        self.worker: Any = self.kernel.broker
        self.price, self.volume = PRICE, 1_000
        self.drained: list[Any] = []
        self.stop = 0
        self.quote(0, 100, 1, ("", 0.0, 0.0))

    def quote(self, move: int, size: int, step_s: float, wish: tuple[str, float, float]) -> None:
        self.price = max(self.price + move * STEP, 50_000)
        self.volume += size
        self.stand.tick(
            self.price, qty=size * LOT // 10 or LOT, bid=self.price - 10, ask=self.price + 10,
            bid_qty=size * LOT, ask_qty=size * LOT, volume=self.volume, wish=wish,
            step=int(step_s * SECOND),
        )  # fmt: skip
        self.drained.append(self.kernel.log.drain())
        self._stop_is_kept(closed=len(self.drained[-1][0]) > 0)

    def _stop_is_kept(self, closed: bool) -> None:
        """It only ever tightens, and an exit at work does not wait beyond it.

        Args:
            closed: a trade has ended since the last look.
        """
        kernel, side = self.kernel, 1 if self.kernel.position > 0 else -1
        found = [each for each in (kernel.stop_price, kernel.stop_local) if each]
        now = max(found, key=lambda price: side * price, default=0)
        if closed or not kernel.position:
            self.stop = 0
        assert not self.stop or (now and side * (now - self.stop) >= 0)
        self.stop = now if kernel.position else 0
        if now and side * (self.price - now) <= 0:
            exits = [one for one in self.worker.parents_now() if one["id"] == kernel.exit_id]
            assert all(one["state"] == "urgent" for one in exits)

    @rule(
        move=st.integers(-30, 30),
        size=st.integers(1, 40),
        step_s=st.sampled_from([0.05, 0.5, 1, 3, 8, 20]),
        times=st.integers(1, 4),
    )
    def ticks(self, move: int, size: int, step_s: float, times: int) -> None:
        for _ in range(times):
            self.quote(move, size, step_s, ("", 0.0, 0.0))

    @rule(
        action=st.sampled_from(["long", "short", "flat"]),
        stop=st.sampled_from([0.0, 3.0, 50.0]),
        goal=st.sampled_from([0.0, 4.0, 60.0]),
    )
    def wish(self, action: str, stop: float, goal: float) -> None:
        self.quote(0, 20, 1, (action, stop, goal))

    @rule(later_s=st.sampled_from([0.1, 2, 15]))
    def woken(self, later_s: float) -> None:
        self.stand.now += int(later_s * SECOND)
        self.worker.wake_up(self.stand.now)

    @rule(what=st.sampled_from([Hold.PAUSE, Hold.RESUME, Hold.RESUME, Hold.CANCEL]))
    def held(self, what: int) -> None:
        before = {each["id"] for each in self.worker.parents_now()}
        self.worker.hold_orders(what, self.stand.now)
        if what == Hold.CANCEL and not self.latency:
            entries = {each["id"] for each in self.worker.parents_now()} & before
            assert self.kernel.entry_id not in entries  # an entry has ended at once

    @rule()
    def panic(self) -> None:
        if self.kernel.exit_id:
            self.worker.hurry_order(
                self.kernel.exit_id, flags=0, reason=Reason.OPERATOR, now_ns=self.stand.now
            )

    @rule(halted=st.booleans())
    def gate(self, halted: bool) -> None:
        if halted:
            self.kernel.gate.reduce_only()
        else:
            self.kernel.gate.activate()

    @rule()
    def next_day(self) -> None:
        """The market goes on tomorrow, as long as there is one."""
        table = self.stand.table
        later = [int(each) for each in table["open_ns"] if int(each) > self.stand.now]
        if later:
            self.stand.now = later[0]
            self.volume = 1_000
            self.quote(0, 30, 1, ("", 0.0, 0.0))

    @invariant()
    def nothing_is_broken(self) -> None:
        if not hasattr(self, "worker"):
            return
        working = self.worker.inner.working()
        parents = self.worker.parents_now()
        held = self.worker.parts_held()
        # What the worker holds is what fills have made; the kernel hears of it in `settle`.
        if self.worker.pending_reports == 0:
            assert sum(held) == abs(self.kernel.position)
        assert all(0 <= part <= FREEZE for part in held)
        for parent in parents:
            # Never more than the parent; every child legal.
            assert parent["filled"] + parent["left"] <= parent["qty"]
            assert parent["left"] > 0
            # At the exchange; what has filled and was not told yet is not of a parent any more.
            if parent["state"] != "urgent":
                assert parent["out"] <= parent["left"]
            for number, left, _ in parent["children"]:
                assert 0 < left <= FREEZE and left % LOT == 0
                assert number in working or self.latency
        for place in working.values():
            assert 0 < place["left"] <= FREEZE
        if parents:
            assert self.worker.wake_ns > 0 and self.worker.live > 0
        else:
            assert self.worker.live == self.worker.inner.live
        self._covered(working)

    def _covered(self, working: dict[int, dict[str, Any]]) -> None:
        """A position that asked for a stop has one at the exchange, of all its units."""
        if self.latency or self.worker.pending_reports or not self.kernel.stop_id:
            return
        stops = sum(one["left"] for one in working.values() if one["state"] == "WAITING")
        triggered = any(
            one["state"] == "WORKING" and one["limit"] in (0, 1 << 62) for one in working.values()
        )
        assert triggered or stops == abs(self.kernel.position) or self.kernel.exit_id

    def teardown(self) -> None:
        if not hasattr(self, "worker"):
            return
        if self.worker.paused:
            self.worker.hold_orders(Hold.RESUME, self.stand.now)
        self.kernel.gate.activate()
        trades, orders = self._finish()
        worked = orders[orders["flags"] & OrderFlag.WORKED != 0]
        assert (worked["filled"] <= worked["qty"]).all()
        # Every unit that came in went out, and the trades have all of them.
        entries = orders[orders["flags"] & OrderFlag.EXIT == 0]
        exits = orders[orders["flags"] & OrderFlag.EXIT != 0]
        assert entries["filled"].sum() == exits["filled"].sum() == trades["qty"].sum()
        assert entries["value"].sum() == trades["entry_value"].sum()
        assert exits["value"].sum() == trades["exit_value"].sum()

    def _finish(self) -> tuple[Any, Any]:
        for _ in range(3):
            self.quote(0, 400, 1, ("flat", 0.0, 0.0))
        self.drained.append(self.stand.finish())
        trades, orders = (np.concatenate([rows[at] for rows in self.drained]) for at in (0, 1))
        return trades, orders


def machine_of(algo: Algo) -> Any:
    made = type(f"Machine{algo.name.title()}", (Machine,), {"algo": algo})
    made.TestCase.settings = settings(  # type: ignore[attr-defined]
        max_examples=40, stateful_step_count=30, deadline=None
    )
    return made.TestCase  # type: ignore[attr-defined]


TestSlice = machine_of(Algo.SLICE)
TestTwap = machine_of(Algo.TWAP)
TestVwap = machine_of(Algo.VWAP)
TestPov = machine_of(Algo.POV)
TestIceberg = machine_of(Algo.ICEBERG)


def test_the_machine_can_see_a_break() -> None:
    """Its look is not blind: a child above freeze is found."""
    machine = Machine()
    machine.begin(0, 1, 2, 0, 0, 0, 0, 1, 0, None)
    machine.wish("long", 0.0, 0.0)
    machine.nothing_is_broken()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.FREEZE", LOT // 2)
        with pytest.raises(AssertionError):
            machine.nothing_is_broken()
