"""JSON Schema of the configuration file, made from the same structs that read it."""

import copy
from typing import Any, Final

import msgspec

from dhanfast.app.config_fields import Strategy, Tree
from dhanfast.app.config_layers import is_section, plain_type
from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Amount, MaybeNamed, Rupees, Written

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema: editors complete and check config.toml with it."""
    return {
        "$schema": DIALECT,
        "title": "dhanfast configuration",
        **_section(Tree, "Settings of dhanfast, version 2."),
    }


def default_text(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default as it is written in a file; None when it must be given."""
    if field.default is msgspec.NODEFAULT:
        made = field.default_factory
        return copy.copy(made()) if made is not msgspec.NODEFAULT else None
    if isinstance(field.default, Written):
        return str(field.default)
    return list(field.default) if isinstance(field.default, tuple) else field.default


def description(field: msgspec.structs.FieldInfo) -> str:
    """The documented line of a field, empty when it has none."""
    for meta in getattr(field.type, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return ""


def _section(kind: type[Section], words: str) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    required = [one.name for one in fields if default_text(one) is None]
    made: dict[str, Any] = {
        "type": "object",
        "description": words,
        "additionalProperties": False,
        "properties": {one.name: _field(one) for one in fields},
    }
    return made | ({"required": required} if required else {})


def _field(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    words = description(field)
    if is_section(field.type):
        return _section(plain_type(field.type), words)
    if field.name == "strategy":
        return {"type": "array", "description": words, "maxItems": 1,
                "items": _section(Strategy, (Strategy.__doc__ or "").strip())}  # fmt: skip
    plain = plain_type(field.type)
    made: dict[str, Any]
    if isinstance(plain, type) and issubclass(plain, Written):
        number = issubclass(plain, Rupees | Amount | MaybeNamed)
        made = {"type": ["string", "number"] if number else "string", "description": words}
        made |= {"pattern": plain.pattern} if plain.pattern else {}
        made |= {"examples": [plain.example]} if plain.example else {}
    else:
        made = msgspec.json.schema(field.type)
    default = default_text(field)
    return made if default is None else made | {"default": default}
