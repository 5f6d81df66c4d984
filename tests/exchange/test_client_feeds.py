"""The unmodified official client receives every feed of the exchange."""

import threading
from typing import Any

import pytest

from tests.exchange.serving import LIMIT_S, Served, make_core, serving

dhanhq = pytest.importorskip("dhanhq")


def context(served: Served) -> Any:
    found = dhanhq.DhanContext("1000000001", served.token)
    found.dhan_http.base_url = served.http + "/v2"
    return found


@pytest.fixture(scope="module")
def served() -> Any:
    with serving(make_core(levels=200, limits=False), speed=20) as one:
        yield one


def test_market_feed_receives_each_mode(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from dhanhq.marketfeed import MarketFeed

    monkeypatch.setattr(MarketFeed, "market_feed_wss", served.ws)
    core = served.core
    index, future = core.contracts[0], core.contracts[1]
    wanted = [(0, str(index.security_id), 15), (2, str(future.security_id), 17),
              (2, str(core.contracts[2].security_id), 21)]  # fmt: skip
    feed = MarketFeed(context(served), wanted)
    feed.run_forever()
    seen: dict[str, dict[str, Any]] = {}
    for _ in range(400):
        packet = feed.get_data()
        seen[packet["type"]] = packet
        if set(seen) >= {"Ticker Data", "Quote Data", "OI Data", "Full Data", "Previous Close"}:
            break
    feed.close_connection()
    feed.loop.close()
    assert set(seen) >= {"Ticker Data", "Quote Data", "OI Data", "Full Data", "Previous Close"}
    assert seen["Ticker Data"]["security_id"] == index.security_id
    full = seen["Full Data"]
    assert full["depth"][0]["bid_quantity"] > 0
    assert float(full["depth"][0]["bid_price"]) < float(full["depth"][0]["ask_price"])
    assert float(full["depth"][4]["bid_price"]) < float(full["depth"][3]["bid_price"])


@pytest.mark.parametrize("levels", [20, 200])
def test_full_depth(served: Served, levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from dhanhq.fulldepth import FullDepth

    monkeypatch.setattr(FullDepth, "depth_20_feed_wss", served.ws + "/twentydepth")
    monkeypatch.setattr(FullDepth, "depth_200_feed_wss", served.ws + "/")
    future = served.core.contracts[1]
    depth = FullDepth(context(served), [(2, str(future.security_id))], depth_level=levels)
    depth.on_ticks = lambda data: None
    depth.run_forever()
    found = depth.get_data()
    again = depth.get_data()
    depth.loop.run_until_complete(depth.ws.close())
    depth.loop.close()
    assert found[0]["security_id"] == future.security_id
    assert len(found[0]["depth"]) == len(again[0]["depth"]) == levels


def test_order_updates(served: Served) -> None:
    from dhanhq.orderupdate import OrderUpdate

    found: list[dict[str, Any]] = []
    done = threading.Event()

    class Stop(Exception):
        pass

    def on_update(message: dict[str, Any]) -> None:
        found.append(message["Data"])
        if message["Data"]["Status"] in ("TRADED", "CANCELLED", "REJECTED"):
            done.set()
            raise Stop

    socket = OrderUpdate(context(served))
    socket.order_feed_wss = served.ws
    socket.on_update = on_update
    thread = threading.Thread(target=socket.connect_to_dhan_websocket_sync)
    thread.start()
    core = served.core

    def logged_in() -> bool:
        return any(link.kind == "updates" and link.logged_in for link in core.feeds.links)

    while not served.call(logged_in):
        pass
    client = dhanhq.dhanhq(context(served))
    future = core.contracts[1]
    placed = client.place_order(str(future.security_id), "NSE_FNO", "BUY", future.lot, "MARKET",
                                "INTRADAY", 0, tag="feed-1")  # fmt: skip
    assert placed["status"] == "success", placed
    assert done.wait(LIMIT_S)
    thread.join(LIMIT_S)
    assert [one["Status"] for one in found] == ["TRANSIT", "PENDING", "TRADED"]
    assert {one["CorrelationId"] for one in found} == {"feed-1"}
    assert found[-1]["TradedQty"] == future.lot and found[-1]["OrderType"] == "LMT"
