"""Downloading over a network that is a function: what is asked for, and what is made of it."""

import asyncio
import json
import logging
import random
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.brokers.dhan import answers_data
from dhanfast.brokers.dhan.answers_data import candles_of
from dhanfast.brokers.dhan.history import (
    Ask,
    Downloader,
    Stopped,
    Tally,
    asks_of,
    cleaned,
    fetched,
    grid_days,
)
from dhanfast.brokers.dhan.web import WebReply, WebRequest
from dhanfast.errors import BadData, DhanfastError
from dhanfast.market.calendar import Calendar, each_date, midnight_ns
from dhanfast.security.tokens import Token
from dhanfast.storage.completeness import missing_days
from dhanfast.storage.downloads import BASE, Columns, DownloadFolder, Piece, Series

from ...storage.download_bars import CALL, INDEX
from .stage import CLIENT, NOON_NS, VALUE, Answer, ScriptedWeb, Tokens, json_reply, jwt, rest_over

CALENDAR = Calendar.load()
FIRST, LAST = date(2022, 6, 1), date(2022, 6, 10)
DAILY = msgspec.structs.replace(INDEX, interval_s=86_400, file="NIFTY_1d")
FUTURE = msgspec.structs.replace(INDEX, name="NIFTY22JUNFUT", kind="FUTURE", segment="NSE_FNO",
                                 security_id=49080, instrument="FUTIDX", expiry="2022-06-30",
                                 hours="NSE_FNO")  # fmt: skip


def piece(first: date, last: date, rows: int = 9) -> Piece:
    return Piece(first=str(first), last=str(last), file="x", sha256="", rows=rows, fetched_ns=0)


# ---- what is asked for ----


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_trading_day_is_held_or_asked_for_once(data: Any) -> None:
    line = data.draw(st.sampled_from([INDEX, CALL, DAILY]))
    size = grid_days(line)
    begin = date(2021, 9, 1)
    pieces, day = [], begin
    while day < begin + timedelta(days=200):  # some pieces, as a download leaves them
        length = data.draw(st.integers(1, 30))
        if data.draw(st.booleans()):
            last = day + timedelta(days=length - 1)
            pieces.append(piece(day, last, data.draw(st.sampled_from([0, 9]))))
        day += timedelta(days=length)
    first = begin + timedelta(days=data.draw(st.integers(0, 150)))
    last = first + timedelta(days=data.draw(st.integers(0, 150)))
    asks = asks_of(Series(line, tuple(pieces)), first, last, CALENDAR)

    held = {day for one in pieces if one.rows for day in each_date(*one.days)}
    asked = [day for one in asks for day in each_date(one.first, one.last)
             if CALENDAR.is_trading_day(day)]  # fmt: skip
    span = [day for day in each_date(first, last) if CALENDAR.is_trading_day(day)]
    assert len(asked) == len(set(asked)), "a day is asked for twice"
    assert set(span) <= set(asked) | held, "a day is forgotten"
    assert not set(asked) & held, "a day that is held is asked for"
    doubted = {one.days for one in pieces if not one.rows}
    for one in asks:
        assert (one.last - one.first).days < size
        if (one.first, one.last) not in doubted:
            assert one.first.toordinal() // size == one.last.toordinal() // size
    after = [piece(one.first, one.last) for one in asks]
    kept = [
        one
        for one in pieces
        if not any(two.first <= one.days[0] and one.days[1] <= two.last for two in asks)
    ]
    assert asks_of(Series(line, (*kept, *after)), first, last, CALENDAR) == [], "it never ends"


def test_what_comes_before_and_after_is_added() -> None:
    held = Series(INDEX, (piece(date(2022, 6, 6), date(2022, 6, 8)),))
    asks = asks_of(held, FIRST, LAST, CALENDAR)
    assert [(one.first.day, one.last.day) for one in asks] == [(1, 3), (9, 10)]
    again = asks_of(held, FIRST, LAST, CALENDAR, {date(2022, 6, 7)})
    assert [(one.first.day, one.last.day) for one in again] == [(1, 3), (6, 8), (9, 10)]


