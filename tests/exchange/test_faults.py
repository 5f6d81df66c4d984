"""The fault menu: each fault does what it says, and nothing is lost that is not said to be."""

import random
from typing import Any

import pytest

from dhanfast.errors import ConfigError
from dhanfast.exchange.answers import Fate
from dhanfast.exchange.faults import KINDS, Fault, FaultMenu, fault_of, faults_of
from tests.exchange.serving import SECOND, Account, make_account


def placed(account: Account, **given: Any) -> Any:
    option = account.contract("CE")
    body = account.order(option, "BUY", price=0.05, correlationId="f-1", **given)
    import json

    core = account.core
    return core.request("POST", "/v2/orders", {}, account.headers, json.dumps(body).encode(),
                        core.now_ns, real_ns=core.real_ns + SECOND)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "fate", "done"),
    [
        ("http-429", 429, Fate.SEND, False),
        ("http-5xx", 502, Fate.SEND, False),
        ("http-5xx-after", 502, Fate.SEND, True),
        ("timeout", 0, Fate.HANG, False),
        ("timeout-after", 0, Fate.HANG, True),
        ("reset", 0, Fate.RESET, False),
        ("reset-after", 0, Fate.RESET, True),
        ("slow", 200, Fate.SEND, True),
        ("truncate", 200, Fate.SEND, True),
        ("cut-off", 200, Fate.CUT, True),
    ],
)
def test_faults_of_requests(kind: str, status: int, fate: Fate, done: bool) -> None:
    account = make_account((Fault(kind, count=1, path="/v2/orders", method="POST"),))
    reply = placed(account)
    assert (reply.status, reply.fate) == (status, fate)
    assert reply.delay_ns == (SECOND if kind == "slow" else 0)
    found, _ = account.ask("GET", "/orders/external/f-1")
    assert found == (200 if done else 404)
    assert account.core.mishaps.counts == {kind: 1}
    assert placed(account).status == 200  # it strikes once


