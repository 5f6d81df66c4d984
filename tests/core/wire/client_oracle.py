"""The official client's parsers on a file of messages. Needs dhanhq 2.3.0, nothing of ours.

python client_oracle.py NAME FILE [--time SECONDS]

Prints JSON: for each message the results of its packets; with --time the nanoseconds a message.
"""

import argparse
import json
import logging
import struct
import time
from collections.abc import Callable
from typing import Any


def messages(path: str) -> list[bytes]:
    """The messages of a file: u32 length, bytes."""
    with open(path, "rb") as source:
        data = source.read()
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def parser(name: str) -> Callable[[bytes], list[Any]]:
    """The client's parser for a golden file's protocol."""
    import dhanhq

    context = dhanhq.DhanContext("1000000001", "TEST")
    if not name.startswith("depth"):
        feed = dhanhq.MarketFeed(context, [], "v2")
        return lambda message: [feed.process_data(message)]
    depth = dhanhq.FullDepth(context, [], int(name[5:]))

    def sides(message: bytes) -> list[Any]:
        found, rest = [], message
        while rest:
            side = depth.process_data(rest)
            rest = side.pop("remaining_data", None)
            found.append(side)
        return found

    return sides


def fastest(parse: Callable[[bytes], Any], found: list[bytes], seconds: float) -> float:
    """Nanoseconds a message, the best of the rounds that fit."""
    best, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter_ns()
        for message in found:
            parse(message)
        best = min(best, (time.perf_counter_ns() - began) / len(found))
    return best


def main() -> None:
    """See above."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("name")
    arguments.add_argument("file")
    arguments.add_argument("--time", type=float)
    given = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    parse, found = parser(given.name), messages(given.file)
    if given.time:
        print(json.dumps(fastest(parse, found, given.time)))
    else:
        print(json.dumps([parse(message) for message in found]))


if __name__ == "__main__":
    main()
