"""A page about an archive: what it holds, from when to when, what is missing, its origin."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from dhanfast.storage.archive.catalog import is_writing
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.stamps import ist_text

SHOWN_MAX: Final = 12


def describe(path: Path) -> dict[str, Any]:
    """Facts of an archive as plain data; no row is decompressed.

    Raises:
        BadData: it is no archive, or damaged.
        FileNotFoundError: there is none.
    """
    with ArchiveReader(path) as reader:
        streams = [_stream(reader, name) for name in reader.streams]
        rows = sum(one["rows"] for one in streams)
        size = path.stat().st_size
        used: dict[int, int] = {}
        for name, stream in reader.streams.items():
            for key in reader.keys(name).tolist() if stream.key is not None else ():
                used[key] = used.get(key, 0) + 1
        return {
            "file": str(path), "bytes": size, "rows": rows,
            "bytes_a_row": round(size / rows, 3) if rows else None,
            "sealed": reader.sealed, "digest": reader.digest,
            "writing": not reader.sealed and is_writing(path), "torn_bytes": reader.torn_bytes,
            "generated": bool(reader.head.get("generated")), "day": reader.head.get("day"),
            "producer": reader.head.get("producer"), "source": reader.head.get("source"),
            "created": ist_text(int(reader.head.get("created_ns") or 0)),
            "streams": streams,
            "instruments": [reader.instruments[key].to_json() for key in sorted(used)
                            if key in reader.instruments],
            "undescribed": sum(key not in reader.instruments for key in used),
            "notes": reader.notes,
        }  # fmt: skip


def _stream(reader: ArchiveReader, name: str) -> dict[str, Any]:
    stream = reader.streams[name]
    span = reader.time_range(name) if stream.time is not None else None
    chosen = reader.select(name)
    return {
        "name": name, "rows": reader.rows(name), "blocks": len(chosen.blocks),
        "row_bytes": stream.dtype.itemsize, "fields": list(stream.fields),
        "first": ist_text(span[0]) if span else None, "last": ist_text(span[1]) if span else None,
        "first_ns": span[0] if span else None, "last_ns": span[1] if span else None,
        "instruments": int(np.size(reader.keys(name))) if stream.key is not None else 0,
    }  # fmt: skip


def page(facts: dict[str, Any]) -> list[str]:
    """The facts as lines for a terminal of 80 columns."""
    lines = [f"{facts['file']}{'  GENERATED' if facts['generated'] else ''}"]
    if facts["sealed"]:
        state = f"sealed, SHA-256 {facts['digest'][:16]}..."
    elif facts["writing"]:
        state = "being written right now"
    else:
        state = "not sealed: `dhanfast data verify --repair` if its writer is dead"
    lines.append(f"  state      {state}")
    if facts["torn_bytes"]:
        lines.append(f"  torn tail  {facts['torn_bytes']:,} bytes behind the last whole block")
    day = facts["day"]
    lines.append(f"  day        {day if day else 'several, or not said'}")
    lines.append(f"  made by    {facts['producer']}, {facts['created']} IST")
    if facts["source"]:
        lines.append(f"  source     {facts['source']}")
    each = f", {facts['bytes_a_row']:.2f} a row" if facts["rows"] else ""
    lines.append(f"  size       {facts['bytes']:,} bytes{each}")
    lines.append(f"  {'stream':9} {'rows':>12} {'blocks':>7} {'instr.':>6}  from / to (IST)")
    for one in facts["streams"]:
        counts = f"{one['rows']:>12,} {one['blocks']:>7,} {one['instruments']:>6,}"
        lines.append(f"  {one['name'][:9]:9} {counts}  {one['first'] or '-'}")
        if one["last"] and one["last"] != one["first"]:
            lines.append(f"  {'':38}  {one['last']}")
    lines += _instruments(facts["instruments"], facts["undescribed"])
    lines += _notes(facts["notes"])
    return lines


def _instruments(listed: list[dict[str, Any]], undescribed: int) -> list[str]:
    lines = [
        f"  instruments {len(listed):,}" + (f", {undescribed} undescribed" if undescribed else "")
    ]
    for one in listed[:SHOWN_MAX]:
        parts = [one["kind"] or "kind unknown"]
        if one["expiry"]:
            parts.append(one["expiry"])
        if one["strike"]:
            parts.append(f"{one['strike'] / 100:g} {one['right'] or ''}".strip())
        parts.append(f"tick {one['tick'] / 100:.2f}" if one["tick"] else "tick unknown")
        parts.append(f"lot {one['lot']:,}" if one["lot"] else "lot unknown")
        if one["qty_scale"] != 1:
            parts.append(f"quantities in 1/{one['qty_scale']:,}")
        lines.append(f"    {one['symbol'][:28]:28} {', '.join(parts)}")
    if len(listed) > SHOWN_MAX:
        lines.append(f"    and {len(listed) - SHOWN_MAX:,} more; --json has them all")
    return lines


def _notes(notes: list[dict[str, Any]]) -> list[str]:
    lines = []
    gaps = [note for note in notes if note.get("kind") == "gap"]
    lost = sum(note["lost"] for note in gaps if isinstance(note.get("lost"), int))
    lines.append(f"  gaps       {len(gaps)} noted by the recorder, {lost:,} rows lost"
                 if gaps else "  gaps       none noted")  # fmt: skip
    for note in gaps[:SHOWN_MAX]:
        ends = [note.get("from_ns"), note.get("to_ns")]
        first, last = (ist_text(one) if isinstance(one, int) else "?" for one in ends)
        lines.append(f"    {note.get('stream')}: {first} to {last}: {note.get('reason')}")
    for note in notes:
        if note.get("kind") == "provenance":
            lines.append(f"  imported   {note.get('file')}, {note.get('rows', 0):,} rows, SHA-256 "
                         f"{str(note.get('sha256'))[:16]}...")  # fmt: skip
            lines += [f"    odd: {one}" for one in note.get("notes", [])]
        elif note.get("kind") == "converted":
            names = ", ".join(str(one.get("file")) for one in note.get("from", []))
            lines.append(f"  converted  {note.get('how')} from {names}")
    return lines
