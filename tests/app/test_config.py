"""Configuration: what wins over what, where each value comes from, and every refusal."""

import contextlib
import datetime as dt
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast.app.cli import run
from dhanfast.app.cli_config import toml_text
from dhanfast.app.config import Config, each_field, load_config
from dhanfast.app.config_fields import V1, Section
from dhanfast.app.config_layers import Layers, read_dotenv
from dhanfast.app.config_schema import default_text, description, schema
from dhanfast.app.config_values import (
    Amount,
    Duration,
    Percent,
    Protection,
    SecretName,
    Sync,
    TimeOrNone,
)
from dhanfast.engine.settings import RiskSettings, Settings, Slippage
from dhanfast.errors import ConfigError

SECRET = "eyJhbGciOiJIUzUxMiJ9.eyJkaGFuQ2xpZW50SWQiOiIxIn0.c2VjcmV0c2VjcmV0"
WHOLE = """
version = 2
[broker]
client_id = "1000000001"
product = "MARGIN"
[risk]
day_loss = "2.5%"
orders_per_second = 5
qty_max = 900
notional_max = "50,00,000"
position_max = 1800
band = "3%"
margin_check = false
entry_from = "09:30"
entry_until = "14:45"
flat_by = "15:10"
[simulation]
capital = "20,00,000"
slippage = "2pts"
latency = "250ms"
protection = "4%"
limit_through = true
[[strategy]]
name = "mine"
use = "momentum"
underlying = "NIFTY"
timeframe = "5m"
lots = 3
on_opposite = "reverse"
params = { ema = 12 }
"""


def load(tmp_path: Path, text: str = "", *sets: str, env: dict[str, str] | None = None) -> Config:
    """A configuration of one text, settings and variables."""
    files = ["-"] if text else []
    return load_config(files, tmp_path, sets, env or {}, stdin=io.StringIO(text))


def refused(tmp_path: Path, text: str = "", *sets: str, env: dict[str, str] | None = None) -> str:
    """The words of a refusal."""
    with pytest.raises(ConfigError) as said:
        load(tmp_path, text, *sets, env=env)
    return str(said.value)


def test_every_value_reaches_the_engine(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE).settings() == Settings(
        capital=200_000_000, lots=3, timeframe_ns=300_000_000_000, slippage=Slippage(paise=200),
        latency_ns=250_000_000, entry_from=dt.time(9, 30), entry_until=dt.time(14, 45),
        square_off=dt.time(15, 10), on_opposite="reverse", limit_through=True, protection_e4=400,
        risk=RiskSettings(qty_max=900, notional_max=500_000_000, position_max=1800,
                          loss_day_max=5_000_000, band_e4=300, orders_per_s_max=5,
                          margin_check=False),
    )  # fmt: skip


def test_a_share_is_of_the_capital_in_use(tmp_path: Path) -> None:
    live = load(tmp_path, WHOLE).settings(capital=40_000_000)
    assert live.capital == 40_000_000 and live.risk.loss_day_max == 1_000_000


def test_each_layer_wins_over_the_one_beneath(tmp_path: Path) -> None:
    """The same key set on every layer, the top taken away one by one."""
    first, second = tmp_path / "1.toml", tmp_path / "2.toml"
    first.write_text('preset = "scalper"\n[risk]\nday_loss = "1"\n')
    second.write_text('[risk]\nday_loss = "2"\n')
    env = {"DHANFAST__RISK__DAY_LOSS": "4"}
    dotenv = tmp_path / ".env"
    dotenv.write_text("DHANFAST__RISK__DAY_LOSS=3\n")
    dotenv.chmod(0o600)
    files = [str(first), str(second)]

    def found(*, sets: tuple[str, ...] = (), env: dict[str, str], use: list[str]) -> list[str]:
        config = load_config(use, tmp_path, sets, env)
        return [str(config.risk.day_loss), config.source("risk.day_loss")]

    top = found(sets=("risk.day_loss=5",), env=env, use=files)
    assert top == ["5", "--set risk.day_loss"]
    assert found(env=env, use=files) == ["4", "environment DHANFAST__RISK__DAY_LOSS"]
    assert found(env={}, use=files) == ["3", f"{dotenv} DHANFAST__RISK__DAY_LOSS"]
    dotenv.unlink()
    assert found(env={}, use=files) == ["2", str(second)]
    assert found(env={}, use=files[:1]) == ["1", str(first)]
    first.write_text('preset = "scalper"\n')
    assert found(env={}, use=files[:1]) == ["5000", "preset scalper"]
    assert found(env={}, use=[]) == ["5000", "default"]


