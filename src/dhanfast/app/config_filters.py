"""[filters]: what takes back entries of the strategy, and what the engine makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated as A
from typing import Final, Literal

from msgspec import Meta

from dhanfast.app.config_section import Section
from dhanfast.app.config_values import Span, TimeOfDay, TimeOrNone
from dhanfast.engine.filter_settings import Event, FilterSettings, checked_filters
from dhanfast.engine.filter_settings import Span as Window
from dhanfast.errors import ConfigError

FILE_MAX: Final = 1 << 20
EVENTS_MAX: Final = 10_000


class Volume(Section, frozen=True):
    """A bar's volume against the average of the bars before it."""

    times: A[float, Meta(description="Least multiple of the average; 0 = off.", ge=0, le=1000)] = (
        0.0
    )
    bars: A[int, Meta(description="Bars of the average.", ge=1, le=10_000)] = 20


class Momentum(Section, frozen=True):
    """Whether the market moves, and the entry's way."""

    by: A[
        Literal["none", "roc", "adx", "both"],
        Meta(description="roc: its sign must be the entry's; adx: at least `adx`; both; none."),
    ] = "none"
    bars: A[int, Meta(description="Bars of either.", ge=2, le=10_000)] = 14
    adx: A[float, Meta(description="Least ADX.", ge=0, le=100)] = 20.0


class Interest(Section, frozen=True):
    """Whether positions are built up the entry's way: price and open interest, over some bars."""

    bars: A[int, Meta(description="Bars of the change; 0 = off.", ge=0, le=10_000)] = 0
    cover: A[
        bool, Meta(description="Open interest may have fallen: positions that are closed count.")
    ] = False


class Spread(Section, frozen=True):
    """Largest distance of bid and ask at the decision; for runs that have quotes."""

    ticks: A[float, Meta(description="In ticks; 0 = off.", ge=0, le=100_000)] = 0.0
    bps: A[float, Meta(description="In 1e-4 of the middle; 0 = off.", ge=0, le=10_000)] = 0.0


class Filters(Section, frozen=True):
    """What takes back entries of the strategy; an exit always passes."""

    times: A[
        tuple[Literal["open", "lunch", "close"], ...],
        Meta(description="Which times of the day are kept free of entries."),
    ] = ()
    open: A[Span, Meta(description="Of times: so long after the session opens.")] = Span("15m")
    lunch_from: A[TimeOfDay, Meta(description="Of times: lunch begins.")] = TimeOfDay("12:00")
    lunch_until: A[TimeOfDay, Meta(description="Of times: lunch is over.")] = TimeOfDay("13:30")
    close: A[Span, Meta(description="Of times: so long before the session closes.")] = Span("30m")
    windows: A[
        tuple[str, ...],
        Meta(
            description="Times of one's own, a name and two times in IST.",
            examples=[["fixing 11:30-12:00"]],
        ),
    ] = ()
    expiry_day: A[
        Literal["none", "weekly", "monthly", "any"],
        Meta(description="No entry on such expiry days of what is traded."),
    ] = "none"
    expiry_from: A[
        TimeOrNone, Meta(description="Only from this time of them; none = all day.")
    ] = TimeOrNone("none")  # fmt: skip
    events: A[
        tuple[str, ...],
        Meta(
            description="Days, or times of days, without entries: a date, a name, two times.",
            examples=[["2026-02-01 budget", "2026-02-06 policy 09:45-10:45"]],
        ),
    ] = ()
    events_file: A[
        str,
        Meta(
            description="File of such lines, in the user's folder unless absolute; # begins a "
            "comment.",
            examples=["events.txt"],
        ),
    ] = ""
    volume: A[Volume, Meta(description="Volume of the bar.")] = Volume()
    momentum: A[Momentum, Meta(description="Momentum.")] = Momentum()
    oi: A[Interest, Meta(description="Open interest.")] = Interest()
    spread: A[Spread, Meta(description="Bid and ask.")] = Spread()


def filter_settings(told: Filters, folder: Path) -> FilterSettings:
    """What the engine takes.

    Args:
        folder: of the user, where the file of events is looked for.
    Raises:
        ConfigError: a value that is not understood, or two that contradict each other.
    """
    events = [Event.parse(text) for text in told.events]
    if told.events_file:
        events += read_events(folder / told.events_file)
    made = FilterSettings(
        times=tuple(told.times),
        open_ns=told.open.ns,
        lunch_from=told.lunch_from.time,
        lunch_until=told.lunch_until.time,
        close_ns=told.close.ns,
        windows=tuple(Window.parse(text) for text in told.windows),
        expiry=told.expiry_day,
        expiry_from=told.expiry_from.time,
        events=tuple(events),
        volume=told.volume.times,
        volume_bars=told.volume.bars,
        momentum=told.momentum.by,
        momentum_bars=told.momentum.bars,
        adx=told.momentum.adx,
        oi_bars=told.oi.bars,
        oi_cover=told.oi.cover,
        spread_ticks=told.spread.ticks,
        spread_bps=told.spread.bps,
    )
    return checked_filters(made)


def read_events(path: Path) -> Sequence[Event]:
    """Events of a file, a line each.

    Raises:
        ConfigError: it cannot be read, or a line is not understood; the message names it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"filters.events_file: {path}: {error.strerror or error}") from None
    if len(data) > FILE_MAX:
        raise ConfigError(f"filters.events_file: {path}: larger than {FILE_MAX:,} bytes")
    found = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(Event.parse(text))
        except ConfigError as error:
            raise ConfigError(f"{path}: line {number}: {error}") from None
    if len(found) > EVENTS_MAX:
        raise ConfigError(f"filters.events_file: {path}: more than {EVENTS_MAX:,} events")
    return found
