"""The two trades of docs/reference/worked-trades.md, worked by hand, against the run's own rows.

Every number here was worked out from the recorded bars and the published rates, on the page; none
was read from the program. Charges are exact decimals of rupees.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import dhanfast
from dhanfast.reports.result import RunResult

pytestmark = pytest.mark.data
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "worked-trades.md"
IST = timezone(timedelta(hours=5, minutes=30))
ITEMS = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
UPAISE_A_RUPEE = 100_000_000
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Worked:
    """One trade of the page, and its day. Prices and money in rupees, as printed there."""

    year: int
    entry: datetime
    exit_bar: datetime  # start of the bar in which it ended
    side: int
    entry_price: str
    exit_price: str
    stop: str
    target: str
    contract: int
    gross: str
    charges: tuple[str, ...]  # unrounded, in the order of ITEMS
    total: str
    bill: tuple[str, ...]  # of the day, rounded
    bill_total: str
    trades_of_day: int


SHORT_2021 = Worked(
    year=2021,
    entry=datetime(2021, 11, 22, 11, 15, tzinfo=IST),
    exit_bar=datetime(2021, 11, 22, 11, 16, tzinfo=IST),
    side=-1,
    entry_price="37290.20",
    exit_price="37339.80",
    stop="37339.75",
    target="37191.15",
    contract=20211125,
    gross="-1240.00",
    charges=("40.00", "37.315", "1.86575", "0.00186575", "18.6699", "93.2255", "13.9167"),
    total="204.99471575",
    bill=("80.00", "74.34", "3.72", "0.00", "37.00", "186.00", "27.78"),
    bill_total="408.84",
    trades_of_day=2,
)
LONG_2022 = Worked(
    year=2022,
    entry=datetime(2022, 9, 13, 9, 20, tzinfo=IST),
    exit_bar=datetime(2022, 9, 13, 14, 7, tzinfo=IST),
    side=1,
    entry_price="40743.30",
    exit_price="40847.65",
    stop="40691.15",
    target="40847.65",
    contract=20220929,
    gross="2608.75",
    charges=("40.00", "40.795475", "2.03977375", "0.00203977375", "20.37165", "102.119125",
             "14.910344775"),
    total="220.23840829875",
    bill=("160.00", "163.36", "8.17", "0.01", "82.00", "408.00", "59.67"),
    bill_total="881.21",
    trades_of_day=4,
)  # fmt: skip
BOTH = pytest.mark.parametrize("worked", [SHORT_2021, LONG_2022], ids=["2021", "2022"])
LOT, ORDERS_A_TRADE = 25, 2


@cache
def run_of(path: Path) -> RunResult:
    return dhanfast.backtest("momentum", path)


@pytest.fixture
def result(worked: Worked, data_dir: Path) -> RunResult:
    path = data_dir / "index_1m" / f"BANKNIFTY_1m_{worked.year}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in DHANFAST_DATA")
    return run_of(path)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def paise(rupees: str) -> int:
    exact = Decimal(rupees) * 100
    assert exact == int(exact)
    return int(exact)


def trade_of(result: RunResult, worked: Worked) -> Any:
    found = result.trades[result.trades["entry_ns"] == ns(worked.entry)]
    assert len(found) == 1
    return found[0]


@BOTH
def test_prices_size_and_contract(worked: Worked, result: RunResult) -> None:
    trade = trade_of(result, worked)
    assert trade["side"] == worked.side
    assert trade["qty"] == LOT
    assert trade["entry_value"] == LOT * paise(worked.entry_price)
    assert trade["exit_value"] == LOT * paise(worked.exit_price)
    assert trade["stop"] == paise(worked.stop)
    assert trade["target"] == paise(worked.target)
    assert trade["contract"] == worked.contract
    assert trade["gross"] == paise(worked.gross)
    assert ns(worked.exit_bar) <= trade["exit_ns"] < ns(worked.exit_bar + MINUTE)


@BOTH
@pytest.mark.parametrize("item", ITEMS)
def test_each_charge_of_the_trade(worked: Worked, result: RunResult, item: str) -> None:
    """Exact but for half a micro-paisa an order, which is where the engine rounds."""
    exact = Decimal(worked.charges[ITEMS.index(item)]) * UPAISE_A_RUPEE
    assert abs(int(trade_of(result, worked)[item]) - exact) <= ORDERS_A_TRADE


@BOTH
def test_unrounded_total_of_the_trade(worked: Worked, result: RunResult) -> None:
    trade = trade_of(result, worked)
    total = sum(int(trade[item]) for item in ITEMS)
    exact = Decimal(worked.total) * UPAISE_A_RUPEE
    assert sum(map(Decimal, worked.charges)) == Decimal(worked.total)
    assert abs(total - exact) <= ORDERS_A_TRADE * len(ITEMS)


@BOTH
def test_bill_of_the_day(worked: Worked, result: RunResult) -> None:
    date = int(worked.entry.strftime("%Y%m%d"))
    (day,) = result.days[result.days["date"] == date]
    assert day["trades"] == worked.trades_of_day
    assert [int(day[item]) for item in ITEMS] == [paise(amount) for amount in worked.bill]
    assert day["charges"] == paise(worked.bill_total) == sum(map(paise, worked.bill))


@BOTH
def test_page_prints_these_numbers(worked: Worked) -> None:
    """The page and this file cannot drift apart."""
    page = PAGE.read_text()
    prices = (worked.entry_price, worked.exit_price, worked.stop, worked.target, worked.gross)
    for amount in prices:
        assert f"{Decimal(amount):,.2f}" in page, amount
    for exact in (*worked.charges, worked.total):
        assert exact in page
    for billed in (*worked.bill, worked.bill_total):
        assert f"| {billed} |" in page or f"**{billed}**" in page
