"""What a journal says of strategies that take each other's place: the JSON of a STRATEGY input.

    {"op": "swap", "name", "place", "params", "sha256", "bars", "handed"[, "source"][, "state"]}
    {"op": "stop", "why", "text", "way", "part", "call"}

place, params: as `find_strategy` takes them. sha256: of the file its class is in; source: that of
a user's file, once a version. bars: of the day, that it was shown first. handed: it was given
`state`, what the one before had saved. why: raised, hung, memory. way: rollback, keep, flatten,
stop. part, call: which call failed, of which of its Python parts; call 0: none did.
"""

import json
import math
from typing import Any, Final

from dhanfast.errors import BadData, StrategyError

STATE_MAX: Final = 1 << 20  # bytes of a saved state, as JSON
SOURCE_MAX: Final = 1 << 20  # bytes of a strategy's file
DEPTH_MAX: Final = 50
WHYS: Final = ("raised", "hung", "memory")
WAYS: Final = ("rollback", "keep", "flatten", "stop")


def plain_state(state: Any, of: str) -> dict[str, Any]:
    """A saved state as the next strategy is given it: what JSON keeps as it was, in a dict.

    Args:
        state: what `save` returned. of: the strategy, for people.
    Raises:
        StrategyError: it is no dict, holds something else than plain data, or is too large; the
            message names the place.
    """
    if type(state) is not dict:
        raise StrategyError(f"{of}.save must return a dict, returned {type(state).__name__}")
    _check(state, f"{of}.save: state", 0)
    text = json.dumps(state)
    if len(text) > STATE_MAX:
        raise StrategyError(
            f"{of}.save: its state has {len(text):,} bytes as JSON, {STATE_MAX:,} are allowed: "
            "keep less"
        )
    found: dict[str, Any] = json.loads(text)
    return found


def _check(value: Any, at: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise StrategyError(f"{at} is nested more than {DEPTH_MAX} deep, or holds itself")
    if value is None or type(value) in (bool, str):
        return
    if type(value) is int:
        if abs(value) >= 1 << 63:
            raise StrategyError(f"{at} is {value}, which 64 bits do not hold: save it as text")
        return
    if type(value) is float:
        if not math.isfinite(value):
            raise StrategyError(f"{at} is {value}, which JSON does not have: save None")
        return
    if type(value) is list:
        for index, item in enumerate(value):
            _check(item, f"{at}[{index}]", depth + 1)
        return
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise StrategyError(f"{at} has the key {key!r}: keys must be str")
            _check(item, f"{at}[{key!r}]", depth + 1)
        return
    raise StrategyError(
        f"{at} is a {type(value).__module__}.{type(value).__name__}: save plain data (dict, list, "
        "str, int, float, bool, None)"
    )


def swap_words(
    *, name: str, place: str, params: dict[str, Any], sha256: str, bars: int,
    source: bytes = b"", state: dict[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """The words of a swap."""
    told: dict[str, Any] = {
        "op": "swap", "name": name, "place": place, "params": params, "sha256": sha256,
        "bars": bars, "handed": state is not None,
    }  # fmt: skip
    if source:
        told["source"] = text_of(source)
    if state is not None:
        told["state"] = state
    return json.dumps(told).encode()


def stop_words(*, why: str, text: str, way: str, part: int = 0, call: int = 0) -> bytes:
    """The words of an end."""
    told = {"op": "stop", "why": why, "text": text[:2000], "way": way, "part": part, "call": call}
    return json.dumps(told).encode()


def read_words(raw: bytes) -> dict[str, Any]:
    """The words of a journal.

    Raises:
        BadData: they are none of these.
    """
    try:
        told: dict[str, Any] = json.loads(raw)
        known = told["op"] == "swap" or (
            told["op"] == "stop" and told["way"] in WAYS and told["why"] in WHYS
        )
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise BadData("the journal exchanges a strategy in words that are not understood: it was "
                      "written by a newer version")  # fmt: skip
    return told


def text_of(source: bytes) -> str:
    """A file's bytes as JSON can hold them, whatever its encoding."""
    return source.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """`text_of`, back."""
    return text.encode("utf-8", "surrogateescape")
