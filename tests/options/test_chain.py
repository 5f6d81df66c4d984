"""A solved chain against formulas written for reading, and against the smile it was made from."""

import math
from pathlib import Path

import numpy as np
import pytest

from dhanfast import options
from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.storage.chains import read_chains
from tests.options.made import EXPIRY, FORWARD, NEXT, RATE, at, chain, table, total_variance, write

YEARS = options.years_to_expiry(at("11:15"), options.expiry_ns(EXPIRY))


def test_a_chain_gives_back_the_smile_it_was_made_from() -> None:
    rows = chain()
    found = options.solve_chain(rows, RATE)
    assert found.forward == pytest.approx(FORWARD, rel=1e-12) and found.years == YEARS
    wanted = np.sqrt(total_variance(rows.strike) / YEARS)
    np.testing.assert_allclose(found.volatility, wanted, rtol=1e-8)
    middle = np.abs(rows.strike / FORWARD - 1.0) < 0.03
    for own in (found.call_volatility, found.put_volatility):  # by parity the same
        np.testing.assert_allclose(own[middle], wanted[middle], rtol=1e-6)
    for table_, right in ((found.call, "CE"), (found.put, "PE")):
        oracle = options.greeks(found.volatility, found.forward, rows.strike, YEARS, right, RATE)
        np.testing.assert_array_equal(table_, oracle)


def test_parity_holds_in_the_greeks() -> None:
    """Call less put is a forward: delta e^(-rT), gamma and vega nothing."""
    found = options.solve_chain(chain(tick=0.05), RATE)
    np.testing.assert_allclose(found.call.delta - found.put.delta, math.exp(-RATE * YEARS))
    np.testing.assert_array_equal(found.call.gamma, found.put.gamma)
    np.testing.assert_array_equal(found.call.vega, found.put.vega)


def test_where_the_option_out_of_the_money_has_no_quote_the_other_serves() -> None:
    rows = chain()
    place = options.atm(rows.strike, 25_400.0)
    call = rows.call.copy()
    call[place] = np.nan
    broken = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, call, rows.put)
    found = options.solve_chain(broken, RATE, forward=FORWARD)
    assert found.call_status[place] == options.OptionStatus.BAD_INPUT
    assert found.volatility[place] == found.put_volatility[place] > 0.0
    put = rows.put.copy()
    put[place] = np.nan
    neither = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, call, put)
    found = options.solve_chain(neither, RATE, forward=FORWARD)
    assert math.isnan(found.volatility[place]) and math.isnan(found.call.delta[place])


def test_volatility_at_the_money_lies_between_its_neighbours() -> None:
    found = options.solve_chain(chain(), RATE)
    i = int(np.searchsorted(found.snapshot.strike, found.forward))
    low, high = found.snapshot.strike[i - 1 : i + 1]
    share = math.log(found.forward / low) / math.log(high / low)
    w = (1 - share) * found.volatility[i - 1] ** 2 + share * found.volatility[i] ** 2
    assert found.at_money_volatility() == pytest.approx(math.sqrt(w), rel=1e-12)
    exact = math.sqrt(float(total_variance(FORWARD)) / YEARS)
    assert found.at_money_volatility() == pytest.approx(exact, rel=2e-3)


def test_figures_of_the_whole() -> None:
    rows = chain()
    found = options.solve_chain(rows, RATE)
    money = int(np.argmin(np.abs(rows.strike - found.forward)))
    assert found.money == money
    assert found.straddle() == rows.call[money] + rows.put[money]
    assert found.put_call_ratio() == rows.put_oi.sum() / rows.call_oi.sum()
    near = slice(money - 2, money + 3)
    assert found.put_call_ratio("volume", 2) == (
        rows.put_volume[near].sum() / rows.call_volume[near].sum()
    )
    pain = [
        sum(oi * max(k - j, 0.0) for j, oi in zip(rows.strike, rows.call_oi, strict=True))
        + sum(oi * max(j - k, 0.0) for j, oi in zip(rows.strike, rows.put_oi, strict=True))
        for k in rows.strike
    ]
    assert found.max_pain() == rows.strike[int(np.argmin(pain))]
    gamma = found.call.gamma * (rows.call_oi - rows.put_oi) * 0.01 * found.forward**2
    np.testing.assert_allclose(found.gamma_exposure(), gamma, rtol=1e-12)


