"""One expiry's smile as a curve, and the surface of several: SVI, fitted with arbitrage in view.

Total variance w = volatility^2 x years over k = ln(K/F):

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))

The fit splits the problem: for each (m, sigma) the rest is linear, solved exactly under the bounds
of the wings (Lee: no slope of w above 2), and only (m, sigma) are searched. Where a butterfly would
cost less than nothing, Durrleman's g(k) < 0 on a grid half as wide again as the quotes, both slopes
shrink until none does, and the search goes on with what that costs. Errors weigh by what a tick is
worth in volatility; quotes that lie apart lose weight (Huber), then are dropped and counted.

Source:
    Gatheral, J. (2004), "A parsimonious arbitrage-free implied volatility parameterization";
    Gatheral, J. and Jacquier, A. (2014), "Arbitrage-free SVI volatility surfaces", Quantitative
    Finance 14(1); Zeliade Systems (2009), "Quasi-explicit calibration of Gatheral's SVI model";
    Lee, R. (2004), "The moment formula for implied volatility at extreme strikes", Math. Finance
    14(3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import erfc, exp, inf, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.options.chain import SolvedChain
from dhanfast.options.simplex import minimise

Floats = NDArray[np.float64]
QUOTES_MIN: Final = 7  # two more than there are parameters
ROUNDS: Final = 4  # of weights for quotes that lie apart
APART: Final = 1.5  # deviations at which a quote starts to lose weight
DROPPED: Final = 6.0  # deviations at which it is left out in the last round
GRID: Final = 81  # places at which a butterfly is looked at
BEYOND: Final = 0.5  # of the quoted width, on both sides
HALVINGS: Final = 12  # of how far slopes shrink, where the fit would have arbitrage
G_MIN: Final = 1e-3  # of the density's sign, that rounding leaves it above 0
SIGMA_MIN: Final = 0.01  # of the quoted width: less is a corner, not a curve
COARSE: Final = 1e-3  # of the search, as a share of its first step
FINE: Final = 1e-8
TURNS: Final = 160
TICK: Final = 0.05
DOUBT: Final = 0.005  # of a last price, besides a tick: what it may be off
DOUBT_MAX: Final = 0.05  # of volatility: a quote that may be off by more says nothing


@dataclass(frozen=True, slots=True)
class Smile:
    """A fitted smile, and how far to trust it.

    Units:
        a, b, sigma and m of total variance over log-moneyness; errors are of volatility (0.01 is
        one point), over the quotes that were used.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    forward: float
    years: float
    low: float  # lowest and highest strike that was used
    high: float
    used: int
    dropped: int  # quotes that lay more than DROPPED deviations apart
    error_rms: float
    error_worst: float
    butterfly: float  # least of Durrleman's g on the grid: below 0 would be arbitrage

    @property
    def arbitrage_free(self) -> bool:
        """Whether no butterfly costs less than nothing, on the grid that was looked at."""
        return self.butterfly >= 0.0

    def total_variance(self, strike: ArrayLike) -> Floats:
        """Volatility squared times years, a strike.

        Raises:
            UsageError: a strike not above 0.
        """
        return _raw(self, _moneyness(strike, self.forward))[0]

    def volatility(self, strike: ArrayLike) -> Floats:
        """Volatility a strike. Beyond `low` and `high` it is extrapolated.

        Raises:
            UsageError: a strike not above 0.
        """
        found: Floats = np.sqrt(self.total_variance(strike) / self.years)
        return found

    def at_money(self) -> float:
        """Volatility at the forward."""
        return float(self.volatility(self.forward))

    def probability_below(self, level: float) -> float:
        """Chance that the smile's own distribution gives to an end below a level, 0 to 1.

        The slope of the undiscounted put by its strike: Phi(-d2) + phi(d2) x half the slope of w
        over its root. Where the fit has arbitrage it may leave 0..1 and is cut off there.

        Raises:
            UsageError: a level not above 0.

        Source:
            Breeden, D. and Litzenberger, R. (1978), "Prices of state-contingent claims implicit in
            option prices", J. Business 51(4).
        """
        k = _moneyness(level, self.forward)
        w, slope, _ = (float(one) for one in _raw(self, k))
        root = sqrt(w)
        d2 = -float(k) / root - 0.5 * root
        density = exp(-0.5 * d2 * d2) / sqrt(2.0 * np.pi)
        below = 0.5 * erfc(d2 / sqrt(2.0)) + density * slope / (2.0 * root)
        return min(max(below, 0.0), 1.0)


