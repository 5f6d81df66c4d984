"""docs/reference/chain.md and payoff.md: examples run, the condor by hand is the library's."""

import doctest
from pathlib import Path

import pytest

from dhanfast.options import SHAPES

PAGES = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(("page", "count"), [("chain.md", 6), ("payoff.md", 6)])
def test_examples_run(page: str, count: int) -> None:
    result = doctest.testfile(str(PAGES / page), module_relative=False)
    assert result.attempted >= count and result.failed == 0


def test_every_spread_is_in_the_table_with_its_strikes() -> None:
    text = (PAGES / "payoff.md").read_text()
    for name, shape in SHAPES.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.split("|")[3].strip().replace("\u2212", "-") == ", ".join(shape.rules)
