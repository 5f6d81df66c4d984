"""Legs files as strategies: their parameters, and the same file with values in their place.

    hypothesis = "An option sold in the morning of its last day is worth less in the afternoon."
    regime = "Expiry days without a move."
    [parameter.stop]
    default = 30.0
    low = 5
    high = 200
    search = [15, 100, 5]
    doc = "stop of a leg, percent of its premium"
    [[leg]]
    stop = "{stop}%"

`{name}` in any text is the parameter's value as a person writes it; a text that is nothing else
becomes the value itself, so `lots = "{lots}"` is a number. What a leg may say is `engine.legs`'.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dhanfast.errors import ConfigError, UsageError
from dhanfast.strategies.params import Param, Value, unknown

PARAMETER: Final = "parameter"
TOLD: Final = ("about", "hypothesis", "regime")
_KEYS: Final = ("default", "low", "high", "step", "choices", "doc", "search")
_PLACE: Final = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True)
class Structure:
    """A legs file as it was read, before its parameters have values.

    Attributes:
        tree: everything but parameters and what is told. params: by name, in the file's order.
        about, hypothesis, regime: what it is, what it believes, when that should hold.
    """

    tree: dict[str, Any]
    params: dict[str, Param]
    about: str = ""
    hypothesis: str = ""
    regime: str = ""

    def filled(self, values: Mapping[str, object]) -> dict[str, Any]:
        """The tree with every parameter's value in its place.

        Args:
            values: by name; what is not given has its default. Text is converted.
        Raises:
            UsageError: an unknown parameter, a value out of its range.
        """
        for name in values:
            if name not in self.params:
                raise UsageError(unknown("parameter of this legs file", name, self.params))
        got = {
            name: item.accept(name, values.get(name, item.default))
            for name, item in self.params.items()
        }
        tree: dict[str, Any] = _filled(self.tree, got)
        return tree


def read_structure(path: str | Path) -> Structure:
    """A legs file, its parameters checked and its legs not.

    Raises:
        ConfigError: no such file, not TOML, a parameter that contradicts itself, is not used or is
            used and not declared; the message names the file and the place.
    """
    try:
        tree = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as cause:
        raise ConfigError(f"{path}: {cause.strerror or cause}; name a legs file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{path}: not TOML: {cause}") from None
    try:
        return structure_of(tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def structure_of(tree: Mapping[str, Any]) -> Structure:
    """As `read_structure`, of a tree that was read before.

    Raises:
        ConfigError: see `read_structure`.
    """
    rest = {key: value for key, value in tree.items() if key not in (PARAMETER, *TOLD)}
    tables = tree.get(PARAMETER, {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{PARAMETER}: write a table for each, as [{PARAMETER}.stop]")
    params = {name: _declared(name, table) for name, table in tables.items()}
    told = {key: tree.get(key, "") for key in TOLD}
    for key, text in told.items():
        if not isinstance(text, str):
            raise ConfigError(f"{key}: {text!r} must be text, in quotes")
    used = _used(rest)
    for name in used:
        if name not in params:
            raise ConfigError(unknown(PARAMETER, name, params))
    for name in params:
        if name not in used:
            raise ConfigError(f"{PARAMETER}.{name} is not used: write {{{name}}} where it counts")
    return Structure(rest, params, **{key: " ".join(text.split()) for key, text in told.items()})


def _declared(name: str, table: Any) -> Param:
    place = f"{PARAMETER}.{name}"
    if not isinstance(table, dict) or "default" not in table:
        raise ConfigError(f"{place}: write a table with a default")
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"{place}: {unknown('key', key, list(_KEYS))}")
    default = table["default"]
    if not isinstance(default, bool | int | float | str):
        raise ConfigError(f"{place}.default: {default!r} must be a number, text, true or false")
    for key in ("low", "high", "step"):
        value = table.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ConfigError(f"{place}.{key}: {value!r} must be a number")
    lists = {key: table[key] for key in ("choices", "search") if key in table}
    for key, value in lists.items():
        kind = str if key == "choices" else bool | int | float | str
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise ConfigError(f"{place}.{key}: {value!r} must be a list")
    if not isinstance(table.get("doc", ""), str):
        raise ConfigError(f"{place}.doc: {table['doc']!r} must be text, in quotes")
    given = dict(table) | {key: tuple(value) for key, value in lists.items()}
    try:
        made = Param(**given)
        made.accept(name, default)
    except UsageError as error:
        raise ConfigError(f"{place}: {error}") from None
    return made


def _used(item: Any) -> dict[str, None]:
    """Names of parameters in a tree, in the order they stand in."""
    if isinstance(item, str):
        return dict.fromkeys(_PLACE.findall(item))
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    found: dict[str, None] = {}
    for one in inner:
        found |= _used(one)
    return found


def _filled(item: Any, values: Mapping[str, Value]) -> Any:
    if isinstance(item, dict):
        return {key: _filled(value, values) for key, value in item.items()}
    if isinstance(item, list):
        return [_filled(value, values) for value in item]
    if not isinstance(item, str):
        return item
    whole = _PLACE.fullmatch(item)
    if whole is not None:
        return values[whole[1]]
    return _PLACE.sub(lambda found: _written(values[found[1]]), item)


def _written(value: Value) -> str:
    """As a person writes it: 30, not 30.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
