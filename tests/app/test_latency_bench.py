"""The latency measurement: the real engine against its other side, for a moment."""

import json
import logging
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from dhanfast.app.cli import cli

pytest.importorskip("picows")
pytest.importorskip("uvloop")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """The command quiets the log for the rest of its process, which here goes on."""
    log = logging.getLogger("dhanfast")
    before = log.level
    yield
    log.setLevel(before)


def test_every_packet_arrives_and_every_traded_tick_is_an_order() -> None:
    words = ["bench", "latency", "--rate", "1000", "--orders", "20", "--seconds", "3", "--json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["packets"] >= 2_900 and 20 <= found["orders"] <= 65
    stages = found["microseconds"]
    assert stages["tick to order bytes, inside"]["samples"] == found["orders"]
    assert stages["tick to order, seen by the peer"]["samples"] == found["orders"]
    for figures in stages.values():
        assert 0 < figures["p50"] <= figures["p99"] <= figures["p99.9"]


def test_more_orders_than_a_day_allows_are_refused() -> None:
    words = ["bench", "latency", "--orders", "100", "--seconds", "100"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and "at most 7500" in done.stderr