def fit_smile(
    strike: ArrayLike,
    volatility: ArrayLike,
    forward: float,
    years: float,
    *,
    error: ArrayLike | None = None,
) -> Smile:
    """The curve nearest to given volatilities.

    Args:
        strike: any order. volatility: a fraction; NaN or 0 where there is none.
        forward: of the expiry. years: to it.
        error: what each volatility may be off: its weight is one over its square. None is alike.

    Raises:
        UsageError: lengths that differ; forward or years not above 0; an error not above 0.
        BadData: fewer than 7 volatilities, or all at one strike's distance.
    """
    if not (0.0 < forward < 1e100 and 0.0 < years < 1e4):
        raise UsageError(f"forward {forward}, years {years}: both must be above 0")
    k, v = _moneyness(strike, forward), np.asarray(volatility, dtype=np.float64)
    doubt = np.ones_like(k) if error is None else np.asarray(error, dtype=np.float64)
    if k.ndim != 1 or not k.shape == v.shape == doubt.shape:
        raise UsageError(f"strike, volatility and error have shapes {k.shape}, {v.shape}, "
                         f"{doubt.shape}: give one number a strike")  # fmt: skip
    kept = np.isfinite(v) & (v > 0.0) & np.isfinite(doubt)
    k, v, doubt = k[kept], v[kept], doubt[kept]
    if len(k) < QUOTES_MIN or not k.max() > k.min():
        raise BadData(f"{len(k)} volatilities: a smile needs {QUOTES_MIN} at different strikes")
    if not (doubt > 0.0).all():
        raise UsageError("error has a value that is not above 0: give what a volatility may be off")
    w = v * v * years
    weight = 1.0 / (2.0 * v * years * doubt) ** 2  # of w, from that of the volatility
    weight /= weight.max()
    share = np.ones_like(k)
    grid = _grid(k)
    place = _search(k, w, weight, None)
    for turn in range(ROUNDS):
        apart = np.abs(_curve(place, k, w, weight * share, grid)[0] - w) * np.sqrt(weight)
        scale = max(1.4826 * float(np.median(apart)), 1e-12)
        share = np.minimum(1.0, APART * scale / np.maximum(apart, 1e-300))
        near = apart <= DROPPED * scale
        if turn == ROUNDS - 1 and np.count_nonzero(near) >= QUOTES_MIN:
            share[~near] = 0.0
        place = _search(k, w, weight * share, place, FINE if turn == ROUNDS - 1 else COARSE)
    return _finished(k, v, weight * share, place, forward, years)


def smile_of(solved: SolvedChain, *, tick: float = TICK) -> Smile:
    """The smile of a solved chain: options out of the money, weighed by what they may be off.

    A last price may be off by a tick and 0.5 % of itself; by its vega, so may its volatility. A
    quote whose volatility may be off by more than 5 points is left out.

    Args:
        solved: of `solve_chain`.
        tick: of premiums, rupees.

    Raises:
        BadData: fewer than 7 volatilities.
        UsageError: the chain has no time left.
    """
    rows = solved.snapshot
    out = np.where(rows.strike < solved.forward, rows.put, rows.call)
    own = np.where(rows.strike < solved.forward, solved.put_volatility, solved.call_volatility)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (tick + DOUBT * out) / solved.call.vega
    usable = np.isfinite(error) & (error > 0.0) & (error < DOUBT_MAX)
    return fit_smile(rows.strike, np.where(usable, own, np.nan), solved.forward, solved.years,
                     error=np.where(usable, error, 1.0))  # fmt: skip


# ---- the fit ----------------------------------------------------------------------------------


def _moneyness(strike: ArrayLike, forward: float) -> Floats:
    values = np.asarray(strike, dtype=np.float64)
    if not (values > 0.0).all():
        raise UsageError("strike has a value that is not above 0")
    found: Floats = np.log(values / forward)
    return found


def _raw(smile: Smile, k: Floats) -> tuple[Floats, Floats, Floats]:
    """w and its first two slopes."""
    return _shape(smile.a, smile.b, smile.rho, smile.m, smile.sigma, k)


def _shape(
    a: float, b: float, rho: float, m: float, sigma: float, k: Floats
) -> tuple[Floats, Floats, Floats]:
    x = k - m
    root = np.sqrt(x * x + sigma * sigma)
    return a + b * (rho * x + root), b * (rho + x / root), b * sigma * sigma / root**3


