"""A hedged structure over recorded ticks: what decides it, what does not, and a missing future."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.hedger import HedgeDone
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.leg_universe import Universe, universe_of
from dhanfast.engine.legs_replay import recorded_structure
from dhanfast.errors import BadData
from dhanfast.market.tickday import tick_day
from tests.engine.test_legs_replay import day_by_hand, replayed, written

DAY = dt.date(2025, 11, 17)
PLAN: dict[str, Any] = {
    "underlying": "BANKNIFTY", "entry": "09:20", "exit": "15:00", "order": {"deadline": "5m"},
    "hedge": {"band": "15 units", "pause": "60s"},
    "leg": [
        {"side": "sell", "right": right, "strike": "atm", "lots": 5} for right in ("CE", "PE")
    ],
}  # fmt: skip


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hedged") / "generated.dfa"
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=40_000, strikes=11)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    return path


def test_a_recorded_day_is_hedged_with_its_own_future(archive: Path) -> None:
    result = replayed(archive, PLAN)
    assert result.grade == "replay"
    assert result.hedges is not None
    sent = result.hedges[result.hedges["done"] == HedgeDone.SENT]
    assert len(sent) > 3
    number = {result.contracts[one] for one in sent["listed"].tolist()}
    assert number == {"BANKNIFTY 2025-11-25 FUT"}
    orders = result.orders[np.isin(result.orders["instrument"], sent["listed"])]
    assert int((orders["side"] * orders["filled"]).sum()) == 0
    assert (orders["filled"] == orders["qty"]).all()
    assert any(text.startswith("hedge: ") for _, text in result.log)
    assert not any("modelled" in note for note in result.notes)


def test_how_the_ticks_are_cut_changes_no_decision(archive: Path) -> None:
    whole, cut = replayed(archive, PLAN), replayed(archive, PLAN, cut=7)
    assert cut.digest == whole.digest
    assert cut.hedges is not None
    assert whole.hedges is not None
    assert cut.hedges.tobytes() == whole.hedges.tobytes()


def test_options_hedge_a_replay_too(archive: Path) -> None:
    table = {"band": "15 units", "instrument": "option", "strike": "atm", "lots_max": 10}
    result = replayed(archive, PLAN | {"hedge": table})
    assert result.hedges is not None
    dealt = result.hedges[result.hedges["done"] == HedgeDone.SENT]
    assert len(dealt) > 2
    assert {result.contracts[one][-2:] for one in dealt["listed"].tolist()} <= {"CE", "PE"}
    assert (result.hedges["held"] >= 0).all()


def test_a_dry_run_says_what_it_would_do_and_does_nothing(archive: Path) -> None:
    plain = replayed(archive, {key: one for key, one in PLAN.items() if key != "hedge"})
    dry = replayed(archive, PLAN | {"hedge": {"band": "15 units", "dry_run": True}})
    assert dry.hedges is not None
    assert HedgeDone.SENT not in dry.hedges["done"]
    assert HedgeDone.WOULD in dry.hedges["done"]
    assert dry.trades.tobytes() == plain.trades.tobytes()
    assert any("would " in text for _, text in dry.log)


def test_a_file_without_the_future_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", day_by_hand())
    plan = plan_of(PLAN | {"exit": "09:30"})
    with pytest.raises(BadData, match="hedged with the future of 2025-11-25, and there are no"):
        recorded_structure(plan, [path])


def test_a_day_remembers_the_future_that_it_was_begun_with() -> None:
    plan, grid = plan_of(PLAN), np.arange(5_000_000, 5_500_000, 10_000)
    found = universe_of(plan, DAY, 5_250_000, lambda expiry: grid)
    assert found.future == dt.date(2025, 11, 25)
    assert list(found.contracts())[-1] == (dt.date(2025, 11, 25), 0, "FUT")
    assert Universe.of_dict(found.as_dict()) == found
    plain = universe_of(
        plan_of({key: one for key, one in PLAN.items() if key != "hedge"}), DAY, 5_250_000,
        lambda expiry: grid,
    )  # fmt: skip
    assert "future" not in plain.as_dict()
    assert Universe.of_dict(plain.as_dict()) == plain
    assert list(plain.contracts()) == list(found.contracts())[:-1]


def test_options_that_may_hedge_are_watched_on_both_sides() -> None:
    table = {"band": 15, "instrument": "option", "strike": "otm6"}
    plan, grid = plan_of(PLAN | {"hedge": table}), np.arange(5_000_000, 5_500_000, 10_000)
    found = universe_of(plan, DAY, 5_250_000, lambda expiry: grid)
    plain = universe_of(plan_of(PLAN), DAY, 5_250_000, lambda expiry: grid)
    assert found.future is None
    assert found.slots[0].strikes[0] == plain.slots[0].strikes[0] - 60_000
    assert found.slots[0].strikes[-1] == plain.slots[0].strikes[-1] + 60_000
