"""How a source's columns go into a stream of ticks, decided after one look at every cell.

A column with a role fills its field of the tick. When the field gives every cell back, that is all;
otherwise the cell is kept besides, in a column of its own, as it stands in the source.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast._core.archive.schema import DEPTH, TICKS, TYPES, Stream
from dhanfast.errors import BadData
from dhanfast.storage.archive.forms import (
    TEXT_BYTES,
    Form,
    codes_of,
    filled,
    null_mask,
    put_texts,
    scaled_of,
)
from dhanfast.storage.archive.identities import Identities
from dhanfast.storage.archive.layouts import PRICES, QUANTITIES, Layout
from dhanfast.storage.archive.scans import NumberScan, TextScan, numpy_of
from dhanfast.storage.archive.sources import TickSource
from dhanfast.storage.archive.stamp_columns import StampColumn

U4_MAX: Final = 0xFFFF_FFFF
PRICE_MAX: Final = 1 << 53  # paise: exact in a double, and beyond anything traded
Fill = Callable[[Sequence[Any], NDArray[Any], int], None]  # batch, rows, number of its first row
Scan = TextScan | NumberScan | None


@dataclass(frozen=True)
class Part:
    """Rows for one stream: their numbers are those of the rows in the source."""

    stream: str
    rows: NDArray[Any]
    seq: NDArray[np.uint64]
    blob: bytes = b""


@dataclass
class Plan:
    """What is written, and how a batch of the source becomes it.

    Attributes:
        streams: of the archive. identities: its instruments. facts: what was read as what.
        qty_scale: parts of a unit in a quantity.
        encode: batches of the source (row number of the first, columns) to parts, in order.
    """

    streams: list[Stream]
    identities: Identities
    facts: list[str]
    qty_scale: int
    encode: Callable[[Iterator[tuple[int, list[Any]]]], Iterator[Part]]


@dataclass
class Survey:
    """What the first look at a source found, column by column, and its earliest and latest time."""

    scans: list[Scan]
    stamps: dict[str, StampColumn]
    identities: Identities
    rows: int = 0
    first_ns: int = 1 << 62
    last_ns: int = -(1 << 62)


@dataclass
class Build:
    """A stream that is being put together."""

    source: TickSource
    survey: Survey
    layout: Layout
    extra: list[tuple[str, str]] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)  # field -> index of the column
    scaling: dict[str, str] = field(default_factory=dict)
    base: Stream = TICKS
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """The fields of the stream are taken."""
        self.taken |= set(self.base.fields)

    @property
    def csv(self) -> bool:
        """Whether the cells are texts of a CSV."""
        return self.source.dialect is not None

    def name(self, wanted: str, kind: str) -> str:
        """A name for a further field, like the one wanted, and its place in the stream."""
        wanted = wanted.strip()[:56] or "column"
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}.{number}", number + 1
        self.taken.add(name)
        self.extra.append((name, kind))
        return name


def survey_source(source: TickSource, layout: Layout, symbol: str | None) -> Survey:
    """Look at every cell of a source once.

    Raises:
        BadData: a row without a time, or a file that cannot be read to its end.
    """
    numbered = _numbered(source, layout)
    identities = Identities(layout.roles, symbol, numbered=numbered, described=source.instruments)
    scans = [_scan_of(one.type, csv=source.dialect is not None) for one in source.schema]
    stamps = {
        role: StampColumn(source.path, source.names[at], source.schema[at].type, layout.tz)
        for role, at in layout.roles.items()
        if role in ("recv", "exch")
    }
    survey = Survey(scans, stamps, identities)
    for batch in source.batches():
        identities.numbers(batch)
        for role, stamp in stamps.items():
            at = layout.roles[role]
            times = stamp.update(batch[at])
            if role == "recv" or "recv" not in stamps:
                survey.first_ns = min(survey.first_ns, int(times.min()))
                survey.last_ns = max(survey.last_ns, int(times.max()))
        for scan, column in zip(scans, batch, strict=True):
            if scan is not None:
                scan.update(column)
        survey.rows += len(batch[0])
    return survey


def _numbered(source: TickSource, layout: Layout) -> bool:
    """Whether the instrument column is a plain number of ours: uint32 in a Parquet file."""
    at = layout.roles.get("instrument")
    return at is not None and bool(pa.types.is_uint32(source.schema[at].type))


def _scan_of(kind: Any, *, csv: bool) -> Scan:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TextScan(numbers=csv)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return NumberScan()
    return None


def make_plan(source: TickSource, survey: Survey, layout: Layout) -> Plan:
    """Decide how a source's columns go into a stream of ticks, or of depth when it is our own."""
    for stream in (TICKS, DEPTH):
        if is_our_own(source, stream):
            return _own_plan(Build(source, survey, layout, base=stream))
    build = Build(source, survey, layout)
    roles = {at: role for role, at in layout.roles.items()}
    parts_qty = _qty_digits(survey, layout)
    for at, one in enumerate(source.schema):
        role = roles.get(at, "")
        form = None
        if role in ("recv", "exch"):
            form = time_form(build, at, role)
        elif role == "instrument":
            form = instrument_form(build, at)
        elif role in PRICES or role in QUANTITIES or role == "flags":
            form = _number_form(build, at, role, parts_qty)
        form = form or kept(build, at)
        build.forms.append({"name": one.name, "type": str(one.type)} | form)
    return _finished(build, parts_qty)


