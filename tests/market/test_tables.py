"""The tables themselves: every row readable, sourced, and without holes or overlaps."""

import itertools
from datetime import date, datetime, timedelta
from importlib.resources import files

import pytest

from dhanfast.errors import ConfigError, UsageError
from dhanfast.market import tables

NAMES = sorted(
    item.name.removesuffix(".csv")
    for item in files("dhanfast.market.tables").iterdir()
    if item.name.endswith(".csv")
)
DATED = [name for name in NAMES if "from" in tables.read(name)[0]]
# The facts of one table that must follow each other without hole or overlap, and what names one.
CHAINS = {
    "hours": ("segment",),
    "brokerage": ("broker", "segments"),
    "margins": ("underlying",),
    "tick_points": ("underlying",),
    "bands": ("day",),
    "freeze_slabs": ("above",),
}


def test_all_tables_are_found() -> None:
    assert len(NAMES) >= 16
    assert {"years", "holidays", "charges", "lots", "sources"} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sources"])
def test_each_row_names_known_sources_and_a_confidence(name: str) -> None:
    known = {row["tag"] for row in tables.read("sources")}
    for row in tables.read(name):
        assert row["source"].split(), row
        assert set(row["source"].split()) <= known, row
        assert row["confidence"] in tuple("ABCD"), row


@pytest.mark.parametrize("name", DATED)
def test_from_is_never_after_to(name: str) -> None:
    for row in tables.read(name):
        assert date.fromisoformat(row["from"]) <= date.fromisoformat(row["to"]), row


def assert_chain(rows: list[tables.Row], what: object) -> None:
    """Rows follow each other; a weekend may lie between two (rules start on trading days)."""
    spans = sorted((date.fromisoformat(r["from"]), date.fromisoformat(r["to"])) for r in rows)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert start > end, what
        days = [end + timedelta(n) for n in range(1, (start - end).days)]
        assert all(day.weekday() > 4 for day in days), (what, days)


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_facts_follow_each_other_without_hole_or_overlap(name: str) -> None:
    groups: dict[tuple[str, ...], list[tables.Row]] = {}
    for row in tables.read(name):
        groups.setdefault(tuple(row[field] for field in CHAINS[name]), []).append(row)
    for key, rows in groups.items():
        assert_chain(rows, key)


def test_charges_follow_each_other_for_each_segment_and_item() -> None:
    groups: dict[tuple[str, str], list[tables.Row]] = {}
    for row in tables.read("charges"):
        for segment in row["segments"].split():
            item = "exercise" if row["item"].startswith("exercise") else row["item"]
            groups.setdefault((segment, item), []).append(row)
    for key, rows in groups.items():
        assert_chain(rows, key)


def test_charge_rates_are_what_was_published() -> None:
    for row in tables.read("charges"):
        published = row["published"].removesuffix("%")
        whole, _, rest = published.partition(".")
        assert int(row["rate_e9"]) == int(whole + rest) * 10 ** (7 - len(rest)), row


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(UsageError, match="'tides' does not exist"):
        tables.read("tides")


@pytest.mark.parametrize("line", ["1", "1,2,3", '"1",2'])
def test_a_malformed_line_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ConfigError, match=r"made_up\.csv line 3"):
        tables.parse(f"a,b\n1,2\n{line}\n", "made_up")


def test_parse_reads_fields_as_text() -> None:
    assert tables.parse("a,b\n1,\n", "made_up") == ({"a": "1", "b": ""},)


def test_a_datetime_is_not_an_exchange_date() -> None:
    with pytest.raises(UsageError, match=r"expiry must be a datetime\.date"):
        tables.require_date(datetime(2024, 1, 1), "expiry")
    with pytest.raises(UsageError, match="'2024-01-01'"):
        tables.require_date("2024-01-01", "expiry")  # type: ignore[arg-type]


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'BANKNIFTY'") as refusal:
        tables.require_name("banknifty", ["NIFTY", "BANKNIFTY"], "underlying")
    assert "Known: BANKNIFTY, NIFTY" in str(refusal.value)
    with pytest.raises(UsageError, match="is not known"):
        tables.require_name("?", ["NIFTY"], "underlying")


def test_the_weakest_mark_wins() -> None:
    assert tables.weakest("ABA") == "B"
    assert tables.weakest("DA") == "D"
