"""Recorded premiums: other people's volatilities, Dhan's own greeks, whole days of chains."""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dhanfast import options

pytestmark = pytest.mark.data


def columns(path: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def test_volatilities_of_another_program(data_dir: Path) -> None:
    """At-the-money options of eleven banks, each minute of April 2023, by their collector's own
    solver: Black on the future, no interest, years as the source counts them."""
    rows = columns(data_dir / "options" / "bank_stock_atm_options_1m_2023-04.parquet")
    told = np.isfinite(rows["src_iv"]) & (rows["src_tte_years"] > 0.01)
    found = options.implied_volatility(
        rows["close"], rows["future_price"], rows["strike"], rows["src_tte_years"],
        rows["right"].astype(str),
    )  # fmt: skip
    error = np.abs(found - rows["src_iv"])[told]
    assert told.sum() > 180_000
    assert np.nanmedian(error) < 1e-14 and (error < 1e-9).mean() > 0.999


DHAN = "dhan_option_chain_BANKNIFTY_2026-01-27_at_2026-01-07_close.csv"


def test_dhans_greeks_are_those_of_a_higher_forward(data_dir: Path) -> None:
    """Dhan prices by Black-Scholes on the spot with interest: its forward lies 150 points above
    where calls and puts agree, so its calls show 8 % and its puts 11 %. At its own spot, rate and
    time (fitted to its 30 premiums) our greeks are Dhan's, to the roundings of its quotes."""
    with (data_dir / "fixtures" / DHAN).open() as source:
        rows = list(csv.DictReader(source))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    strike = column("strike")
    volatility = {"CE": column("ce_iv_pct") / 100, "PE": column("pe_iv_pct") / 100}
    premium = {"CE": column("ce_ltp"), "PE": column("pe_ltp")}

    def errors(x: np.ndarray) -> np.ndarray:
        return np.concatenate([
            options.stock_price(volatility[right], x[0], strike, x[2], right, x[1])
            - premium[right] for right in ("CE", "PE")
        ])  # fmt: skip

    x = np.array([60_000.0, 0.05, 20 / 365])
    steps = np.array([1.0, 1e-5, 1e-6])
    for _ in range(20):
        here = errors(x)
        slopes = [(errors(x + np.eye(3)[i] * steps[i]) - here) / steps[i] for i in range(3)]
        x = x + np.linalg.lstsq(np.column_stack(slopes), -here, rcond=None)[0]
    spot, rate, years = x
    assert np.sqrt(np.mean(errors(x) ** 2)) < 4.0  # rupees: quotes of different moments
    assert 19.5 < years * 365 < 20.5 and 0.04 < rate < 0.08
    ours = options.forward_from_parity(strike, premium["CE"], premium["PE"], years)
    assert ours == pytest.approx(60_160, abs=5)
    assert spot * np.exp(rate * years) - ours == pytest.approx(150, abs=15)
    for right, letters in (("CE", "ce"), ("PE", "pe")):
        found = options.stock_greeks(volatility[right], spot, strike, years, right, rate)
        np.testing.assert_allclose(found.delta, column(f"{letters}_delta"), atol=0.005)
        np.testing.assert_allclose(found.gamma, column(f"{letters}_gamma"), atol=1.1e-5)
        np.testing.assert_allclose(found.vega_percent, column(f"{letters}_vega"), atol=0.5)
    call, put = (options.implied_volatility(premium[right], ours, strike, years, right)
                 for right in ("CE", "PE"))  # fmt: skip
    middle = np.abs(strike - ours) < 450
    assert np.abs(call - put)[middle].max() < 0.0025  # by parity, one volatility a strike
    assert np.abs(volatility["CE"] - volatility["PE"])[middle].min() > 0.024


def test_whole_days_of_index_chains(data_dir: Path) -> None:
    """Every quote of 105,634 rows: a volatility that gives the premium back, or a reason."""
    rows = columns(data_dir / "options" / "index_option_chain_2026-01-22_2026-02-01.parquet")
    days = rows["expiry"].astype("datetime64[D]").astype(np.int64)
    epoch = date(1970, 1, 1)
    ends = {}
    for day in map(int, np.unique(days)):
        ends[day] = options.expiry_ns(epoch + timedelta(days=day))
    years = options.years_to_expiry(rows["ts"], np.vectorize(ends.get)(days))
    key = np.char.add(rows["ts"].astype(str), rows["underlying"].astype(str))
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    checked = chains = 0
    for begin, end in zip(starts, np.append(starts[1:], len(key)), strict=True):
        part = slice(begin, end)
        strike, call, put = rows["strike"][part], rows["ce_ltp"][part], rows["pe_ltp"][part]
        if not (np.diff(strike) > 0).all() or years[begin] <= 0:
            continue
        forward = options.forward_from_parity(strike, call, put, years[begin], 0.0525)
        if not forward > 0:
            continue
        chains += 1
        for right, price in (("CE", call), ("PE", put)):
            quoted = price > 0
            found = options.solve(
                price[quoted], forward, strike[quoted], years[begin], right, 0.0525
            )
            told = found.status == options.OptionStatus.PRICED
            assert not (found.status == options.OptionStatus.BAD_INPUT).any()
            np.testing.assert_allclose(found.greeks.price[told], price[quoted][told], rtol=1e-10)
            assert np.isfinite(np.array(found.greeks)[:, told]).all()
            checked += int(told.sum())
    assert chains > 700 and checked > 120_000


def test_figures_of_a_recorded_chain(data_dir: Path) -> None:
    """NIFTY of 27 January 2026 at every snapshot: the figures by their definitions."""
    rows = columns(data_dir / "options" / "index_option_chain_2026-01-22_2026-02-01.parquet")
    nifty = rows["underlying"] == "NIFTY"
    seen = 0
    for moment in np.unique(rows["ts"][nifty])[::5]:
        one = {name: rows[name][nifty & (rows["ts"] == moment)] for name in rows}
        strike, call, put = one["strike"], one["ce_oi"].astype(float), one["pe_oi"].astype(float)
        if not (np.diff(strike) > 0).all() or call.sum() == 0 or (one["ce_ltp"] > 0).sum() < 50:
            continue
        seen += 1
        paid = [np.sum(call * np.maximum(k - strike, 0) + put * np.maximum(strike - k, 0))
                for k in strike]  # fmt: skip
        assert options.max_pain(strike, call, put) == strike[int(np.argmin(paid))]
        assert options.put_call_ratio(call, put) == pytest.approx(put.sum() / call.sum())
        forward = options.forward_from_parity(strike, one["ce_ltp"], one["pe_ltp"], 0.01)
        money = options.atm(strike, forward)
        assert money is not None and abs(strike[money] - forward) <= 25.0
        both = options.straddle(strike, one["ce_ltp"], one["pe_ltp"], forward)
        assert both == one["ce_ltp"][money] + one["pe_ltp"][money] or np.isnan(both)
        assert abs(options.max_pain(strike, call, put) / forward - 1) < 0.05
    assert seen > 20
