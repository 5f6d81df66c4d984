"""How orders are worked: settings of `_core.execution.Worker`, and the volume profile of VWAP."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.execution.worker import Worker
from dhanfast._core.risk import Gate
from dhanfast.engine.route_settings import RouteSettings
from dhanfast.errors import BadData, ConfigError

MINUTES: Final = 1440
MINUTE_NS: Final = 60_000_000_000
IST_NS: Final = 19_800_000_000_000
ALGOS: Final = {"none": 0, **{one.name.lower(): int(one) for one in Algo if one.name != "NONE"}}
REMAINDERS: Final = {one.name.lower(): int(one) for one in Remainder}
WORKED_FREEZES: Final = 8  # freeze quantities that a worked entry may have; see _core/broker.pxd
STYLES: Final = {"passive": 0, "normal": 1, "urgent": 2}


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """How entries, and exits that a signal asks for, are worked; `none` sends them whole.

    Attributes:
        algo: none, slice, twap, vwap, pov, iceberg. entries, exits: what it works.
        horizon_ns: from the order to its deadline. interval_ns: a step of the schedule.
        reprice_ns: a resting child's price is looked at again after so long; 0 = never.
        random_e4: of sizes and times, 1e-4. child_lots: largest child, 0 = freeze quantity.
        least_lots: smallest child, and the smallest rest that is followed after the deadline.
        cap_e4: TWAP and VWAP send at most this share of the volume since the start, 1e-4; 0 = off.
        rate_e4, floor_e4: POV's share of that volume, and of an even schedule at the least.
        display_lots: what the iceberg shows. limit_e4: no child's price lies further from the
        market at the start, 1e-4; 0 = off.
        remainder: reprice, cancel or keep what an entry has not filled at its deadline.
        style: passive, normal or urgent: how children are priced.
        seed: of everything random. profile: volume by minute of the day (IST), for VWAP.
        route: type and price of each child.
    """

    algo: str = "none"
    entries: bool = True
    exits: bool = True
    horizon_ns: int = 300_000_000_000
    interval_ns: int = 30_000_000_000
    reprice_ns: int = 5_000_000_000
    random_e4: int = 0
    child_lots: int = 0
    least_lots: int = 1
    cap_e4: int = 0
    rate_e4: int = 1_000
    floor_e4: int = 0
    display_lots: int = 1
    limit_e4: int = 0
    remainder: str = "reprice"
    style: str = "normal"
    seed: int = 0
    profile: tuple[int, ...] = ()
    route: RouteSettings = field(default_factory=RouteSettings)

    @property
    def works(self) -> bool:
        """Whether there is an algorithm at all."""
        return self.algo != "none" and (self.entries or self.exits)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order; of the profile its digest."""
        plain = asdict(self)
        plain["profile"] = profile_digest(self.profile) if self.profile else ""
        if self.route == RouteSettings():
            del plain["route"]
        return plain


def checked_execution(settings: ExecutionSettings, entry_lots: int) -> ExecutionSettings:
    """`settings`, or a refusal.

    Args:
        entry_lots: lots of an entry.
    Raises:
        ConfigError: an unknown word, a number out of range, VWAP without a profile, or settings
            that contradict each other.
    """
    for name, known in (("algo", ALGOS), ("remainder", REMAINDERS), ("style", STYLES)):
        value = getattr(settings, name)
        if value not in known:
            raise ConfigError(f"execution.{name} must be one of {', '.join(known)}, was {value!r}")
    settings.route.rules()
    if not settings.works:
        return settings
    if settings.interval_ns > settings.horizon_ns:
        raise ConfigError(
            f"execution.interval must not be longer than execution.horizon: {settings.interval_ns} "
            f"ns is longer than {settings.horizon_ns} ns"
        )
    if settings.least_lots > entry_lots:
        raise ConfigError(
            f"execution.min_lots ({settings.least_lots}) is above an entry's {entry_lots} lots: "
            "no child could be sent; lower it or raise strategy.lots"
        )
    if settings.child_lots and settings.child_lots < settings.least_lots:
        raise ConfigError(
            f"execution.max_child_lots ({settings.child_lots}) is below execution.min_lots "
            f"({settings.least_lots})"
        )
    worker_of(settings, None, Gate(instruments=1))
    return settings


