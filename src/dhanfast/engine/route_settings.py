"""How an order leaves: settings of `_core.execution.route.Router`."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from dhanfast._core.execution.route import Router
from dhanfast.errors import ConfigError

# What a rule is called where it is written; the others have their own name there.
WRITTEN: Final = {
    "slabs": "slabs",
    "future_e4": "future_protection (1e-4)",
    "wide_e4": "wide (1e-4)",
    "stop_room_e4": "stop_room (1e-4)",
    "tight_e6": "tight (1e-6)",
    "loose_e6": "loose (1e-6)",
    "share_e4": "fits (1e-4)",
    "interval_ns": "interval (ns)",
    "reprices_max": "reprices",
    "patience_ns": "patience (ns)",
    "join_ns": "rung (ns)",
}
USUAL_SLABS: Final = ((10_00, 500), (100_00, 300), (500_00, 200), (0, 100))
STOP_ROOM_MAX: Final = 5_000  # 1e-4, as the order desk takes it


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Rules of type and price; docs/reference/order-routing.md has them as tables.

    Attributes:
        slabs: (premium below this, paise; protection, 1e-4), the last one's premium 0.
        future_e4: protection of a future, 1e-4; 0 = by slab like an option's.
        wide_e4: of the last rungs, in protections, 1e-4.
        stop_room_e4: live: limit of a resting stop beyond its trigger, 1e-4; 0 = by the usual
        slab. It is the order desk's, not the router's.
        tight_ticks, tight_e6: a spread that is taken at once, in ticks or 1e-6 of the mid.
        loose_e6: a spread that no entry takes, 1e-6 of the mid; 0 = none.
        share_e4: of the other side's best quantity that an order fits into, 1e-4.
        swing: volatile: the move in `patience_ns` above this times half the spread; 0 = off.
        interval_ns, reprices_max: of a pegged price. patience_ns: of an entry.
        join_ns, mid_ns, cross_ns, wide_ns: how long an exit stands on each rung.
        ioc: entries that take are immediate-or-cancel. entry_cross: an entry takes after its
        patience.
    """

    slabs: tuple[tuple[int, int], ...] = USUAL_SLABS
    future_e4: int = 0
    wide_e4: int = 20_000
    stop_room_e4: int = 0
    tight_ticks: int = 2
    tight_e6: int = 100
    loose_e6: int = 20_000
    share_e4: int = 10_000
    swing: float = 4.0
    interval_ns: int = 1_000_000_000
    reprices_max: int = 3
    patience_ns: int = 5_000_000_000
    join_ns: int = 2_000_000_000
    mid_ns: int = 2_000_000_000
    cross_ns: int = 2_000_000_000
    wide_ns: int = 2_000_000_000
    ioc: bool = False
    entry_cross: bool = True

    def rules(self) -> dict[str, Any]:
        """What `Router` takes.

        Raises:
            ConfigError: a rule out of range.
        """
        rules = asdict(self)
        room_e4 = rules.pop("stop_room_e4")
        if not 0 <= room_e4 <= STOP_ROOM_MAX:
            raise ConfigError(
                f"execution.route.{WRITTEN['stop_room_e4']} must be a whole number "
                f"in 0..{STOP_ROOM_MAX}, was {room_e4!r}"
            )
        rules["option"] = int(self.future_e4 == 0)
        rules["ioc"], rules["entry_cross"] = int(self.ioc), int(self.entry_cross)
        if self.future_e4 == 0:
            del rules["future_e4"]
        try:
            Router(**rules)
        except ConfigError as error:
            name, dot, said = str(error).removeprefix("routing.").partition(" ")
            raise ConfigError(f"execution.route.{WRITTEN.get(name, name)}{dot}{said}") from None
        return rules
