"""Chains with a known smile, and files of them."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dhanfast import options
from dhanfast.market.calendar import midnight_ns

EXPIRY, NEXT = date(2026, 1, 27), date(2026, 2, 24)
DAY = date(2026, 1, 22)
RATE = 0.0525
# a, b, rho, m, sigma of total variance, and the forward: what a chain of NIFTY looks like.
SVI = (0.00005, 0.012, -0.25, 0.004, 0.03)
FORWARD = 25_180.0


def at(text: str, day: date = DAY) -> int:
    """HH:MM of a day, IST, as ns UTC."""
    hours, minutes = text.split(":")
    return midnight_ns(day) + (int(hours) * 60 + int(minutes)) * 60 * 10**9


def total_variance(strike: Any, forward: float = FORWARD, scale: float = 1.0) -> Any:
    """The formula as it is printed."""
    a, b, rho, m, sigma = SVI
    x = np.log(np.asarray(strike) / forward) - m
    return scale * (a + b * (rho * x + np.sqrt(x * x + sigma * sigma)))


def chain(
    at_ns: int | None = None,
    *,
    expiry: date = EXPIRY,
    strikes: Any = None,
    forward: float = FORWARD,
    tick: float = 0.0,
    seed: int = 1,
    underlying: str = "NIFTY",
    scale: float = 1.0,
) -> options.Snapshot:
    """Premiums of the known smile, to the tick if there is one; open interest from a seed."""
    moment = at("11:15") if at_ns is None else at_ns
    k = np.arange(23_000.0, 27_401.0, 100.0) if strikes is None else np.asarray(strikes, float)
    years = options.years_to_expiry(moment, options.expiry_ns(expiry))
    volatility = np.sqrt(total_variance(k, forward, scale) / years)
    call, put = (
        options.price(volatility, forward, k, years, right, RATE) for right in ("CE", "PE")
    )
    if tick:
        call, put = np.round(call / tick) * tick, np.round(put / tick) * tick
    random = np.random.default_rng(seed)
    counts = {name: 65.0 * random.integers(0, 20_000, len(k))
              for name in ("call_oi", "put_oi", "call_volume", "put_volume")}  # fmt: skip
    return options.snapshot(moment, underlying, expiry, k, call, put, spot=forward - 20.0, **counts)


def table(*chains: options.Snapshot) -> dict[str, list[Any]]:
    """Rows of a file, a dictionary of columns, as a collector writes them: 0 for no quote."""
    columns: dict[str, list[Any]] = {name: [] for name in (
        "ts", "underlying", "expiry", "strike", "ce_ltp", "ce_oi", "ce_volume", "pe_ltp", "pe_oi",
        "pe_volume", "spot")}  # fmt: skip
    for one in chains:
        n = len(one)
        columns["ts"] += [one.at_ns] * n
        columns["underlying"] += [one.underlying] * n
        columns["expiry"] += [one.expiry] * n
        columns["spot"] += [float(np.nan_to_num(one.spot))] * n
        for name, values in (("strike", one.strike), ("ce_ltp", one.call), ("pe_ltp", one.put)):
            columns[name] += np.nan_to_num(values).tolist()
        for name, values in (
            ("ce_oi", one.call_oi),
            ("pe_oi", one.put_oi),
            ("ce_volume", one.call_volume),
            ("pe_volume", one.put_volume),
        ):
            columns[name] += np.nan_to_num(values).astype(np.int64).tolist()  # fmt: skip
    return columns


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    """The rows as a Parquet file."""
    kinds = {"ts": pa.int64(), "expiry": pa.date32()}
    pq.write_table(
        pa.table({name: pa.array(values, kinds.get(name)) for name, values in columns.items()}),
        path,
    )
    return path
