"""Which securities are wanted, in which modes, on which connection.

Plain bookkeeping, no sockets: what is wanted is remembered here, and a connection that is opened,
or opened again, asks for its part in the order in which it was wanted. One entry is a security in
one mode; entries of a security stay on one connection as long as there is room, so that its
packets keep their order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.errors import UsageError


@dataclass(frozen=True, slots=True)
class Change:
    """What an addition or a removal did.

    Attributes:
        lanes: by connection, the securities in the order given.
        ignored: were there already, or were not there.
    """

    lanes: dict[int, list[Security]] = field(default_factory=dict)
    ignored: int = 0

    @property
    def count(self) -> int:
        """Entries that changed."""
        return sum(len(securities) for securities in self.lanes.values())


class Subscriptions:
    """Entries by connection ("lane"), each with room for so many.

    Args:
        per_lane: entries of a connection.
        lanes: connections there may be.
    """

    def __init__(self, per_lane: int, lanes: int) -> None:
        self._per_lane = per_lane
        self._lanes: list[dict[tuple[Security, Mode], None]] = [{} for _ in range(lanes)]
        self._lane_of: dict[tuple[Security, Mode], int] = {}
        self._homes: dict[Security, list[int]] = {}  # lanes of its entries, as they were added
        self.version = 0  # rises with every change
        self.duplicates = 0
        self.absent = 0

    def __len__(self) -> int:
        """Entries, of all connections."""
        return len(self._lane_of)

    def __contains__(self, entry: object) -> bool:
        """Whether a (security, mode) is wanted."""
        return entry in self._lane_of

    @property
    def capacity(self) -> int:
        """Entries that fit."""
        return self._per_lane * len(self._lanes)

    def add(self, securities: Iterable[Security], mode: Mode) -> Change:
        """Want securities in a mode; those that are wanted in it already are counted.

        Raises:
            UsageError: not a security, or no room for all of them; nothing was added.
        """
        given = [each.checked() for each in securities]
        new = [each for each in dict.fromkeys(given) if (each, mode) not in self._lane_of]
        if len(self) + len(new) > self.capacity:
            raise UsageError(
                f"{len(self)} subscriptions and {len(new)} more exceed the {self.capacity} that "
                f"{len(self._lanes)} connections of {self._per_lane} hold; unsubscribe some first"
            )
        lanes: dict[int, list[Security]] = {}
        for security in new:
            lane = self._place(security)
            entry = (security, mode)
            self._lanes[lane][entry] = None
            self._lane_of[entry] = lane
            self._homes.setdefault(security, []).append(lane)
            lanes.setdefault(lane, []).append(security)
        self.version += 1
        ignored = len(given) - len(new)
        self.duplicates += ignored
        return Change(lanes, ignored)

    def remove(self, securities: Iterable[Security], mode: Mode) -> Change:
        """Want securities in a mode no longer; those that were not wanted in it are counted."""
        lanes: dict[int, list[Security]] = {}
        ignored = 0
        for security in securities:
            lane = self._lane_of.pop((security, mode), None)
            if lane is None:
                ignored += 1
                continue
            del self._lanes[lane][security, mode]
            homes = self._homes[security]
            homes.remove(lane)
            if not homes:
                del self._homes[security]
            lanes.setdefault(lane, []).append(security)
        self.version += 1
        self.absent += ignored
        return Change(lanes, ignored)

    def lane(self, lane: int) -> list[tuple[Mode, list[Security]]]:
        """What a connection must ask for: by mode, each in the order in which it was wanted."""
        groups: dict[Mode, list[Security]] = {}
        for security, mode in self._lanes[lane]:
            groups.setdefault(mode, []).append(security)
        return list(groups.items())

    def securities(self, lane: int) -> list[Security]:
        """Securities of a connection, each once, in the order in which they were wanted."""
        return list(dict.fromkeys(security for security, _ in self._lanes[lane]))

    def modes(self, security: Security) -> list[tuple[Mode, int]]:
        """Modes in which a security is wanted, with the connection of each."""
        return [
            (mode, self._lane_of[security, mode])
            for mode in Mode
            if (security, mode) in self._lane_of
        ]

    def size(self, lane: int) -> int:
        """Entries of a connection."""
        return len(self._lanes[lane])

    def used_lanes(self) -> Iterator[int]:
        """Connections that something is wanted on."""
        return (number for number, entries in enumerate(self._lanes) if entries)

    def _place(self, security: Security) -> int:
        """Where its other modes are, else the first connection with room."""
        for lane in self._homes.get(security, ()):
            if len(self._lanes[lane]) < self._per_lane:
                return lane
        return next(n for n, lane in enumerate(self._lanes) if len(lane) < self._per_lane)