# ---- what is sent ----


def official(call: Callable[[Any], Any]) -> tuple[str, dict[str, Any]]:
    """Path and body that the official client sends."""
    dhanhq = pytest.importorskip("dhanhq", reason="compares with the official client")
    context = dhanhq.DhanContext(CLIENT, VALUE)
    sent: list[tuple[str, Any]] = []

    class Seen(Exception):
        pass

    def request(method: str, url: str, *args: Any, **given: Any) -> Any:
        sent.append((url, given.get("data") or given.get("json")))
        raise Seen

    session = context.dhan_http.session
    for name in ("post", "get", "put", "delete"):
        setattr(session, name, lambda url, *a, _name=name, **k: request(_name, url, *a, **k))
    session.request = request
    call(dhanhq.dhanhq(context))
    url, body = sent[0]
    return url, json.loads(body) if isinstance(body, str | bytes) else body


def ours(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Path and body that a download sends."""
    web = ScriptedWeb(lambda _: json_reply({}))
    rest, _ = rest_over(web)

    async def act() -> None:
        await fetched(rest, ask)

    asyncio.run(act())
    return web.asked[0].url, json.loads(web.asked[0].body or b"")


def test_requests_are_those_of_the_official_client() -> None:
    minutes = official(lambda client: client.intraday_minute_data(
        "13", "IDX_I", "INDEX", "2022-06-01 00:00:00", "2022-06-11 00:00:00", 1))  # fmt: skip
    assert ours(Ask(INDEX, FIRST, LAST)) == minutes
    days = official(lambda client: client.historical_daily_data(
        "13", "IDX_I", "INDEX", "2022-06-01", "2022-06-11"))  # fmt: skip
    assert ours(Ask(DAILY, FIRST, LAST)) == days
    every = ["open", "high", "low", "close", "iv", "volume", "strike", "oi", "spot"]
    expired = official(
        lambda client: client.expired_options_data(
            25, "NSE_FNO", "OPTIDX", "WEEK", 1, "ATM", "CALL", every, "2022-06-01", "2022-06-11", 1
        )
    )
    assert ours(Ask(CALL, FIRST, LAST)) == expired


def test_open_interest_is_asked_for_where_there_is_one() -> None:
    assert ours(Ask(FUTURE, FIRST, LAST))[1]["oi"] is True
    away = msgspec.structs.replace(CALL, money=-4, right="PE")
    body = ours(Ask(away, FIRST, LAST))[1]
    assert (body["strike"], body["drvOptionType"], body["toDate"]) == ("ATM-4", "PUT", "2022-06-11")


# ---- what is made of an answer ----


def columns_of(rows: list[tuple[int, int]], day: date = FIRST) -> Columns:
    """Bars at minutes after midnight, with a price."""
    starts = [midnight_ns(day) + minute * 60_000_000_000 for minute, _ in rows]
    found = {name: np.array([price for _, price in rows], np.int64) for name in BASE}
    return found | {"start_ns": np.array(starts, np.int64)}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-60, 1_500), st.integers(0, 3)), max_size=40))
def test_what_is_kept_is_what_a_plain_dictionary_keeps(rows: list[tuple[int, int]]) -> None:
    model: dict[int, int] = {}
    clash = False
    for minute, price in rows:
        if 0 <= minute < 1_440:
            clash |= model.setdefault(minute, price) != price
    ask = Ask(INDEX, FIRST, FIRST)
    if clash:
        with pytest.raises(BadData, match="comes twice with"):
            cleaned(columns_of(rows), ask)
        return
    got, notes = cleaned(columns_of(rows), ask)
    minutes = ((got["start_ns"] - midnight_ns(FIRST)) // 60_000_000_000).tolist()
    wanted = [(minute, model[minute]) for minute in sorted(model) if model[minute] > 0]
    assert list(zip(minutes, got["close"].tolist(), strict=True)) == wanted
    asked = [minute for minute, _ in rows if 0 <= minute < 1_440]
    assert ("bars were not in order of time; sorted" in notes) == (asked != sorted(asked))
    assert any("twice" in note for note in notes) == (len(asked) > len(model))


def test_bars_that_cannot_be_are_left_out_and_told() -> None:
    columns = columns_of([(555, 10), (556, 10), (557, 10)])
    columns["high"][0] = 9
    columns["start_ns"][1] += 1_000_000_000
    got, notes = cleaned(columns, Ask(INDEX, FIRST, FIRST))
    assert len(got["start_ns"]) == 1
    assert notes == ("1 bars that do not start on a minute left out",
                     "1 bars with open or close outside low and high left out")  # fmt: skip


numbers = st.one_of(
    st.integers(-(10**16), 10**16), st.floats(), st.booleans(), st.none(),
    st.decimals(0, 10**6, places=2, allow_nan=False).map(float), st.text(max_size=6),
    st.decimals(0, 10**6, places=3, allow_nan=False).map(float), st.just("1,205.50"),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(numbers, max_size=6), st.sampled_from(["open", "volume", "timestamp"]))
def test_the_short_way_says_what_the_long_way_says(values: list[Any], name: str) -> None:
    said: dict[str, Any] = {key: [1] * len(values) for key in
                            ("open", "high", "low", "close", "volume", "timestamp")}  # fmt: skip
    said[name] = values

    def result() -> Any:
        try:
            found = candles_of(said)
        except BadData as error:
            return str(error)
        return [getattr(found, key).tolist() for key in ("start_ns", "open", "volume")]

    short, kept = result(), answers_data._plain
    answers_data._plain = lambda column, scale: None  # type: ignore[assignment]
    try:
        assert result() == short
    finally:
        answers_data._plain = kept


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["open", "high", "low", "close", "volume", "timestamp", "data", "ce", "pe",
                         "status", "errorCode", "strike", "oi", "iv", "spot"]), inner, max_size=9
    ),
    max_leaves=20,
)  # fmt: skip


day_s = midnight_ns(FIRST) // 10**9
table = st.fixed_dictionaries(
    {"timestamp": st.lists(st.integers(day_s + 33_300, day_s + 33_600).map(lambda s: s // 60 * 60)
                           | numbers, max_size=4)},
    optional={name: st.lists(numbers | st.integers(1, 9), max_size=4)
              for name in ("open", "high", "low", "close", "volume", "oi", "open_interest", "iv",
                           "strike", "spot")},
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=60),
    st.one_of(json_values, table, st.fixed_dictionaries({"data": st.fixed_dictionaries(
        {"ce": table | json_values, "pe": json_values})})).map(lambda v: json.dumps(v).encode()),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(bodies, st.sampled_from([INDEX, CALL, DAILY]))
def test_hostile_bodies_are_bars_or_errors_of_ours(body: bytes, line: Any) -> None:
    web = ScriptedWeb(lambda _: WebReply(status=200, body=body, headers={}))
    rest, _ = rest_over(web)

    async def act() -> None:
        try:
            columns, _ = cleaned(
                await fetched(rest, Ask(line, FIRST, LAST)), Ask(line, FIRST, LAST)
            )
        except DhanfastError as error:
            assert VALUE not in str(error)
            return
        starts = columns["start_ns"]
        assert np.all(np.diff(starts) > 0)
        assert np.all(
            (starts >= midnight_ns(FIRST)) & (starts < midnight_ns(LAST) + 86_400 * 10**9)
        )
        assert all(len(values) == len(starts) for values in columns.values())

    asyncio.run(act())


# ---- a download ----


def answer_of(request: WebRequest) -> WebReply:
    """Three minutes of every trading day asked for."""
    body = json.loads(request.body or b"")
    first, last = (date.fromisoformat(body[name][:10]) for name in ("fromDate", "toDate"))
    starts = [midnight_ns(day) // 10**9 + (555 + at) * 60
              for day in each_date(first, last - timedelta(days=1))
              if CALENDAR.is_ordinary(day) for at in range(3)]  # fmt: skip
    columns: dict[str, Any] = {name: [101.05] * len(starts)
                               for name in ("open", "high", "low", "close")}  # fmt: skip
    return json_reply({**columns, "volume": [0] * len(starts), "timestamp": starts})


def attempt(
    place: Path | str, handler: Callable[[WebRequest], Answer], tokens: Tokens | None = None,
    first: date = FIRST, last: date = LAST, *, refill: bool = False,
) -> tuple[Tally, ScriptedWeb, DownloadFolder]:  # fmt: skip
    """Download NIFTY's minutes into a folder."""
    web = ScriptedWeb(handler)
    rest, clock = rest_over(web, tokens)
    folder = DownloadFolder(place)

    async def act() -> Tally:
        work = Downloader(rest, folder, clock, random.Random(1))
        with folder.changing("dhan", False):
            series = folder.agreed(INDEX)
            again = missing_days(folder, series, CALENDAR) if refill else set()
            return await work.run(asks_of(series, first, last, CALENDAR, again), CALENDAR)

    return asyncio.run(act()), web, folder


ERROR = {"errorType": "Invalid_Authentication", "errorCode": "DH-901", "errorMessage": "expired"}
FLAKY: dict[str, Answer] = {
    "429": json_reply({"errorCode": "DH-904", "errorMessage": "slow down"}, 429),
    "805": json_reply({"data": {"805": "too many"}, "status": "failed"}, 429),
    "502 with a page": WebReply(status=502, body=b"<html>Bad Gateway</html>", headers={}),
    "truncated": WebReply(status=200, body=b'{"open": [1.0, 2', headers={}),
    "no body": WebReply(status=200, body=b"", headers={}),
    "empty": json_reply({"open": [], "timestamp": []}),
    "no data": json_reply({"errorCode": "DH-907", "errorMessage": "no data"}, 400),
    "ragged": json_reply({"open": [1.0], "timestamp": [1654055100, 1654055160]}),
    "a time-out": ConnectionError("read timed out"),
}


@pytest.mark.parametrize("name", FLAKY)
def test_one_bad_answer_is_asked_again(tmp_path: Path, name: str) -> None:
    from dhanfast.brokers.dhan.web import NoReply

    bad = [NoReply("read timed out") if name == "a time-out" else FLAKY[name]]
    tally, web, folder = attempt(tmp_path, lambda r: bad.pop() if bad else answer_of(r))
    assert (tally.asked, tally.rows, tally.empty, len(web.asked)) == (1, 24, 0, 2)
    assert web.asked[0].body == web.asked[1].body
    assert folder.series()["NIFTY_1m"].rows == 24


def test_a_token_that_ends_is_renewed_once_else_it_stops_with_exit_code_4(tmp_path: Path) -> None:
    def broker(request: WebRequest) -> Answer:
        old = request.headers["access-token"] == VALUE
        return json_reply(ERROR, 401) if old else answer_of(request)

    fresh = Tokens(Token(CLIENT, jwt(n=2)))
    tally, web, _ = attempt(tmp_path / "a", broker, fresh)
    assert (tally.rows, len(web.asked), fresh.refusals) == (24, 2, 1)
    with pytest.raises(Stopped, match=r"0 of 1 requests are done and kept; the same") as stopped:
        attempt(tmp_path / "b", broker)
    assert stopped.value.exit_code == 4 and VALUE not in str(stopped.value)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"errorCode": "DH-902", "errorMessage": "no Data API"}, 403, "plan and permissions"),
        ({"data": {"806": "not subscribed"}, "status": "failed"}, 403, "plan and permissions"),
        ({"errorCode": "DH-905", "errorMessage": "bad field"}, 400, "DH-905 .*instruments update"),
        ({"data": {"813": "Invalid SecurityId"}, "status": "failed"}, 400, "813 .*update"),
        ({"errorCode": "DH-903", "errorMessage": "segment"}, 400, "DH-903 .*ask the broker"),
    ],
)
def test_what_asking_again_does_not_help_stops_at_once(
    tmp_path: Path, said: Any, status: int, words: str
) -> None:
    asked: list[WebRequest] = []

    def broker(request: WebRequest) -> Answer:
        asked.append(request)
        return json_reply(said, status)

    with pytest.raises(Stopped, match=words) as stopped:
        attempt(tmp_path, broker)
    assert len(asked) == 1 and stopped.value.exit_code == 1


