"""What an operator says of the strategy that decides, and what he is told."""

import json
from collections.abc import Callable
from typing import Any

from dhanfast.engine.seat import Beside, Seat
from dhanfast.errors import UsageError


async def swapped(
    seat: Seat | None, now_ns: Callable[[], int], beside: Beside | None, *,
    strategy: str, params: str = "{}", expect: str = "", fresh: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Have another strategy decide; see `Seat.swap`.

    Args:
        seat: of the run; None: it has none. now_ns: the machine's time, UTC ns. params: JSON of
            {name: value}. strategy, expect, fresh, beside: as for `Seat.swap`.
    Raises:
        DhanfastError: it does not; nothing has changed then.
    """
    if seat is None:
        raise UsageError(
            "swap: a structure by the clock decides by its file, for the whole day: end this "
            "engine, then start it with another file and another engine.run"
        )
    try:
        given = json.loads(params)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise UsageError(f"swap: params must be a JSON object, was {params[:80]!r}")
    return await seat.swap(
        strategy, given, wall_ns=now_ns, expect=expect, fresh=fresh, beside=beside
    )