def is_our_own(source: TickSource, stream: Stream) -> bool:
    """Whether a Parquet file has every field of a stream, of the same type and without nulls."""
    if source.dialect is not None:
        return False
    kinds = {one.name: one.type for one in source.schema}
    return len(kinds) == len(source.names) and all(
        kinds.get(name) == pa.from_numpy_dtype(stream.dtype[name]) for name in stream.fields
    )


def _own_plan(build: Build) -> Plan:
    """Our own records: each field is its column, whatever stands in it."""
    for at, one in enumerate(build.source.schema):
        scan = build.survey.scans[at]
        if one.name in build.base.fields and scan is not None and not scan.nulls:
            build.fills.append(_direct(one.name, at))
            form: Form = {"how": "int", "field": one.name}
        elif one.name in build.base.fields:
            raise BadData(
                f"{build.source.path}: column {one.name!r} has nulls; in records of ours every "
                "field is there: write 0 for what is not known"
            )
        else:
            form = kept(build, at)
        build.forms.append({"name": one.name, "type": str(one.type)} | form)
    return _finished(build, 0)


def _direct(name: str, at: int) -> Fill:
    return _filler(name, lambda batch: numpy_of(batch[at]))


def _qty_digits(survey: Survey, layout: Layout) -> int:
    """Decimals of the quantities: all share one scale; 0 when they do not fit or are not exact."""
    digits = 0
    for role in QUANTITIES:
        if role in layout.roles:
            scan = survey.scans[layout.roles[role]]
            mine = getattr(scan, "digits", None)
            if mine is not None and not (isinstance(scan, TextScan) and scan.style is None):
                digits = max(digits, mine)
    for role in QUANTITIES:
        if role in layout.roles and role != "volume":
            scan = survey.scans[layout.roles[role]]
            if getattr(scan, "high", 0.0) * 10**digits > U4_MAX:
                return 0
    return digits


def time_form(build: Build, at: int, role: str) -> Form | None:
    """Fill a time of the tick; its form when that gives every cell back."""
    stamp = build.survey.stamps[role]
    name = f"{role}_ns"

    def fill(batch: Sequence[Any], rows: NDArray[Any], first: int) -> None:
        rows[name] = stamp.read(batch[at], first)

    build.fills.append(fill)
    if build.layout.clock == "exch":
        # Rows are ordered by the only clock there is.
        build.fills.append(lambda batch, rows, first: rows.__setitem__("recv_ns", rows["exch_ns"]))
    return stamp.form(name, csv=build.csv)


