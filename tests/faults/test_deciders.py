"""Seeds in which who decides changes and fails: no promise is broken, broken ones would be seen."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.seat import Seat
from dhanfast.errors import DhanfastError

from .deciders import with_deciders
from .plan import Plan
from .test_simulation import ALL, BLOCK, QUICK, require_none
from .world import run_seed

COMMON = ("strategy swap", "swap refused", "strategy stop flatten, raised",
          "strategy stop flatten, hung", "strategy stop flatten, memory",
          "strategy stop keep, raised", "strategy stop rollback, raised",
          "entry taken back by a filter", "death", "child order")  # fmt: skip


def test_no_promise_is_broken_when_who_decides_changes(tmp_path: Path) -> None:
    counts = require_none(range(2 * BLOCK), tmp_path, with_deciders)
    for name in COMMON:
        assert counts[name], f"no {name}: what the seeds draw has lost its teeth"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, ALL, 2 * BLOCK))
def test_no_promise_is_broken_by_many_more_when_who_decides_changes(
    first: int, tmp_path: Path
) -> None:
    require_none(range(first, min(first + 2 * BLOCK, ALL)), tmp_path, with_deciders)


def test_a_seed_is_the_same_run_every_time(tmp_path: Path) -> None:
    seeds = range(40, 48)
    first = [run_seed(seed, tmp_path, with_deciders).digest for seed in seeds]
    assert first == [run_seed(seed, tmp_path, with_deciders).digest for seed in seeds]
    assert len(set(first)) > 4  # of some without an order it is the same


# ---- broken parts are seen -----------------------------------------------------------------------


def found_out(folder: Path, *words: str) -> bool:
    """Whether one of some seeds breaks a promise in these words."""
    for seed in range(80):
        told = " | ".join(run_seed(seed, folder, with_deciders).violations)
        if any(each in told for each in words):
            return True
    return False


def test_a_swap_that_closes_what_is_held_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Seat._take

    def closing(self: Seat, decider: Any) -> None:
        take(self, decider)
        self._run.loop.drop_strategy("flatten")
        self._run.loop.put_strategy(decider.runner)

    monkeypatch.setattr(Seat, "_take", closing)
    assert found_out(tmp_path, "swap changed (")


def test_a_newcomer_that_keeps_the_seat_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(self: Seat, told: dict[str, Any]) -> None:
        self._before = None

    monkeypatch.setattr(Seat, "_roll_back", kept)
    assert found_out(tmp_path, "decides, and not the one before")


def test_a_refusal_that_leaves_a_trace_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = Seat.install

    def counted(self: Seat, ready: Any, wall_ns: int) -> int:
        try:
            return install(self, ready, wall_ns)
        except DhanfastError:
            self.swaps += 1
            raise

    monkeypatch.setattr(Seat, "install", counted)
    assert found_out(tmp_path, "refused, and (")


def test_a_restart_that_forgets_what_a_newcomer_was_given_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_again = Seat._made_again
    other = {"counts": {"start": 9, "tick": 9, "bar": 9, "fill": 9}, "seed": 1}

    def forgetful(self: Seat, told: dict[str, Any]) -> Any:
        return made_again(self, told | ({"state": other} if "state" in told else {}))

    monkeypatch.setattr(Seat, "_made_again", forgetful)
    assert found_out(tmp_path, "repeated, ", "not made again")


def test_entries_after_a_stop_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Seat._end

    def forgiving(self: Seat, told: dict[str, Any]) -> None:
        end(self, told)
        self.stopped = ""

    monkeypatch.setattr(Seat, "_end", forgiving)
    assert found_out(tmp_path, "a strategy was stopped, and entries pass")


def test_a_plan_without_deciders_is_what_it_was() -> None:
    assert Plan.of(7).decided is None and with_deciders(Plan.of(7)).kills == Plan.of(7).kills
