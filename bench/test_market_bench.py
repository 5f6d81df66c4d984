"""What the dated tables cost: reading all of them (bar 20 ms), a year of sessions (bar 30 ms)."""

from datetime import date, time
from importlib.resources import files

from pytest_benchmark.fixture import BenchmarkFixture

from dhanfast.market import calendar, charges, expiries, instruments, margin, sessions, tables

CACHES = [
    thing
    for module in (calendar, charges, expiries, instruments, margin, sessions, tables)
    for thing in vars(module).values()
    if hasattr(thing, "cache_clear")
]


def forget() -> None:
    """Empty every cache of the market modules, so that a round starts as a process does."""
    for cached in CACHES:
        cached.cache_clear()


def year() -> None:
    sessions.session_table(
        "BANKNIFTY",
        "FUT",
        date(2022, 1, 1),
        date(2022, 12, 31),
        entry_from=time(9, 20),
        entry_until=time(15, 0),
        square_off=time(15, 20),
    )


def test_read_every_table(benchmark: BenchmarkFixture) -> None:
    names = [
        item.name.removesuffix(".csv")
        for item in files("dhanfast.market.tables").iterdir()
        if item.name.endswith(".csv")
    ]
    benchmark.extra_info["tables"] = len(names)
    benchmark.pedantic(lambda: [tables.read(name) for name in names], setup=forget, rounds=30)


def test_load_calendar(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(calendar.Calendar.load, setup=forget, rounds=30)


def test_year_of_sessions_first_time(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["rows"] = 248
    benchmark.pedantic(year, setup=forget, rounds=20)


def test_year_of_sessions_again(benchmark: BenchmarkFixture) -> None:
    year()
    benchmark.extra_info["rows"] = 248
    benchmark(year)
