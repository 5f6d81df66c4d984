"""[execution.route]: every key reaches the router, and what it cannot be is refused by its name."""

from dataclasses import fields
from pathlib import Path

import pytest

from dhanfast.app.config_route import Route, route_settings
from dhanfast.engine.route_settings import WRITTEN, RouteSettings
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError

from .test_config import load, refused

STRATEGY = '[[strategy]]\nname = "mine"\nuse = "v1"\nlots = 2\n'
ALL = """
[execution]
algo = "slice"
[execution.route]
future_protection = "0.5%"
tight_ticks = 3
tight = "0.02%"
loose = "1.5%"
fits = "50%"
swing = 7
patience = "8s"
entry_cross = false
ioc = true
interval = "250ms"
reprices = 6
rung = "3s"
"""


def test_every_key_reaches_the_router(tmp_path: Path) -> None:
    route = load(tmp_path, ALL + STRATEGY).settings().execution.route
    assert route == RouteSettings(
        future_e4=50, tight_ticks=3, tight_e6=200, loose_e6=15_000, share_e4=5_000, swing=7.0,
        patience_ns=8 * 10**9, entry_cross=False, ioc=True, interval_ns=250_000_000,
        reprices_max=6, join_ns=3 * 10**9, mid_ns=3 * 10**9, cross_ns=3 * 10**9,
        wide_ns=3 * 10**9,
    )  # fmt: skip
    rules = route.rules()
    assert (rules["option"], rules["future_e4"], rules["ioc"], rules["entry_cross"]) == (
        0,
        50,
        1,
        0,
    )
    assert len(Route.__struct_fields__) == ALL.partition("[execution.route]")[2].count("=")


def test_the_usual_file_is_the_usual_rules(tmp_path: Path) -> None:
    """What is written nowhere is what the page of routing says, and is in no digest."""
    assert route_settings(Route()) == RouteSettings()
    settings = load(tmp_path, STRATEGY).settings()
    assert settings.execution.route == RouteSettings()
    assert settings.as_dict() == load(tmp_path, STRATEGY + "[execution.route]\n").settings(
    ).as_dict()  # fmt: skip
    assert "execution" not in Settings().as_dict()
    assert RouteSettings().rules()["option"] == 1


def test_what_is_written_has_a_name_of_its_own() -> None:
    assert set(WRITTEN) <= {field.name for field in fields(RouteSettings)}
    written = {name.partition(" ")[0] for name in WRITTEN.values()}
    assert written <= set(Route.__struct_fields__)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('fits = "0%"', "execution.route.fits (1e-4) must be a whole number in 1.."),
        ('future_protection = "30%"', "execution.route.future_protection (1e-4) must be"),
        ('patience = "0s"', "execution.route.patience (ns) must be"),
        ('interval = "0s"', "execution.route.interval (ns) must be"),
        ('tight = "11%"', "execution.route.tight (1e-6) must be"),
    ],
)
def test_what_a_rule_cannot_be_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[execution.route]\n{line}\n{STRATEGY}").settings()
    assert said in str(caught.value)


def test_what_a_file_cannot_say_is_refused_where_it_stands(tmp_path: Path) -> None:
    assert "tight_ticks" in refused(tmp_path, "[execution.route]\ntight_ticks = -1\n" + STRATEGY)
    assert "speed" in refused(tmp_path, "[execution.route]\nspeed = 1\n" + STRATEGY)
    assert "percentage" in refused(tmp_path, '[execution.route]\nloose = "2"\n' + STRATEGY)
