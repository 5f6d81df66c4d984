"""`dhanfast greeks` as a user types it."""

import json
from collections.abc import Callable

import pytest

from dhanfast import options
from dhanfast.app.cli import run as run_cli
from dhanfast.market.calendar import midnight_ns

Run = Callable[[str], tuple[int, str, str]]
OPTION = "--forward 25180 --strike 25200 --right CE"
WEEK = "--expiry 2026-07-28 --at 2026-07-21T10:15"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `dhanfast greeks ...`: exit code, output, messages."""

    def call(words: str) -> tuple[int, str, str]:
        code = run_cli(["greeks", *words.split()])
        output, messages = capsys.readouterr()
        return code, output, messages

    return call


def test_json_is_the_library(run: Run) -> None:
    code, output, _ = run(f"{OPTION} --price 312.4 {WEEK} --rate 5.25% --json")
    shown = json.loads(output)
    years = (7 * 24 + 5.25) / 24 / 365
    volatility = options.implied_volatility(312.4, 25_180.0, 25_200.0, years, "CE", 0.0525)
    wanted = options.greeks(volatility, 25_180.0, 25_200.0, years, "CE", 0.0525)
    assert code == 0 and shown["model"] == "black" and shown["years"] == years
    assert shown["volatility"] == volatility
    for name in (*wanted._fields, "vega_percent", "theta_day", "rho_percent", "vanna_percent",
                 "volga_percent", "charm_day"):  # fmt: skip
        assert shown[name] == getattr(wanted, name)


def test_a_stock_by_its_spot(run: Run) -> None:
    code, output, _ = run("--spot 1400 --strike 1380 --right PE --price 31.5 --years 0.1 "
                          "--rate 6.5% --dividend 0.01 --json")  # fmt: skip
    shown = json.loads(output)
    place = (1400.0, 1380.0, 0.1, "PE", 0.065, 0.01)
    assert code == 0 and shown["model"] == "black-scholes-merton" and shown["spot"] == 1400.0
    assert shown["volatility"] == pytest.approx(options.stock_implied_volatility(31.5, *place))
    assert shown["delta"] == pytest.approx(options.stock_greeks(shown["volatility"], *place).delta)


def test_the_table_fits_a_terminal(run: Run) -> None:
    for words in (f"{OPTION} --volatility 15% {WEEK}", f"{OPTION} --volatility 0.15 --years 0",
                  "--spot 1e6 --strike 1e6 --right PE --volatility 999% --years 9 --dividend 1%",
                  "--forward 100 --strike 100 --right PE --volatility 15% --years 0"):  # fmt: skip
        code, output, messages = run(words)
        assert code == 0, messages
        assert max(map(len, output.splitlines())) <= 80
    assert "gamma" in output and "infinite" in output


def test_now_is_the_moment_unless_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import date

    from dhanfast.clock import SystemClock

    noon = midnight_ns(date(2026, 7, 28)) + 12 * 3600 * 10**9
    monkeypatch.setattr(SystemClock, "now_ns", lambda self: noon)
    _, output, _ = run(f"{OPTION} --volatility 15% --expiry 2026-07-28 --json")
    assert json.loads(output)["years"] == 3.5 / 24 / 365


def test_the_last_instant_is_not_over(run: Run) -> None:
    words = f"{OPTION} --volatility 15% --expiry 2026-07-28 --at 2026-07-28T15:30 --json"
    code, output, _ = run(words)
    assert code == 0 and json.loads(output)["years"] == 0.0 == json.loads(output)["price"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--strike 1 --right CE --price 1 --years 1", "either --forward or --spot"),
        (f"{OPTION} --spot 1 --price 1 --years 1", "either --forward or --spot"),
        (f"{OPTION} --price 1", "either --years or --expiry"),
        (f"{OPTION} --price 1 --years 1 {WEEK}", "either --years or --expiry"),
        (f"{OPTION} --price 1 --years 1 --at 2026-07-21", "--at '2026-07-21' goes with --expiry"),
        (f"{OPTION} --years 1", "either --price or --volatility"),
        (f"{OPTION} --years 1 --price 1 --volatility 1%", "either --price or --volatility"),
        (f"{OPTION} --years -1 --price 1", "--years -1: give 0 to 100"),
        (f"{OPTION} --years nan --price 1", "--years nan"),
        (f"{OPTION} --years 1 --volatility 15", "is 1500 %; write 15%"),
        (f"{OPTION} --years 1 --volatility much", "'much' is not a number"),
        (f"{OPTION} --years 1 --volatility -5%", "--volatility -5%: give 0 or more"),
        (f"{OPTION} --years 1 --volatility nan", "--volatility nan: give 0 or more"),
        (f"{OPTION} --years 1 --price 1 --rate 6.5", "--rate 6.5 is 650 %; write 6.5%"),
        (f"{OPTION} --years 1 --price 1 --rate 700000%", "700000 %; give at most 100 %"),
        (f"{OPTION} --years 1 --volatility inf", "--volatility inf: give 0 or more"),
        (f"{OPTION} --years 1 --volatility 1e9%", "give at most 100000 %"),
        (f"{OPTION} --years 1 --price 1 --dividend 1%", "leave --dividend out"),
        ("--forward 1 --strike 1 --right C --years 1 --price 1", "--right 'C': give CE"),
        ("--forward -1 --strike 1 --right CE --years 1 --price 1", "--forward -1: give a positive"),
        ("--forward 1 --strike 0 --right CE --years 1 --price 1", "--strike 0: give a positive"),
        (f"{OPTION} --price 9 --expiry 28-07-2026", "'28-07-2026' is not a date"),
        (f"{OPTION} --price 9 --expiry 2026-07-28 --at noon", "--at 'noon' is not a time"),
        (f"{OPTION} --price 9 --expiry 2026-07-26", "2026-07-26 is not a trading day"),
        (
            f"{OPTION} --volatility 9% --expiry 2026-07-28 --at 2026-07-28T15:31",
            "--expiry 2026-07-28: over since 2026-07-28 15:30; give an earlier --at",
        ),
        ("--forward 25180 --strike 25000 --right CE --price 12 --years 0.1", "is worth, 180"),
        (f"{OPTION} --price 25180 --years 0.1", "as much as the option can ever cost, 25180"),
        (f"{OPTION} --price 30000 --years 0.1", "more than the option can ever cost, 25180"),
        (f"{OPTION} --price nan --years 0.1", "--price nan: cannot be used"),
        (f"{OPTION} --price 5 --years 0", "the option has expired"),
    ],
)
def test_refusals_name_the_option_the_value_and_the_remedy(
    run: Run, words: str, message: str
) -> None:
    code, output, messages = run(words)
    assert code != 0 and output == "" and message in messages
