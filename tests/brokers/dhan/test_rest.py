"""Calls: what became of a change, what is tried again, whose token, which pieces."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.records import Seen
from dhanfast.brokers.base import NOT_SENT, Accepted, Outcome, Refused, Unknown
from dhanfast.brokers.dhan.caller import CallSettings, judged
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.brokers.dhan.limits import CallClass
from dhanfast.brokers.dhan.requests import ModifyOrder, PlaceOrder
from dhanfast.brokers.dhan.requests_alerts import MultiOrder
from dhanfast.brokers.dhan.requests_data import ChainQuery, DailyQuery, ExpiredQuery, IntradayQuery
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.dhan.web import NoReply, NotSent, WebReply, WebRequest
from dhanfast.errors import BadData, ConfigError, NotAuthenticated, UsageError
from dhanfast.security.tokens import Token

from .stage import (
    CLIENT,
    NOON_NS,
    VALUE,
    Answer,
    ScriptedWeb,
    Tokens,
    answering,
    fixture,
    json_reply,
    rest_over,
)

ORDER = PlaceOrder(side="BUY", segment="NSE_FNO", security_id="49081", qty=75, price=10_000,
                   correlation="df1-1")  # fmt: skip
PLACED = json_reply({"orderId": "1", "orderStatus": "TRANSIT"})
DEAD = json_reply({"errorCode": "DH-901", "errorMessage": "expired"}, 401)
FLOOD = json_reply({"data": {"805": "Too many"}, "status": "failed"}, 429)
SLOW_DOWN = json_reply({"errorCode": "DH-904", "errorMessage": "x"}, 429, **{"Retry-After": "7"})
BROKEN = WebReply(status=502, body=b"<html>Bad Gateway</html>")
NEW = Token(CLIENT, "NEW.TOKEN.VALUE")


def outcome_of(
    *answers: Answer, tokens: Tokens | None = None, call: Callable[..., Any] | None = None
) -> tuple[Outcome, ScriptedWeb]:
    """What a placed order (or another change) came to."""
    web = answering(*answers)
    rest, _ = rest_over(web, tokens)
    made = call or (lambda r: r.place(ORDER))

    async def act() -> Outcome:
        result: Outcome = await made(rest)
        return result

    return asyncio.run(act()), web


def read_of(*answers: Answer, call: Any, tokens: Tokens | None = None, **options: Any) -> Any:
    """What a read came to, the network, and how long its clock waited."""
    web = answering(*answers)
    rest, clock = rest_over(web, tokens, **options)

    async def act() -> Any:
        return await call(rest)

    return asyncio.run(act()), web, (clock.now_ns() - NOON_NS) / 1e9


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PLACED, Accepted),
        (json_reply(fixture("rest/place_slice")), Accepted),
        (json_reply({"orderId": 112, "orderStatus": "REJECTED"}, 202), Accepted),
        (json_reply({"errorCode": "DH-905", "errorMessage": "x"}, 400), Refused),
        (json_reply({"errorCode": "DH-906", "errorMessage": "RMS"}, 400), Refused),
        (json_reply({"errorCode": "DH-905", "errorMessage": "x"}), Refused),
        (SLOW_DOWN, Refused),
        (NotSent("no connection"), Refused),
        (NoReply("timed out"), Unknown),
        (BROKEN, Unknown),
        (json_reply({"errorCode": "DH-905", "errorMessage": "x"}, 500), Unknown),
        (json_reply({"errorCode": "DH-908", "errorMessage": "x"}, 400), Unknown),
        (json_reply({"errorCode": "DH-909", "errorMessage": "x"}, 400), Unknown),
        (WebReply(status=200, body=b""), Unknown),
        (WebReply(status=202, body=b"  "), Unknown),
        (WebReply(status=200, body=b"<html>"), Unknown),
        (WebReply(status=200, body=b'{"orderId": "1"'), Unknown),
        (json_reply({"orderStatus": "TRANSIT"}), Unknown),
        (json_reply({}), Unknown),
        (json_reply([]), Unknown),
        (WebReply(status=302, body=b""), Unknown),
        (WebReply(status=403, body=b"<html>"), Unknown),
        (WebReply(status=429, body=b"slow"), Unknown),
        (WebReply(status=408, body=b""), Unknown),
    ],
)
def test_an_order_is_sent_once_and_its_fate_is_told(answer: Answer, kind: type) -> None:
    outcome, web = outcome_of(answer)
    assert isinstance(outcome, kind), outcome
    assert len(web.asked) == 1 and web.asked[0].once


def test_what_an_outcome_tells() -> None:
    placed, _ = outcome_of(PLACED)
    assert placed == Accepted(order_id="1", seen=Seen.TRANSIT, status="TRANSIT")
    sliced, _ = outcome_of(json_reply(fixture("rest/place_slice")))
    assert isinstance(sliced, Accepted) and len(sliced.more) == 2
    refused, _ = outcome_of(SLOW_DOWN)
    assert refused == Refused(code="DH-904", text="x", http=429, number=904, retry_after_s=7)
    unsent, _ = outcome_of(NotSent("no connection"))
    assert isinstance(unsent, Refused) and unsent.code == NOT_SENT
    lost, _ = outcome_of(BROKEN)
    assert isinstance(lost, Unknown) and lost.http == 502 and "Bad Gateway" in lost.cause


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda r: r.cancel("1"), WebReply(status=202, body=b"")),
        (lambda r: r.modify(ModifyOrder(order_id="1", qty=75, price=5)), WebReply(status=200,
                                                                                 body=b"")),
        (lambda r: r.exit_all(), json_reply(fixture("rest/exit_all"))),
        (lambda r: r.kill_switch(True), json_reply(fixture("rest/kill_switch"))),
        (lambda r: r.stop_pnl_exit(), json_reply({"pnlExitStatus": "DISABLED"})),
    ],
)  # fmt: skip
def test_other_changes_succeed_without_an_order_id(call: Any, answer: Answer) -> None:
    outcome, _ = outcome_of(answer, call=call)
    assert isinstance(outcome, Accepted)


def test_an_exit_that_says_error_is_not_taken_for_done() -> None:
    said = json_reply({"status": "ERROR", "message": "3 of 5 closed"})
    outcome, _ = outcome_of(said, call=lambda r: r.exit_all())
    assert isinstance(outcome, Unknown) and "3 of 5 closed" in outcome.cause


def test_an_order_goes_again_only_when_the_token_was_proved_the_reason() -> None:
    tokens = Tokens(NEW)
    outcome, web = outcome_of(DEAD, PLACED, tokens=tokens)
    assert isinstance(outcome, Accepted) and len(web.asked) == 2
    assert [r.headers["access-token"] for r in web.asked] == [VALUE, "NEW.TOKEN.VALUE"]
    tokens = Tokens(NEW, NEW)
    outcome, web = outcome_of(DEAD, DEAD, tokens=tokens)
    assert isinstance(outcome, Refused) and len(web.asked) == 2 and tokens.refusals == 1
    outcome, web = outcome_of(WebReply(status=401, body=b""), tokens=Tokens(NEW))
    assert isinstance(outcome, Unknown) and len(web.asked) == 1
    outcome, web = outcome_of(DEAD, tokens=Tokens())
    assert isinstance(outcome, Refused) and outcome.number == 901
    wrong = json_reply({"status": "failed", "data": {"810": "client"}}, 401)
    tokens = Tokens(NEW)
    outcome, web = outcome_of(wrong, tokens=tokens)
    assert isinstance(outcome, Refused) and tokens.refusals == 0


def test_without_a_token_nothing_is_sent() -> None:
    class Nobody(Tokens):
        async def token(self) -> Token:
            raise NotAuthenticated("no token")

    web = answering(PLACED)
    rest, _ = rest_over(web, Nobody())
    with pytest.raises(NotAuthenticated):
        asyncio.run(_awaited(rest.place(ORDER)))
    assert web.asked == []


async def _awaited(what: Any) -> Any:
    return await what


def test_the_limit_of_orders_is_kept_and_cancels_still_go() -> None:
    web = answering(PLACED)
    rest, clock = rest_over(web, settings=CallSettings(order_patience_s=0))

    async def act() -> tuple[list[Outcome], Outcome]:
        return [await rest.place(ORDER) for _ in range(10)], await rest.cancel("1")

    placed, cancelled = asyncio.run(act())
    refused = [one for one in placed if isinstance(one, Refused)]
    assert len(refused) == 2 and all(one.code == NOT_SENT for one in refused)
    assert isinstance(cancelled, Accepted) and len(web.asked) == 9
    assert clock.now_ns() == NOON_NS


def test_slices_count_as_orders() -> None:
    web = answering(json_reply(fixture("rest/place_slice")))
    rest, _ = rest_over(web)
    asyncio.run(_awaited(rest.place_sliced(ORDER)))
    assert rest.limits.used_today(CallClass.ORDER) == 3
    legs = MultiOrder(orders=(ORDER, PlaceOrder(side="SELL", segment="NSE_FNO", qty=75, price=1,
                                                security_id="1", correlation="df1-2")))  # fmt: skip
    asyncio.run(_awaited(rest.place_multi(legs)))
    assert rest.limits.used_today(CallClass.ORDER) == 6


def test_the_26th_modification_is_not_sent() -> None:
    web = answering(PLACED)
    rest, _ = rest_over(web)
    change = ModifyOrder(order_id="1", qty=75, price=10_000)

    async def act() -> list[Outcome]:
        return [await rest.modify(change) for _ in range(26)]

    outcomes = asyncio.run(act())
    assert len(web.asked) == 25 and isinstance(outcomes[-1], Refused)
    assert outcomes[-1].code == NOT_SENT


def test_order_calls_alone_go_through_the_proxy() -> None:
    web = answering(json_reply([]))
    rest, _ = rest_over(web, order_proxy="http://127.0.0.1:3128")

    async def act() -> None:
        await rest.place(ORDER)
        await rest.cancel("1")
        await rest.exit_all()
        await rest.orders()
        await rest.kill_switch(True)

    asyncio.run(act())
    assert [bool(request.proxy) for request in web.asked] == [True, True, True, False, False]
    with pytest.raises(ConfigError, match="order_proxy") as caught:
        rest_over(web, order_proxy="socks5://user:hunter22@host")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("failure", [BROKEN, NotSent("x"), NoReply("x"),
                                     WebReply(status=200, body=b"<html>"),
                                     WebReply(status=200, body=b"")])  # fmt: skip
def test_a_read_is_tried_again_with_pauses(failure: Answer) -> None:
    book = json_reply(fixture("rest/orders"))
    found, web, waited = read_of(failure, failure, book, call=lambda r: r.orders())
    assert len(found) == 12 and len(web.asked) == 3 and 2.3 < waited < 3.7
    with pytest.raises(BrokerError):
        read_of(failure, call=lambda r: r.orders())


def test_a_read_gives_up_after_its_tries() -> None:
    web = answering(BROKEN)
    rest, _ = rest_over(web, settings=CallSettings(tries=2))
    with pytest.raises(BrokerError) as caught:
        asyncio.run(_awaited(rest.positions()))
    assert len(web.asked) == 2 and caught.value.http == 502 and caught.value.kind == "server"


@pytest.mark.parametrize(
    ("code", "http"), [("DH-905", 400), ("DH-906", 400), ("DH-902", 403), ("DH-910", 400)]
)
def test_a_read_that_was_refused_is_not_tried_again(code: str, http: int) -> None:
    web = answering(json_reply({"errorCode": code, "errorMessage": "x"}, http))
    rest, clock = rest_over(web)
    with pytest.raises(BrokerError, match=code):
        asyncio.run(_awaited(rest.orders()))
    assert len(web.asked) == 1 and clock.now_ns() == NOON_NS


def test_too_fast_makes_the_whole_class_wait() -> None:
    found, web, waited = read_of(SLOW_DOWN, json_reply([]), call=lambda r: r.orders())
    assert found == [] and waited == pytest.approx(7)
    _, web, waited = read_of(FLOOD, json_reply({"data": []}),
                             call=lambda r: r.expiries(ChainQuery(underlying=13)))  # fmt: skip
    assert waited >= 5 and len(web.asked) == 2


def test_a_dead_token_is_renewed_once() -> None:
    tokens = Tokens(NEW, NEW)
    _, web, _ = read_of(DEAD, json_reply([]), call=lambda r: r.orders(), tokens=tokens)
    assert [r.headers["access-token"] for r in web.asked] == [VALUE, "NEW.TOKEN.VALUE"]
    tokens = Tokens(NEW, NEW)
    with pytest.raises(NotAuthenticated):
        read_of(DEAD, call=lambda r: r.orders(), tokens=tokens)
    assert tokens.refusals == 1


def test_a_token_that_ends_again_on_the_way_is_followed_when_somebody_has_made_the_next() -> None:
    """The renewed one is refused because a third is there by now: no reason to stop."""

    class Racing(Tokens):
        async def refused(self, token: Token) -> Token:
            renewed = await super().refused(token)
            self.current = Token(CLIENT, "THIRD.TOKEN.VALUE")
            return renewed

        async def token(self) -> Token:
            self.given = getattr(self, "given", 0) + 1
            return NEW if self.given == 2 else self.current

    tokens = Racing(NEW)
    found, web, _ = read_of(DEAD, DEAD, json_reply([]), call=lambda r: r.orders(), tokens=tokens)
    assert found == [] and tokens.refusals == 1
    assert [r.headers["access-token"] for r in web.asked] == [
        VALUE, "NEW.TOKEN.VALUE", "THIRD.TOKEN.VALUE",
    ]  # fmt: skip

    outcome, web = outcome_of(DEAD, DEAD, PLACED, tokens=Turning())
    assert isinstance(outcome, Accepted) and len(web.asked) == 3


class Turning(Tokens):
    """Each time it is asked it has another token."""

    async def token(self) -> Token:
        self.asked = getattr(self, "asked", 0) + 1
        return Token(CLIENT, f"TOKEN.NUMBER.{self.asked}")

    async def refused(self, token: Token) -> Token:
        self.refusals += 1
        return await self.token()


def test_however_often_tokens_turn_a_call_ends() -> None:
    tokens = Turning()
    with pytest.raises(NotAuthenticated):
        read_of(DEAD, call=lambda r: r.orders(), tokens=tokens)
    assert tokens.refusals == 1
    outcome, web = outcome_of(DEAD, tokens=Turning())
    assert isinstance(outcome, Refused) and len(web.asked) == 3


def test_no_data_is_empty_where_lists_are_asked_for() -> None:
    nothing = json_reply({"errorCode": "DH-907", "errorMessage": "No data"}, 400)
    for call in (lambda r: r.holdings(), lambda r: r.orders(), lambda r: r.trades()):
        assert read_of(nothing, call=call)[0] == []
    with pytest.raises(BrokerError):
        read_of(nothing, call=lambda r: r.funds())
    assert read_of(WebReply(status=204, body=b""), call=lambda r: r.positions())[0] == []


def test_an_order_is_absent_only_when_the_broker_says_so() -> None:
    def by_name(rest: DhanRest) -> Any:
        return rest.order_by_correlation("df1-1")

    nothing = json_reply({"errorCode": "DH-907", "errorMessage": "No data"}, 400)
    gone = json_reply({"errorCode": "DH-905", "errorMessage": "not found"}, 404)
    for absent in (json_reply([]), nothing, gone):
        assert read_of(absent, call=by_name)[0] is None
    for unclear in (BROKEN, WebReply(status=404, body=b"<html>"), WebReply(status=200, body=b""),
                    json_reply({"errorCode": "DH-906", "errorMessage": "x"}, 400)):  # fmt: skip
        with pytest.raises(BrokerError):
            read_of(unclear, call=by_name)
    two = json_reply(fixture("rest/orders")[:2])
    with pytest.raises(BadData, match="2 orders"):
        read_of(two, call=by_name)
    found, _, _ = read_of(json_reply(fixture("rest/order_single_array")), call=by_name)
    assert found.order_id == "112260722000001"
    with pytest.raises(UsageError):
        read_of(two, call=lambda r: r.order_by_correlation(""))


def test_names_are_encoded_into_a_path() -> None:
    _, web, _ = read_of(json_reply([]), call=lambda r: r.order_by_correlation("a b_-1"))
    assert web.asked[0].url.endswith("/orders/external/a%20b_-1")


def test_statements_are_read_page_by_page() -> None:
    page = fixture("rest/trade_history")
    second = [{**page[0], "exchangeTradeId": "2"}]
    found, web, _ = read_of(
        json_reply(page), json_reply(second), json_reply([]),
        call=lambda r: r.trade_history("2026-06-01", "2026-06-30"),
    )  # fmt: skip
    assert [row.trade.trade_id for row in found] == ["700001", "2"]
    assert [r.url.rpartition("/")[2] for r in web.asked] == ["0", "1", "2"]
    with pytest.raises(BadData, match="page 1 repeats page 0"):
        read_of(json_reply(page), call=lambda r: r.trade_history("2026-06-01", "2026-06-30"))


def test_forever_orders_are_looked_for_in_both_places() -> None:
    missing = json_reply({"errorCode": "DH-905", "errorMessage": "x"}, 404)
    found, web, _ = read_of(missing, json_reply(fixture("rest/forever_orders")),
                            call=lambda r: r.forever_orders())  # fmt: skip
    assert len(found) == 3
    assert [r.url.rpartition("/v2")[2] for r in web.asked] == ["/forever/orders", "/forever/all"]


MINUTES: dict[str, Any] = {"segment": "NSE_FNO", "security_id": "49081", "instrument": "OPTIDX"}


def spans(web: ScriptedWeb) -> list[tuple[str, str]]:
    """What ranges were asked for."""
    import json

    bodies = [json.loads(request.body or b"") for request in web.asked]
    return [(body["fromDate"], body["toDate"]) for body in bodies]


def test_long_histories_are_cut_into_pieces_of_90_days() -> None:
    query = IntradayQuery(**MINUTES, begin="2026-01-01 09:15:00", end="2026-07-22 15:30:00")
    day = fixture("rest/charts_intraday")
    pieces = [
        json_reply({name: column[first:last] for name, column in day.items()})
        for first, last in ((0, 100), (99, 200), (200, 375))
    ]
    found, web, _ = read_of(*pieces, call=lambda r: r.intraday(query))
    assert spans(web) == [
        ("2026-01-01 09:15:00", "2026-04-01 09:15:00"),
        ("2026-04-01 09:15:00", "2026-06-30 09:15:00"),
        ("2026-06-30 09:15:00", "2026-07-22 15:30:00"),
    ]
    assert len(found) == 375  # the candle that two pieces share stands once


def test_an_empty_answer_for_a_derivative_is_asked_again_with_expiry_code() -> None:
    import json

    empty, full = json_reply(fixture("rest/charts_empty")), json_reply(fixture(
        "rest/charts_intraday"))  # fmt: skip
    query = IntradayQuery(**MINUTES, begin="2026-07-22", end="2026-07-23")
    found, web, _ = read_of(empty, full, call=lambda r: r.intraday(query))
    codes = [json.loads(request.body or b"").get("expiryCode") for request in web.asked]
    assert codes == [None, 0] and len(found) == 375
    share = IntradayQuery(segment="NSE_EQ", security_id="1333", instrument="EQUITY",
                          begin="2026-07-22", end="2026-07-23")  # fmt: skip
    found, web, _ = read_of(empty, call=lambda r: r.intraday(share))
    assert len(found) == 0 and len(web.asked) == 1


def test_daily_candles_of_an_option_come_without_the_made_up_ones() -> None:
    day = 86_400
    start = 1_784_572_200  # 2026-07-21 00:00 IST
    columns = {"open": [1, 2, 5], "high": [1, 3, 5], "low": [1, 2, 5], "close": [1, 3, 5],
               "volume": [9, 9, 0], "timestamp": [start - day, start, start + day]}  # fmt: skip
    query = DailyQuery(**MINUTES, first="2026-07-21", last="2026-07-22")
    found, web, _ = read_of(json_reply(columns), call=lambda r: r.daily(query))
    assert spans(web) == [("2026-07-20", "2026-07-23")]
    np.testing.assert_array_equal(found.start_ns, [start * 10**9])
    index = DailyQuery(segment="IDX_I", security_id="13", instrument="INDEX", first="2026-07-21",
                       last="2026-07-22")  # fmt: skip
    found, web, _ = read_of(json_reply(columns), call=lambda r: r.daily(index))
    assert spans(web) == [("2026-07-21", "2026-07-23")] and len(found) == 2


def test_expired_options_are_cut_into_pieces_of_30_days() -> None:
    query = ExpiredQuery(underlying=13, side="CALL", first="2026-05-01", last="2026-06-15",
                         columns=("open", "close"))  # fmt: skip
    found, web, _ = read_of(json_reply(fixture("rest/charts_rollingoption")),
                            call=lambda r: r.expired_options(query))  # fmt: skip
    assert spans(web) == [("2026-05-01", "2026-05-31"), ("2026-05-31", "2026-06-16")]
    assert len(found) == 4


def test_a_contract_list_follows_redirects_without_the_token() -> None:
    def answer(request: WebRequest) -> WebReply:
        if "/instrument/" in request.url:
            return WebReply(status=302, body=b"", headers={"location": "https://images.dhan.co/x"})
        return WebReply(status=200, body=b"EXCH_ID,SEGMENT\n")

    web = ScriptedWeb(answer)
    rest, _ = rest_over(web)
    assert asyncio.run(_awaited(rest.instruments("NSE_FNO"))) == b"EXCH_ID,SEGMENT\n"
    assert "access-token" in web.asked[0].headers and not web.asked[1].headers
    for target in ("http://images.dhan.co/x", "", "ftp://x/y", "https://me@host/x"):
        web = answering(WebReply(status=302, body=b"", headers={"Location": target}))
        rest, _ = rest_over(web)
        with pytest.raises(BrokerError):
            asyncio.run(_awaited(rest.instruments("NSE_FNO")))


def test_a_used_up_limit_is_an_error_that_says_when() -> None:
    web = answering(json_reply([]))
    rest, _ = rest_over(web, settings=CallSettings(read_patience_s=1))
    rest.limits.penalise(CallClass.OTHER, 50)
    with pytest.raises(BrokerError, match="the next may go in 50 s") as caught:
        asyncio.run(_awaited(rest.orders()))
    assert caught.value.kind is ErrorKind.RATE and web.asked == []


def test_the_token_is_in_no_log_error_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    echo = json_reply({"errorCode": "DH-905", "errorMessage": f"token {VALUE} is bad"}, 400)
    texts = []
    with caplog.at_level(logging.DEBUG):
        for answers in ((echo,), (WebReply(status=502, body=VALUE.encode()),), (NoReply("x"),)):
            outcome, web = outcome_of(*answers)
            texts += [repr(outcome), repr(web.asked), str(web.asked[0])]
            with pytest.raises(BrokerError) as caught:
                read_of(*answers, call=lambda r: r.orders())
            texts += [str(caught.value), repr(caught.value), repr(caught.value.args)]
    texts += [caplog.text, repr(judged(echo, True))]
    assert not [text for text in texts if VALUE in text]


def test_a_refusal_is_logged_with_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outcome_of(json_reply({"errorCode": "DH-905", "errorMessage": "Missing fields"}, 400))
        outcome_of(BROKEN)
        outcome_of(PLACED)
    refused, unknown = caplog.messages
    assert "POST /orders refused: DH-905 Missing fields" in refused and "'price': 100.0" in refused
    assert "fate is unknown" in unknown and "502" in unknown


def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in ({"tries": 0}, {"read_s": 0}, {"order_s": 1_000}, {"order_patience_s": -1}):
        with pytest.raises(ConfigError):
            CallSettings(**bad)  # type: ignore[arg-type]