def worker_of(settings: ExecutionSettings, inner: Broker | None, gate: Gate) -> Broker:
    """What the kernel hands its orders to: a worker before `inner`, or `inner` itself.

    Args:
        inner: executes the children; None only checks the settings, on a broker that refuses all.
    Raises:
        ConfigError: a rule out of range.
    """
    if inner is not None and not settings.works:
        return inner
    if inner is None:
        from dhanfast._core.match import Match

        inner = Match(gate, orders_max=1)
    return Worker(
        inner,
        gate,
        profile=np.array(settings.profile, np.int64) if settings.profile else None,
        route=settings.route.rules(),
        algo=ALGOS[settings.algo],
        remainder=REMAINDERS[settings.remainder],
        urgency=STYLES[settings.style],
        entries=int(settings.entries),
        exits=int(settings.exits),
        horizon_ns=settings.horizon_ns,
        interval_ns=settings.interval_ns,
        reprice_ns=settings.reprice_ns,
        random_e4=settings.random_e4,
        child_lots=settings.child_lots,
        least_lots=settings.least_lots,
        cap_e4=settings.cap_e4,
        rate_e4=settings.rate_e4,
        floor_e4=settings.floor_e4,
        display_lots=settings.display_lots,
        limit_e4=settings.limit_e4,
        seed=settings.seed,
    )


# ---- the volume profile --------------------------------------------------------------------------


def learnt_profile(bars: NDArray[Any]) -> tuple[int, ...]:
    """Volume by minute of the day (IST), as recorded bars of at most a minute have it.

    Args:
        bars: BAR_DTYPE, of any number of days.
    Raises:
        BadData: bars without volume (an index has none).
    """
    minute = (bars["start_ns"] + IST_NS) // MINUTE_NS % MINUTES
    volume = np.zeros(MINUTES, np.int64)
    np.add.at(volume, minute, bars["volume"])
    if not (bars["volume"] >= 0).all() or int(volume.sum()) <= 0:
        raise BadData("a volume profile needs bars with volume: an index has none, its future has")
    return tuple(int(each) for each in volume)


def profile_text(profile: Sequence[int]) -> str:
    """A profile as a file: one line a minute with volume, `HH:MM volume`."""
    lines = [
        f"{at // 60:02}:{at % 60:02} {volume}\n" for at, volume in enumerate(profile) if volume
    ]
    return "# volume by minute of the day, IST\n" + "".join(lines)


def read_profile(path: Path) -> tuple[int, ...]:
    """A profile from a file that `profile_text` made.

    Raises:
        ConfigError: it cannot be read, or a line is not `HH:MM volume`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"execution.profile: {path} cannot be read: {cause}") from cause
    volume = [0] * MINUTES
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        hour, colon, minute = words[0].partition(":")
        good = (
            len(words) == 2
            and colon
            and all(each.isascii() and each.isdigit() for each in (hour, minute, words[1]))
        )
        if not good or int(hour) > 23 or int(minute) > 59:
            raise ConfigError(
                f"execution.profile: {path} line {number}: {line!r} is not `HH:MM volume`"
            )
        volume[int(hour) * 60 + int(minute)] += int(words[1])
    if not 0 < sum(volume) <= 10**13:
        raise ConfigError(f"execution.profile: {path} has no volume, or more than 10**13 units")
    return tuple(volume)


def profile_digest(profile: Sequence[int]) -> str:
    """SHA-256 of a profile, as results and journals name it."""
    return hashlib.sha256(json.dumps(list(profile)).encode()).hexdigest()
