"""How the exchange and its one account behave."""

import hashlib
import math
from dataclasses import dataclass, field, fields
from typing import Any, Final

from dhanfast.errors import ConfigError

BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CHOICES: Final = {
    "stop_market": ("refuse", "convert"),
    "casing": ("both", "pascal", "camel"),
    "order_shape": ("object", "array"),
    "ip_code": ("DH-911", "DH-905"),
    "close_packets": ("all", "index"),
    "limit_shape": ("broker", "portal"),
    "ioc_end": ("CANCELLED", "EXPIRED"),
}
CHECKS: Final = ("lot", "tick", "freeze", "band", "trigger", "closed", "margin")


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """Settings of an exchange on loopback; one for each point where the documents disagree.

    Attributes:
        client_id, name, ucc: of the account.
        pin, totp_secret, app_id, app_secret, key: secrets; `seeded` makes them.
        funds: what the account begins the day with.
        token_life_s: of a token. mint_interval_s: least time between two tokens by PIN and TOTP.
        consents_max: consents a day.
        limits: whether the rate limits hold.
        limit_shape: the body of a 429: the broker's (DH-904 or 805) or that of its portal's guide.
        latency_ns: from an order's arrival at the broker to the exchange, in the market's time.
        stop_market: "refuse" a STOP_LOSS_MARKET (DH-906), or "convert" it to a stop-limit.
        protection: (premium or price below this, 1e-4): how far from the last price the limit of a
            market order lies; in the order of price, the last one holds for the rest.
        in_book: checks whose refusal comes as an order with status REJECTED, not as an HTTP error.
        casing: keys of order updates: Pascal case, camel case, or as the broker's sample has them.
        order_shape: of `GET /orders/{id}` and by correlation id.
        cancel_status: 200 or 202; cancel_body: whether a cancel is answered with a body.
        ioc_end: the status of what an IOC order did not fill.
        static_ip: the only address that may send orders; empty = not checked. ip_code: its error.
        close_packets: whether a previous-close packet follows every subscription, or an index's.
        depth200_app: whether tokens made by the API may use the 200-level feed.
        room_max: bytes that may wait for one feed client before it is dropped.
        connections_max: feed connections a client. instruments_max: of one connection.
        ping_s: between two pings. pong_s: silence after which a connection is closed.
        redirect_url: where the login page sends the token id, when the request does not say.
        margin_short_e9: margin of a short option, of its underlying's value; 0 = as its future's.

    Units:
        funds in paise, times as their names say.

    Raises:
        ConfigError: a value that is none of its choices or out of range; the message names it.
    """

    client_id: str = "1000000001"
    name: str = "TEST USER"
    ucc: str = "TEST12345E"
    pin: str = field(default="123456", repr=False)
    totp_secret: str = field(default="JBSWY3DPEHPK3PXP", repr=False)
    app_id: str = "APPID"
    app_secret: str = field(default="APPSECRET", repr=False)
    key: bytes = field(default=b"exchange on loopback", repr=False)
    funds: int = 1_00_00_000_00
    token_life_s: int = 86_400
    mint_interval_s: int = 120
    consents_max: int = 25
    limits: bool = True
    limit_shape: str = "broker"
    latency_ns: int = 0
    stop_market: str = "refuse"
    protection: tuple[tuple[int, int], ...] = ((10_00, 500), (100_00, 300), (500_00, 200), (0, 100))
    in_book: frozenset[str] = frozenset({"band", "margin"})
    casing: str = "both"
    order_shape: str = "object"
    cancel_status: int = 200
    cancel_body: bool = True
    ioc_end: str = "CANCELLED"
    static_ip: str = ""
    ip_code: str = "DH-911"
    close_packets: str = "all"
    depth200_app: bool = True
    room_max: int = 1 << 22
    connections_max: int = 5
    instruments_max: int = 5_000
    ping_s: float = 10.0
    pong_s: float = 40.0
    redirect_url: str = "http://127.0.0.1/"
    margin_short_e9: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"exchange.{name} is {getattr(self, name)!r}; choose {' or '.join(choices)}"
                )
        for name, least, most in (
            ("funds", 0, 10**15), ("token_life_s", 1, 10**8), ("mint_interval_s", 0, 86_400),
            ("latency_ns", 0, 3_600 * 10**9), ("room_max", 1 << 16, 1 << 30),
            ("connections_max", 1, 64), ("instruments_max", 1, 1 << 20), ("ping_s", 0.01, 3600.0),
            ("pong_s", 0.01, 3600.0), ("margin_short_e9", 0, 10**9), ("consents_max", 0, 10**6),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (least <= value <= most) or not math.isfinite(value):
                raise ConfigError(f"exchange.{name} is {value!r}; it must be {least} to {most}")
        if self.cancel_status not in (200, 202):
            raise ConfigError(f"exchange.cancel_status is {self.cancel_status}; choose 200 or 202")
        unknown = sorted(self.in_book - set(CHECKS))
        if unknown:
            raise ConfigError(
                f"exchange.in_book has {', '.join(unknown)}; choose of {', '.join(CHECKS)}"
            )
        if not self.protection or self.protection[-1][0] != 0:
            raise ConfigError(
                "exchange.protection must end with a step for all other prices, (0, n)"
            )
        if set(self.totp_secret) - set(BASE32) or len(self.totp_secret) < 16:
            raise ConfigError("exchange.totp_secret must be 16 or more letters of base 32")

    @classmethod
    def seeded(cls, seed: int, **given: Any) -> "ExchangeSettings":
        """Settings with the secrets that belong to a seed; `given` wins.

        Raises:
            ConfigError: as the constructor, or no such setting.
        """
        names = {one.name for one in fields(cls)}
        for name in given:
            if name not in names:
                raise ConfigError(
                    f"exchange.{name}: no such setting; known: {', '.join(sorted(names))}"
                )

        def drawn(what: str) -> bytes:
            return hashlib.sha256(f"dhanfast exchange {seed} {what}".encode()).digest()

        made: dict[str, Any] = {
            "totp_secret": "".join(BASE32[byte % 32] for byte in drawn("totp")),
            "app_id": drawn("app").hex()[:8],
            "app_secret": drawn("secret").hex()[:36],
            "key": drawn("key"),
        }
        return cls(**{**made, **given})
