"""Strategies that something stands around, or made of several: stopped alone, not swapped."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.seat import Misuse
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from tests.engine.live_stage import Stage
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


def behind_filters(folder: Path) -> dict[str, Any]:
    filters = FilterSettings(times=("lunch",))
    return {"script": strategy(folder, "One", on_bar=FAILS), "settings": Settings(filters=filters)}


def blended(folder: Path) -> dict[str, Any]:
    path = folder / "both.toml"
    path.write_text(BLEND.format(path=strategy(folder, "One", on_bar=FAILS)))
    return {"script": str(path)}


@pytest.mark.parametrize("given", [behind_filters, blended])
def test_it_is_stopped_alone_and_not_exchanged(tmp_path: Path, given: Any) -> None:
    seat = {"misuse": Misuse("flatten"), "name": "mine"}
    stage = Stage(tmp_path, **given(tmp_path), seat=seat)

    async def act() -> None:
        await stage.until(lambda: stage.run.kernel.bars_seen == 2, 200)
        with pytest.raises(UsageError, match="behind filters, or a blend of several"):
            await stage.engine.command("swap", strategy="momentum")
        await stage.until(lambda: stage.run.seat.stops == 1, 100)
        await stage.wait(70)
        assert stage.run.loop.error is None and not stage.engine.stopping
        assert stage.run.seat.stopped == "mine raised: RuntimeError: third"
        assert "start another with another engine.run" in stage.run.notes_now()[0]
        with pytest.raises(UsageError, match="behind filters, or a blend of several"):
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
        with pytest.raises(UsageError, match="behind filters, or a blend of several"):
            await stage.engine.command("swap", strategy=path)
        assert stage.run.seat.swaps == 0

    stage.play(act)
