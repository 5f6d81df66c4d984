"""How figures are printed, against Decimal and datetime."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.reports import figures


@pytest.mark.parametrize(
    ("paise", "text"),
    [
        (123456789, "12,34,567.89"), (100, "1.00"), (99_999, "999.99"), (100_000, "1,000.00"),
        (-5, "-0.05"), (0, "0.00"), (10**12, "10,00,00,00,000.00"), (None, "n/a"),
        (float("nan"), "n/a"), (float("inf"), "n/a"), (0.4, "0.00"), (-0.4, "0.00"),
        (np.int64(2_500_000), "25,000.00"),
    ],
)  # fmt: skip
def test_rupees_by_hand(paise: float | None, text: str) -> None:
    assert figures.rupees(paise) == text


@given(paise=st.integers(-(10**17), 10**17))
def test_rupees_keep_every_paisa(paise: int) -> None:
    text = figures.rupees(paise)
    assert Decimal(text.replace(",", "")) == Decimal(paise) / 100
    groups = text.lstrip("-").split(".")[0].split(",")
    assert all(len(group) == 2 for group in groups[1:-1])
    assert len(groups) == 1 or len(groups[-1]) == 3


@given(paise=st.integers(-(10**12), 10**12))
def test_whole_rupees_round_half_away_from_zero(paise: int) -> None:
    got = Decimal(figures.rupees(paise, decimals=0).replace(",", ""))
    assert got == (Decimal(paise) / 100).quantize(Decimal(1), ROUND_HALF_UP)


def test_sign_is_shown_on_request_but_not_on_zero() -> None:
    assert figures.rupees(150, sign=True) == "+1.50"
    assert figures.rupees(-150, sign=True) == "-1.50"
    assert figures.rupees(0, sign=True) == "0.00"
    with pytest.raises(ValueError, match="decimals is 3"):
        figures.rupees(1, decimals=3)


@given(moment=st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2090, 1, 1)))
def test_ist_is_utc_plus_five_thirty(moment: dt.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=dt.UTC)
    india = moment.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    time_ns = int(moment.timestamp()) * 10**9
    assert figures.ist(time_ns, seconds=True) == f"{india:%Y-%m-%d %H:%M:%S}"
    times = np.array([time_ns])
    assert figures.ist_hours(times)[0] == india.hour
    assert figures.ist_days(times)[0] == (india.date() - dt.date(1970, 1, 1)).days


@given(date=st.dates(dt.date(1970, 1, 1), dt.date(2090, 1, 1)))
def test_exchange_dates(date: dt.date) -> None:
    number = int(date.strftime("%Y%m%d"))
    assert figures.iso_date(number) == date.isoformat()
    got = figures.ordinal_days(np.array([number], np.int32))
    assert got[0] == (date - dt.date(1970, 1, 1)).days


def test_other_figures_by_hand() -> None:
    assert figures.percent(0.01234) == "1.23%"
    assert figures.percent(0.5, sign=True) == "+50.00%"
    assert figures.percent(None) == figures.ratio(float("nan")) == figures.span(None) == "n/a"
    assert figures.ist(None) == figures.iso_date(None) == figures.iso_date(0) == "n/a"
    assert figures.ratio(1.005, 1) == "1.0"
    assert figures.span(59e9) == "0m 59s"
    assert figures.span(3600e9 * 3 + 7 * 60e9) == "3h 07m"
    assert figures.span(86_400e9 * 2 + 4 * 3600e9) == "2d 4h"
    assert figures.reason_name(1) == "stop_loss"
    assert figures.reason_name(200) == "reason_200"
    assert figures.refusal_name(22) == "limit_position"
    assert figures.refusal_name(99) == "refusal_99"
