"""A recorded year, served as history and downloaded again: the same bars, the same result."""

import datetime as dt
import random
from pathlib import Path

import numpy as np
import pytest

from dhanfast.brokers.dhan.history_lines import index_line
from dhanfast.engine.runs import backtest
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.market import GeneratedMarket
from dhanfast.exchange.recorded_history import RecordedHistory
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.storage.bars import read_bars
from dhanfast.storage.completeness import examine
from dhanfast.storage.download_files import make_file
from dhanfast.storage.downloads import DownloadFolder

from .serving import serving
from .test_chart_faults import download, master_at

NAME = "BANKNIFTY_1m_2022.parquet"


def test_a_recorded_year_comes_back_bar_for_bar(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "index_1m" / NAME
    if not source.exists():
        pytest.skip(f"{NAME} is not in DHANFAST_DATA")
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / NAME).symlink_to(source)
    history = RecordedHistory(tmp_path / "bars", "BANKNIFTY")
    market = GeneratedMarket("BANKNIFTY", dt.date(2023, 1, 2), seed=1, strikes=3, ticks=2_000)
    core = ExchangeCore(market, ExchangeSettings.seeded(1, limits=False), random.Random(1), (),
                        history)  # fmt: skip
    first, last = dt.date(2022, 1, 1), dt.date(2022, 12, 31)
    with serving(core) as served:
        line = index_line(master_at(served), "BANKNIFTY", "1m")
        tally = download(served, tmp_path / "out", [line], span=(first, last), generated=False)
    assert (tally.asked, tally.notes) == (5, [])
    folder = DownloadFolder(tmp_path / "out")
    made = make_file(folder, "BANKNIFTY_1m", False)
    assert made is not None
    got, wanted = read_bars(made.path), read_bars(source)
    assert np.array_equal(got.bars, wanted.bars) and not got.generated
    one, two = (backtest("momentum", path) for path in (made.path, source))
    assert one.digest == two.digest and one.trades.tobytes() == two.trades.tobytes()
    (report,) = examine(folder)
    short = {day.day: day.missing for day in report.days if day.status == "short"}
    assert short == {"2022-01-21": 13, "2022-03-07": 77}  # as the notes on this file say
    assert report.count("whole") == 246 and report.count("absent") == 0