def test_the_users_own_file_is_read_when_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[engine]\nrun = "own"\n')
    assert load(tmp_path).engine.run == "own"
    assert load(tmp_path, '[engine]\nheartbeat = "5s"\n').engine.run == "main"


def test_user_folder_is_where_the_catalog_is(tmp_path: Path) -> None:
    def root(env: dict[str, str]) -> Path:
        return load_config([], None, [], env).folders.root

    assert root({"DHANFAST_HOME": str(tmp_path), "XDG_DATA_HOME": "/elsewhere"}) == tmp_path
    assert root({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "dhanfast"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[risk]\ndayloss = "5"\n', "standard input: risk.dayloss: no setting is called 'dayloss'; "
         "did you mean day_loss?"),
        ("[rsk]\n", "standard input: rsk: no setting is called 'rsk'; did you mean risk?"),
        ("[broker.hosts]\nrst = 1\n", "broker.hosts.rst: no setting is called 'rst'; did you mean "
         "rest?"),
        ('[risk]\nday_loss = "many"\n', "standard input: risk.day_loss: 'many' is not an amount"),
        ('[risk]\nday_loss = "101%"\n', "must be in 0%..100%"),
        ("[engine]\npin_core = true\n", "engine.pin_core: must be of type int, not bool"),
        ("[engine]\nwarm_orders = 9\n", "engine.warm_orders: must be a whole number <= 4 (was 9)"),
        ('[engine]\njournal_sync = "1h"\n', "'1h' must be in 1ms..10s, or each"),
        ("[engine]\nheartbeat = 60\n", 'engine.heartbeat: must be text in quotes, for example'),
        ('[engine]\nheartbeat = "60"\n', "'60' is not a duration; write a number and a unit"),
        ('[engine]\nheartbeat = "0s"\n', "must be longer than nothing"),
        ('[risk]\nflat_by = "25:15"\n', "'25:15' is not a time of day"),
        ('[risk]\nflat_by = "15:15+05:30"\n', "is not a time of day"),
        ('[feed]\nmode = "all"\n', "feed.mode: must be one of ticker, quote, full"),
        ("version = 1\n", "version: this program reads version 2"),
        ("risk = 3\n", "risk: must be a table [risk]"),
        ("strategy = 3\n", "strategy: write it as a table [[strategy]]"),
        ('[[strategy]]\nname = "a"\n', "strategy.use is missing"),
        ('[[strategy]]\nuse = "v1"\n', "strategy.name is missing"),
        ('[[strategy]]\nname = "a"\nuse = "v1"\nlot = 3\n', "did you mean lots?"),
        ('[[strategy]]\nname = "a"\nuse = "v1"\n[[strategy]]\nname = "b"\nuse = "v1"\n',
         "2 strategies (a, b): one strategy an engine for now"),
        ('[risk]\nentry_from = "15:01"\n', "risk.entry_from: entries must begin (15:01) before"),
        ('[risk]\nflat_by = "14:00"\n', "lower risk.entry_until as well"),
        ('[clock]\nsource = "exchange"\n', "clock.source: exchange needs broker.exchange"),
        ('[broker]\nexchange = "http://10.0.0.1:80"\n', "must be of the form http://127.0.0.1"),
        ('[broker]\nproduct = "CNC"\n', "broker.product: must be one of INTRADAY, MARGIN"),
        ('[feed]\ninstruments = ["NIFTY"]\n', "feed.instruments: must be of the form"),
        ('[feed]\ninstruments = ["NSE_FNO:1"]\n', "only feed.ring publishes them"),
        ('[feed]\nring = "../x"\n', "feed.ring: must be of the form"),
        ('[filters]\ntimes = ["noon"]\n', "filters.times: each must be one of open, lunch, close"),
        ('preset = "moon"\n', "preset: must be one of scalper, momentum"),
        ("[risk\n", "standard input: is not TOML"),
        ("[[[[[\n", "standard input: is not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("sets", "env", "words"),
    [
        (("risk.dayloss=5",), {}, "--set risk.dayloss: risk.dayloss: no setting is called"),
        (("risk",), {}, "write section.key=value"),
        (("risk=5",), {}, "risk: is a table; name one of its settings: day_loss"),
        (("risk.band.x=5",), {}, "risk.band is a value, not a table"),
        ((), {"DHANFAST__RISK__DAYLOSS": "5"}, "environment DHANFAST__RISK__DAYLOSS: risk.dayloss"),
        ((), {"DHANFAST__ENGINE__BUSY_POLL": "maybe"}, "engine.busy_poll: must be of type"),
        (("strategy.lots=0",), {}, "strategy.lots: must be a whole number >= 1"),
    ],
)
def test_wrong_overrides_are_named(
    tmp_path: Path, sets: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    assert words in refused(tmp_path, "", *sets, env=env)


def test_overrides_are_text_of_their_fields_type(tmp_path: Path) -> None:
    env = {"DHANFAST__ENGINE__BUSY_POLL": "true", "DHANFAST__STRATEGY__PARAMS__EMA": "21",
           "DHANFAST__FEED__INSTRUMENTS": "NSE_FNO:1, BSE_FNO:2", "DHANFAST_HOME": "kept",
           "DHANFAST__FEED__RING": "live", "OTHER": "1"}  # fmt: skip
    config = load(tmp_path, WHOLE, "strategy.mine.lots=7", "engine.pin_core=-1", env=env)
    assert config.engine.busy_poll is True and config.engine.pin_core == -1
    assert config.feed.instruments == ("NSE_FNO:1", "BSE_FNO:2")
    assert config.strategy.params == {"ema": "21"} and config.strategy.lots == 7


def test_relative_strategy_files_are_the_user_folders(tmp_path: Path) -> None:
    text = '[[strategy]]\nname = "a"\nuse = "strategies/a.py:A"\n'
    assert load(tmp_path, text).strategy_place() == "strategies/a.py:A"
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "a.py").touch()
    assert load(tmp_path, text).strategy_place() == f"{tmp_path}/strategies/a.py:A"


# ---- secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["token", "client_id", "order_proxy", "exchange", "hosts.rest", "access_token"]
)
@pytest.mark.parametrize("form", [SECRET, f"https://x.example/?token={SECRET}", f"env:{SECRET}"])
@pytest.mark.parametrize("way", ["file", "env", "set", "dotenv"])
def test_a_secret_in_the_wrong_place_is_refused_and_never_repeated(
    tmp_path: Path, key: str, form: str, way: str
) -> None:
    if way == "file":
        words = refused(tmp_path, f'[broker]\n{key} = "{form}"\n')
    elif way == "env":
        words = refused(tmp_path, env={f"DHANFAST__BROKER__{key.upper().replace('.', '__')}": form})
    elif way == "dotenv":
        name = f"DHANFAST__BROKER__{key.upper().replace('.', '__')}"
        (tmp_path / ".env").write_text(f"{name}='{form}'\n")
        (tmp_path / ".env").chmod(0o600)
        words = refused(tmp_path)
    else:
        words = refused(tmp_path, "", f"broker.{key}={form}")
    assert SECRET not in words and "eyJ" not in words


