"""The instrument master at the size of a real day: 200,000 contracts, made here.

Bar: the cache is loaded in under 0.5 s; it is held as a ratio to the csv module too, since the
machine may be busy.
"""

import csv
import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.market.master import Master, key_of
from dhanfast.market.master_csv import parse_master
from dhanfast.market.master_diff import compare
from dhanfast.storage.master_file import master_bytes, pack_master, read_master

ROWS = 200_000
HEADER = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,MTF_LEVERAGE,"
    "SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,\n"
)
FLAGS = "N,N,N,NA,A,0,0,0,0,0,0"
LOAD_S_MAX = 0.5


def big_csv(rows: int) -> bytes:
    """The detailed file of a generated day: a tenth shares, the rest options of 200 underlyings."""
    lines = [HEADER]
    random = np.random.default_rng(7)
    bands = random.integers(100, 500_000, rows).tolist()
    for row in range(rows):
        band = f"{bands[row] / 100:.2f},{bands[row] / 200:.2f}"
        if row % 10 == 0:
            name = f"SHARE{row:06}"
            lines.append(f"NSE,E,{row + 1},INE{row:09},EQUITY,,{name},{name} LTD,Share {row},ES,EQ,"
                         f"1.0,,-0.01000,,5.0000,NA,{FLAGS},4.0,{band},0,\n")  # fmt: skip
        else:
            name, strike, right = f"INDEX{row % 200}", 5_000 + row // 200 * 50, "CP"[row % 2] + "E"
            month = row // 200 % 3
            text = f"{name}-{('Jul', 'Aug', 'Sep')[month]}2026-{strike}-{right}"
            lines.append(f"NSE,D,{row + 1},NA,OPTIDX,{row % 200},{name},{text},{name} 28 {strike}"
                         f" {right},OP,NA,65.0,2026-{7 + month:02}-28,{strike}.00000,{right},"
                         f"5.0000,M,{FLAGS},0,{band},1800,\n")  # fmt: skip
    return "".join(lines).encode()


@pytest.fixture(scope="module")
def text() -> bytes:
    """The CSV."""
    return big_csv(ROWS)


@pytest.fixture(scope="module")
def master(text: bytes) -> Master:
    """What is read from it."""
    return parse_master(text, name="bench").master


@pytest.fixture(scope="module")
def cache(master: Master, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its cache."""
    path = tmp_path_factory.mktemp("master") / "day.dfmaster"
    path.write_bytes(master_bytes(master)[0])
    pack_master(path, path.with_name(path.name + ".zst"))
    return path


@pytest.mark.parametrize("form", ["mapped", "compressed"])
def test_load(benchmark: Any, cache: Path, form: str) -> None:
    path = cache if form == "mapped" else cache.with_name(cache.name + ".zst")
    benchmark.extra_info |= {"rows_per_round": ROWS, "bytes": path.stat().st_size}
    got = benchmark.pedantic(read_master, (path,), rounds=7, warmup_rounds=1)
    assert len(got) == ROWS
    assert benchmark.stats.stats.median < LOAD_S_MAX


def test_parse(benchmark: Any, text: bytes) -> None:
    benchmark.extra_info |= {"rows_per_round": ROWS, "bytes": len(text)}
    got = benchmark.pedantic(parse_master, (text,), {"name": "bench"}, rounds=3, warmup_rounds=1)
    assert len(got.master) == ROWS and not got.refused_count


def test_parse_cells_only_by_the_csv_module(benchmark: Any, text: bytes) -> None:
    """The yardstick: cells as strings, nothing checked, nothing kept."""

    def read() -> int:
        return sum(1 for _ in csv.reader(io.StringIO(text.decode(), newline="")))

    assert benchmark.pedantic(read, rounds=3) == ROWS + 1


def test_row_by_id(benchmark: Callable[..., int], master: Master) -> None:
    assert benchmark(master.row, "NSE_FNO", 150_000) >= 0


def test_rows_of_five_thousand(benchmark: Callable[..., Any], master: Master) -> None:
    keys = [key_of("NSE_FNO", 2 + 10 * n) for n in range(5_000)]
    wanted = np.array(keys, np.int64)
    assert (benchmark(master.rows, wanted) >= 0).all()


def test_option_by_strike(benchmark: Callable[..., Any], master: Master) -> None:
    one = master.contract(master.row("NSE_FNO", 150_043))
    expiry, strike = one.expiry, one.strike
    got = benchmark(lambda: master.one(one.underlying, expiry=expiry, strike=strike, right="CE"))
    assert got == one


def test_find_words(benchmark: Callable[..., Any], master: Master) -> None:
    assert len(benchmark(master.find, "index42 sep 10050"))


def test_compare_two_days(benchmark: Any, master: Master, text: bytes) -> None:
    later = parse_master(text.replace(b",1800,\n", b",2700,\n", 500), name="later").master
    found = benchmark.pedantic(compare, (master, later, date(2026, 7, 1)), rounds=3)
    assert found.counts == {"freeze": 500}
