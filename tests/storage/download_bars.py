"""Series and bars that the tests of downloads share; light, since processes that die import it."""

from datetime import date
from typing import Any

import numpy as np

from dhanfast.market.calendar import midnight_ns
from dhanfast.storage.downloads import BASE, Line

MINUTE = 60_000_000_000
INDEX = Line(name="NIFTY", file="NIFTY_1m", kind="INDEX", hours="NSE_INDEX", segment="IDX_I",
             security_id=13, instrument="INDEX", interval_s=60, underlying="NIFTY")  # fmt: skip
CALL = Line(name="BANKNIFTY-WEEK1-ATM-CE", file="BANKNIFTY-WEEK1-options_1m", kind="EXPIRED",
            hours="NSE_FNO", segment="NSE_FNO", security_id=25, instrument="OPTIDX", interval_s=60,
            underlying="BANKNIFTY", right="CE", cycle="WEEK", code=1)  # fmt: skip
FIRST = date(2022, 5, 30)


def bars(*days: date, count: int = 3, price: int = 10_005) -> dict[str, Any]:
    """Some minutes from 09:15 on of some days."""
    starts = [midnight_ns(day) + (555 + at) * MINUTE for day in days for at in range(count)]
    found = {name: np.full(len(starts), price, np.int64) for name in BASE}
    found |= {"start_ns": np.array(starts, np.int64), "volume": np.zeros(len(starts), np.int64)}
    return found


def rolling(day: date, strikes: list[int]) -> dict[str, Any]:
    found = bars(day, count=len(strikes))
    return found | {"strike": np.array(strikes), "spot": np.array(strikes) + 1_234,
                    "iv": np.full(len(strikes), 12.5)}  # fmt: skip
