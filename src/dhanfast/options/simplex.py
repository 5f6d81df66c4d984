"""The least of a function of two numbers, without its slopes."""

from collections.abc import Callable
from typing import Final

Point = tuple[float, float]
REFLECT: Final = 1.0
EXPAND: Final = 2.0
CONTRACT: Final = 0.5


def minimise(
    cost: Callable[[Point], float], start: Point, step: Point, *, tolerance: float, turns: int
) -> Point:
    """Walk a triangle downhill until it is small or its turns are over.

    Args:
        cost: may be infinite; not NaN.
        start: where from. step: how far the other two corners are.
        tolerance: size of the triangle, as a share of `step`, at which it ends.
        turns: steps at most.

    Source:
        Nelder, J. and Mead, R. (1965), "A simplex method for function minimization", Computer J. 7.
    """
    corners = [start, (start[0] + step[0], start[1]), (start[0], start[1] + step[1])]
    found = sorted(((cost(one), one) for one in corners), key=lambda pair: pair[0])
    for _ in range(turns):
        (_, best), (middle_cost, middle), (worst_cost, worst) = found
        spread = max(abs(one[i] - best[i]) / step[i] for one in (middle, worst) for i in (0, 1))
        if spread < tolerance:
            break
        centre = (0.5 * (best[0] + middle[0]), 0.5 * (best[1] + middle[1]))
        moved = _towards(centre, worst, -REFLECT)
        moved_cost = cost(moved)
        if moved_cost < found[0][0]:
            further = _towards(centre, worst, -EXPAND)
            further_cost = cost(further)
            if further_cost < moved_cost:
                moved, moved_cost = further, further_cost
        elif moved_cost >= middle_cost:
            nearer_cost, nearer = min((moved_cost, moved), (worst_cost, worst))
            moved = _towards(centre, nearer, CONTRACT)
            moved_cost = cost(moved)
            if not moved_cost < nearer_cost:
                shrunk = [_towards(best, one, CONTRACT) for one in (middle, worst)]
                found = [found[0], *((cost(one), one) for one in shrunk)]
                found.sort(key=lambda pair: pair[0])
                continue
        found = sorted([found[0], found[1], (moved_cost, moved)], key=lambda pair: pair[0])
    return found[0][1]


def _towards(base: Point, other: Point, share: float) -> Point:
    """`base` and a share of the way to `other`."""
    return (base[0] + share * (other[0] - base[0]), base[1] + share * (other[1] - base[1]))