def test_what_is_not_recorded_gives_no_figure() -> None:
    rows = chain()
    bare = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, rows.call, rows.put)
    found = options.solve_chain(bare, RATE)
    assert math.isnan(found.max_pain()) and math.isnan(found.put_call_ratio())
    assert (found.gamma_exposure() == 0.0).all()


def test_skew_at_25_delta() -> None:
    """The volatilities of the made smile where its own deltas are a quarter, by bisection."""
    rows = chain(strikes=np.arange(24_000.0, 26_400.0, 10.0))
    found = options.solve_chain(rows, RATE)

    def volatility(k: float) -> float:
        return math.sqrt(float(total_variance(k)) / YEARS)

    def strike_of(delta: float) -> float:
        low, high = 24_000.0, 26_400.0
        for _ in range(60):
            k = 0.5 * (low + high)
            s = volatility(k) * math.sqrt(YEARS)
            d1 = math.log(FORWARD / k) / s + 0.5 * s
            above = 0.5 * math.erfc(-d1 / math.sqrt(2.0)) > delta
            low, high = (k, high) if above else (low, k)
        return low

    call, put = volatility(strike_of(0.25)), volatility(strike_of(0.75))
    skew = found.skew()
    assert skew.risk_reversal == pytest.approx(call - put, abs=2e-6)
    assert skew.butterfly == pytest.approx((call + put) / 2 - volatility(FORWARD), abs=2e-5)
    for delta in (0.0, 0.5, math.nan):
        with pytest.raises(UsageError, match="delta is"):
            found.skew(delta)


def test_strikes_by_rule() -> None:
    found = options.solve_chain(chain(), RATE)
    k = found.snapshot.strike
    money = found.money
    for right, rule, wanted in (
        ("CE", "atm", money), ("PE", "ATM+2", money + 2), ("CE", "atm-1", money - 1),
        ("CE", "otm3", money + 3), ("PE", "otm3", money - 3), ("CE", "itm1", money - 1),
        ("PE", "itm1", money + 1), ("CE", "25500", 25), ("PE", "25500.0", 25),
        ("CE", "+2%", options.atm(k, 1.02 * FORWARD)),
        ("PE", "-1.5%", options.atm(k, 0.985 * FORWARD)),
        ("CE", "+1w", options.atm(k, found.forward + found.straddle())),
        ("CE", "0.25d", options.strike_by_delta(found.call.delta, 0.25)),
        ("PE", ".1d", options.strike_by_delta(found.put.delta, 0.1)),
        ("CE", "100rs", options.strike_by_premium(found.snapshot.call, 100.0)),
        ("PE", ">=100rs", options.strike_by_premium(found.snapshot.put, 100.0, "at_least")),
        ("PE", "<=100RS", options.strike_by_premium(found.snapshot.put, 100.0, "at_most")),
    ):  # fmt: skip
        assert found.select(right, rule) == wanted, rule
    for rule in ("", "atm2x", "25d", "2.5", "+", "100", "25550", "otm99", "999999rs1", "nan"):
        with pytest.raises(UsageError):
            found.select("CE", rule)
    with pytest.raises(UsageError, match="right is 'C'"):
        found.select("C", "atm")


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        ({"rate": 5.25}, UsageError, "rate is 5.25"),
        ({"forward": 0.0}, UsageError, "forward is 0"),
        ({"years": -1.0}, UsageError, "years is -1"),
    ],
)
def test_refusals(words: dict[str, float], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        options.solve_chain(chain(), **words)


def test_a_chain_without_a_pair_or_an_expiry() -> None:
    rows = chain()
    nothing = np.zeros(len(rows))
    half = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, rows.call, nothing)
    with pytest.raises(BadData, match="NIFTY 2026-01-27 at 2026-01-22 11:15: no strike has a call"):
        options.solve_chain(half)
    assert options.solve_chain(half, RATE, forward=FORWARD).volatility[-1] > 0.0
    sunday = options.snapshot(rows.at_ns, "NIFTY", rows.date.replace(day=25), rows.strike,
                              rows.call, rows.put)  # fmt: skip
    with pytest.raises(OutOfCalendar):
        options.solve_chain(sunday)
    found = options.solve_chain(chain(), RATE)
    for wrong in ({"of": "value"}, {"near": -1}):
        with pytest.raises(UsageError):
            found.put_call_ratio(**wrong)