def instrument_form(build: Build, at: int) -> Form | None:
    """The form of the column that names the instrument; None when symbols are absent."""
    kind = build.source.schema[at].type
    if pa.types.is_uint32(kind):
        return {"how": "int", "field": "instrument"}
    if not (pa.types.is_string(kind) or pa.types.is_dictionary(kind)):
        return None
    symbols = build.survey.identities.symbols
    if any(one is None for one in symbols):
        return None
    return {"how": "enum", "field": "instrument", "values": symbols}


def _number_form(build: Build, at: int, role: str, qty_digits: int) -> Form | None:
    """Fill a price or quantity of the tick; its form when that gives every cell back."""
    kind, scan = build.source.schema[at].type, build.survey.scans[at]
    whole = pa.types.is_integer(kind)
    # Rupees, also where they are whole: only records of ours, field for field, are in paise.
    digits = 0 if role == "flags" else 2 if role in PRICES else qty_digits
    if scan is None:
        return None
    limits = (-PRICE_MAX, PRICE_MAX) if role in PRICES else (0, U4_MAX)
    if role == "volume":
        limits = (0, (1 << 62) - 1)

    def fill(batch: Sequence[Any], rows: NDArray[Any], first: int) -> None:
        rows[role] = np.clip(scaled_of(batch[at], digits), *limits)

    build.fills.append(fill)
    if isinstance(scan, TextScan):
        exact = scan.style is not None and scan.digits <= digits
    else:
        exact = scan.digits is not None and scan.digits <= digits
    low, high = (scan.low * 10**digits, scan.high * 10**digits) if scan.low <= scan.high else (0, 0)
    if not exact or low < limits[0] or high > min(limits[1], 1 << 53):
        return None
    form: Form = {"how": "scaled" if digits else "int", "field": role}
    if whole and digits:
        form = {"how": "int", "field": role, "unit": 10**digits}
    if digits and not whole:
        form["digits"] = digits
    if pa.types.is_floating(kind):
        form["how"] = "scaled"
    if isinstance(scan, TextScan):
        form["style"] = scan.style
        form["how"] = "scaled"
    return form | _null_of(build, at)


def _null_of(build: Build, at: int) -> Form:
    """A field that says which cells are null, when there are any."""
    scan, one = build.survey.scans[at], build.source.schema[at]
    if scan is None or not scan.nulls:
        return {}
    name = build.name(f"{one.name}.null", "u1")

    def fill(batch: Sequence[Any], rows: NDArray[Any], first: int) -> None:
        rows[name] = null_mask(batch[at], csv=build.csv)

    build.fills.append(fill)
    return {"null": name}


def kept(build: Build, at: int) -> Form:
    """A column that no field of the tick gives back, in a field of its own."""
    kind, scan = build.source.schema[at].type, build.survey.scans[at]
    if pa.types.is_null(kind):
        return {"how": "none"}
    if isinstance(scan, TextScan):
        return _kept_texts(build, at, scan)
    if scan is None and not _fixed(kind):
        return _kept_bytes(build, at)
    if scan is None:
        return _kept_fixed(build, at)
    return _kept_numbers(build, at, scan)


def _fixed(kind: Any) -> bool:
    """Whether a type is a number of 1 to 8 bytes underneath."""
    return any(
        told(kind)
        for told in (pa.types.is_boolean, pa.types.is_date, pa.types.is_time,
                     pa.types.is_timestamp, pa.types.is_duration)
    )  # fmt: skip


