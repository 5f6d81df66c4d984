"""The fault menu: what goes wrong between a client and the exchange, on purpose and from a seed."""

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Final

from dhanfast.errors import ConfigError
from dhanfast.exchange.chart_faults import SPOILERS
from dhanfast.market.calendar import midnight_ns

SECOND: Final = 1_000_000_000
CHARTS: Final = "/v2/charts/"
# What it strikes -> kinds.
REQUEST_KINDS: Final = frozenset({
    "http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset", "reset-after",
    "slow", "partial", "truncate", "cut-off",
}) | frozenset(SPOILERS)  # fmt: skip
UPDATE_KINDS: Final = frozenset(
    {"update-drop", "update-delay", "update-duplicate", "update-reorder"}
)
EVENT_KINDS: Final = frozenset({"mute", "unmute", "disconnect", "token-expiry", "clock-step"})
HANDSHAKE_KINDS: Final = frozenset({"handshake-429"})
KINDS: Final = HANDSHAKE_KINDS | REQUEST_KINDS | UPDATE_KINDS | EVENT_KINDS


@dataclass(slots=True)
class Fault:
    """One entry of the menu.

    Attributes:
        kind: of KINDS. probability: of striking, each time it could. count: how often at most;
            0 = no limit. after: requests or updates that pass first.
        at: from this time of the market on, HH:MM:SS; an event strikes then, once.
        path, method: patterns of requests: "/v2/orders*".
        delay_s, step_s: of a delay or slow answer, of a clock step.
        status: of http-5xx. code: of a disconnect. then: what becomes of the rest after a partial
            fill: "reject" or "cancel".
    """

    kind: str
    probability: float = 1.0
    count: int = 0
    after: int = 0
    at: str = ""
    path: str = "*"
    method: str = "*"
    delay_s: float = 1.0
    step_s: float = 0.0
    status: int = 502
    code: int = 805
    then: str = "reject"
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: an unknown kind, or a number out of range.
        """
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ConfigError(f"fault.kind is {self.kind!r}; choose of {', '.join(sorted(KINDS))}")
        ranges: tuple[tuple[str, float, float], ...] = (
            ("probability", 0.0, 1.0), ("count", 0, 10**9), ("after", 0, 10**9),
            ("delay_s", 0.0, 3600.0), ("step_s", -86_400.0, 86_400.0), ("status", 500, 599),
            ("code", 800, 814),
        )  # fmt: skip
        for name, least, most in ranges:
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not least <= value <= most
            ):
                raise ConfigError(
                    f"fault.{name} of {self.kind} is {value!r}; it must be {least:g} to {most:g}"
                )
        for name in ("count", "after", "status", "code"):
            if not isinstance(getattr(self, name), int):
                raise ConfigError(f"fault.{name} of {self.kind} must be a whole number")
        for name in ("path", "method", "at"):
            if not isinstance(getattr(self, name), str):
                hint = ': at = "10:15:00"' if name == "at" else ""
                raise ConfigError(f"fault.{name} must be a text in quotes{hint}")
        if self.then not in ("reject", "cancel"):
            raise ConfigError(f"fault.then is {self.then!r}; choose reject or cancel")
        if self.at and seconds_of(self.at) is None:
            raise ConfigError(f"fault.at is {self.at!r}; write HH:MM or HH:MM:SS")

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it may."""
        limit = self.count or (1 if self.kind in EVENT_KINDS else 0)
        return bool(limit) and self.struck >= limit


def seconds_of(text: str) -> int | None:
    """HH:MM or HH:MM:SS after midnight in seconds; None when it is no time."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts):
        return None
    hour, minute, second = (*map(int, parts), 0)[:3]
    if hour > 23 or minute > 59 or second > 59:
        return None
    return (hour * 60 + minute) * 60 + second


def fault_of(entry: Any) -> Fault:
    """A fault from an entry of a file or a request.

    Raises:
        ConfigError: not an object, an unknown key, or a value that cannot be.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(f"a fault is {entry!r}; it must be a table")
    names = [one.name for one in fields(Fault) if one.init]
    unknown = sorted(set(entry) - set(names))
    if unknown:
        raise ConfigError(f"fault.{unknown[0]}: no such key; known: {', '.join(names)}")
    if "kind" not in entry:
        raise ConfigError("fault.kind is missing")
    return Fault(**entry)


def faults_of(text: str, name: str) -> list[Fault]:
    """The faults of a TOML file: tables `[[fault]]`.

    Raises:
        ConfigError: not TOML, or as `fault_of`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {error}") from error
    unknown = sorted(set(table) - {"fault"})
    if unknown or not isinstance(table.get("fault", []), list):
        raise ConfigError(f"{name}: write tables [[fault]]; {unknown or 'fault'} is none")
    return [fault_of(entry) for entry in table.get("fault", [])]


class FaultMenu:
    """Which fault strikes when.

    Args:
        faults: in the order in which they are tried. rng: draws the chances. day: of the market.
    """

    def __init__(self, faults: Sequence[Fault], rng: random.Random, midnight: int) -> None:
        self._faults = list(faults)
        self._rng = rng
        self._midnight_ns = midnight

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All entries, the spent ones too."""
        return tuple(self._faults)

    def replace(self, faults: Sequence[Fault]) -> None:
        """Another menu from now on."""
        self._faults = list(faults)

    def for_request(self, method: str, path: str, now_ns: int) -> Fault | None:
        """The fault that strikes a request, if any."""
        return self._struck(REQUEST_KINDS, now_ns, method, path)

    def for_handshake(self, path: str, now_ns: int) -> Fault | None:
        """The fault that strikes a WebSocket's handshake, if any."""
        return self._struck(HANDSHAKE_KINDS, now_ns, "GET", path)

    def for_update(self, now_ns: int) -> Fault | None:
        """The fault that strikes an order update, if any."""
        return self._struck(UPDATE_KINDS, now_ns, None, None)

    def _struck(
        self, kinds: frozenset[str], now_ns: int, method: str | None, path: str | None
    ) -> Fault | None:
        for fault in self._faults:
            if fault.kind not in kinds or fault.spent or now_ns < self._due_ns(fault):
                continue
            if path is not None and not (
                fnmatchcase(path, fault.path) and fnmatchcase(method or "", fault.method)
            ):
                continue
            if fault.kind in SPOILERS and not (path or "").startswith(CHARTS):
                continue  # there are no candles in it
            fault.seen += 1
            if fault.seen <= fault.after:
                continue
            # One draw each time, whatever the probability: menus that differ in one draw alike.
            if self._rng.random() < fault.probability:
                fault.struck += 1
                return fault
        return None

    def events(self, now_ns: int) -> list[Fault]:
        """Events whose time has come, each once."""
        due = [
            one
            for one in self._faults
            if one.kind in EVENT_KINDS and not one.spent and now_ns >= self._due_ns(one)
        ]
        for fault in due:
            fault.struck += 1
        return [fault for fault in due if self._rng.random() < fault.probability]

    def _due_ns(self, fault: Fault) -> int:
        if not fault.at:
            return 0
        return self._midnight_ns + (seconds_of(fault.at) or 0) * SECOND


def menu_for(faults: Sequence[Fault], rng: random.Random, day: Any) -> FaultMenu:
    """A menu for a day of the market."""
    return FaultMenu(faults, rng, midnight_ns(day))
