"""Streams of an archive: which fields a row has, and what the codec may know about them.

A stream is described in the HEAD of each file (docs/reference/archive-format.md), so that a file
can be read without this module. The streams here are those the engine itself writes and reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from dhanfast._core.types import BAR_DTYPE, DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData

TYPES: Final = frozenset({"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"})
FIELDS_MAX: Final = 250
NAME_MAX: Final = 64


@dataclass(frozen=True)
class Stream:
    """One table of an archive: rows of fixed size in the order they arrived.

    Attributes:
        id: its number in the file, 0..65535.
        name: ticks, depth, bars, stats, frames, or another.
        dtype: packed structured dtype of scalar little-endian fields.
        key: field that says which instrument, a u4; None when rows are of no instrument.
        time: field that orders the rows (receive time); None for none.
        event: field with the exchange's own time; None for none.
        blob: integer field that holds how many bytes belong to each row; None for none.
        scaling: fields whose changes are multiples of a price or quantity step of the instrument.
        meaning: remarks for readers, by field.
    """

    id: int
    name: str
    dtype: np.dtype[Any]
    key: str | None = None
    time: str | None = None
    event: str | None = None
    blob: str | None = None
    scaling: Mapping[str, str] = field(default_factory=dict)
    meaning: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what the format cannot hold."""
        if isinstance(self.id, bool) or not 0 <= self.id <= 65535:
            raise BadData(f"stream {self.name!r}: id is {self.id!r}; 0 to 65535")
        if not self.name or len(self.name) > NAME_MAX:
            raise BadData(f"stream name {self.name!r}: 1 to {NAME_MAX} letters")
        names = self.dtype.names
        if not names or len(names) > FIELDS_MAX:
            raise BadData(f"stream {self.name!r}: a row has 1 to {FIELDS_MAX} fields")
        at = 0
        for name in names:
            kind, offset = self.dtype.fields[name][:2]  # type: ignore[index]
            if offset != at or kind.str[0] == ">" or kind.str[1:] not in TYPES:
                raise BadData(
                    f"stream {self.name!r}: field {name!r} ({kind}) is not a packed "
                    f"little-endian scalar of {', '.join(sorted(TYPES))}"
                )
            at += kind.itemsize
        self._need("key", self.key, ("u4",))
        self._need("time", self.time, ("i8",))
        self._need("event", self.event, ("i8",))
        self._need("blob", self.blob, ("u1", "u2", "u4"))
        for name, group in self.scaling.items():
            if name not in names or group not in ("price", "qty") or self.key is None:
                raise BadData(
                    f"stream {self.name!r}: scaling of {name!r} as {group!r}; fields of a keyed "
                    "stream may share `price` or `qty`"
                )

    def _need(self, role: str, name: str | None, types: Sequence[str]) -> None:
        if name is None:
            return
        if name not in (self.dtype.names or ()) or self.dtype[name].str[1:] not in types:
            raise BadData(
                f"stream {self.name!r}: {role} is {name!r}; it must be a field of type "
                f"{' or '.join(types)}"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the row."""
        return self.dtype.names or ()

    def with_extra(self, extra: Sequence[tuple[str, str]]) -> "Stream":
        """The same stream with more columns behind the standard ones.

        Args:
            extra: name and type (i1 ... f8) of each.

        Raises:
            BadData: a name is taken, a type unknown.
        """
        for name, kind in extra:
            if kind not in TYPES:
                raise BadData(f"stream {self.name!r}: type {kind!r} of {name!r} is not known")
        fields = [(name, self.dtype[name].str) for name in self.fields]
        fields += [(name, ("|" if kind[1] == "1" else "<") + kind) for name, kind in extra]
        try:
            dtype = np.dtype(fields)
        except ValueError as error:
            raise BadData(f"stream {self.name!r}: extra columns: {error}") from error
        return Stream(self.id, self.name, dtype, self.key, self.time, self.event, self.blob,
                      self.scaling, self.meaning)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The stream as the HEAD of a file describes it."""
        return {
            "id": self.id,
            "name": self.name,
            "fields": [[name, self.dtype[name].str[1:]] for name in self.fields],
            "key": self.key,
            "time": self.time,
            "event": self.event,
            "blob": self.blob,
            "scaling": dict(self.scaling),
            "meaning": dict(self.meaning),
        }

    @staticmethod
    def from_json(described: Any) -> "Stream":
        """Read a description out of a HEAD.

        Raises:
            BadData: it is not one.
        """
        try:
            fields = [
                (str(name), ("|" if kind[1:] == "1" else "<") + str(kind))
                for name, kind in described["fields"]
                if kind in TYPES or _refuse(name, kind)
            ]
            named = {role: described.get(role) for role in ("key", "time", "event", "blob")}
            return Stream(
                int(described["id"]),
                str(described["name"]),
                np.dtype(fields),
                scaling={str(k): str(v) for k, v in (described.get("scaling") or {}).items()},
                meaning=dict(described.get("meaning") or {}),
                **{role: None if name is None else str(name) for role, name in named.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            if isinstance(error, BadData):
                raise
            raise BadData(f"not the description of a stream: {described!r:.200}") from error


def _refuse(name: object, kind: object) -> bool:
    raise BadData(f"field {name!r} has the unknown type {kind!r}; update dhanfast")


STATS_DTYPE: Final = np.dtype([
    ("exch_ns", "<i8"), ("recv_ns", "<i8"), ("open", "<i8"), ("high", "<i8"), ("low", "<i8"),
    ("close", "<i8"), ("prev_close", "<i8"), ("band_low", "<i8"), ("band_high", "<i8"),
    ("total_buy_qty", "<u8"), ("total_sell_qty", "<u8"), ("avg_price_bits", "<u4"),
    ("prev_oi", "<u4"), ("oi_high", "<u4"), ("oi_low", "<u4"), ("instrument", "<u4"),
    ("flags", "<u4"),
])  # fmt: skip
FRAME_DTYPE: Final = np.dtype([("recv_ns", "<i8"), ("source", "<u4"), ("size", "<u4")])

TICKS: Final = Stream(
    0, "ticks", TICK_DTYPE, "instrument", "recv_ns", "exch_ns",
    scaling={"price": "price", "bid": "price", "ask": "price", "volume": "qty", "qty": "qty",
             "bid_qty": "qty", "ask_qty": "qty", "oi": "qty"},
)  # fmt: skip
DEPTH: Final = Stream(
    1, "depth", DEPTH_DTYPE, "instrument", "recv_ns", "exch_ns",
    scaling={"price": "price", "qty": "qty"},
    meaning={"op": {"enum": ["SET", "CLEAR", "RAW"]}, "side": "1 bid, -1 ask"},
)  # fmt: skip
BARS: Final = Stream(
    2, "bars", BAR_DTYPE, "instrument", "start_ns",
    scaling={"open": "price", "high": "price", "low": "price", "close": "price",
             "volume": "qty", "oi": "qty"},
)  # fmt: skip
STATS: Final = Stream(
    3, "stats", STATS_DTYPE, "instrument", "recv_ns", "exch_ns",
    scaling={"open": "price", "high": "price", "low": "price", "close": "price",
             "prev_close": "price", "band_low": "price", "band_high": "price",
             "total_buy_qty": "qty", "total_sell_qty": "qty"},
    meaning={"avg_price_bits": "the source's float32, as its bits"},
)  # fmt: skip
FRAMES: Final = Stream(
    4, "frames", FRAME_DTYPE, None, "recv_ns", None, "size",
    meaning={"source": "number of the connection; its messages' bytes are the blob"},
)  # fmt: skip
