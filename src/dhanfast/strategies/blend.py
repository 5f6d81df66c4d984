"""Blend: several strategies that decide together, in Python or in a file.

    Blend(
        [
            Member("momentum", weight=2.0),
            Member("supertrend", day_loss=3000_00),
            Member("vix-regime", veto="against"),
        ],
        mode="weights", threshold=0.6,
    )

or as a file, `trio.toml`, which is a strategy by its name or path:

    about = "Trend followers that must agree."
    [blend]
    mode = "weights"
    threshold = 0.6
    [[member]]
    use = "momentum"
    weight = 2.0
    params = {ema = 12}
    [[member]]
    use = "supertrend"
    day_loss = 3000
    [[member]]
    use = "vix-regime"
    veto = "against"

docs/reference/blend.md has what each mode does.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dhanfast._core.blend import Blend as BlendRunner
from dhanfast._core.blend import Mode, Role
from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import ConfigError, StrategyError, UsageError
from dhanfast.strategies.base import MINUTE_NS, Log
from dhanfast.strategies.params import unknown
from dhanfast.strategies.structures import read_structure

MODES: Final = {"weights": Mode.WEIGHTS, "vote": Mode.VOTE, "net": Mode.NET}
VETOES: Final = {"": Role.DECIDES, "against": Role.AGAINST, "unless": Role.UNLESS}
STOPS: Final = ("widest", "nearest")
MEMBERS_MAX: Final = 16
_OF_MODES: Final = {"threshold": ("weights",), "leave": ("weights", "net"), "votes": ("vote",),
                    "stay": ("vote",)}  # fmt: skip
_OF_BLEND: Final = ("mode", "threshold", "leave", "votes", "stay", "scale", "stops")
_OF_MEMBER: Final = ("use", "name", "weight", "veto", "day_loss", "loss", "params")


@dataclass(frozen=True, slots=True)
class Member:
    """One strategy of a blend.

    Attributes:
        use: the strategy, as `backtest` takes it. name: "" = of the strategy.
        weight: its say, and its part of the risk; of one with a veto it does not count.
        veto: "" = it decides; "against" = it only blocks entries against its own stance; "unless" =
        it only blocks entries that are not of its own stance.
        day_loss, loss: paise that its book may lose in a session, and in all; 0 = any.
        params: of the strategy.
    """

    use: str | type | object
    name: str = ""
    weight: float = 1.0
    veto: str = ""
    day_loss: int = 0
    loss: int = 0
    params: Mapping[str, object] = field(default_factory=dict)


class Blend:
    """Several strategies that decide together; a strategy itself.

    Args:
        members: 1..16, one of which decides at least.
        mode: weights (their weighted stances against `threshold`), vote (`votes` of them on a
            side), net (the sign of their weighted stances).
        threshold: of weights, above 0 and at most 1. leave: of weights and net: a side is kept
            while the sum is above it.
        votes, stay: of vote: so many for an entry, so many to keep its side.
        scale: an entry takes the part of the sized lots that the sum is of all weights, rounded
            down, none at 0; None = in net, and in no other mode.
        stops: stop and target of an entry are the widest, or the nearest, of those who ask for it.
    Raises:
        UsageError, ConfigError: a member that is not found, a value out of its range, two members
            of one name, a member that wants ticks or is a blend.
    """

    def __init__(
        self,
        members: Sequence[Member | str | type | object],
        *,
        mode: str = "weights",
        threshold: float = 0.5,
        leave: float = 0.0,
        votes: int = 1,
        stay: int = 1,
        scale: bool | None = None,
        stops: str = "widest",
    ) -> None:
        from dhanfast.strategies.plugins import find_strategy

        for name, value, known in (("mode", mode, MODES), ("stops", stops, STOPS)):
            if value not in known:
                raise ConfigError(unknown(f"blend.{name}", value, list(known)))
        if not 1 <= len(members) <= MEMBERS_MAX:
            raise ConfigError(f"blend: members must be 1..{MEMBERS_MAX}, were {len(members)}")
        self.mode, self.threshold, self.leave = mode, threshold, leave
        self.votes, self.stay, self.stops = votes, stay, stops
        self.scale = mode == "net" if scale is None else scale
        self.members = [one if isinstance(one, Member) else Member(one) for one in members]
        self.found = [find_strategy(one.use, one.params) for one in self.members]
        self.names = [one.name or found.name
                      for one, found in zip(self.members, self.found, strict=True)]  # fmt: skip
        self.sources: tuple[Path, ...] = ()
        self._check()

    @classmethod
    def read(cls, path: str | Path, params: Mapping[str, object] | None = None) -> "Blend":
        """The blend of a file.

        Args:
            params: values of the parameters that the file declares.
        Raises:
            ConfigError: no such file, not TOML, a key that is not known; the message names it.
            UsageError: a parameter or a member that is not known.
        """
        tree = read_structure(path).filled(params or {})
        try:
            made = _of_tree(tree, Path(path).parent, cls)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        made.sources = (Path(path), *made.sources)
        return made

    def _check(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"blend: members need names that differ, were {self.names}; give "
                              "one of them a name")  # fmt: skip
        for name, member, found in zip(self.names, self.members, self.found, strict=True):
            if member.veto not in VETOES:
                raise ConfigError(unknown(f"veto of member {name}", member.veto, list(VETOES)[1:]))
            if not member.veto and not 0.0 < member.weight < 1e12:
                raise ConfigError(f"the weight of member {name} must be above 0, "
                                  f"was {member.weight}")  # fmt: skip
            if member.day_loss < 0 or member.loss < 0:
                raise ConfigError(f"day_loss and loss of member {name} must not be negative")
            if found.door == "blend":
                raise ConfigError(f"member {name} is a blend; name its members here instead")
            if getattr(found.made, "on_tick", None) is not None:
                raise UsageError(
                    f"member {name} wants ticks (on_tick): a member's book meets bars, and what it "
                    "decided between two of them could not be filled honestly"
                )
        deciders = sum(not member.veto for member in self.members)
        if deciders == 0:
            raise ConfigError("blend: no member decides; leave veto out of one at least")
        if self.mode == "vote" and not 1 <= self.stay <= self.votes <= deciders:
            raise ConfigError(
                f"blend: votes must be in 1..{deciders}, the members that decide, and stay in "
                f"1..votes, were {self.votes} and {self.stay}"
            )
        if self.mode == "weights" and not 0.0 < self.threshold <= 1.0:
            raise ConfigError(f"blend: threshold must be above 0, at most 1, was {self.threshold}")
        if self.mode == "weights" and not 0.0 <= self.leave <= self.threshold:
            raise ConfigError(f"blend: leave must be in 0..{self.threshold:g}, the threshold, "
                              f"was {self.leave}")  # fmt: skip
        if self.mode == "net" and not 0.0 <= self.leave < 1.0:
            raise ConfigError(f"blend: leave must be in 0..1 and below 1, was {self.leave}")

    def runner(self, log: Log, interval_ns: int = MINUTE_NS) -> NativeStrategy:
        """This blend as the kernel runs it; used by the engine."""
        inners = [found.runner(log, interval_ns) for found in self.found]
        for name, inner in zip(self.names, inners, strict=True):
            if inner.wants_ticks:
                raise StrategyError(f"member {name} wants ticks: a member's book meets bars")
        return BlendRunner(
            inners,
            self.names,
            [float(member.weight) for member in self.members],
            [VETOES[member.veto] for member in self.members],
            mode=MODES[self.mode],
            threshold=1.0 if self.mode == "net" else self.threshold,
            leave=self.leave,
            votes=self.votes,
            stay=self.stay,
            scale=self.scale,
            widest=self.stops == "widest",
            day_losses=[member.day_loss for member in self.members],
            losses=[member.loss for member in self.members],
        )

    def settings(self) -> dict[str, Any]:
        """How it is set, JSON-able: what a result keeps."""
        members = []
        for name, member, found in zip(self.names, self.members, self.found, strict=True):
            one: dict[str, Any] = {"name": name, "use": found.name, "door": found.door}
            if member.veto:
                one["veto"] = member.veto
            else:
                one["weight"] = float(member.weight)
            limits = (("day_loss_paise", member.day_loss), ("loss_paise", member.loss))
            one |= {key: value for key, value in limits if value}
            members.append(one | {"params": found.settings()})
        plain: dict[str, Any] = {"mode": self.mode}
        if self.mode == "weights":
            plain["threshold"] = self.threshold
        if self.mode == "vote":
            plain |= {"votes": self.votes, "stay": self.stay}
        else:
            plain["leave"] = self.leave
        return plain | {"scale": self.scale, "stops": self.stops, "members": members}

    def stopped(self, runner: NativeStrategy) -> None:
        """Tell every member that the run is over."""
        inners = getattr(runner, "inners", ())
        for found, inner in zip(self.found, inners, strict=True):
            found.stopped(inner)

    def code(self) -> bytes:
        """The sources of the file and of the members: what a result's hash of the code is of."""
        parts = [path.read_bytes() for path in self.sources]
        for found in self.found:
            try:
                parts.append(Path(inspect.getfile(found.kind)).read_bytes())
            except (TypeError, OSError):
                continue
        return b"\0".join(parts)