def test_no_secret_is_in_what_can_be_printed(tmp_path: Path) -> None:
    env = {"DHAN_ACCESS_TOKEN": SECRET, "DHAN_CLIENT_ID": "1000000001", "P": "http://u:p@h:1"}
    config = load(tmp_path, '[broker]\norder_proxy = "env:P"\n', env=env)
    printed = f"{config!r} {config.as_dict()} {config.sources} {config.environ!r} {config.tree}"
    assert SECRET not in printed and "u:p" not in printed
    assert str(config.broker.token) == "env:DHAN_ACCESS_TOKEN"
    assert config.environ["DHAN_ACCESS_TOKEN"] == SECRET
    assert config.client_id() == "1000000001" and config.order_proxy() == "http://u:p@h:1"


def test_version_ones_variables_are_aliases_and_their_placeholders_nothing(tmp_path: Path) -> None:
    env = {"DHAN_ACCESS_TOKEN": "YOUR_ACCESS_TOKEN", "DHAN_CLIENT_ID": "YOUR_CLIENT_ID"}
    config = load(tmp_path, env=env)
    assert config.broker.token == SecretName("store:dhan") and config.client_id() == ""
    config = load(tmp_path, "", "broker.token=keyring:dhan", env={"DHAN_ACCESS_TOKEN": SECRET})
    assert config.broker.token == SecretName("keyring:dhan")


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    config = load(tmp_path, '[broker]\nclient_id = "env:NOBODY"\n')
    with pytest.raises(ConfigError, match=r"env:NOBODY \(from standard input\)"):
        config.client_id()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_dotenv_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / ".env").write_text(f"DHAN_ACCESS_TOKEN={SECRET}\n")
    (tmp_path / ".env").chmod(mode)
    assert f"chmod 600 {tmp_path}/.env" in refused(tmp_path)