def durrleman(
    w: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64], k: Floats
) -> Floats:
    """g(k) = (1 - k w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2: the density's sign.

    Args:
        w, first, second: total variance and its slopes. k: log-moneyness.

    Source:
        Durrleman, V. (2003); Gatheral and Jacquier (2014), lemma 2.2.
    """
    return (1.0 - 0.5 * k * first / w) ** 2 - 0.25 * first**2 * (1.0 / w + 0.25) + 0.5 * second


def _linear(
    y: Floats, w: Floats, weight: Floats, sigma: float
) -> tuple[float, float, float, float]:
    """Least squares of w = a + d y + c sqrt(y^2 + 1) within |d| <= c <= 2 sigma - |d|.

    Returns:
        a, c, d and the sum of squares. The bounds are a diamond: the best is inside, or on one of
        its four edges.
    """
    z = np.sqrt(y * y + 1.0)
    total = weight.sum()
    mean_y, mean_z, mean_w = (float(weight @ one / total) for one in (y, z, w))
    u, s, r = y - mean_y, z - mean_z, w - mean_w
    uu, us, ss = float(weight @ (u * u)), float(weight @ (u * s)), float(weight @ (s * s))
    ur, sr, rr = float(weight @ (u * r)), float(weight @ (s * r)), float(weight @ (r * r))

    def left(c: float, d: float) -> float:
        return rr + c * (c * ss - 2.0 * sr) + d * (d * uu - 2.0 * ur) + 2.0 * c * d * us

    det = uu * ss - us * us
    best = None
    if det > 1e-14 * uu * ss:
        c, d = (sr * uu - ur * us) / det, (ur * ss - sr * us) / det
        if abs(d) <= c <= 2.0 * sigma - abs(d):
            best = (left(c, d), c, d)
    if best is None:
        corner = ((0.0, 0.0), (sigma, sigma), (2.0 * sigma, 0.0), (sigma, -sigma), (0.0, 0.0))
        for (c0, d0), (c1, d1) in pairwise(corner):
            ec, ed = c1 - c0, d1 - d0
            bend = ec * ec * ss + 2.0 * ec * ed * us + ed * ed * uu
            pull = ec * (sr - c0 * ss - d0 * us) + ed * (ur - c0 * us - d0 * uu)
            t = min(max(pull / bend, 0.0), 1.0) if bend > 0.0 else 0.0
            c, d = c0 + t * ec, d0 + t * ed
            if best is None or left(c, d) < best[0]:
                best = (left(c, d), c, d)
    assert best is not None
    return mean_w - best[1] * mean_z - best[2] * mean_y, best[1], best[2], max(best[0], 0.0)


def _curve(
    place: tuple[float, float], k: Floats, w: Floats, weight: Floats, grid: Floats
) -> tuple[Floats, tuple[float, float, float], float]:
    """Values at k, (a, b, rho) and the sum of squares for (m, ln sigma), without arbitrage.

    Where the least squares have some on the grid, both slopes shrink alike, as little as it takes:
    a flat smile has none.
    """
    m, sigma = place[0], exp(place[1])
    y = (k - m) / sigma
    z = np.sqrt(y * y + 1.0)
    a, c, d, rest = _linear(y, w, weight, sigma)
    if not _sound(a, c / sigma, d / sigma, m, sigma, grid):
        total = float(weight.sum())
        mean_y, mean_z, mean_w = (float(weight @ one) / total for one in (y, z, w))
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            share = 0.5 * (low + high)
            flat = mean_w - share * (c * mean_z + d * mean_y)
            sound = _sound(flat, share * c / sigma, share * d / sigma, m, sigma, grid)
            low, high = (share, high) if sound else (low, share)
        c, d = low * c, low * d
        a = mean_w - c * mean_z - d * mean_y
        rest = float(weight @ np.square(a + d * y + c * z - w))
    b, rho = c / sigma, d / c if c > 0.0 else 0.0
    return a + d * y + c * z, (a, b, rho), rest


def _sound(a: float, b: float, tilt: float, m: float, sigma: float, grid: Floats) -> bool:
    """Whether variance and density are above 0 on the grid; `tilt` is b rho."""
    w, first, second = _shape(a, b, tilt / b if b > 0.0 else 0.0, m, sigma, grid)
    return bool(w.min() > 0.0 and durrleman(w, first, second, grid).min() >= G_MIN)


def _grid(k: Floats) -> Floats:
    wide = BEYOND * (k.max() - k.min())
    return np.linspace(k.min() - wide, k.max() + wide, GRID)


