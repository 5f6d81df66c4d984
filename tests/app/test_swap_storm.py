"""A short storm of swaps: nothing lost, nothing ordered, nothing let go."""

from pathlib import Path

import pytest

from tests.app.swap_storm import broken, storm

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")


@pytest.mark.slow
def test_a_storm_of_swaps_loses_nothing(tmp_path: Path) -> None:
    found = storm(60, tmp_path / "home")
    assert broken(found, 60) == [], found
