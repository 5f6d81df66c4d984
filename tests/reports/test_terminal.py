"""The text tables: width, order, figures, and streams that know no Unicode."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import pytest

from dhanfast.reports import figures, metrics
from dhanfast.reports.result import RunResult
from dhanfast.reports.terminal import print_summary, summary_text

NOTE = "prices of the future are modelled from the index and a yearly carry of 6.5 %, not recorded"


def huge(result: RunResult) -> RunResult:
    """The same run with amounts of hundreds of crores."""
    trades, days = result.trades.copy(), result.days.copy()
    for name in ("entry_value", "exit_value", "gross"):
        trades[name] *= 10**5
    days["gross"] *= 10**5
    days["charges"] *= 10**5
    return dataclasses.replace(result, trades=trades, days=days)


@pytest.mark.parametrize("width", [60, 72, 80, 120])
def test_no_line_is_wider(make_result: Callable[..., RunResult], width: int) -> None:
    for made in (
        make_result(notes=(NOTE,), generated=True),
        huge(make_result()),
        make_result(trades_a_day=0),
        dataclasses.replace(make_result(), config={"slippage": {"model": "a " * 60, "ticks": 1}}),
    ):
        lines = summary_text(made, width).splitlines()
        assert max(map(len, lines)) <= width


def test_figures_are_those_of_the_metrics(result: RunResult) -> None:
    text = summary_text(result)
    measured = metrics.measure(result)
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["Net profit"].endswith(
        f"{figures.rupees(measured.net)} ({figures.percent(measured.total_return)})"
    )
    assert lines["Charges"].endswith(figures.rupees(measured.charges_total))
    assert lines["Sortino"].endswith(figures.ratio(measured.sortino))
    assert lines["Worst day"].endswith(
        f"{figures.rupees(measured.days.worst)} ({figures.iso_date(measured.days.worst_date)})"
    )
    assert lines["digest"].endswith(result.digest)
    assert "refused: limit_position" in text


def test_warnings_come_before_everything(make_result: Callable[..., RunResult]) -> None:
    text = summary_text(make_result(generated=True, notes=(NOTE,)))
    assert text.startswith("! GENERATED DATA")
    assert " ".join(text.split()).find("modelled from the index") < text.find("momentum")
    assert summary_text(make_result()).startswith("momentum on BANKNIFTY")


def test_sections_come_in_the_order_users_expect(result: RunResult) -> None:
    text = summary_text(result)
    titles = ("BY EXIT REASON", "BY SIDE", "BY MONTH", "SUMMARY", "TRADES", "CHARGES", "ORDERS",
              "RUN")  # fmt: skip
    places = [text.index(f"{title} ") for title in titles]
    assert places == sorted(places)


def test_no_trades_read_as_not_defined(idle: RunResult) -> None:
    text = summary_text(idle)
    assert "BY EXIT REASON" not in text
    for name in ("Win rate", "Profit factor", "Sortino", "Calmar"):
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert line.endswith("n/a")


def test_a_position_left_open_is_shown(result: RunResult) -> None:
    days, equity = result.days.copy(), result.equity.copy()
    days["equity"][-1] += 12_345
    equity["equity"][-1] += 12_345
    text = summary_text(dataclasses.replace(result, days=days, equity=equity))
    line = next(line for line in text.splitlines() if line.startswith("Left open"))
    assert line.endswith(" 123.45")


def test_a_stream_without_unicode_gets_plain_text(result: RunResult) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(result, file=stream)
    stream.flush()
    assert b"Rs" in raw.getvalue() and b"---" in raw.getvalue()


def test_printed_to_standard_output(result: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(result, 70)
    assert capsys.readouterr().out == summary_text(result, 70) + "\n"


def test_a_narrow_width_is_refused(result: RunResult) -> None:
    with pytest.raises(ValueError, match="width is 59 columns; the tables need 60"):
        summary_text(result, 59)


def test_an_unknown_reason_code_is_printed_as_its_number(result: RunResult) -> None:
    trades = result.trades.copy()
    trades["exit_reason"] = np.uint8(77)
    assert "reason_77" in summary_text(dataclasses.replace(result, trades=trades))
