"""Strategies that filters stand around, or made of several: what is stopped, and what swapped."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.filters import Filters
from dhanfast.engine.filter_settings import FilterSettings, Span
from dhanfast.engine.seat import Misuse
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from tests.engine.live_stage import Stage, at
from tests.engine.seat_stand import FAILS, inputs_of, strategy

BLEND = """
about = "Two."
hypothesis = "Two see more than one."
[blend]
mode = "vote"
votes = 1
[[member]]
use = "momentum"
[[member]]
use = "{path}"
name = "mine"
"""


def blended(folder: Path) -> dict[str, Any]:
    path = folder / "both.toml"
    path.write_text(BLEND.format(path=strategy(folder, "One", on_bar=FAILS)))
    return {"script": str(path)}


def test_a_blend_is_stopped_alone_and_not_exchanged(tmp_path: Path) -> None:
    given = blended
    seat = {"misuse": Misuse("flatten"), "name": "mine"}
    stage = Stage(tmp_path, **given(tmp_path), seat=seat)

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 2, 200)
        with pytest.raises(UsageError, match="a blend of several"):
            await stage.engine.command("swap", strategy="momentum")
        await stage.until(lambda: stage.run.seat.stops == 1, 100)
        await stage.wait(70)
        assert stage.run.loop.error is None and not stage.engine.stopping
        assert stage.run.seat.stopped == "mine raised: RuntimeError: third"
        assert "start another with another engine.run" in stage.run.notes_now()[0]
        with pytest.raises(UsageError, match="a blend of several"):
            await stage.engine.command("swap", strategy="momentum")

    stage.play(act)
    (told,) = inputs_of(stage.path)
    assert (told["way"], told["call"]) == ("flatten", 3)
    before = stage.run.kernel.bars_seen
    assert stage.run.finish().bars is not None, "the result is made without what was stopped"
    stage.journal.close()
    after = Stage(tmp_path, **given(tmp_path), start="09:50", seat=seat)
    after.loop.close()
    assert after.run.seat.stopped == stage.run.seat.stopped
    assert after.run.kernel.bars_seen == before and after.run.seat.stops == 1


def test_a_blend_is_not_swapped_in(tmp_path: Path) -> None:
    stage = Stage(tmp_path, strategy(tmp_path, "One"))
    path = blended(tmp_path)["script"]

    async def act() -> None:
        await stage.wait(6)
        with pytest.raises(UsageError, match="a blend of several"):
            await stage.engine.command("swap", strategy=path)
        assert stage.run.seat.swaps == 0

    stage.play(act)


def test_a_strategy_behind_filters_is_exchanged_and_they_stay(tmp_path: Path) -> None:
    """Two that buy on every bar: no entry of either passes the window, before and after a swap,
    after a stop, and after a restart."""
    always, late = "ctx.buy(stop=self.stop)", FAILS.replace("== 3", "== 5")
    filters = FilterSettings(windows=(Span.parse("fixing 09:15-09:27"),))
    given: dict[str, Any] = {"settings": Settings(filters=filters),
                             "seat": {"misuse": Misuse("flatten"), "name": "mine"}}  # fmt: skip
    second = strategy(tmp_path, "Two", on_bar=f"{always}\n        {late}")
    stage = Stage(tmp_path, strategy(tmp_path, "One", on_bar=always), start="09:20", **given)
    counts: list[int] = []

    async def act() -> None:
        run = stage.run
        await stage.until(lambda: run.kernel.bars_seen == 2, 400)
        said = await stage.engine.command("swap", strategy=second)
        assert "two decides from here on" in said["text"]
        counts.append(run.vetoed["fixing"])
        await stage.until(lambda: run.seat.stops == 1, 400)
        counts.append(run.vetoed["fixing"])
        assert run.kernel.position == 0 and run.kernel.orders_sent == 0
        await stage.engine.command("swap", strategy=str(tmp_path / "one.py"), fresh=True)
        await stage.until(lambda: run.kernel.position != 0, 900)

    stage.play(act)
    assert counts[0] == 2 and counts[1] > 2
    assert isinstance(stage.run.kernel.strategy, Filters)
    entry = stage.run.rows_so_far()[1][0]
    assert entry["filled"] and at("09:27") <= entry["created_ns"] < at("09:29")
    before = (stage.run.vetoed, stage.run.kernel.bars_seen, stage.run.seat.changes)
    stage.journal.close()
    after = Stage(tmp_path, str(tmp_path / "one.py"), start="09:50", **given)
    after.loop.close()
    assert (after.run.vetoed, after.run.kernel.bars_seen, after.run.seat.changes) == before
