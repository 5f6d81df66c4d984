"""Options: volatility and greeks of whole chains and of one option.

Bars, a contract: volatility and greeks of a chain 130 ns by the widest code and 400 ns by the
portable one, 80 ns from the last volatility; one volatility from Python 260 ns; a chain follows a
tick in 5 us; recorded snapshots 2 million rows/s.
`scripts/bench-greeks` compares with other libraries and measures accuracy.
"""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.options.door import lane_widths

FORWARD, YEARS, RATE = 25_180.0, 5 / 365, 0.055


def chain(strikes: int) -> dict[str, Any]:
    """Calls and puts out to four deviations, premiums to the tick."""
    width = 0.13 * YEARS**0.5
    strike = np.round(FORWARD * np.exp(np.linspace(-4 * width, 4 * width, strikes)))
    strike = np.tile(strike, 2)
    right = np.repeat(["CE", "PE"], strikes)
    smile = 0.12 + 1.5 * np.log(strike / FORWARD) ** 2
    price = options.price(smile, FORWARD, strike, YEARS, right, RATE)
    price = np.maximum(np.round(price * 20) / 20, 0.05)
    return {"price": price, "strike": strike, "right": right, "smile": smile}


@pytest.mark.parametrize("strikes", [100, 10_000])
@pytest.mark.parametrize("lanes", lane_widths())
def test_chain_cold(benchmark: Any, lanes: int, strikes: int) -> None:
    """Volatility and nine greeks. Time a contract = median / contracts_per_round."""
    it = chain(strikes)
    benchmark.extra_info["contracts_per_round"] = 2 * strikes
    found = benchmark(options.solve, it["price"], FORWARD, it["strike"], YEARS, it["right"], RATE,
                      lanes=lanes)  # fmt: skip
    assert (found.status == options.OptionStatus.PRICED).mean() > 0.7


def test_chain_from_the_last_volatility(benchmark: Any) -> None:
    """The forward has moved a little since. Time a contract = median / contracts_per_round."""
    it = chain(10_000)
    place = (it["strike"], YEARS, it["right"], RATE)
    seed = options.implied_volatility(it["price"], FORWARD, *place)
    price = options.price(1.003 * seed, FORWARD + 0.5, *place)
    benchmark.extra_info["contracts_per_round"] = 20_000
    benchmark(options.solve, price, FORWARD + 0.5, *place, seed=seed)


@pytest.mark.parametrize("what", ["implied_volatility", "price", "greeks"])
def test_arrays(benchmark: Any, what: str) -> None:
    """Time a contract = median / contracts_per_round."""
    it = chain(10_000)
    first = it["price"] if what == "implied_volatility" else it["smile"]
    benchmark.extra_info["contracts_per_round"] = 20_000
    benchmark(getattr(options, what), first, FORWARD, it["strike"], YEARS, it["right"], RATE)


@pytest.mark.parametrize("what", ["implied_volatility", "price", "greeks"])
def test_one_option_from_python(benchmark: Any, what: str) -> None:
    """Time an option = median / calls_per_round."""
    it = chain(500)
    first = it["price"] if what == "implied_volatility" else it["smile"]
    rows = list(zip(first.tolist(), it["strike"].tolist(), it["right"].tolist(), strict=True))
    call = getattr(options, what)

    def every() -> None:
        for value, strike, right in rows:
            call(value, FORWARD, strike, YEARS, right, RATE)

    benchmark.extra_info["calls_per_round"] = len(rows)
    benchmark(every)


def test_parity_forward(benchmark: Any) -> None:
    """Of a chain of 100 strikes."""
    it = chain(100)
    benchmark(options.forward_from_parity, it["strike"][:100], it["price"][:100],
              it["price"][100:], YEARS, RATE)  # fmt: skip


