"""The examples of docs/reference/sizing.md and stops.md: the pages' own numbers, asked of the code.

The pages were worked by hand; here their settings go through the configuration, as a file's would.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.sizing import Sizer
from dhanfast.app.config import load_config
from dhanfast.engine.settings import Settings
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.engine.stop_settings import StopSettings

from ..core.stand import OPEN, Wisher, bars_of, make, run, sessions

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"
EQUITY = 100_000_000
SESSION = sessions(1, 375, lot=35)[0]


def rows(page: str, heading: str) -> dict[str, str]:
    """{first cell: last cell} of the tables under a heading."""
    text = (PAGES / page).read_text(encoding="utf-8").split(heading + "\n", 1)[1]
    text = re.split(r"^#", text, maxsplit=1, flags=re.M)[0]
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {one[0].strip(): one[-1].strip() for one in cells}


def told(settings: SizingSettings, **entry: Any) -> dict[str, Any]:
    sizer = Sizer(settings.native(1, 300_000_000_000))
    if settings.method == "volatility":
        for at in range(40):  # every true range is 30 rupees: so is their average
            bar = {"start_ns": at, "open": 50_000, "high": 51_500, "low": 48_500, "close": 50_000}
            sizer.bar(bar)
    sizer.entry(SESSION, equity=EQUITY, price=50_000, **entry)
    return sizer.explained


def same(found: dict[str, Any], want: dict[str, str], names: list[str]) -> None:
    for name in names:
        assert found[name] == pytest.approx(float(want[name]), abs=5e-7), name


def test_fixed_risk() -> None:
    want = rows("sizing.md", "### Fixed risk")
    found = told(SizingSettings(method="risk", risk_e6=10_000), stop=float(want["stop"]))
    same(found, want, ["wanted", "lots"])
    assert found["wanted"] * 35 * float(want["stop"]) == pytest.approx(float(want["risk"]))


def test_kelly() -> None:
    want = rows("sizing.md", "### Kelly")
    history = TradeHistory(trades=60, win_rate=27 / 60, win=4_000.0, loss=2_000.0)
    kelly = SizingSettings(method="kelly", history=history)
    found = told(kelly, stop=25.0)
    same(found, want, ["win_rate", "edge", "shrink", "stake", "at_risk", "wanted", "lots"])
    free = told(SizingSettings(method="kelly", history=history, kelly_cap_e6=10**6), stop=25.0)
    assert free["stake"] == pytest.approx(float(want["uncapped"]), abs=5e-7)


def test_volatility() -> None:
    want = rows("sizing.md", "### Volatility")
    same(told(SizingSettings(method="volatility", target_e6=10_000)), want,
         ["day_sigma", "wanted", "lots"])  # fmt: skip


def example_bars() -> list[tuple[int, int, int, int]]:
    text = (PAGES / "stops.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\d) \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) \|", text,
                       flags=re.M)  # fmt: skip
    assert [int(row[0]) for row in found] == list(range(1, 10))
    paise = [[round(100 * float(cell)) for cell in row[1:]] for row in found]
    return [(row[0], row[1], row[2], row[3]) for row in paise]


def example_stops(tmp_path: Path) -> StopSettings:
    """The page's table, read as a file is."""
    text = (PAGES / "stops.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert set(tomllib.loads(text)["risk"]) == {"stops"}
    file = tmp_path / "stops.toml"
    file.write_text(text + '[[strategy]]\nname = "page"\nuse = "momentum"\n', encoding="utf-8")
    settings: Settings = load_config([str(file)], tmp_path, [], {}).settings()
    return settings.stops


def test_the_day_of_stops(tmp_path: Path) -> None:
    told = rows("stops.md", "## An example")
    prices = {name: text for name, text in told.items() if re.fullmatch(r"[0-9]+\.[0-9]{2}", text)}
    want = {name: round(100 * float(text)) for name, text in prices.items()}
    bars = example_bars()
    minute = 5 * 60_000_000_000
    for count in range(5, 10):
        wishes = [("", 0.0, 0.0)] * 3 + [("long", 0.0, 0.0)] + [("", 0.0, 0.0)] * 5
        kernel = make(Wisher(wishes), sessions(1, 375), interval_ns=minute,
                      stops=example_stops(tmp_path).native())  # fmt: skip
        made = bars_of(bars[:count], 375)
        made["start_ns"] = OPEN + 5 * (made["start_ns"] - OPEN)
        assert kernel.run(made.view("u1"))
        if count < 9:
            assert kernel.stop_price == want[f"after bar {count}"]
        else:
            trades, _, _ = run(kernel, made[:0])
            assert trades["entry_value"][0] == want["entry"] * 25
            assert trades["exit_value"][0] == want["exit"] * 25
            assert trades["stop"][0] == want["first stop"]
            assert want["entry"] - want["first stop"] == round(1.5 * want["ATR at the decision"])
