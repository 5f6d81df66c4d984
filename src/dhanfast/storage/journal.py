"""Journals as people and programs read them: records as plain data, a verdict, a digest.

The native reader and writer are `dhanfast._core.live.journal_scan` and `.journal`; the layout is
docs/reference/journal-format.md.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from dhanfast._core.chainfeed import CHAIN_DTYPE
from dhanfast._core.live.budget import BUDGET_DTYPE
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_header import CLOSED
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.types import REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE

RECORDS: Final[dict[int, np.dtype[Any]]] = {
    Kind.SESSIONS: SESSION_DTYPE,
    Kind.TICK: TICK_DTYPE,
    Kind.TICKS: TICK_DTYPE,
    Kind.ANSWER: ANSWER_DTYPE,
    Kind.UPDATE: UPDATE_DTYPE,
    Kind.INTENT: INTENT_DTYPE,
    Kind.REPORT: REPORT_DTYPE,
    Kind.CHAIN: CHAIN_DTYPE,
    Kind.BUDGET: BUDGET_DTYPE,
}
# What a live run's inputs carry behind their record: times of the market and of the machine.
TAILS: Final[dict[int, tuple[str, ...]]] = {
    Kind.TICK: ("wall_ns",),
    Kind.ANSWER: ("market_ns",),
    Kind.UPDATE: ("market_ns",),
    Kind.TIMER: ("market_ns", "wall_ns"),
    Kind.CHAIN: ("wall_ns",),
    Kind.COMMAND: ("command", "units", "price", "market_ns", "wall_ns"),
}
DECISIONS: Final = frozenset({Kind.INTENT, Kind.REPORT})
COMMANDS: Final = {int(command): command.name for command in Command}
HIDDEN: Final = frozenset({"spare"})


@dataclass(frozen=True)
class JournalFinding:
    """What is in a journal, and what is wrong with it.

    Args:
        path: of the file.
        epoch: of the journal, whose correlation ids begin with `tag`.
        run, date: as its header says.
        records: whole records; kinds: how many of each.
        first_ns, last_ns: times of the first and the last record; 0 without any.
        end: offset behind the last whole record.
        synced_seq: up to which record its writer said that the disk has it.
        closed: its last writer ended in order.
        tail_bytes, tail_records: what follows the last whole record: bytes up to the last that is
            not zero, and whole records among them.
        why: what is wrong with the first bytes of the tail.
        damage: empty, or why records are missing that were known to be on the disk.
    """

    path: str
    epoch: int
    tag: str
    run: str
    date: int
    records: int
    kinds: dict[str, int]
    first_ns: int
    last_ns: int
    end: int
    synced_seq: int
    closed: bool
    tail_bytes: int
    tail_records: int
    why: str
    damage: str

    @property
    def whole(self) -> bool:
        """Whether nothing that counts is missing. A record torn by a kill does not count."""
        return not self.damage


def kind_name(kind: int) -> str:
    """INTENT; a number that no document lists is shown as such."""
    try:
        return Kind(kind).name
    except ValueError:
        return f"KIND_{kind}"


def examine(path: str | Path) -> JournalFinding:
    """Read a journal from end to end and say what is in it.

    Args:
        path: of the file; it may be being written.
    Raises:
        BadData: not a journal, or its header is damaged.
        OSError: it cannot be read.
    """
    kinds: Counter[str] = Counter()
    first_ns = 0
    with JournalReader(str(path)) as reader:
        for kind, at_ns, seq, _ in reader:
            kinds[kind_name(kind)] += 1
            first_ns = at_ns if seq == 1 else first_ns
        tail_bytes, tail_records = reader.tail()
        marks, header = reader.marks, reader.header
        missing = marks.synced_end > reader.end or marks.synced_seq > reader.seq
        damage = (
            f"record {reader.seq + 1} at byte {reader.end} cannot be read "
            f"({reader.why or 'the bytes are gone'}); records up to {marks.synced_seq} were on the "
            "disk"
            if missing
            else ""
        )
        return JournalFinding(
            path=str(path), epoch=header.epoch, tag=header.tag, run=header.run, date=header.date,
            records=reader.seq, kinds=dict(sorted(kinds.items())), first_ns=first_ns,
            last_ns=reader.at_ns, end=reader.end, synced_seq=marks.synced_seq,
            closed=marks.state == CLOSED, tail_bytes=tail_bytes, tail_records=tail_records,
            why=(reader.why or "bytes behind an unfinished record") if tail_bytes else "",
            damage=damage,
        )  # fmt: skip


def decision_digest(path: str | Path, kinds: Collection[int] = DECISIONS) -> str:
    """What was decided, as one number: equal journals of decisions have equal digests.

    Sequence numbers and the journal's own epoch do not enter, so a replay can be compared with
    the day it replays.

    Args:
        path: of the file.
        kinds: records that enter, in order, with their times.
    Returns:
        sha256 in hexadecimal.
    Raises:
        BadData, OSError: as for `examine`.
    """
    hasher = hashlib.sha256()
    with JournalReader(str(path)) as reader:
        for kind, at_ns, _, payload in reader:
            if kind in kinds:
                hasher.update(struct.pack("<HqI", kind, at_ns, len(payload)))
                hasher.update(payload)
    return hasher.hexdigest()


def shown(
    path: str | Path, kinds: Collection[int] | None = None, first: int = 1
) -> Iterator[dict[str, Any]]:
    """Records as plain data, for JSON and for people.

    Args:
        path: of the file.
        kinds: only these; None for all.
        first: sequence number to begin at.
    Returns:
        one dict a record: seq, time_ns, record, and its fields, or `rows`, `data`, `text` or `hex`.
    Raises:
        BadData, OSError: as for `examine`.
    """
    with JournalReader(str(path)) as reader:
        for kind, at_ns, seq, payload in reader:
            if seq >= first and (kinds is None or kind in kinds):
                head = {"seq": seq, "time_ns": at_ns, "record": kind_name(kind)}
                yield head | fields_of(kind, payload)


def fields_of(kind: int, payload: bytes) -> dict[str, Any]:
    """The payload of a record as plain data; what does not fit its kind is shown as hex."""
    dtype = RECORDS.get(kind)
    live = _live_fields(kind, payload, dtype)
    if live is not None:
        return live
    if dtype is not None and payload and len(payload) % dtype.itemsize == 0:
        rows = [_row(row) for row in np.frombuffer(payload, dtype)]
        return rows[0] if len(rows) == 1 and kind != Kind.TICKS else {"rows": rows}
    if not payload:
        return {}
    if kind == Kind.STRATEGY and len(payload) > 16:
        times = dict(zip(("market_ns", "wall_ns"), struct.unpack("<qq", payload[:16]), strict=True))
        return times | fields_of(Kind.NOTE, payload[16:])
    if kind == Kind.FEED and len(payload) == 4:
        return {"event": int.from_bytes(payload, "little")}
    if payload[:1] in b"{[":
        try:
            return {"data": msgspec.json.decode(payload)}
        except msgspec.DecodeError:
            pass
    return {"hex": payload.hex()}


def _live_fields(kind: int, payload: bytes, dtype: np.dtype[Any] | None) -> dict[str, Any] | None:
    """A live run's input: its record, if it has one, and its times; None when it is not such."""
    names = TAILS.get(kind)
    size = 0 if dtype is None else dtype.itemsize
    if names is None or len(payload) != size + 8 * len(names):
        return None
    found = _row(np.frombuffer(payload[:size], dtype)[0]) if dtype is not None else {}
    tail = struct.unpack(f"<{len(names)}q", payload[size:])
    found |= dict(zip(names, tail, strict=True))
    if kind == Kind.COMMAND:
        found["command"] = COMMANDS.get(found["command"], found["command"])
    return found


def _row(row: Any) -> dict[str, Any]:
    return {name: _plain(row[name]) for name in row.dtype.names if name not in HIDDEN}


def _plain(value: Any) -> Any:
    if isinstance(value, np.void):
        return _row(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    plain = value.item()
    return None if plain != plain else plain  # JSON has no number that is none
