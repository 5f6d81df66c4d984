"""Requests about tokens and the static address."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input
from dhanfast.exchange.fields import Body, ist
from dhanfast.exchange.routes import Call, Route
from dhanfast.market.calendar import NS_PER_DAY

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

FLAGS = ("PRIMARY", "SECONDARY")
LOCK_NS = 7 * NS_PER_DAY


class Access:
    """Login, renewal, and the addresses that may send orders.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        settings = core.settings
        self._addresses: dict[str, tuple[str, int | None]] = {}  # flag -> address, changed at
        if settings.static_ip:
            self._addresses["PRIMARY"] = settings.static_ip, None

    def routes(self) -> list[Route]:
        """What is served."""
        tokens = self._core.tokens
        return [
            Route("POST", "/app/generateAccessToken", lambda call: tokens.by_totp(
                dict(call.query), call.real_ns), limit="", token=False),
            Route("POST", "/app/generate-consent", lambda call: tokens.consent(
                dict(call.query), call.headers, call.real_ns), limit="", token=False),
            Route("GET", "/login/consentApp-login", lambda call: tokens.login(
                dict(call.query), call.real_ns), limit="", token=False),
            Route("GET", "/app/consumeApp-consent", self._consume, limit="", token=False),
            Route("POST", "/app/consumeApp-consent", self._consume, limit="", token=False),
            Route("GET", "/v2/RenewToken", lambda call: tokens.renew(call.headers, call.real_ns),
                  token=False),
            Route("POST", "/v2/RenewToken", self._wrong_method, token=False),
            Route("POST", "/v2/ip/setIP", self.set_ip),
            Route("PUT", "/v2/ip/modifyIP", self.modify_ip),
            Route("GET", "/v2/ip/getIP", self.get_ip),
        ]  # fmt: skip

    def _consume(self, call: Call) -> Reply:
        return self._core.tokens.consume(dict(call.query), call.headers, call.real_ns)

    def _wrong_method(self, call: Call) -> Reply:
        raise bad_input("Missing required fields, bad values for parameters etc.")

    # ---- addresses ----

    def require(self, peer: str) -> None:
        """Refuse orders from an address that is not registered; off without a static address.

        Raises:
            Refusal: DH-911, or DH-905 by a setting.
        """
        if not self._core.settings.static_ip:
            return
        if peer not in {address for address, _ in self._addresses.values()}:
            code = int(self._core.settings.ip_code[3:])
            raise Refusal(403 if code == 911 else 400, code, "Invalid IP")

    def set_ip(self, call: Call) -> Reply:
        """`POST /ip/setIP`: where none is set."""
        flag, address = self._wanted(call)
        if flag in self._addresses:
            raise bad_input(f"{flag} IP is set already")
        self._addresses[flag] = address, call.real_ns
        return answer({"message": "IP saved successfully", "status": "SUCCESS"})

    def modify_ip(self, call: Call) -> Reply:
        """`PUT /ip/modifyIP`: seven days after the last change."""
        flag, address = self._wanted(call)
        _, changed_ns = self._addresses.get(flag, ("", None))
        if changed_ns is not None and call.real_ns < changed_ns + LOCK_NS:
            raise bad_input("IP can be modified only 7 days after the last change")
        self._addresses[flag] = address, call.real_ns
        return answer({"message": "IP modified successfully", "status": "SUCCESS"})

    def _wanted(self, call: Call) -> tuple[str, str]:
        body = Body(call.raw, {"ip", "ipFlag"})
        flag = body.choice("ipFlag", FLAGS)
        try:
            return flag, str(ip_address(body.text("ip")))
        except ValueError:
            raise bad_input("ip is invalid") from None

    def get_ip(self, call: Call) -> Reply:
        """`GET /ip/getIP`."""
        view: dict[str, str | None] = {}
        for flag in FLAGS:
            address, changed_ns = self._addresses.get(flag, (None, None))
            word = flag.title()
            free_ns = None if changed_ns is None else changed_ns + LOCK_NS
            view[f"modifyDate{word}"] = f"{ist(free_ns):%Y-%m-%d}" if free_ns else None
            view[f"{flag.lower()}IP"] = address
        return answer(view)