def _of_tree(tree: Mapping[str, Any], folder: Path, kind: type[Blend]) -> Blend:
    for key in tree:
        if key not in ("blend", "member"):
            raise ConfigError(unknown("key of a blend's file", key, ["blend", "member"]))
    table, rows = tree.get("blend", {}), tree.get("member", [])
    if not isinstance(table, dict) or not isinstance(rows, list):
        raise ConfigError("write [blend] once, and [[member]] for each of them")
    for key in table:
        if key not in _OF_BLEND:
            raise ConfigError(unknown("key of [blend]", key, list(_OF_BLEND)))
    _typed("[blend]", table, {"mode": str, "stops": str, "scale": bool, "votes": int, "stay": int,
                              "threshold": float, "leave": float})  # fmt: skip
    mode = table.get("mode", "weights")
    for key, modes in _OF_MODES.items():
        if key in table and mode in MODES and mode not in modes:
            raise ConfigError(f"[blend]: {key} belongs to mode {' and '.join(modes)}, and this is "
                              f"{mode}: leave it out")  # fmt: skip
    return kind([_member(at, row, folder) for at, row in enumerate(rows, 1)], **table)


def _member(at: int, row: Any, folder: Path) -> Member:
    place = f"member {at}"
    if not isinstance(row, dict) or "use" not in row:
        raise ConfigError(f'{place}: write use = "...", the strategy')
    for key in row:
        if key not in _OF_MEMBER:
            raise ConfigError(f"{place}: {unknown('key', key, list(_OF_MEMBER))}")
    _typed(place, row, {"use": str, "name": str, "veto": str, "params": dict, "weight": float,
                        "day_loss": float, "loss": float})  # fmt: skip
    use = row["use"]
    if use.endswith(".toml"):
        raise ConfigError(f"{place}: {use} is a file of legs or of a blend; a member is a strategy "
                          "of one instrument")  # fmt: skip
    path, colon, wanted = use.partition(":")
    if path.endswith(".py") and not Path(path).is_absolute():
        use = f"{folder / path}{colon}{wanted}"
    elif "." not in use and (folder / f"{use}.py").is_file():
        use = str(folder / f"{use}.py")  # of the same folder, as a name of the shelf is
    paise = {key: round(row[key] * 100) for key in ("day_loss", "loss") if key in row}
    plain = {key: row[key] for key in ("name", "veto", "params") if key in row}
    return Member(use, weight=float(row.get("weight", 1.0)), **plain, **paise)


def _typed(place: str, table: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for key, kind in kinds.items():
        value = table.get(key)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number if kind is float else isinstance(value, kind)
        if not fits or (kind is int and isinstance(value, bool)):
            word = {float: "a number", int: "a whole number", dict: "a table"}.get(kind, "text")
            word = "true or false" if kind is bool else word
            raise ConfigError(f"{place}: {key} must be {word}, was {value!r}")
