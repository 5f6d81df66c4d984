"""Snapshots of the market: last prices, the day, books."""

from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.types import Side
from dhanfast.exchange.answers import Refusal, Reply, answer
from dhanfast.exchange.contracts import SEGMENTS, Contract
from dhanfast.exchange.fields import ist, rupees
from dhanfast.exchange.routes import Call, Route

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

IDS_MAX: Final = 1_000
LEVELS: Final = 5
NEVER: Final = "01/01/1980 00:00:00"
CIRCUIT_TENTHS: Final = (5, 15)  # shown where an option has no fixed range


class Quotes:
    """`/marketfeed`.

    Args:
        core: whose market.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v2/marketfeed/ltp", self.ltp, limit="quote", data=True),
            Route("POST", "/v2/marketfeed/ohlc", self.ohlc, limit="quote", data=True),
            Route("POST", "/v2/marketfeed/quote", self.quote, limit="quote", data=True),
        ]

    def ltp(self, call: Call) -> Reply:
        """`POST /marketfeed/ltp`."""
        return self._answer(call, lambda one: {"last_price": rupees(self._core.last(one))})

    def ohlc(self, call: Call) -> Reply:
        """`POST /marketfeed/ohlc`: the close is the previous day's."""
        return self._answer(call, self._ohlc)

    def quote(self, call: Call) -> Reply:
        """`POST /marketfeed/quote`."""
        return self._answer(call, self._quote)

    def _answer(self, call: Call, view: Any) -> Reply:
        found: dict[str, dict[str, Any]] = {}
        for contract in self._asked(call.raw):
            face = self._core.shown[contract.index]
            if face["seen_ns"] or face["prev_close"]:
                one = found.setdefault(contract.segment, {})
                one[str(contract.security_id)] = view(contract)
        return answer({"data": found, "status": "success"})

    def _asked(self, raw: Any) -> list[Contract]:
        """The instruments of a request; ids that nobody knows are left out, as by the broker.

        Raises:
            Refusal: 813 or 814 for a bad request, 804 for too many ids.
        """
        if not isinstance(raw, dict):
            raise Refusal(400, 814)
        found, count = [], 0
        for segment, ids in raw.items():
            if segment == "dhanClientId":
                continue
            if segment not in SEGMENTS or not isinstance(ids, list):
                raise Refusal(400, 814)
            count += len(ids)
            for one in ids:
                if isinstance(one, bool) or not isinstance(one, int):
                    raise Refusal(400, 813)
                contract = self._core.contracts.find(segment, one)
                if contract is not None:
                    found.append(contract)
        if count > IDS_MAX:
            raise Refusal(400, 804)
        if not count:
            raise Refusal(400, 814)
        return found

    def _ohlc(self, contract: Contract) -> dict[str, Any]:
        face = self._core.shown[contract.index]
        return {
            "last_price": rupees(self._core.last(contract)),
            "ohlc": {
                "open": rupees(face["open"]),
                "close": rupees(face["prev_close"]),
                "high": rupees(face["high"]),
                "low": rupees(face["low"]),
            },
        }

    def _quote(self, contract: Contract) -> dict[str, Any]:
        face = self._core.shown[contract.index]
        tape = self._core.tape
        bids = tape.side(contract.index, int(Side.BUY), 200)
        asks = tape.side(contract.index, int(Side.SELL), 200)
        last, previous = self._core.last(contract), int(face["prev_close"])
        low, high = self._range(contract, previous or int(face["open"]))
        traded_ns = int(face["ltt_ns"])
        volume = int(face["volume"])
        return {
            "average_price": round(int(face["value"]) / volume / 100, 2) if volume else 0,
            "buy_quantity": int(bids["qty"].sum()),
            "sell_quantity": int(asks["qty"].sum()),
            **self._ohlc(contract),
            "last_quantity": int(face["ltq"]),
            "last_trade_time": f"{ist(traded_ns):%d/%m/%Y %H:%M:%S}" if traded_ns else NEVER,
            "lower_circuit_limit": rupees(low),
            "upper_circuit_limit": rupees(high),
            "net_change": rupees(last - previous) if last and previous else 0,
            "volume": volume,
            "oi": int(face["oi"]),
            "oi_day_high": int(face["oi_high"]),
            "oi_day_low": int(face["oi_low"]),
            "depth": {"buy": _levels(bids), "sell": _levels(asks)},
        }

    def _range(self, contract: Contract, base: int) -> tuple[int, int]:
        session = self._core.sessions[contract.index][0]
        if session["band_high"]:
            return int(session["band_low"]), int(session["band_high"])
        if not contract.is_option:
            return 0, 0
        tick = contract.tick
        low, high = (base * part // 10 // tick * tick for part in CIRCUIT_TENTHS)
        return max(low, tick), high


def _levels(side: Any) -> list[dict[str, Any]]:
    """Five levels; empty ones are zeros."""
    shown = [{"quantity": int(one["qty"]), "orders": int(one["orders"]),
              "price": rupees(one["price"])} for one in side[:LEVELS]]  # fmt: skip
    return shown + [{"quantity": 0, "orders": 0, "price": 0}] * (LEVELS - len(shown))
