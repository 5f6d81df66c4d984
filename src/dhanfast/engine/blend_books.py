"""Books of a blend's members: a kernel, a gate and an exchange each, with a run's settings."""

from typing import Any

from numpy.typing import NDArray

from dhanfast._core.blend import Blend
from dhanfast._core.kernel import Kernel
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.settings import OPPOSITE, RiskSettings, Settings
from dhanfast.reports.metrics import trade_net
from dhanfast.strategies.plugins import innermost

LOG_TRADES, LOG_ORDERS, LOG_EQUITY = 4096, 16_384, 2048
_UPAISE = 1_000_000


def blend_in(strategy: NativeStrategy) -> Blend | None:
    """The blend that a strategy is, also when others were put around it."""
    found = innermost(strategy)
    return found if isinstance(found, Blend) else None


def begin_books(blend: Blend, sessions: NDArray[Any], settings: Settings, interval_ns: int) -> None:
    """Give every member its book.

    Args:
        sessions: SESSION_DTYPE of the run. interval_ns: of the bars that members see, and that
            their orders meet.
    """
    books = [
        book_of(blend.seat(at), sessions, settings, interval_ns) for at in range(len(blend.names))
    ]
    blend.begin(books, reverses=settings.on_opposite == "reverse")


def book_of(
    strategy: NativeStrategy, sessions: NDArray[Any], settings: Settings, interval_ns: int
) -> Kernel:
    """A kernel that trades on paper beside a run: with its rules, and without its guards."""
    limits = {name: getattr(settings.risk, name) for name in RiskSettings.__slots__}
    gate = Gate(instruments=1, **limits)
    match = Match(
        gate,
        instruments=1,
        latency_ns=settings.latency_ns,
        slippage_e6=settings.slippage.rate_e6,
        protection_e4=0 if settings.protection_slab else settings.protection_e4,
        protection_slab=settings.protection_slab,
        limit_through=settings.limit_through,
        stop_market_ok=True,
    )
    return Kernel(
        strategy,
        match,
        Portfolio(settings.capital, 1),
        gate,
        RunLog(trades_max=LOG_TRADES, orders_max=LOG_ORDERS, equity_max=LOG_EQUITY),
        sessions,
        lots=settings.lots,
        interval_ns=interval_ns,
        slippage=settings.slippage.paise,
        slippage_ticks=settings.slippage.ticks,
        stop_more=settings.slippage.stop_more,
        on_opposite=OPPOSITE[settings.on_opposite],
        equity_each_bar=False,
        sizing=settings.sizing.native(settings.lots, interval_ns),
        stops=settings.stops.native(),
    )


def members_of(blend: Blend) -> tuple[dict[str, Any], ...]:
    """What each member made in its own book, at the whole size of the run's entries.

    Returns:
        JSON-able, one a member: name, weight (a part of all), trades, wins, gross_paise,
        charges_paise, net_paise, part_paise (net times weight), days_off, off, blocked.
    """
    found = []
    for at, now in enumerate(blend.members_now()):
        trades = blend.seat(at).trades()
        net, weight = trade_net(trades), blend.factors.weights[at]
        gross, total = int(trades["gross"].sum()), round(float(net.sum()) / _UPAISE)
        found.append(
            {
                "name": blend.names[at],
                "weight": weight,
                "trades": len(trades),
                "wins": int((net > 0).sum()),
                "gross_paise": gross,
                "charges_paise": gross - total,
                "net_paise": total,
                "part_paise": round(total * weight),
                "days_off": now["days_off"],
                "off": now["off"],
                "blocked": now["blocked"],
            }
        )
    return tuple(found)
