"""What can be said of a strategy without running it: its door, what it believes, its parameters."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhanfast.strategies.params import Param
from dhanfast.strategies.plugins import BLEND, find_strategy, strategy_params
from dhanfast.strategies.shelf import named
from dhanfast.strategies.structures import read_structure

LEGS_DOOR = "legs"
# In the docstring of the class or of its module, each to the next of them or the end.
_TOLD = re.compile(r"^(Hypothesis|Expected regime):(.*?)(?=^(?:Hypothesis|Expected regime):|\Z)",
                   re.M | re.S)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """A strategy as people read of it.

    Attributes:
        name: as asked for. origin: of `Named`. door: rules, python, cython, legs.
        hides: the origins of others of that name.
        about, hypothesis, regime: what its author says; "" where nothing is said.
        members: of a blend, a line each.
    """

    name: str
    origin: str
    door: str
    about: str
    hypothesis: str
    regime: str
    params: dict[str, Param]
    hides: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def describe(name: str, folder: Path | None = None) -> Described:
    """A strategy by its name, as `shelf.lookup` finds it.

    Raises:
        UsageError, StrategyError, ConfigError: there is none, or it cannot be read.
    """
    row = named(name, folder)
    if row.legs:
        told = read_structure(row.place)
        return Described(
            name, row.origin, LEGS_DOOR, told.about, told.hypothesis, told.regime, told.params,
            row.hides,
        )  # fmt: skip
    found = find_strategy(row.place, {})
    if found.door == BLEND:
        told = read_structure(row.place)
        return Described(
            name, row.origin, BLEND, told.about, told.hypothesis, told.regime, told.params,
            row.hides, _members(found.settings()),
        )  # fmt: skip
    kind = found.kind
    own = kind.__doc__ or ""
    whole = f"{getattr(sys.modules.get(kind.__module__), '__doc__', None) or ''}\n\n{own}"
    texts = {key: " ".join(text.split()) for key, text in _TOLD.findall(_flat(whole))}
    # The docstring of a compiled class begins with its signature.
    lines = [line for line in own.strip().splitlines() if line]
    about = [line for line in lines if not line.startswith(f"{kind.__name__}(")]
    return Described(
        name,
        row.origin,
        found.door,
        about[0].strip() if about else "",
        texts.get("Hypothesis", ""),
        texts.get("Expected regime", ""),
        strategy_params(row.place),
        row.hides,
    )


def _members(settings: dict[str, Any]) -> tuple[str, ...]:
    """A line for each member: its name, its say, and what it is."""
    lines = []
    for one in settings["members"]:
        say = f"veto {one['veto']}" if "veto" in one else f"weight {one['weight']:g}"
        kind = "" if one["use"] == one["name"] else f", {one['use']}"
        params = ", ".join(f"{key}={value}" for key, value in one["params"].items())
        lines.append(f"{one['name']}: {say}{kind} ({params})" if params
                     else f"{one['name']}: {say}{kind}")  # fmt: skip
    return tuple(lines)


def _flat(text: str) -> str:
    """Without indentation; an empty line ends what is told, so that nothing else gets into it."""
    told, kept = False, []
    for line in (one.strip() for one in text.splitlines()):
        told = line.startswith(("Hypothesis:", "Expected regime:")) or (told and line != "")
        if told:
            kept.append(line)
    return "\n".join(kept)