def _kept_texts(build: Build, at: int, scan: TextScan) -> Form:
    name = build.source.names[at]
    if scan.style is not None:
        digits = scan.digits
        made = build.name(name, "i8")
        _note_scaling(build, at, made)
        build.fills.append(_filler(made, lambda b: scaled_of(b[at], digits)))
        form: Form = {"how": "scaled", "field": made, "digits": digits, "style": scan.style}
    elif scan.floats:
        made = build.name(name, "f8")
        build.fills.append(_filler(made, lambda b: _doubles(b[at])))
        form = {"how": "raw", "field": made}
    elif scan.distinct is not None:
        words = [word for word in scan.distinct if word is not None] or [""]
        numbers = {word: number for number, word in enumerate(words)}
        made = build.name(name, "u1" if len(words) <= 256 else "u4")
        build.fills.append(_filler(made, lambda b: codes_of(b[at], numbers)))
        form = {"how": "enum", "field": made, "values": words}
    else:
        return _kept_bytes(build, at)
    return form | _null_of(build, at)


def _kept_bytes(build: Build, at: int) -> Form:
    """Texts of any kind, and what Arrow can write as text: into the bytes of the row."""
    kind = build.source.schema[at].type
    made = build.name(build.source.names[at], "u4")
    build.texts[made] = at
    form: Form = {"how": "text", "field": made}
    if build.csv:
        return form
    null = build.name(f"{build.source.names[at]}.null", "u1")
    build.fills.append(_filler(null, lambda b: null_mask(b[at], csv=False)))
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _texty(kind)
            or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind)):  # fmt: skip
        raise BadData(
            f"{build.source.path}: column {build.source.names[at]!r} is {kind}; convert it to "
            "numbers, times or text first"
        )
    return form | {"null": null}