def test_a_whole_file_in_one_pass_is_every_chain_alone(tmp_path: Path) -> None:
    one, other = chain(tick=0.05), chain(at("11:20"), expiry=NEXT, scale=3.0)
    dead = chain(at("11:25"))
    rows = table(one, other, dead)
    rows["ce_ltp"][-len(dead) :] = [0.0] * len(dead)
    recorded = read_chains(write(tmp_path / "a.parquet", rows))
    found = options.solve_rows(recorded, RATE)
    assert math.isnan(found.forward[2]) and np.isnan(found.put_volatility[-len(dead) :]).all()
    for place in (0, 1):
        alone = options.solve_chain(recorded[place], RATE)
        part = slice(recorded.starts[place], recorded.starts[place + 1])
        assert (found.forward[place], found.years[place]) == (alone.forward, alone.years)
        np.testing.assert_array_equal(found.call_volatility[part], alone.call_volatility)
        np.testing.assert_array_equal(found.put_volatility[part], alone.put_volatility)


def test_the_index_formula_on_a_made_chain() -> None:
    """Model-free volatility of a dense chain: the variance that its smile integrates to."""
    rows = chain(strikes=np.arange(20_000.0, 31_000.0, 10.0))
    found = options.solve_chain(rows, RATE)
    growth = math.exp(RATE * YEARS)
    out = np.where(rows.strike < FORWARD, rows.put, rows.call)
    integral = 2.0 * growth * float(np.trapezoid(out / rows.strike**2, rows.strike)) / YEARS
    assert found.model_free().variance == pytest.approx(integral, rel=1e-3)


@pytest.mark.data
def test_the_index_formula_against_india_vix(data_dir: Path) -> None:
    """NIFTY's June 2023 chain, 24 days to go, last prices: within 1.2 points of India VIX's open.

    India VIX is of 30 days and of two chains' quotes; this is of one, so a point is what to expect.
    The contract was then to end on 29 June; the holiday that moved it came later.
    """
    from datetime import date

    import pyarrow.parquet as pq

    from dhanfast.market.calendar import exchange_date, midnight_ns

    day = date(2023, 6, 5)
    now = midnight_ns(day) + (10 * 60 + 15) * 60 * 10**9
    last: dict[tuple[float, str], float] = {}
    rows = pq.read_table(data_dir / "options" / "NIFTY_options_1m_2023-06-05.parquet").to_pylist()
    for row in rows:
        if row["ts"] <= now and row["volume"] > 0:
            last[row["strike"], row["right"]] = row["close"]
    k = sorted({strike for strike, _ in last})
    made = options.snapshot(now, "NIFTY", date(2023, 6, 28), k,
                            *([last.get((one, right), 0.0) for one in k] for right in ("CE", "PE"))
                            )  # fmt: skip
    years = ((midnight_ns(date(2023, 6, 29)) - now) / 1e9 + 15.5 * 3600) / (365 * 86_400)
    found = 100.0 * math.sqrt(options.solve_chain(made, 0.065, years=years).model_free().variance)
    daily = pq.read_table(data_dir / "index_daily" / "index_daily_2015_2023.parquet").to_pylist()
    vix = next(row for row in daily
               if row["instrument"] == "INDIAVIX" and exchange_date(row["ts"]) == day)  # fmt: skip
    assert found == pytest.approx(vix["open"], abs=1.2)
    assert found == pytest.approx(10.26, abs=0.01)


@pytest.mark.data
def test_recorded_index_chains(data_dir: Path) -> None:
    """The parity forward stands above the spot by less than a month's interest, nearly always."""
    recorded = read_chains(
        data_dir / "options" / "index_option_chain_2026-01-22_2026-02-01.parquet"
    )
    found = options.solve_rows(recorded, RATE)
    basis = found.forward / recorded.spot - 1.0
    known = np.isfinite(basis) & (found.years > 1 / 365)
    assert known.sum() > 400
    assert np.mean(np.abs(basis[known]) < 0.01) > 0.99
    assert 0.0 < np.median(basis[known]) < 0.006
