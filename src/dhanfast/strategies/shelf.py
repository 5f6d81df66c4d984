"""Every strategy that has a name: in the user's folder, of installed packages, built in.

A name is looked for in this order, and the first that has it wins; what it hides is said. In the
folder a file is a strategy by its stem: `trend.py`, with one class or named as `trend:Class`,
`condor.toml`, a legs file, and `trio.toml` with a table [blend], a blend of others. A package
offers its strategies as entry points:

    [project.entry-points."dhanfast.strategies"]
    cross = "mycross.cross:Cross"
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from dhanfast.errors import UsageError
from dhanfast.strategies.params import unknown

GROUP: Final = "dhanfast.strategies"
LIBRARY: Final = Path(__file__).parent / "library"
USER: Final = "user"
FILE: Final = "file"
INSTALLED: Final = "installed"
BUILT: Final = "built-in"

# name -> (module, class); nothing is imported before it is asked for.
CLASSES: Final = {
    "momentum": ("dhanfast.strategies.library.momentum", "Momentum"),
    "v1": ("dhanfast.strategies.library.v1", "V1"),
    "mean-reversion": ("dhanfast.strategies.library.mean_reversion", "MeanReversion"),
    "breakout": ("dhanfast.strategies.library.breakout", "Breakout"),
    "vwap": ("dhanfast.strategies.library.vwap", "Vwap"),
    "opening-range": ("dhanfast.strategies.library.opening_range", "OpeningRange"),
    "supertrend": ("dhanfast.strategies.library.supertrend", "SupertrendTrend"),
    "vix-regime": ("dhanfast.strategies.library.vix_regime", "VixRegime"),
    "momentum-python": ("dhanfast.strategies.library.momentum_python", "MomentumPython"),
    "momentum-cython": ("dhanfast.strategies.native.momentum", "MomentumCython"),
}
STRUCTURES: Final = {
    "expiry-straddle": LIBRARY / "expiry_straddle.toml",
    "iron-condor": LIBRARY / "iron_condor.toml",
}
# These trade as `momentum` does, and are here to show that the doors agree.
EXAMPLES: Final = ("momentum-python", "momentum-cython")


@dataclass(frozen=True, slots=True)
class Named:
    """A strategy that has a name.

    Attributes:
        name: what -s takes. origin: user, installed or built-in; file: named by its path.
        place: what `find_strategy` takes: a path, module:Class, or the name of a built-in; the
            path of a legs file or of a blend's.
        legs: it is a legs file. hides: the origins of others of that name.
    """

    name: str
    origin: str
    place: str
    legs: bool = False
    hides: tuple[str, ...] = ()


def is_blend(place: str | Path) -> bool:
    """Whether a file is a blend's: a .toml with a table [blend] or members."""
    if not str(place).endswith(".toml"):
        return False
    try:
        tree = tomllib.loads(Path(place).read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False  # who reads it says what is wrong with it
    return "blend" in tree or "member" in tree


def shelf(folder: Path | None = None) -> dict[str, Named]:
    """{name: Named}: the user's own, those of packages, then the built-in ones in their order.

    Args:
        folder: the user's strategies; None or one that is not there: none.
    Raises:
        UsageError: two of one origin have the same name.
    """
    found: dict[str, Named] = {}
    for rows in (_of_folder(folder), _installed(), _built_in()):
        for name, row in rows.items():
            first = found.get(name)
            if first is None:
                found[name] = row
            else:
                hidden = (*first.hides, row.origin)
                found[name] = Named(name, first.origin, first.place, first.legs, hidden)
    return found


def lookup(name: str, folder: Path | None = None) -> Named | None:
    """The strategy that a person means by `name`; None when nothing has that name.

    Args:
        name: of the shelf, with :Class for a file of several; a path of .py (with :Class) or
            .toml; `package.module:Class`.
        folder: as for `shelf`.
    Raises:
        UsageError: two of one origin have the same name.
    """
    path, colon, wanted = name.partition(":")
    if path.endswith((".py", ".toml")):
        return Named(name, FILE, name, legs=path.endswith(".toml") and not is_blend(name))
    known = shelf(folder)
    if name in known:
        return known[name]
    row = known.get(path)
    if colon and row is not None and row.place.endswith(".py"):
        return Named(name, row.origin, f"{row.place}:{wanted}", hides=row.hides)
    return Named(name, INSTALLED, name) if colon else None


def named(name: str, folder: Path | None = None) -> Named:
    """The strategy that a person means by `name`.

    Args:
        name, folder: as for `lookup`.
    Raises:
        UsageError: nothing of that name, and the nearest is offered; two of one origin have the
            same name.
    """
    found = lookup(name, folder)
    if found is None:
        raise UsageError(
            unknown("strategy", name, shelf(folder)) + "; a file is named as path.py or "
            "path.py:Class, an installed class as package.module:Class"
        )
    return found


def place_of(name: str, folder: Path | None = None) -> str:
    """What `find_strategy` takes for `name`; a name that nobody has is left for it to refuse.

    Raises:
        UsageError: two of one origin have the same name.
    """
    found = lookup(name, folder)
    return name if found is None else found.place


def installed_places() -> dict[str, str]:
    """{name: module:Class} of the entry points of packages.

    Raises:
        UsageError: two packages offer the same name.
    """
    return {name: row.place for name, row in _installed().items()}


def _of_folder(folder: Path | None) -> dict[str, Named]:
    if folder is None or not folder.is_dir():
        return {}
    found: dict[str, Named] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".py", ".toml") or path.name.startswith(("_", ".")):
            continue
        if not path.is_file():
            continue
        if path.stem in found:
            raise UsageError(
                f"{folder}: {path.stem}.py and {path.stem}.toml have the same name; rename one"
            )
        found[path.stem] = Named(
            path.stem, USER, str(path), path.suffix == ".toml" and not is_blend(path)
        )
    return found


@lru_cache(maxsize=1)
def _points() -> tuple[tuple[str, str, str], ...]:
    """(name, place, package) of every entry point; packages do not come while a program runs."""
    return tuple(
        (point.name, point.value, "" if point.dist is None else point.dist.name)
        for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    )


def _installed() -> dict[str, Named]:
    found: dict[str, tuple[str, str]] = {}
    for name, place, package in _points():
        if name in found and found[name][0] != place:
            raise UsageError(
                f"strategy {name!r} is offered by {found[name][1]} and by {package}: remove one, "
                f"or name it as {place}"
            )
        found[name] = (place, package)
    return {name: Named(name, INSTALLED, place) for name, (place, _) in found.items()}


def _built_in() -> dict[str, Named]:
    rows = {name: Named(name, BUILT, name) for name in CLASSES if name not in EXAMPLES}
    rows |= {name: Named(name, BUILT, str(path), legs=True) for name, path in STRUCTURES.items()}
    return rows | {name: Named(name, BUILT, name) for name in EXAMPLES}
