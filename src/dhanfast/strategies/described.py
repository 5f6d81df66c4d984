"""What can be said of a strategy without running it: its door, what it believes, its parameters."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from dhanfast.strategies.params import Param
from dhanfast.strategies.plugins import find_strategy, strategy_params
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
    """

    name: str
    origin: str
    door: str
    about: str
    hypothesis: str
    regime: str
    params: dict[str, Param]
    hides: tuple[str, ...] = ()


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


def _flat(text: str) -> str:
    """Without indentation; an empty line ends what is told, so that nothing else gets into it."""
    told, kept = False, []
    for line in (one.strip() for one in text.splitlines()):
        told = line.startswith(("Hypothesis:", "Expected regime:")) or (told and line != "")
        if told:
            kept.append(line)
    return "\n".join(kept)