def _search(
    k: Floats,
    w: Floats,
    weight: Floats,
    start: tuple[float, float] | None,
    tolerance: float = COARSE,
) -> tuple[float, float]:
    """(m, ln sigma) with the least squares and no butterfly below nothing, as far as there is."""
    grid, width = _grid(k), float(k.max() - k.min())

    def cost(place: tuple[float, float]) -> float:
        m, sigma = place[0], exp(min(place[1], 50.0))
        if not (
            k.min() - width <= m <= k.max() + width and SIGMA_MIN * width <= sigma <= 20.0 * width
        ):
            return inf
        return _curve(place, k, w, weight, grid)[2]

    if start is None:
        middle = float(weight @ k / weight.sum())
        tries = [(middle + x * width, log(s * width))
                 for x in (-0.3, -0.15, 0.0, 0.15, 0.3) for s in (0.02, 0.06, 0.2, 0.6, 2.0)
                 ]  # fmt: skip
        starts = sorted(tries, key=cost)[:3]
    else:
        starts = [start]
    step = (0.1 * width, 0.3) if start is None else (0.02 * width, 0.06)
    found = [minimise(cost, one, step, tolerance=tolerance, turns=TURNS) for one in starts]
    return min(found, key=cost)


def _finished(
    k: Floats, v: Floats, weight: Floats, place: tuple[float, float], forward: float, years: float
) -> Smile:
    """The last fit as a `Smile`, with its errors."""
    w, used = v * v * years, weight > 0.0
    grid = _grid(k)
    fitted, (a, b, rho), _ = _curve(place, k, w, weight, grid)
    m, sigma = place[0], exp(place[1])
    total, first, second = _shape(a, b, rho, m, sigma, grid)
    error = np.sqrt(np.maximum(fitted[used], 0.0) / years) - v[used]
    return Smile(
        a=a, b=b, rho=rho, m=m, sigma=sigma, forward=forward, years=years,
        low=forward * exp(float(k[used].min())), high=forward * exp(float(k[used].max())),
        used=int(used.sum()), dropped=int((~used).sum()),
        error_rms=float(np.sqrt(np.mean(error * error))),
        error_worst=float(np.abs(error).max()),
        butterfly=float(durrleman(total, first, second, grid).min()),
    )  # fmt: skip


# ---- several expiries -------------------------------------------------------------------------


class Surface:
    """Volatility by strike and time: fitted smiles, total variance linear in time between them.

    At equal log-moneyness. Before the first expiry volatility is the first's; beyond the last it is
    refused, because nothing there was fitted.

    Args:
        smiles: one an expiry, any order, one at least.

    Raises:
        UsageError: none; two with one time to expiry.
    """

    def __init__(self, smiles: Sequence[Smile]) -> None:
        self.smiles = tuple(sorted(smiles, key=lambda one: one.years))
        if not self.smiles:
            raise UsageError("a surface needs one smile at least")
        self._years = np.array([one.years for one in self.smiles])
        if not (np.diff(self._years) > 0.0).all():
            raise UsageError("two smiles have one time to expiry: give each expiry once")

    def total_variance(self, moneyness: ArrayLike, years: float) -> Floats:
        """Total variance at log-moneyness ln(K/F of that time).

        Raises:
            UsageError: years not above 0, or beyond the last expiry.
        """
        if not 0.0 < years <= self._years[-1] * (1.0 + 1e-12):
            raise UsageError(f"years is {years:g}: the surface goes to {self._years[-1]:g}")
        k = np.asarray(moneyness, dtype=np.float64)
        high = min(int(np.searchsorted(self._years, years)), len(self.smiles) - 1)
        upper = _raw(self.smiles[high], k)[0]
        if high == 0:
            before: Floats = upper * (years / self._years[0])
            return before
        share = (years - self._years[high - 1]) / (self._years[high] - self._years[high - 1])
        found: Floats = (1.0 - share) * _raw(self.smiles[high - 1], k)[0] + share * upper
        return found

    def volatility(self, moneyness: ArrayLike, years: float) -> Floats:
        """Volatility at log-moneyness and time.

        Raises:
            UsageError: as `total_variance`.
        """
        found: Floats = np.sqrt(self.total_variance(moneyness, years) / years)
        return found

    def calendar(self) -> float:
        """Least rise of total variance from one expiry to the next: below 0 is arbitrage.

        Over log-moneyness half as wide again as the quotes of both; infinite for one expiry.
        """
        least = inf
        for near, far in pairwise(self.smiles):
            ends = [log(one / smile.forward) for smile in (near, far)
                    for one in (smile.low, smile.high)]  # fmt: skip
            grid = _grid(np.array(ends))
            least = min(least, float((_raw(far, grid)[0] - _raw(near, grid)[0]).min()))
        return least
