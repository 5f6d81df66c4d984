"""Every golden frame, ours against the official client's: equal, or different for a named reason.

python -m tests.core.wire.golden      prints the figures
"""

from collections import Counter
from typing import Any

from dhanfast._core.wire.dhan_packets import depth_packets, feed_packets
from tests.core.wire.client_view import depth_view, feed_view
from tests.core.wire.frames import DEPTH, FEED, cases, frames

# Where the client is wrong, and we differ on purpose (spec/dhan.md section 26 has the numbers).
REASONS = {
    "status": "code 7: the client returns the text 'Markets Open' whatever arrives (4); ours is an "
    "event with its segment",
    "reason lost": "code 50: the client returns None, so the reason is lost (19.5); ours has it",
    "raises": "a message cut short, or empty: the client raises struct.error (5); ours counts it",
    "first only": "packets stacked in a message: the client parses the first, loses the rest (2)",
    "hidden": "a packet of an unknown code: the client returns None for the whole message (2, 5); "
    "ours steps over it by its length and decodes what follows",
    "depth reason": "depth code 50 as documented, reason at offset 12: the client reads bytes 8 to "
    "11 and notices nothing (15)",
    "depth stops": "depth code 50, or an unknown code: the client ends the message there without a "
    "result (16); ours has the reason, or goes on behind it",
}


def feed_reason(case: dict[str, Any], frame: bytes) -> str:
    """Why the client's answer to a message differs, or "equal"; AssertionError for neither."""
    packets, skipped = feed_packets(frame)
    if "packets" in case:  # stream_mixed: the truth is the client on each packet's own bytes
        assert not skipped
        assert [p["off"] for p in packets] == [p["off"] for p in case["packets"]]
        assert [p["kind"] for p in packets] == [p["kind"] for p in case["packets"]]
        assert [feed_view(p) for p in packets] == [p["client"] for p in case["packets"]]
        if len(packets) > 1:
            assert case["client_whole_message"].get("client") == feed_view(packets[0])
            return "first only"
    elif "fields" in case:
        assert not skipped and len(packets) == 1
        ours = {name: packets[0][name] for name in packets[0] if name not in ("off", "len", "kind")}
        assert ours == case["fields"]
        assert feed_view(packets[0]) == case["client"]
    elif "client_raises" in case:
        assert case["client_raises"] == "struct.error" and not packets
        assert len(skipped) == bool(frame)
        return "raises"
    elif case["client"] is None and (not packets or packets[0]["off"] > 0):
        assert skipped[0].why == "unknown code" and not skipped[0].lost
        return "hidden"
    else:
        assert len(packets) == 1 and feed_view(packets[0]) == case["client"]
    if packets[0]["kind"] == "market_status":
        return "status"
    return "reason lost" if packets[0]["kind"] == "disconnect" else "equal"


def depth_reason(case: dict[str, Any], frame: bytes, levels: int) -> str:
    """As `feed_reason`, for the depth feeds: side by side, bit for bit."""
    packets, skipped = depth_packets(frame, levels)
    sides = [packet for packet in packets if packet["kind"] != "disconnect"]
    theirs = [packet["client"] for packet in case["packets"]]
    assert [depth_view(packet) for packet in sides[: len(theirs)]] == theirs
    assert [(p["off"], p["len"]) for p in sides[: len(theirs)]] == [
        (p["off"], p["len"]) for p in case["packets"]
    ]
    for end in packets:
        if end["kind"] == "disconnect":
            assert f"disconnect {end['reason']}," in case["what"]
            return "depth reason" if end["len"] >= 14 else "depth stops"
    if len(sides) > len(theirs) or any(not gap.lost for gap in skipped):
        assert skipped[0].why == "unknown code"
        return "depth stops"
    assert sum(gap.size for gap in skipped) == case["unparsed_tail"]
    return "equal"


def tally(name: str) -> Counter[str]:
    """Messages of a golden file by outcome."""
    found: Counter[str] = Counter()
    for case, frame in zip(cases(name), frames(name), strict=True):
        if name in DEPTH:
            levels = case.get("level", 200 if name == "depth200" else 20)
            found[depth_reason(case, frame, levels)] += 1
        else:
            found[feed_reason(case, frame)] += 1
    return found


def lines(tallies: dict[str, Counter[str]]) -> list[str]:
    """The figures, a line a file, then the reasons."""
    total: Counter[str] = sum(tallies.values(), Counter())
    table = [
        f"{name:18} {sum(found.values()):5} messages, equal {found['equal']:5}"
        + "".join(f", {reason} {n}" for reason, n in sorted(found.items()) if reason != "equal")
        for name, found in tallies.items()
    ]
    named = sum(total.values()) - total["equal"]
    table.append(
        f"{'all':18} {sum(total.values()):5} messages, equal {total['equal']:5}, "
        f"different for a named reason {named}"
    )
    return table + [
        f"  {name}: {total[name]}: {why}" for name, why in REASONS.items() if total[name]
    ]


if __name__ == "__main__":
    print("\n".join(lines({name: tally(name) for name in (*FEED, *DEPTH)})))
