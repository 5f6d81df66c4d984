"""The broker's chain as a source: which expiry, of when its prices are, the day before."""

import asyncio
import copy
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.app.chain_broker import (
    CLOSED,
    GENERATED,
    NO_PREVIOUS,
    BrokerChain,
    BrokerChains,
    MarketTime,
    previous_close_ns,
    prices_of,
)
from dhanfast.brokers.dhan.answers_data import chain_of
from dhanfast.brokers.dhan.requests_data import ChainQuery
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import midnight_ns
from dhanfast.storage.stamps import ist_text

FIXTURE = Path(__file__).parents[1] / "fixtures" / "dhan" / "rest" / "option_chain.json"
RAW: dict[str, Any] = json.loads(FIXTURE.read_text())
LISTED = ["2026-01-20", "2026-01-27", "2026-02-24"]


def at(text: str) -> int:
    """`2026-01-22 11:15` IST as ns UTC."""
    day, clock = text.split()
    hours, minutes = clock.split(":")
    return midnight_ns(dt.date.fromisoformat(day)) + (int(hours) * 60 + int(minutes)) * 60 * 10**9


class Broker:
    """Answers with one chain, and notes what it was asked."""

    def __init__(self, raw: Any = RAW, listed: list[str] | None = None) -> None:
        self.raw, self.listed = raw, LISTED if listed is None else listed
        self.asked: list[str] = []

    async def expiries(self, query: ChainQuery) -> list[str]:
        assert (query.underlying, query.segment, query.expiry) == (13, "IDX_I", "")
        self.asked.append("list")
        return self.listed

    async def chain(self, query: ChainQuery) -> Any:
        assert (query.underlying, query.segment) == (13, "IDX_I")
        self.asked.append(query.expiry)
        return chain_of(self.raw)


def chains(
    broker: Broker, now: str, wanted: str | None = None, *, far: bool = False, fake: bool = False
) -> tuple[BrokerChains, ManualClock]:
    clock = ManualClock(at(now))
    time = MarketTime(clock, clock.now_ns(), clock.now_ns(), 1.0, fake)
    return BrokerChains(broker, time, "NIFTY", "IDX_I", 13, wanted, far=far), clock


def fetched(broker: Broker, now: str, wanted: str | None = None, **more: bool) -> BrokerChain:
    return asyncio.run(chains(broker, now, wanted, **more)[0].fetch())


def test_the_brokers_chain_as_it_was_sent() -> None:
    found = fetched(Broker(), "2026-01-22 11:15")
    rows, oc = found.rows, RAW["data"]["oc"]
    assert (rows.underlying, rows.expiry, rows.spot) == ("NIFTY", dt.date(2026, 1, 27), 25642.8)
    assert rows.strike.tolist() == sorted(float(strike) for strike in oc)
    for i, strike in enumerate(rows.strike.tolist()):
        for side, ours in (("ce", "call"), ("pe", "put")):
            sent = oc[f"{strike:.6f}"].get(side)
            if sent is None:  # not listed: no price, and nothing is open
                assert np.isnan(getattr(rows, ours)[i]) and getattr(rows, f"{ours}_oi")[i] == 0
                continue
            for held, name, told in (
                (rows, ours, "last_price"), (rows, f"{ours}_oi", "oi"),
                (rows, f"{ours}_volume", "volume"), (found.previous, ours, "previous_close_price"),
                (found.previous, f"{ours}_oi", "previous_oi"),
            ):  # fmt: skip
                value = getattr(held, name)[i]
                assert value == sent[told] or (sent[told] == 0 and np.isnan(value))
    assert ist_text(found.previous.at_ns) == "2026-01-21 15:30"
    assert (found.is_open, found.notes, found.generated) == (True, [], False)
    assert found.before(None) is found.previous
    with pytest.raises(UsageError, match="the day before only"):
        found.before("2026-01-21")
    with pytest.raises(UsageError, match="no expiry of NIFTY after 2026-01-27"):
        found.following()


@pytest.mark.parametrize(
    ("now", "wanted", "expiry"),
    [
        ("2026-01-22 11:15", None, "2026-01-27"),
        ("2026-01-22 11:15", "nearest", "2026-01-27"),
        ("2026-01-22 11:15", "next", "2026-02-24"),
        ("2026-01-22 11:15", "2026-02-24", "2026-02-24"),
        ("2026-01-27 15:29", None, "2026-01-27"),
        ("2026-01-27 15:30", None, "2026-02-24"),  # it has ended
        ("2026-01-27 18:00", "2026-01-27", "2026-01-27"),  # but may be asked for
        ("2026-01-28 08:00", None, "2026-02-24"),
    ],
)
def test_which_expiry(now: str, wanted: str | None, expiry: str) -> None:
    broker = Broker()
    assert str(fetched(broker, now, wanted).rows.expiry) == expiry
    assert broker.asked == ["list", expiry]