def _texty(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kept_fixed(build: Build, at: int) -> Form:
    kind = build.source.schema[at].type
    width = 1 if pa.types.is_boolean(kind) else kind.bit_width // 8
    made = build.name(build.source.names[at], f"{'u' if width == 1 else 'i'}{width}")
    null = build.name(f"{made}.null", "u1")
    build.fills.append(_filler(made, lambda b: numpy_of(filled(b[at]))))
    build.fills.append(_filler(null, lambda b: null_mask(b[at], csv=False)))
    return {"how": "int", "field": made, "null": null}


def _kept_numbers(build: Build, at: int, scan: NumberScan) -> Form:
    kind, name = build.source.schema[at].type, build.source.names[at]
    if pa.types.is_float16(kind):
        return _kept_bytes(build, at)
    if pa.types.is_floating(kind) and scan.digits is not None and scan.low <= scan.high:
        digits = scan.digits
        made = build.name(name, "i8")
        _note_scaling(build, at, made)
        build.fills.append(_filler(made, lambda b: scaled_of(b[at], digits)))
        return {"how": "scaled", "field": made, "digits": digits} | _null_of(build, at)
    code = numpy_of(pa.array([], kind)).dtype.str[1:]
    assert code in TYPES
    made = build.name(name, code)
    build.fills.append(_filler(made, lambda b: numpy_of(filled(b[at]))))
    how = "raw" if pa.types.is_floating(kind) else "int"
    return {"how": how, "field": made} | _null_of(build, at)


def _note_scaling(build: Build, at: int, made: str) -> None:
    """Levels of a book share the steps of prices and quantities."""
    name = build.source.names[at].lower()
    if name.startswith(("bid", "ask", "sell", "buy")):
        if "price" in name:
            build.scaling[made] = "price"
        elif "qty" in name or "quantity" in name or "size" in name:
            build.scaling[made] = "qty"


def _filler(name: str, made: Callable[[Sequence[Any]], NDArray[Any]]) -> Fill:
    def fill(batch: Sequence[Any], rows: NDArray[Any], first: int) -> None:
        rows[name] = made(batch)

    return fill


def _doubles(column: Any) -> NDArray[np.float64]:
    coded = filled(column).dictionary_encode()
    known = np.array([float(word or "0") for word in coded.dictionary.to_pylist()], np.float64)
    found: NDArray[np.float64] = known[np.asarray(coded.indices)]
    return found


def _finished(build: Build, qty_digits: int) -> Plan:
    if build.texts:
        build.extra.append((TEXT_BYTES, "u4"))
    stream = build.base.with_extra(build.extra)
    told = source_meaning(build.source, build.survey.rows) | {"columns": build.forms,
                                                            "texts": list(build.texts)}  # fmt: skip
    stream = replace(
        stream,
        blob=TEXT_BYTES if build.texts else None,
        scaling=dict(stream.scaling) | build.scaling,
        meaning=dict(stream.meaning) | clock_meaning(build) | words_of(build) | {"source": told},
    )
    return Plan([stream], build.survey.identities, read_facts(build), 10**qty_digits,
                lambda batches: _encode(build, stream, batches))  # fmt: skip


def source_meaning(source: TickSource, rows: int) -> dict[str, Any]:
    """What a stream's meaning says of the file as a whole."""
    told: dict[str, Any] = {"format": source.kind, "rows": rows}
    if source.dialect is not None:
        shown = source.dialect
        told["csv"] = {"delimiter": shown.delimiter, "newline": shown.newline, "bom": shown.bom,
                       "ends": shown.ends, "header": shown.header}  # fmt: skip
    else:
        told["schema"] = base64.b64encode(source.schema.serialize().to_pybytes()).decode()
    return told


def words_of(build: Build) -> dict[str, Any]:
    """What the numbers of further columns mean, for readers that know nothing of sources."""
    own = {name for name, _ in build.extra}
    told: dict[str, Any] = {}
    for form in build.forms:
        field = form.get("field")
        if field not in own:
            continue
        if form["how"] == "enum" and "codes" not in form:
            told[field] = {"enum": form["values"]}
        elif form["how"] == "scaled" and form.get("digits"):
            told[field] = {"digits": form["digits"]}
    return told


def clock_meaning(build: Build) -> dict[str, Any]:
    """What the times of the stream mean, when the source has one clock only."""
    told: dict[str, Any] = {}
    if build.layout.clock == "exch":
        told["recv_ns"] = "the exchange's time: the source has no clock of its receiver"
    if build.layout.clock == "recv":
        told["exch_ns"] = "0: the source has no clock of the exchange"
    return told


def read_facts(build: Build) -> list[str]:
    """What was read as what, in words."""
    clock = {
        "recv": "the only time is the receiver's clock (--clock exch if it is the exchange's)",
        "exch": "the only time is the exchange's clock (--clock recv if it is the receiver's)",
        None: "both clocks",
    }[build.layout.clock]
    facts = [f"layout: {build.layout.name}", f"columns: {', '.join(build.layout.pairs)}", clock]
    kinds = {role: build.source.schema[at].type for role, at in build.layout.roles.items()}
    whole = [role for role in PRICES if role in kinds and pa.types.is_integer(kinds[role])]
    if whole:
        paise = is_our_own(build.source, build.base)
        facts.append(f"{', '.join(whole)}: whole {'paise' if paise else 'rupees'}")
    facts += [stamp.fact for stamp in build.survey.stamps.values() if stamp.fact]
    beside = [name for name, _ in build.extra if not name.endswith(".null") and name != TEXT_BYTES]
    if beside:
        facts.append(f"kept as columns of their own: {', '.join(beside)}")
    return facts


def _encode(
    build: Build, stream: Stream, batches: Iterator[tuple[int, list[Any]]]
) -> Iterator[Part]:
    for first, batch in batches:
        rows = np.zeros(len(batch[0]), stream.dtype)
        rows["instrument"] = build.survey.identities.numbers(batch)
        for fill in build.fills:
            fill(batch, rows, first)
        blob = b""
        if build.texts:
            columns = {name: _as_bytes(batch[at]) for name, at in build.texts.items()}
            blob = put_texts(columns, rows)
        seq = np.arange(first, first + len(rows), dtype=np.uint64)
        yield Part(stream.name, rows, seq, blob)


def _as_bytes(column: Any) -> Any:
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        return filled(pc.cast(column, pa.string()))
    return filled(column)
