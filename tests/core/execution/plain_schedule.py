"""The schedules in plain Python, written for reading: exact integers, no tricks."""

from collections.abc import Sequence

MASK = (1 << 64) - 1
MINUTE_MS = 60_000


def bits(key: int, place: int) -> int:
    """splitmix64: the `place`-th number of the stream that begins at `key`."""
    z = (key + (place + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def moved(key: int, place: int, random_e4: int) -> int:
    """1e-4 in -random_e4..random_e4."""
    return bits(key, place) % 20_001 * random_e4 // 10_000 - random_e4


def traded(profile: Sequence[int], at_ns: int) -> int:
    """Volume since midnight IST in 1/60,000 units, even inside a minute."""
    ms = (at_ns // 1_000_000 + 19_800_000) % 86_400_000
    minute, inside = divmod(ms, MINUTE_MS)
    return sum(profile[:minute]) * MINUTE_MS + profile[minute] * inside


def slices(lots: int, start: int, end: int, interval: int, least: int) -> int:
    """How many steps: about `interval` long, none below `least` lots."""
    return min(-(-(end - start) // interval), max(lots // least, 1), 10_000)


def plain_schedule(
    lots: int,
    start: int,
    end: int,
    *,
    interval: int,
    least: int = 1,
    random_e4: int = 0,
    seed: int = 0,
    number: int = 1,
    profile: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """(time, lots due in all from then on), of TWAP, or of VWAP when there is a profile."""
    n = slices(lots, start, end, interval, least)
    key, span = bits(seed, number), end - start

    def grid(k: int) -> int:
        return start + span * k // n

    def even(k: int) -> int:
        if profile is None:
            return lots * 10_000 * k // n
        first, last = traded(profile, start), traded(profile, end)
        return lots * 10_000 * (traded(profile, grid(k)) - first) // (last - first)

    found = []
    for k in range(n):
        at = start if k == 0 else grid(k) + span // n // 10_000 * moved(key, 2 * k, random_e4)
        bound = k + 1
        here, share = even(bound), moved(key, 2 * bound + 1, random_e4)
        if share > 0:
            here += (even(bound + 1) - here) * share // 10_000
        else:
            here -= (here - even(bound - 1)) * -share // 10_000
        found.append((at, lots if bound >= n else (here + 5_000) // 10_000))
    return found
