"""Options: volatility and greeks of whole chains and of one option.

Bars, a contract: volatility and greeks of a chain 130 ns by the widest code and 400 ns by the
portable one, 80 ns from the last volatility; one volatility from Python 260 ns.
`scripts/bench-greeks` compares with other libraries and measures accuracy.
"""

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
