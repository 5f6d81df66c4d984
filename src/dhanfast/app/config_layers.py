"""Where settings come from: presets, files, a .env file, the environment, the command line.

Each layer becomes {dotted key: value with its source}, checked against `config_fields.Tree` as it
is read, so that a wrong value is refused where it stands even when a later layer replaces it.
"""

import io
import os
import re
import stat
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import msgspec

from dhanfast.app.config_fields import VERSION, Strategy, Tree
from dhanfast.app.config_section import Section
from dhanfast.app.config_values import decode
from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

PREFIX: Final = "DHANFAST__"
FILE_MAX: Final = 1 << 20
# Version 1's variables, and the setting that names them.
ALIASES: Final = {"DHAN_CLIENT_ID": "broker.client_id", "DHAN_ACCESS_TOKEN": "broker.token"}
PLACEHOLDERS: Final = {"", "YOUR_CLIENT_ID", "YOUR_ACCESS_TOKEN"}
# What is written there may be a secret by mistake: a refusal never repeats it.
UNREPEATED: Final = ("broker.",)


class Set(NamedTuple):
    """One value and where it comes from."""

    value: Any
    source: str


Flat = dict[str, Set]


class Layers:
    """All layers read so far, later ones on top.

    Attributes:
        flat: settings but those of strategies.
        strategies: settings of each [[strategy]].
    """

    def __init__(self) -> None:
        self.flat: Flat = {}
        self.strategies: list[Flat] = []

    def table(self, table: Mapping[str, Any], source: str) -> None:
        """Put a decoded TOML file on top.

        Raises:
            ConfigError: an unknown key or a wrong value; the message has `source: section.key`.
        """
        rest = {key: value for key, value in table.items() if key != "strategy"}
        self.flat |= dict(_flatten(rest, Tree, "", source))
        if "strategy" in table:
            found = table["strategy"]
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise ConfigError(f"{source}: strategy: write it as a table [[strategy]]")
            self.strategies = [dict(_flatten(one, Strategy, "strategy.", source)) for one in found]

    def text(self, key: str, text: str, source: str) -> None:
        """Put one `section.key` on top, written as text.

        Raises:
            ConfigError: an unknown key or a wrong value.
        """
        parts = key.split(".")
        if parts[0] == "strategy" and len(parts) > 1:
            self._strategy_text(parts[1:], text, source)
            return
        kind = _leaf(parts, Tree, source)
        self.flat[key] = Set(_converted(text, kind, key, source, text=True), source)

    def _strategy_text(self, parts: list[str], text: str, source: str) -> None:
        """`strategy.lots`, `strategy.params.ema`, or with the strategy's name in between."""
        if not self.strategies:
            self.strategies.append({"strategy.name": Set("main", source)})
        names = {one["strategy.name"].value: one for one in self.strategies
                 if "strategy.name" in one}  # fmt: skip
        if parts[0] in names and parts[0] not in _fields(Strategy) and len(parts) > 1:
            into, parts = names[parts[0]], parts[1:]
        elif len(self.strategies) == 1:
            into = self.strategies[0]
        else:
            raise ConfigError(f"{source}: strategy.{'.'.join(parts)}: there are several "
                              "strategies; write strategy.NAME.KEY")  # fmt: skip
        if parts[0] == "params" and len(parts) == 2:
            before = into.get("strategy.params", Set({}, source)).value
            into["strategy.params"] = Set({**before, parts[1]: text}, source)
            return
        kind = _leaf(parts, Strategy, source, "strategy.")
        key = f"strategy.{parts[0]}"
        into[key] = Set(_converted(text, kind, key, source, text=True), source)


def _fields(struct: type[Section]) -> dict[str, Any]:
    """{name: type with its annotations}."""
    return {one.name: one.type for one in msgspec.structs.fields(struct)}


def plain_type(kind: Any) -> Any:
    """A type without its annotations."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def is_section(kind: Any) -> bool:
    """Whether a field is a table of its own."""
    plain = plain_type(kind)
    return isinstance(plain, type) and issubclass(plain, Section)


def _flatten(
    table: Mapping[str, Any], struct: type[Section], prefix: str, source: str
) -> Iterator[tuple[str, Set]]:
    fields = _fields(struct)
    for name, value in table.items():
        key = f"{prefix}{name}"
        if name not in fields:
            raise ConfigError(f"{source}: {key}: {unknown('setting', name, fields)}")
        if is_section(fields[name]):
            if not isinstance(value, dict):
                raise ConfigError(f"{source}: {key}: must be a table [{key}]")
            yield from _flatten(value, plain_type(fields[name]), f"{key}.", source)
        else:
            yield key, Set(_converted(value, fields[name], key, source), source)


def _leaf(parts: Sequence[str], struct: type[Section], source: str, prefix: str = "") -> Any:
    """The type of a dotted key."""
    for place, name in enumerate(parts):
        key = prefix + ".".join(parts[: place + 1])
        fields = _fields(struct)
        if name not in fields:
            raise ConfigError(f"{source}: {key}: {unknown('setting', name, fields)}")
        if not is_section(fields[name]):
            if place + 1 < len(parts):
                raise ConfigError(f"{source}: {'.'.join(parts)}: {key} is a value, not a table")
            return fields[name]
        struct = plain_type(fields[name])
    raise ConfigError(f"{source}: {key}: is a table; name one of its settings: "
                      f"{', '.join(_fields(struct))}")  # fmt: skip


def _converted(value: Any, kind: Any, key: str, source: str, *, text: bool = False) -> Any:
    """A value as its field's type."""
    if key == "version" and str(value) != str(VERSION):
        raise ConfigError(f"{source}: version: this program reads version {VERSION}")
    shown = "" if key.startswith(UNREPEATED) else f" (was {_short(value)})"
    if isinstance(value, str):
        _require_plain(value, key, source)
    if text and typing.get_origin(plain_type(kind)) is tuple:
        value = [one.strip() for one in value.split(",") if one.strip()]
    try:
        return msgspec.convert(value, kind, strict=not text, dec_hook=_hook)
    except msgspec.ValidationError as error:
        words = _plainly(str(error), kind).replace(repr(value), _short(value))
    raise ConfigError(f"{source}: {key}: {words}{'' if 'write' in words else shown}")