def test_half_of_an_answer_is_half_of_it() -> None:
    fault = Fault("truncate", count=1, path="/v2/orders", method="POST")
    half, whole = placed(make_account((fault,))).body, placed(make_account()).body
    assert half == whole[: len(whole) // 2] and len(half) > 10


@pytest.mark.parametrize(("then", "status"), [("reject", "REJECTED"), ("cancel", "CANCELLED")])
def test_a_part_fills_and_the_rest_ends(then: str, status: str) -> None:
    account = make_account((Fault("partial", then=then),))
    lot = account.contract("CE").lot
    assert placed(account, quantity=5 * lot).status == 200
    found = account.ask("GET", "/orders/external/f-1")[1]
    assert (found["orderStatus"], found["filledQty"]) == (status, 2 * lot)
    assert account.ask("GET", "/positions")[1][0]["netQty"] == 2 * lot
    states = [(u["Data"]["Status"], u["Data"]["TradedQty"]) for u in account.core.take_updates()]
    assert states[-2:] == [("PENDING", 2 * lot), (status, 2 * lot)]
    account.run(60)
    assert account.ask("GET", "/orders/external/f-1")[1]["filledQty"] == 2 * lot


@pytest.mark.parametrize(
    ("kind", "now", "later"),
    [
        ("update-drop", ["TRANSIT"], []),
        ("update-duplicate", ["TRANSIT", "PENDING", "PENDING"], []),
        ("update-delay", ["TRANSIT"], ["PENDING"]),
        ("update-reorder", ["TRANSIT"], ["PENDING"]),
    ],
)
def test_faults_of_updates(kind: str, now: list[str], later: list[str]) -> None:
    account = make_account((Fault(kind, after=1, count=1, delay_s=3.0),))
    placed(account)
    core = account.core
    states = [one["Data"]["Status"] for one in core.take_updates(core.real_ns)]
    assert states == now
    assert core.mishaps.next_real_ns == (core.real_ns + 3 * SECOND if later else None)
    due = core.take_updates(core.real_ns + 3 * SECOND)
    assert [one["Data"]["Status"] for one in due] == later


def test_reordered_updates_change_places() -> None:
    account = make_account((Fault("update-reorder", count=1),))
    placed(account)
    states = [one["Data"]["Status"] for one in account.core.take_updates()]
    assert states == ["PENDING", "TRANSIT"]


def test_a_token_ends_at_a_time_of_the_market() -> None:
    account = make_account((Fault("token-expiry", at="09:18:00"),))
    assert account.ask("GET", "/orders")[0] == 200
    account.run(61)
    assert account.ask("GET", "/orders")[0] == 401


def test_mute_and_unmute_a_connected_feed() -> None:
    account = make_account((Fault("mute", at="09:18"), Fault("unmute", at="09:19")))
    core = account.core
    query = {"version": "2", "token": account.token, "clientId": "1000000001", "authType": "2"}
    link = core.feeds.open("live", query, core.real_ns)
    core.feeds.receive(
        link,
        '{"RequestCode":15,"InstrumentCount":1,"InstrumentList":'
        '[{"ExchangeSegment":"IDX_I","SecurityId":"13"}]}',
        core.real_ns,
    )
    heard = []
    for _ in range(8):
        account.run(20)
        heard.append(len(link.lane.messages()))
    assert min(heard[:2]) > 0 and heard[3:5] == [0, 0] and min(heard[6:]) > 0


def test_disconnect_with_a_reason() -> None:
    account = make_account((Fault("disconnect", at="09:18", code=807),))
    core = account.core
    query = {"version": "2", "token": account.token, "clientId": "1000000001", "authType": "2"}
    link = core.feeds.open("live", query, core.real_ns)
    account.run(61)
    assert link.closed and link.lane.messages()[-1][0] == 50
    assert core.feeds.links == []


def test_a_clock_step_is_counted() -> None:
    account = make_account((Fault("clock-step", at="09:18", step_s=-2.5),))
    account.run(61)
    assert account.core.mishaps.step_ns == -2_500_000_000


def test_chances_come_from_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        menu = FaultMenu([Fault("slow", probability=0.3)], random.Random(seed), 0)
        return [menu.for_request("GET", "/x", 1) is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


def test_after_count_and_path() -> None:
    menu = FaultMenu([Fault("reset", after=2, count=2, path="/v2/orders*", method="POST")],
                     random.Random(1), 0)  # fmt: skip
    assert menu.for_request("POST", "/v2/fundlimit", 1) is None
    assert menu.for_request("GET", "/v2/orders", 1) is None
    struck = [menu.for_request("POST", "/v2/orders/slicing", 1) is not None for _ in range(6)]
    assert struck == [False, False, True, True, False, False]


def test_a_file_of_faults() -> None:
    text = '[[fault]]\nkind = "reset-after"\nprobability = 0.5\n[[fault]]\nkind="mute"\nat="10:00"'
    assert [fault.kind for fault in faults_of(text, "f")] == ["reset-after", "mute"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[fault]]\nkind = 'flood'", "kind"),
        ("[[fault]]", "kind"),
        ("[[fault]]\nkind='slow'\nspeed=1", "speed"),
        ("[[fault]]\nkind='slow'\nprobability=2", "probability"),
        ("[[fault]]\nkind='slow'\ndelay_s='x'", "delay_s"),
        ("[[fault]]\nkind='mute'\nat='25:00'", "at"),
        ("[[fault]]\nkind='disconnect'\ncode=900", "code"),
        ("[[fault]]\nkind='partial'\nthen='keep'", "then"),
        ("[fault]\nkind='slow'", "fault"),
        ("[[faults]]\nkind='slow'", "faults"),
        ("kind=", "Invalid"),
    ],
)
def test_refusals(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        faults_of(text, "f")
    with pytest.raises(ConfigError):
        fault_of([])


def test_every_kind_is_tested_here() -> None:
    from pathlib import Path

    names = ("test_faults.py", "test_server.py", "test_chart_faults.py")
    text = "".join(Path(__file__).with_name(name).read_text() for name in names)
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
