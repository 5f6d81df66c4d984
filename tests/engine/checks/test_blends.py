"""Checks of a blend: what a member does to cheat is caught, and honest members pass."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dhanfast.engine.checks import check_lookahead, check_strategy, check_warmup
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from tests.engine.checks.cheats import CHEATS

Write = Callable[[str], str]
CHEAT = "the mean of the whole series, read in on_start"


def blend_of(folder: Path, *uses: str) -> str:
    path = folder / "some.toml"
    members = "".join(f'[[member]]\nuse = "{use}"\n' for use in uses)
    path.write_text(f'[blend]\nmode = "net"\n{members}')
    return str(path)


def test_honest_members_pass(tmp_path: Path, bars: BarSet) -> None:
    got = check_lookahead(blend_of(tmp_path, "momentum", "v1"), bars, cuts=8)
    assert got.passed and not got.findings, got.findings
    assert got.signals > 20


def test_a_member_that_cheats_is_caught(tmp_path: Path, write: Write, bars: BarSet) -> None:
    source, expected = CHEATS[CHEAT]
    got = check_lookahead(blend_of(tmp_path, "momentum", write(source)), bars, cuts=8)
    assert not got.passed
    assert expected <= {one.code for one in got.findings}, got.findings


def test_the_sources_that_are_read_are_the_members(tmp_path: Path, short: BarSet) -> None:
    got = check_strategy(blend_of(tmp_path, "momentum", "v1"), short, elsewhere=False)
    assert got.source == ("momentum.py", "v1.py") and not got.findings


def test_warm_up_is_of_members(tmp_path: Path, short: BarSet) -> None:
    with pytest.raises(UsageError, match="warm-up of its members"):
        check_warmup(blend_of(tmp_path, "momentum"), short)
