"""Prints the golden figures at the end of a run."""

from collections import Counter

import pytest

from tests.core.wire.golden import lines

TALLIES: dict[str, Counter[str]] = {}


@pytest.fixture
def tallies() -> dict[str, Counter[str]]:
    """Where the golden test leaves its figures for the summary."""
    return TALLIES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The official client and we, frame by frame."""
    if TALLIES:
        terminalreporter.section("golden frames against dhanhq 2.3.0")
        terminalreporter.write("\n".join(lines(TALLIES)) + "\n")
