"""The option chain and its expiries."""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from dhanfast.exchange.answers import Refusal, Reply, answer
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import day_of, rupees
from dhanfast.exchange.greeks import greeks
from dhanfast.exchange.routes import Call, Route
from dhanfast.market.calendar import Calendar, midnight_ns

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
CLOSE_NS: Final = (15 * 60 + 30) * 60 * 1_000_000_000  # where the calendar does not know the day
KEYS: Final = frozenset({"UnderlyingScrip", "UnderlyingSeg", "Expiry", "dhanClientId"})
SIDES: Final = {"CE": "ce", "PE": "pe"}


class Chain:
    """`/optionchain`.

    Args:
        core: whose market.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v2/optionchain", self.chain, limit="", data=True),
            Route("POST", "/v2/optionchain/expirylist", self.expiries, limit="", data=True),
        ]

    def expiries(self, call: Call) -> Reply:
        """`POST /optionchain/expirylist`."""
        underlying = self._underlying(call, {"Expiry"})
        self._limit(("list", underlying.symbol), call)
        found = self._core.contracts.expiries(underlying.symbol)
        return answer({"data": [str(one) for one in found], "status": "success"})

    def chain(self, call: Call) -> Reply:
        """`POST /optionchain`."""
        underlying = self._underlying(call, set())
        expiry = day_of(call.raw.get("Expiry"), 812)
        self._limit((underlying.symbol, str(expiry)), call)
        options = self._core.contracts.options(underlying.symbol, expiry)
        if not options:
            raise Refusal(400, 811)
        strikes: dict[str, dict[str, Any]] = {}
        forward, years = self._forward(options), self._years(expiry)
        for one in sorted(options, key=lambda option: option.strike):
            side = strikes.setdefault(f"{one.strike / 100:.6f}", {})
            side[SIDES[one.kind]] = self._side(one, forward, years)
        level = rupees(self._core.last(underlying))
        return answer({"data": {"last_price": level, "oc": strikes}, "status": "success"})

    def _limit(self, key: tuple[str, ...], call: Call) -> None:
        if self._core.settings.limits:
            self._core.limits.take_chain(key, call.real_ns)

    def _underlying(self, call: Call, without: set[str]) -> Contract:
        """The index that is asked for.

        Raises:
            Refusal: 814, 813.
        """
        raw = call.raw
        if not isinstance(raw, dict) or set(raw) - (KEYS - without):
            raise Refusal(400, 814)
        scrip = raw.get("UnderlyingScrip")
        if isinstance(scrip, bool) or not isinstance(scrip, int):
            raise Refusal(400, 813)
        found = self._core.contracts.find(str(raw.get("UnderlyingSeg")), scrip)
        if found is None or found.kind not in ("IDX", "EQ"):
            raise Refusal(400, 813)
        return found

    def _years(self, expiry: date) -> float:
        day = Calendar.load().day(expiry) if Calendar.load().last >= expiry else None
        known = day is not None and day.windows
        end_ns = day.close_ns if known and day else midnight_ns(expiry) + CLOSE_NS
        return max(end_ns - self._core.now_ns, 0) / YEAR_NS

    def _forward(self, options: list[Contract]) -> float:
        """Where calls and puts agree, rupees: at the strike where they differ least."""
        core = self._core
        best: tuple[int, float] | None = None
        pairs: dict[int, dict[str, int]] = {}
        for one in options:
            pairs.setdefault(one.strike, {})[one.kind] = self._value(one)
        for strike, pair in pairs.items():
            if pair.get("CE") and pair.get("PE"):
                apart = pair["CE"] - pair["PE"]
                if best is None or abs(apart) < best[0]:
                    best = abs(apart), (strike + apart) / 100.0
        if best is not None:
            return best[1]
        underlying = core.contracts.underlying(options[0].underlying)
        return core.last(underlying) / 100.0 if underlying is not None else 0.0

    def _value(self, one: Contract) -> int:
        """Between the quotes when both are there, else the last price, paise."""
        face = self._core.shown[one.index]
        if face["bid"] and face["ask"]:
            return int(face["bid"] + face["ask"]) // 2
        return self._core.last(one)

    def _side(self, one: Contract, forward: float, years: float) -> dict[str, Any]:
        face = self._core.shown[one.index]
        volume = int(face["volume"])
        found = greeks(self._value(one) / 100.0, forward, one.strike / 100.0, years,
                       one.kind == "CE")  # fmt: skip
        return {
            "average_price": round(int(face["value"]) / volume / 100, 2) if volume else 0,
            "greeks": {
                "delta": round(found.delta, 5),
                "theta": round(found.theta, 5),
                "gamma": round(found.gamma, 5),
                "vega": round(found.vega, 5),
            },
            "implied_volatility": 100.0 * found.volatility,
            "last_price": rupees(self._core.last(one)),
            "oi": int(face["oi"]),
            "previous_close_price": rupees(face["prev_close"]),
            "previous_oi": int(face["prev_oi"]),
            "previous_volume": int(face["prev_volume"]),
            "security_id": one.security_id,
            "top_ask_price": rupees(face["ask"]),
            "top_ask_quantity": int(face["ask_qty"]),
            "top_bid_price": rupees(face["bid"]),
            "top_bid_quantity": int(face["bid_qty"]),
            "volume": volume,
        }