def test_dotenv_lines(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# c\n\nexport A=1\nB = 'x # y' \nC=\"q\"\nD=a b # note\nE=\n")
    path.chmod(0o600)
    assert read_dotenv(path) == {"A": "1", "B": "x # y", "C": "q", "D": "a b", "E": ""}
    path.write_text(f"{SECRET}\n")
    with pytest.raises(ConfigError, match="line 1 is not NAME=VALUE") as said:
        read_dotenv(path)
    assert SECRET not in str(said.value)


# ---- addresses ---------------------------------------------------------------------------------


def test_the_exchange_gives_all_addresses_and_single_ones_win(tmp_path: Path) -> None:
    hosts = pytest.importorskip("dhanfast.brokers.dhan.hosts").Hosts
    config = load(tmp_path, "", "broker.exchange=http://localhost:8123/",
                  "broker.hosts.depth200=ws://127.0.0.1:9/x")  # fmt: skip
    expected = {name: getattr(hosts.loopback(8123), name) for name in hosts.__slots__}
    assert config.hosts() == expected | {"depth200": "ws://127.0.0.1:9/x"}
    assert load(tmp_path).hosts() == {}


def test_an_address_that_would_send_the_token_in_the_clear_is_refused(tmp_path: Path) -> None:
    words = refused(tmp_path, "", "broker.hosts.rest=http://10.1.2.3/v2")
    assert words.startswith("--set broker.hosts.rest: broker.hosts.rest: http://10.1.2.3 would")
    assert "wss://host" in refused(tmp_path, "", "broker.hosts.feed=https://127.0.0.1:8080/v2")


# ---- hostile files -----------------------------------------------------------------------------

names = st.sampled_from(
    [*sorted({name for key, _ in each_field() for name in key.split(".")}), "x", "", "a.b"]
)
values = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
              st.dates(), st.times(), st.datetimes(),
              st.sampled_from(["5s", "5%", "15:15", "store:dhan", "env:X", "main", "v1", "1m"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3),
                            st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


@given(table=st.dictionaries(names, values, max_size=5))
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_whatever_a_file_holds_is_taken_or_refused(tmp_path: Path, table: dict[str, Any]) -> None:
    """Never another error, and what is taken can be shown and read again."""
    layers = Layers()
    with contextlib.suppress(ConfigError):
        layers.table(table, "file")
        text = "\n".join(f"{json.dumps(key)} = {toml_text(one)}" for key, one in table.items())
        with contextlib.suppress(ConfigError):
            config = load(tmp_path, text)
            assert config.digest() and str(config.as_dict())


@given(text=st.text(max_size=60), key=st.sampled_from([key for key, _ in each_field()]))
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_whatever_a_setting_is_set_to_is_taken_or_refused(
    tmp_path: Path, text: str, key: str
) -> None:
    with contextlib.suppress(ConfigError):
        load(tmp_path, WHOLE, f"{key}={text}")


# ---- values ------------------------------------------------------------------------------------


@given(rupees=st.integers(0, 10**12), paise=st.integers(0, 99))
@settings(max_examples=40)
def test_amounts_are_exact(rupees: int, paise: int) -> None:
    assert Amount(f"{rupees}.{paise:02}").paise_of(1) == rupees * 100 + paise
    assert Amount(f"{rupees:,}").paise_of(1) == rupees * 100


@given(e4=st.integers(0, 10_000), capital=st.integers(0, 10**15))
@settings(max_examples=40)
def test_percentages_are_exact(e4: int, capital: int) -> None:
    text = f"{e4 // 100}.{e4 % 100:02}%"
    assert Percent(text).e4 == e4
    assert Amount(text).paise_of(capital) == capital * e4 // 10_000


@pytest.mark.parametrize("text", ["-5", "5.001", "1e5", "", "5 000", "5%%", "nan", "\u0665"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Amount(text)


def test_values_keep_their_text() -> None:
    assert str(Duration(" 250ms ")) == "250ms" and Duration("250ms").seconds == 0.25
    assert Sync("each").ns == 0 and Sync("50ms").ns == 50_000_000
    assert TimeOrNone("none").time is None
    assert Duration("1s") == Duration("1s") != Duration("1000ms")


# ---- documentation -----------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "field"), list(each_field()), ids=lambda one: str(one)[:40])
def test_every_field_has_its_line(key: str, field: Any) -> None:
    words = description(field)
    assert words.endswith(".") and "\n" not in words, f"{key} needs one documented line"


def test_sections_are_all_reached() -> None:
    reached = {key.rpartition(".")[0] for key, _ in each_field()}
    assert len(reached) == len(Section.__subclasses__())


def test_every_constant_of_version_1_has_a_key_or_a_reason() -> None:
    keys = {key for key, _ in each_field()}
    for name, key, reason in V1:
        assert bool(key) != bool(reason), f"{name}: a key, or why there is none"
        if key.startswith("strategy.params."):
            from dhanfast.strategies.plugins import strategy_params

            assert key.removeprefix("strategy.params.") in strategy_params("v1")
        elif key:
            assert key in keys, f"{name}: no setting {key}"
    assert len({name for name, _, _ in V1}) == len(V1) >= 30


def test_scalper_is_version_1(tmp_path: Path) -> None:
    """The numbers of version 1's own config.py."""
    config = load(tmp_path, 'preset = "scalper"\n')
    made = config.settings()
    assert config.strategy.use == "v1" and made.lots == 2 and made.timeframe_ns == 60 * 10**9
    assert made.risk.loss_day_max == 500_000 and made.entry_from == dt.time(9, 20)
    assert config.strategy.params == {"ema": 9, "rsi": 14, "rsi_long": 60, "rsi_short": 40,
                                      "stop": 20, "target": 40, "warmup": 15}  # fmt: skip


def test_schema_agrees_with_the_reader(tmp_path: Path) -> None:
    """Patterns and bounds of the schema take what the reader takes, field by field."""
    made = schema()
    for key, field in each_field():
        place = made
        for name in key.split("."):
            place = place["properties"][name] if "properties" in place else place["items"][
                "properties"][name]  # fmt: skip
        assert place["description"] == description(field)
        default = default_text(field)
        if isinstance(default, str) and "pattern" in place:
            assert re.search(place["pattern"], default), key
    assert made["properties"]["strategy"]["items"]["required"] == ["name", "use"]
    assert made["additionalProperties"] is False


# ---- commands ----------------------------------------------------------------------------------


def test_init_writes_a_file_that_is_valid_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    place = tmp_path / "mine"
    old = os.umask(0)
    try:
        assert run(["init", str(place), "--preset", "momentum", "--no-input",
                    "--client-id", "1000000001"]) == 0  # fmt: skip
    finally:
        os.umask(old)
    modes = {one.name: one.stat().st_mode & 0o777 for one in place.iterdir() if one.is_dir()}
    assert modes == {"secrets": 0o700, "journal": 0o700, "run": 0o700, "strategies": 0o755,
                     "instruments": 0o755, "catalog": 0o755}  # fmt: skip
    config = load_config([], place, [], {})
    assert config.strategy.use == "momentum" and config.client_id() == "1000000001"
    text = (place / "config.toml").read_text()
    assert run(["init", str(place), "--no-input"]) == 2
    assert "--yes overwrites it" in capsys.readouterr().err
    assert (place / "config.toml").read_text() == text
    assert run(["init", str(place), "--no-input", "--yes"]) == 0
    assert load_config([], place, [], {}).strategy.use == "v1"
    assert run(["init", str(tmp_path / "other"), "--no-input", "--client-id", SECRET]) == 3
    assert SECRET not in "".join(capsys.readouterr()) and not (tmp_path / "other").exists()


def test_shown_settings_can_be_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE)
    for words in ([], ["--sources"]):
        assert run(["config", "show", "-c", str(path), *words]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 100
        again = load_config(["-"], tmp_path, [], {}, stdin=io.StringIO(shown))
        assert again.digest() == load_config([str(path)], tmp_path, [], {}).digest()
    assert run(["config", "show", "-c", str(path), "--json", "--sources"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"]["risk"]["day_loss"] == "2.5%"
    assert said["sources"]["risk.day_loss"] == str(path) and "default" in said["sources"].values()


def test_validate_makes_the_strategy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text(WHOLE)
    assert run(["config", "validate"]) == 0
    assert "strategy: mine (Momentum, rules)" in capsys.readouterr().out
    assert run(["config", "validate", "--set", "strategy.params.emu=3"]) == 3
    assert "did you mean ema?" in capsys.readouterr().err
    assert run(["config", "validate", "--set", "risk.band=9"]) == 3
    assert run(["config", "validate", "-c", str(tmp_path / "none.toml")]) == 3
    assert "`dhanfast init` writes one" in capsys.readouterr().err
    assert run(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_protection_by_slab_is_a_word_of_its_own() -> None:
    slab, share = Protection(" slab "), Protection("4%")
    assert (slab.slab, slab.e4, str(slab)) == (True, 500, "slab")
    assert (share.slab, share.e4, str(share)) == (False, 400, "4%")
    assert slab != Protection("5%")
    with pytest.raises(ConfigError, match="slabs"):
        Protection("slabs")