def test_the_next_expiry_with_it() -> None:
    broker = Broker()
    found = fetched(broker, "2026-01-22 11:15", far=True)
    assert broker.asked == ["list", "2026-01-27", "2026-02-24"]
    assert str(found.following().expiry) == "2026-02-24"
    assert [str(one.expiry) for one in found.kept] == broker.asked[1:]


@pytest.mark.parametrize(
    ("listed", "wanted", "message"),
    [
        (LISTED, "2026-02-03", r"--expiry 2026-02-03: the broker lists no such .* has 2026-01-20"),
        (LISTED[:2], "next", r"lists 1 expiries of NIFTY after 2026-01-22 .*clock\.source"),
        (LISTED[:1], None, "lists 0 expiries of NIFTY after"),
        ([], None, "the broker lists no options of NIFTY"),
    ],
)
def test_expiries_that_are_not_there(listed: list[str], wanted: str | None, message: str) -> None:
    broker = Broker(listed=listed)
    with pytest.raises(UsageError, match=message):
        fetched(broker, "2026-01-22 11:15", wanted)
    assert broker.asked == ["list"]


def test_expiry_that_is_no_date() -> None:
    with pytest.raises(UsageError, match="'may' is not a date; write YYYY-MM-DD, nearest or next"):
        chains(Broker(), "2026-01-22 11:15", "may")
    with pytest.raises(BadData, match="has no dates"):
        fetched(Broker(listed=["27 Jan"]), "2026-01-22 11:15")


def test_the_list_is_asked_for_once_a_day() -> None:
    broker = Broker()
    one, clock = chains(broker, "2026-01-27 15:20")
    for _ in range(2):
        asyncio.run(one.fetch())
    clock.advance(11 * 60)  # past the close: the next expiry, without a new list
    asyncio.run(one.fetch())
    clock.advance(10 * 3600)
    asyncio.run(one.fetch())
    assert broker.asked == ["list", "2026-01-27", "2026-01-27", "2026-02-24", "list", "2026-02-24"]


@pytest.mark.parametrize(
    ("now", "prices", "is_open", "kept"),
    [
        ("2026-01-22 09:14", "2026-01-21 15:30", False, False),
        ("2026-01-22 09:15", "2026-01-22 09:15", True, True),
        ("2026-01-22 15:29", "2026-01-22 15:29", True, True),
        ("2026-01-22 15:30", "2026-01-22 15:30", False, True),
        ("2026-01-22 16:30", "2026-01-22 15:30", False, True),
        ("2026-01-22 16:31", "2026-01-22 15:30", False, False),
        ("2026-01-26 11:00", "2026-01-23 15:30", False, False),  # Republic Day after a weekend
    ],
)
def test_a_closed_market(now: str, prices: str, is_open: bool, kept: bool) -> None:
    found = fetched(Broker(), now)
    assert (found.rows.time_text, found.is_open) == (prices, is_open)
    assert found.notes == ([] if is_open else [f"{CLOSED} {prices}"])
    assert [one.time_text for one in found.kept] == ([now] if kept else [])
    assert found.previous.at_ns < found.rows.at_ns
    assert prices_of(at(now), "NSE_FNO")[:2] == (at(prices), is_open)


def test_outside_the_tables() -> None:
    now = at("2031-01-06 11:00")
    assert prices_of(now, "NSE_FNO")[:2] == (now, True)
    assert "prices may be old" in prices_of(now, "NSE_FNO")[2]
    assert previous_close_ns(now, "NSE_FNO") == midnight_ns(dt.date(2031, 1, 6))


def test_what_the_broker_leaves_out() -> None:
    raw = copy.deepcopy(RAW)
    for sides in raw["data"]["oc"].values():
        for side in sides.values():
            side["previous_oi"] = 0
    first = next(iter(raw["data"]["oc"].values()))
    del first["pe"]
    found = fetched(Broker(raw), "2026-01-22 11:15", fake=True)
    assert found.notes == [GENERATED, NO_PREVIOUS] and found.facts["generated"] is True
    assert np.isnan(found.previous.call_oi).all() and np.isnan(found.rows.put[0])
    with pytest.raises(BadData, match="NIFTY 2026-01-27 without strikes"):
        fetched(Broker({"data": {"last_price": 1, "oc": {}}}), "2026-01-22 11:15")
    twice = {"data": {"last_price": 1, "oc": {"100.0": {}, "100.00": {}}}}
    with pytest.raises(BadData, match="NIFTY 2026-01-27: strike does not ascend"):
        fetched(Broker(twice), "2026-01-22 11:15")
