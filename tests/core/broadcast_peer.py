"""A writer or a reader of a broadcast segment in a process of its own, for test_broadcast.py.

Usage: broadcast_peer.py write|read FOLDER NAME SLOTS
The writer prints how many records it has published; the reader its start, delivered, lost.
Both go on until a line comes on standard input or they are killed.
"""

import select
import sys

import numpy as np

from dhanfast._core.broadcast import BroadcastReader, BroadcastWriter

WORDS = 32
RECORD = np.dtype([("words", "<u8", WORDS)])
ODD = np.uint64(0x9E3779B97F4A7C15)
LANES = np.arange(1, WORDS + 1, dtype=np.uint64)
BATCH = 512


def records(first: int, count: int) -> np.ndarray:
    """Record n holds n in word 0, and in each other word a different function of n."""
    numbers = np.arange(first, first + count, dtype=np.uint64)
    words = numbers[:, None] * ODD * LANES + LANES
    words[:, 0] = numbers
    return np.ascontiguousarray(words).view(RECORD).ravel()


def whole(batch: np.ndarray) -> bool:
    """Is every record exactly what the writer made for its number?"""
    words = batch["words"]
    want = words[:, :1] * ODD * LANES + LANES
    return bool((words[:, 1:] == want[:, 1:]).all())


def asked_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def write(folder: str, name: str, slots: int) -> None:
    writer = BroadcastWriter(
        name, record_bytes=RECORD.itemsize, slots=slots, tag="test", folder=folder
    )
    print("ready", writer.epoch, flush=True)
    while not asked_to_stop():
        writer.put_many(records(writer.published, BATCH))
    print(writer.published, flush=True)
    writer.close()


def read(folder: str, name: str, slots: int) -> None:
    reader = BroadcastReader(name, dtype=RECORD, tag="test", oldest=True, folder=folder)
    start, stop = reader.position, False
    print("ready", flush=True)
    while not (stop and not reader.behind):
        stop = stop or asked_to_stop()
        before = reader.position
        batch, lost = reader.read(4 * slots)
        numbers = batch["words"][:, 0].astype(np.int64)
        assert whole(batch), f"torn record among {numbers}"
        want = np.arange(before + lost, before + lost + len(batch))
        assert (numbers == want).all(), f"after {before} lost {lost}: {numbers}"
    print(start, reader.delivered, reader.lost, flush=True)


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]))
