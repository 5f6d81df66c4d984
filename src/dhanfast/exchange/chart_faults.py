"""What may be wrong with the candles of an answer: as seen at the broker, and worse."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from dhanfast.exchange.answers import Reply

EVERY: Final = 7  # of so many candles one comes twice, or has no price
Columns = dict[str, list[Any]]


def _empty(columns: Columns) -> Columns:
    """Nothing came, as for a minute that has just closed, or on a bad day."""
    return {name: [] for name in columns}


def _reorder(columns: Columns) -> Columns:
    """The later half first."""
    half = _length(columns) // 2
    return {name: values[half:] + values[:half] for name, values in columns.items()}


def _duplicate(columns: Columns) -> Columns:
    """Some candles twice, the same."""
    return {name: [value for at, value in enumerate(values)
                   for _ in range(2 if at % EVERY == 0 else 1)]
            for name, values in columns.items()}  # fmt: skip


def _conflict(columns: Columns) -> Columns:
    """Some candles twice, the second time with another close."""
    found = _duplicate(columns)
    starts = found.get("timestamp") or []
    closes = list(found.get("close") or [])
    for at in range(1, min(len(starts), len(closes))):
        if starts[at] == starts[at - 1]:
            closes[at] = round(closes[at] + 0.05, 2)
    return {**found, "close": closes}


def _gap(columns: Columns) -> Columns:
    """The middle third is missing."""
    count = _length(columns)
    return {name: values[: count // 3] + values[2 * count // 3 :] if values else values
            for name, values in columns.items()}  # fmt: skip


def _ragged(columns: Columns) -> Columns:
    """One column is shorter than the others."""
    return {**columns, "close": columns.get("close", [])[:-1]}


def _no_price(columns: Columns) -> Columns:
    """Some candles are all zeros but for their time."""
    return {name: values if name == "timestamp" else
            [0 if at % EVERY == 0 else value for at, value in enumerate(values)]
            for name, values in columns.items()}  # fmt: skip


def _no_interest(columns: Columns) -> Columns:
    """An open interest of 0 throughout."""
    return {name: [0] * len(values) if name in ("oi", "open_interest") else values
            for name, values in columns.items()}  # fmt: skip


SPOILERS: Final[dict[str, Callable[[Columns], Columns]]] = {
    "chart-empty": _empty,
    "chart-reorder": _reorder,
    "chart-duplicate": _duplicate,
    "chart-conflict": _conflict,
    "chart-gap": _gap,
    "chart-ragged": _ragged,
    "chart-no-price": _no_price,
    "chart-no-interest": _no_interest,
}


def spoiled(kind: str, reply: Reply) -> Reply:
    """An answer with what is wrong put in; one that is an error stays as it is.

    Args:
        kind: a key of SPOILERS.
    """
    if reply.status != 200 or not reply.body:
        return reply
    said = reply.json()
    spoil = SPOILERS[kind]
    if isinstance(said.get("data"), dict):
        sides = {key: spoil(side) if side else side for key, side in said["data"].items()}
        said = {**said, "data": sides}
    else:
        said = spoil(said)
    return replace(reply, body=msgspec.json.encode(said))


def _length(columns: Columns) -> int:
    return len(columns.get("timestamp") or [])
