"""Measured slippage of an engine on paper: looked up once a day, the same after a restart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE
from dhanfast.app.config import Config, load_config
from dhanfast.app.live_build import _slippage
from dhanfast.engine.settings import Slippage
from dhanfast.errors import ConfigError
from dhanfast.storage.slippage import Session, SlippageStore

SETS = ("strategy.name=mine", "strategy.use=momentum", "strategy.underlying=BANKNIFTY")


def configured(folder: Path, slippage: str) -> Config:
    return load_config([], folder, [*SETS, f"simulation.slippage={slippage}"], {})


def put(folder: Path, date: int, cost: int) -> None:
    """Forty live buys that lost so many paise a unit beyond the ask."""
    orders, passages = np.zeros(40, ORDER_ROW_DTYPE), np.zeros(40, PASSAGE_DTYPE)
    orders["id"] = passages["id"] = np.arange(1, 41)
    orders["side"], orders["qty"], orders["filled"], orders["kind"] = 1, 30, 30, 1
    orders["value"] = 30 * (5_000_050 + cost)
    passages["decision"], passages["bid"], passages["ask"] = 5_000_000, 4_999_950, 5_000_050
    session = Session(f"{date}", date, "main", "live", "BANKNIFTY", "BANKNIFTY FUT", "mine", 0)
    SlippageStore(folder / "slippage.sqlite").put(session, orders, passages, np.zeros(40))


def test_a_paper_day_takes_it_and_a_restart_goes_on_with_it(tmp_path: Path) -> None:
    config = configured(tmp_path, "measured:5")
    put(tmp_path, 20260105, 25)
    start: dict[str, Any] = {"capital": 1}
    first = _slippage(config, config.settings(), start, "paper", generated=False)
    assert first.slippage.paise == 25 and first.slippage.measured is not None
    put(tmp_path, 20260106, 500)  # another day has ended since
    assert _slippage(config, config.settings(), start, "paper", generated=False) == first
    later: dict[str, Any] = {"capital": 1}
    assert _slippage(config, config.settings(), later, "paper", generated=False) != first


def test_too_few_fills_keep_it_from_starting(tmp_path: Path) -> None:
    config = configured(tmp_path, "measured")
    with pytest.raises(ConfigError, match="BANKNIFTY has 0 of live days and 0 of paper days"):
        _slippage(config, config.settings(), {"capital": 1}, "paper", generated=False)


def test_real_fills_need_none(tmp_path: Path) -> None:
    config = configured(tmp_path, "measured")
    start: dict[str, Any] = {"capital": 1}
    found = _slippage(config, config.settings(), start, "live", generated=False)
    assert found.slippage == Slippage()
    assert start == {"capital": 1}


def test_a_figure_is_left_alone(tmp_path: Path) -> None:
    config = configured(tmp_path, "2pts")
    start: dict[str, Any] = {"capital": 1}
    found = _slippage(config, config.settings(), start, "paper", generated=False)
    assert found == config.settings()
    assert start == {"capital": 1}


@pytest.mark.parametrize("text", ["measured:0", "measured:1000", "measure", "measured:x"])
def test_what_is_no_measure_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"simulation\.slippage"):
        configured(tmp_path, text)
