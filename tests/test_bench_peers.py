"""The verdicts of scripts/bench-peers: what is met, what is missed, and what is never claimed."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "scripts" / "lib" / "peers"


@pytest.fixture(scope="module")
def parts() -> Any:
    """Modules `rows` and `table` of the script, imported from its folder."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("rows"), importlib.import_module("table")
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("rows", None)
        sys.modules.pop("table", None)


@pytest.mark.parametrize(
    ("ours", "theirs", "own", "against"),
    [
        ([60.0, 50.0], [250.0, 300.0], True, True),
        ([50.1], [250.0], False, False),
        ([40.0], [199.0], True, False),
    ],
)
def test_the_best_round_is_held_to_both_bars(
    parts: Any, ours: list[float], theirs: list[float], own: bool, against: bool
) -> None:
    rows, table = parts
    row = rows.Row("g", "w", "bar", "a", ("p",), 50.0, (("p", 5.0),))
    lines = table.judge(row, {"a": ours, "p": theirs})
    assert [line.met for line in lines] == [own, against]
    assert lines[1].ratio == pytest.approx(min(theirs) / min(ours))


def test_a_sum_is_the_sum_of_our_own_parts(parts: Any) -> None:
    rows, table = parts
    row = rows.Row("g", "w", "bar", "five", minus=("a", "b"), minus_most=2 / 3)
    met, missed = (
        table.judge(row, {"five": [five], "a": [2.0], "b": [4.0]})[0].met for five in (3.9, 4.1)
    )
    assert met and not missed


def test_what_was_not_measured_is_not_claimed(parts: Any) -> None:
    rows, table = parts
    row = rows.Row("g", "w", "bar", "a", ("p",), 50.0, (("p", 5.0),))
    (line,) = table.judge(row, {"p": [1.0]})
    assert line.ours is None and line.met is None and line.bar == "not measured"
    (alone,) = table.judge(row, {"a": [1.0]})  # the peer is missing: only our own bar is judged
    assert alone.peer == "" and alone.met is True


def test_every_row_names_sides_that_exist(parts: Any) -> None:
    rows, _ = parts
    sources = {
        name: (FOLDER / f"{name}.py").read_text() for name in {*rows.MODULES.values(), "ours"}
    }
    for row in rows.ROWS:
        for subject in (row.ours, *row.peers, *row.minus):
            assert f'"{subject}"' in sources[rows.module_of(subject)], subject
        assert {peer for peer, _ in row.faster} <= set(row.peers)
