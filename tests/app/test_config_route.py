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
slabs = "6% below 20, 4% below 150.50, 2.5% below 600, 0.5%"
future_protection = "0.5%"
wide = "350%"
stop_room = "1.25%"
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
        slabs=((20_00, 600), (150_50, 400), (600_00, 250), (0, 50)), future_e4=50,
        wide_e4=35_000, stop_room_e4=125, tight_ticks=3, tight_e6=200, loose_e6=15_000,
        share_e4=5_000, swing=7.0,
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
    assert rules["slabs"] == route.slabs and rules["wide_e4"] == 35_000
    assert "stop_room_e4" not in rules, "it is the order desk's"
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
        ('wide = "99%"', "execution.route.wide (1e-4) must be a whole number in 10000..100000"),
        ('wide = "1001%"', "execution.route.wide (1e-4) must be a whole number in 10000..100000"),
        ('stop_room = "50.01%"', "execution.route.stop_room (1e-4) must be a whole number in 0.."),
    ],
)
def test_what_a_rule_cannot_be_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[execution.route]\n{line}\n{STRATEGY}").settings()
    assert said in str(caught.value)


def test_what_a_file_cannot_say_is_refused_where_it_stands(tmp_path: Path) -> None:
    assert "tight_ticks" in refused(tmp_path, "[execution.route]\ntight_ticks = -1\n" + STRATEGY)
    assert "speed" in refused(tmp_path, "[execution.route]\nspeed = 1\n" + STRATEGY)
    for slabs, words in (
        ("5%", "not three shares with the premium they hold below and one for all above"),
        ("5% below 10, 3% below 10, 2% below 500, 1%", "premiums must be above 0 and rise"),
        ("5% below 0, 3% below 10, 2% below 500, 1%", "premiums must be above 0 and rise"),
        ("5% below 10, 3% below 100, 0% below 500, 1%", "each share must be in 0.01%..50%"),
        ("51% below 10, 3% below 100, 2% below 500, 1%", "each share must be in 0.01%..50%"),
        ("5% below 10.001, 3% below 100, 2% below 500, 1%", "finer than a paisa"),
        ("5.001% below 10, 3% below 100, 2% below 500, 1%", "finer than 0.01%"),
    ):
        said = refused(tmp_path, f'[execution.route]\nslabs = "{slabs}"\n{STRATEGY}')
        assert "execution.route.slabs" in said and words in said, slabs
    for fits, words in (
        ("2", "is not a share in 0%..10,000%"),
        ("10001%", "is not a share in 0%..10,000%"),
        ("0.001%", "finer than 0.01%"),
    ):
        said = refused(tmp_path, f'[execution.route]\nfits = "{fits}"\n{STRATEGY}')
        assert "execution.route.fits" in said and words in said, fits
    assert "percentage" in refused(tmp_path, '[execution.route]\nloose = "2"\n' + STRATEGY)


def test_an_order_may_ask_for_more_than_the_best_quantity(tmp_path: Path) -> None:
    """As docs/reference/order-routing.md advises: `fits = "1000%"` takes at once."""
    text = '[execution.route]\nfits = "1000%"\n' + STRATEGY
    assert load(tmp_path, text).settings().execution.route.share_e4 == 100_000


@pytest.mark.parametrize("key", ["slabs", "wide", "stop_room"])
def test_what_is_written_is_shown_as_it_was_written(tmp_path: Path, key: str) -> None:
    shown = load(tmp_path, ALL + STRATEGY).as_dict()["execution"]["route"]
    assert f'{key} = "{shown[key]}"' in ALL
