"""[execution.route]: type and price of what is worked, as it is written and as it is used."""

from typing import Annotated as A

from msgspec import Meta

from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Duration, Multiple, Percent, Slabs
from dhanfast.engine.route_settings import RouteSettings


class Route(Section, frozen=True):
    """Type and price of each child; the rules are in docs/reference/order-routing.md."""

    slabs: A[
        Slabs,
        Meta(description="Protection of a limit that takes, by the premium in rupees."),
    ] = Slabs("5% below 10, 3% below 100, 2% below 500, 1%")
    future_protection: A[
        Percent,
        Meta(description="Protection of a limit that takes; 0 = by the premium's slab."),
    ] = Percent("0%")
    wide: A[
        Multiple,
        Meta(description="Protection of an exit's last rungs, as a share of the usual one."),
    ] = Multiple("200%")
    stop_room: A[
        Percent,
        Meta(
            description="Live, with or without an algorithm: how far beyond its trigger the limit "
            "of a resting stop lies; 0 = by the premium, as the usual `slabs` have it."
        ),
    ] = Percent("0%")
    tight_ticks: A[
        int, Meta(description="A spread of so many ticks is taken at once.", ge=0, le=1_000)
    ] = 2  # fmt: skip
    tight: A[
        Percent, Meta(description="So is a spread of this share of the price.")
    ] = Percent("0.01%")  # fmt: skip
    loose: A[
        Percent, Meta(description="A spread beyond this no entry takes; 0 = none.")
    ] = Percent("2%")  # fmt: skip
    fits: A[
        Multiple,
        Meta(description="A child of at most this share of the best quantity fits into it."),
    ] = Multiple("100%")
    swing: A[
        int,
        Meta(
            description="Taken at once when the market moves further in `patience` than this "
            "times half the spread; 0 = off.",
            ge=0,
            le=1_000,
        ),
    ] = 4
    patience: A[
        Duration, Meta(description="A child of an entry waits so long before it takes.")
    ] = Duration("5s")  # fmt: skip
    entry_cross: A[bool, Meta(description="It does take then; false: it waits on.")] = True
    ioc: A[
        bool,
        Meta(
            description="Children of entries that take are immediate-or-cancel, `interval` apart."
        ),
    ] = False
    interval: A[
        Duration, Meta(description="Least time between two changes of a pegged price.")
    ] = Duration("1s")  # fmt: skip
    reprices: A[
        int,
        Meta(description="Changes of a child's price before it stays or presses.", ge=0, le=20),
    ] = 3  # fmt: skip
    rung: A[
        Duration, Meta(description="An exit stands so long on each rung of its ladder.")
    ] = Duration("2s")  # fmt: skip


def route_settings(told: Route) -> RouteSettings:
    """[execution.route]; ranges are checked where the settings are.

    Units:
        shares are 1e-4 as written, and 1e-6 where the router counts so.
    """
    rung_ns = told.rung.ns
    return RouteSettings(
        slabs=told.slabs.pairs,
        future_e4=told.future_protection.e4,
        wide_e4=told.wide.e4,
        stop_room_e4=told.stop_room.e4,
        tight_ticks=told.tight_ticks,
        tight_e6=told.tight.e4 * 100,
        loose_e6=told.loose.e4 * 100,
        share_e4=told.fits.e4,
        swing=float(told.swing),
        interval_ns=told.interval.ns,
        reprices_max=told.reprices,
        patience_ns=told.patience.ns,
        join_ns=rung_ns,
        mid_ns=rung_ns,
        cross_ns=rung_ns,
        wide_ns=rung_ns,
        entry_cross=told.entry_cross,
        ioc=told.ioc,
    )