def test_what_came_before_a_failure_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    """Four pieces; the third is refused for good."""
    seen: list[WebRequest] = []

    def broker(request: WebRequest) -> Answer:
        seen.append(request)
        return json_reply({"errorCode": "DH-905"}, 400) if len(seen) == 3 else answer_of(request)

    end = FIRST + timedelta(days=300)
    with pytest.raises(Stopped, match="2 of 4 requests are done"):
        attempt(tmp_path, broker, last=end)
    tally, web, folder = attempt(tmp_path, answer_of, last=end)
    assert (tally.asked, len(web.asked)) == (2, 2) and web.asked[0].body == seen[2].body
    assert attempt(tmp_path, answer_of, last=end)[1].asked == []
    ordinary = sum(CALENDAR.is_ordinary(day) for day in each_date(FIRST, end))
    assert folder.series()["NIFTY_1m"].rows == 3 * ordinary


def test_nothing_is_believed_only_after_asking_twice_and_is_asked_again_later(
    tmp_path: Path,
) -> None:
    tally, web, folder = attempt(tmp_path, lambda _: json_reply({"open": [], "timestamp": []}))
    assert (tally.empty, len(web.asked)) == (1, 2)
    assert folder.series()["NIFTY_1m"].pieces[0].notes == ("nothing came",)
    assert attempt(tmp_path, answer_of)[0].rows == 24
    holiday = date(2022, 8, 9)
    assert attempt(tmp_path, answer_of, first=holiday, last=holiday)[1].asked == []