def _require_plain(value: str, key: str, source: str) -> None:
    """Refuse a text that no file name and no journal could hold; it is not repeated.

    Raises:
        ConfigError: a NUL, or bytes that are no UTF-8.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{source}: {key}: is not UTF-8 text; write it in UTF-8") from None
    if "\0" in value:
        raise ConfigError(f"{source}: {key}: holds a NUL, which no text here may; leave it out")


def _short(value: Any) -> str:
    """A value as far as a message needs it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _hook(kind: type, value: Any) -> Any:
    """`decode`, its refusals in the form that msgspec passes on."""
    try:
        return decode(kind, value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _plainly(words: str, kind: Any) -> str:
    """msgspec's words in ours."""
    plain = plain_type(kind)
    each = typing.get_args(plain)[0] if typing.get_origin(plain) is tuple else plain
    if typing.get_origin(each) is typing.Literal and (each is plain or "enum" in words):
        of = "must be one of " if each is plain else "each must be one of "
        return of + ", ".join(str(one) for one in typing.get_args(each) if one != "")
    if isinstance(plain, types.UnionType):
        return words
    words = re.sub(r" - at `\$.*`$", "", words)
    if "matching regex" in words:
        return f"must be of the form {_example(kind)}"
    return re.sub(r"^Expected `(\w+)`, got `(\w+)`$", r"must be of type \1, not \2", words).replace(
        "Expected `int`", "must be a whole number"
    )


def _example(kind: Any) -> str:
    """What a field's value may look like."""
    found = [one.examples for one in typing.get_args(kind)[1:]
             if isinstance(one, msgspec.Meta) and one.examples]  # fmt: skip
    return str(found[0][0]) if found else "that its documentation says"


# ---- what is read ------------------------------------------------------------------------------


def read_toml(name: str, stdin: TextIO) -> tuple[dict[str, Any], str]:
    """A configuration file, or standard input for `-`, and what to call it.

    Raises:
        ConfigError: it cannot be read, is too large, or is no TOML.
    """
    source = "standard input" if name == "-" else name
    try:
        if name == "-":
            data = stdin.read(FILE_MAX + 1).encode()
        else:
            with open(name, "rb") as file:
                data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"{source}: cannot be read ({error.strerror}); `dhanfast init` writes one"
        ) from error
    if len(data) > FILE_MAX:
        raise ConfigError(f"{source}: larger than {FILE_MAX:,} bytes, so no configuration")
    try:
        return tomllib.load(io.BytesIO(data)), source
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        words = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8 text"
    raise ConfigError(f"{source}: is not TOML: {words}")


def read_preset(name: str) -> dict[str, Any]:
    """A set of values that comes with the program."""
    text = resources.files("dhanfast.app").joinpath("presets", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def read_dotenv(path: Path) -> dict[str, str]:
    """Variables of a .env file; none when there is no file.

    Raises:
        ConfigError: others may read it, or a line is no NAME=VALUE (the line is not repeated).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    with os.fdopen(handle, "rb") as file:
        known = os.fstat(file.fileno())
        if stat.S_IMODE(known.st_mode) & 0o077:
            raise ConfigError(
                f"{path}: others can read it (mode {stat.S_IMODE(known.st_mode):04o}); "
                f"run: chmod 600 {path}"
            )
        if known.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"{path}: belongs to another user; make it yours")
        data = file.read(FILE_MAX)
    found = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", line)
        if not match:
            raise ConfigError(f"{path}: line {number} is not NAME=VALUE")
        found[match[1]] = _unquoted(match[2])
    return found


def _unquoted(text: str) -> str:
    """A value without its quotes, or without the comment behind it."""
    if len(text) >= 2 and text[0] in "\"'":
        end = text.find(text[0], 1)
        if end > 0:
            return text[1:end]
    return re.sub(r"\s+#.*$", "", text)


def variables(layers: Layers, found: Mapping[str, str], where: str) -> None:
    """Put DHANFAST__SECTION__KEY and version 1's variables on top, in the order of their names.

    Raises:
        ConfigError: a variable names no setting, or its value is wrong.
    """
    for name, key in ALIASES.items():
        if found.get(name, "") not in PLACEHOLDERS:
            layers.text(key, f"env:{name}", f"{where} {name}")
    for name in sorted(found):
        if name.startswith(PREFIX):
            key = ".".join(name.removeprefix(PREFIX).lower().split("__"))
            layers.text(key, found[name], f"{where} {name}")
