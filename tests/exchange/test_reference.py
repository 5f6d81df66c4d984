"""The reference page names all that is served, every setting and every fault."""

from dataclasses import fields
from pathlib import Path

from dhanfast.exchange.faults import KINDS, Fault
from dhanfast.exchange.settings import ExchangeSettings
from tests.exchange.serving import make_core

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "exchange.md").read_text()


def test_every_route_is_named() -> None:
    for route in make_core().routes:
        assert f"`{route.method} {route.pattern}`" in PAGE, route


def test_every_setting_and_fault_is_named() -> None:
    for name in (*(one.name for one in fields(ExchangeSettings)), *KINDS):
        assert f"`{name}`" in PAGE, name
    for one in fields(Fault):
        assert not one.init or one.name == "kind" or f"`{one.name}`" in PAGE, one.name