def test_refill_keeps_the_fuller_answer(tmp_path: Path) -> None:
    attempt(tmp_path, answer_of)
    assert attempt(tmp_path, answer_of)[1].asked == []  # minutes are missing, and it was not said

    def fewer(request: WebRequest) -> Answer:
        said = json.loads(answer_of(request).body)  # type: ignore[union-attr]
        return json_reply({name: values[:2] for name, values in said.items()})

    tally, web, folder = attempt(tmp_path, fewer, refill=True)
    assert (len(web.asked), tally.unchanged) == (1, 1)
    assert folder.series()["NIFTY_1m"].rows == 24


def test_answers_that_contradict_themselves_stop_the_download(tmp_path: Path) -> None:
    start = midnight_ns(FIRST) // 10**9 + 555 * 60
    twice = {name: [1.0, 1.05] for name in ("open", "high", "low", "close")}
    web_said = json_reply({**twice, "volume": [0, 0], "timestamp": [start, start]})
    with pytest.raises(Stopped, match=r"comes twice with open 100 and 105; nothing of the answer"):
        attempt(tmp_path, lambda _: web_said)
    assert DownloadFolder(tmp_path).series() == {}


def test_no_token_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Stopped):
        attempt(tmp_path, lambda _: json_reply({"errorMessage": f"bad {VALUE}"}, 500))
    assert VALUE not in caplog.text and "try 1 failed" in caplog.text


def test_the_clock_of_a_piece_is_the_one_given() -> None:
    with tempfile.TemporaryDirectory() as place:
        _, _, folder = attempt(place, answer_of)
        assert folder.series()["NIFTY_1m"].pieces[0].fetched_ns >= NOON_NS
