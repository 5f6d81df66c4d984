"""What a generated bar costs: a year of minutes, a month of seconds, ticks of the future."""

from datetime import date

import pytest

from dhanfast.market.generate import generate_bars, generate_ticks

YEAR = (date(2024, 1, 1), date(2024, 12, 31))
MONTH = (date(2024, 3, 1), date(2024, 3, 31))


@pytest.mark.parametrize("kind", ["IDX", "FUT"])
@pytest.mark.parametrize(("interval", "span"), [("1m", YEAR), ("1s", MONTH)])
def test_generate_bars(benchmark, kind: str, interval: str, span: tuple[date, date]) -> None:
    """Divide by `bars_per_round`."""

    def run() -> int:
        days = generate_bars("BANKNIFTY", *span, seed=1, interval=interval, instrument=kind)
        return sum(len(bars) for bars in days)

    benchmark.group = "generate"
    benchmark.extra_info["bars_per_round"] = run()
    benchmark(run)


def test_generate_ticks(benchmark) -> None:
    """Divide by `ticks_per_round`."""

    def run() -> int:
        days = generate_ticks("BANKNIFTY", *MONTH, seed=1, instrument="FUT")
        return sum(len(ticks) for ticks in days)

    benchmark.group = "generate"
    benchmark.extra_info["ticks_per_round"] = run()
    benchmark(run)