def snapshot_of(it: dict[str, Any], strikes: int) -> options.Snapshot:
    """The chain with open interest, as a recorded one."""
    rng = np.random.default_rng(5)
    held = [65.0 * rng.integers(0, 20_000, strikes) for _ in range(4)]
    return options.snapshot(
        options.expiry_ns(date(2026, 1, 27)) - 5 * 86_400 * 10**9, "NIFTY", date(2026, 1, 27),
        it["strike"][:strikes], it["price"][:strikes], it["price"][strikes:],
        call_oi=held[0], put_oi=held[1], call_volume=held[2], put_volume=held[3],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "window"),
    [
        (("volatility", "exposure", "max_pain", "ratios"), None),
        (("volatility", "exposure", "max_pain", "ratios"), 10),
        (("max_pain", "ratios"), None),
        ((), None),
    ],
    ids=["everything", "everything, ten strikes each side", "open interest", "forward"],
)
def test_chain_follows_ticks(benchmark: Any, wanted: tuple[str, ...], window: int | None) -> None:
    """One option's tick of a chain of 100 strikes, near the money; bar 5 us.

    Time a tick = median / ticks_per_round.
    """
    rows = snapshot_of(chain(100), 100)
    count, rng = 5_000, np.random.default_rng(6)
    place, put = rng.integers(40, 60, count), rng.integers(0, 2, count)
    base = np.where(put == 1, rows.put[place], rows.call[place])
    price = np.round(base * (1 + rng.normal(0, 0.001, count)) * 20) / 20
    later = rows.at_ns + np.arange(count) * 10**6
    oi = np.where(rng.random(count) < 0.1, 65 * rng.integers(0, 20_000, count), -1)

    def fresh() -> tuple[tuple[options.LiveChain], dict[str, Any]]:
        made = options.LiveChain(rows.strike, options.expiry_ns(rows.expiry), RATE, wanted=wanted,
                                 window=window)  # fmt: skip
        made.load(rows.at_ns, call=rows.call, put=rows.put, call_oi=rows.call_oi,
                  put_oi=rows.put_oi)  # fmt: skip
        return (made,), {}

    def every(made: options.LiveChain) -> None:
        assert made.follow(place, put, price, oi, oi, later) == count

    benchmark.extra_info["ticks_per_round"] = count
    benchmark.pedantic(every, setup=fresh, rounds=20)


def test_solve_chain(benchmark: Any) -> None:
    """Forward, both volatilities and all greeks of 100 strikes, with their objects."""
    benchmark(options.solve_chain, snapshot_of(chain(100), 100), RATE)


def test_smile(benchmark: Any) -> None:
    """The fit of a chain of 100 strikes."""
    benchmark(options.smile_of, options.solve_chain(snapshot_of(chain(100), 100), RATE))


def test_read_snapshots(benchmark: Any, tmp_path: Path) -> None:
    """A file of 2,000 chains of 100 strikes, each made a snapshot; bar 2 million rows/s.

    Rows/s = rows_per_round / median.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, chains = snapshot_of(chain(100), 100), 2_000
    columns = {
        "ts": np.repeat(rows.at_ns + np.arange(chains) * 10**9, 100),
        "underlying": pa.DictionaryArray.from_arrays(np.zeros(100 * chains, np.int32), ["NIFTY"]),
        "expiry": np.full(100 * chains, "2026-01-27", "datetime64[D]"),
    }
    for name, values in (("strike", rows.strike), ("ce_ltp", rows.call), ("pe_ltp", rows.put)):
        columns[name] = np.tile(values, chains)
    for name, values in (
        ("ce_oi", rows.call_oi),
        ("pe_oi", rows.put_oi),
        ("ce_volume", rows.call_volume),
        ("pe_volume", rows.put_volume),
    ):
        columns[name] = np.tile(values.astype(np.int64), chains)  # fmt: skip
    columns["spot"] = np.full(100 * chains, 25_160.0)
    pq.write_table(pa.table(columns), tmp_path / "chains.parquet", compression="zstd")

    def every() -> int:
        return sum(len(one) for one in options.read_chains(tmp_path / "chains.parquet"))

    benchmark.extra_info["rows_per_round"] = 100 * chains
    assert benchmark(every) == 100 * chains
