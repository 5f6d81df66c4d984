"""What a feed tells of itself: frozen, plain values, for faces, logs and tests."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection.

    Units:
        times in UTC ns of the feed's clock, 0 for never.

    Attributes:
        number: from 0. state: feed_connection.State's value.
        up_ns: since when it is up, or was last. opened: sockets so far.
        failures: in a row. subscriptions: entries that it carries.
        messages, bytes, pings, dropped_frames: of all its sockets.
        last_message_ns: when the last message came.
        last_ending: how the last socket ended; empty when none has.
    """

    number: int
    state: str
    up_ns: int
    opened: int
    failures: int
    subscriptions: int
    messages: int
    bytes: int
    pings: int
    dropped_frames: int
    last_message_ns: int
    last_ending: str


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """A whole feed.

    Units:
        lag in ns, None before the first trade. Times in UTC ns of the feed's clock, 0 for never.

    Attributes:
        name: of the feed. running: between run and its end.
        whole: every connection that something is wanted on is up.
        connections: those that were ever started.
        subscriptions: entries wanted; unconfirmed: of them, unheard of since last asked for.
        stale: instruments that are silent while their segment trades.
        duplicates: wanted again. absent: no longer wanted that never were.
        gaps: times that a connection was lost. mute: times that the watchdog dropped one.
        last_message_ns: when the last message of any connection came.
        silent_until_ns: until when the account must not connect (HTTP 429).
        hours_known: false when the calendar does not reach the day: nothing is watched then.
        lag_p50_ns, lag_p99_ns: receive time less exchange time, which is in whole seconds.
        counters: of the decoder, by name.
    """

    name: str
    running: bool
    whole: bool
    connections: tuple[ConnectionStatus, ...]
    subscriptions: int
    unconfirmed: int
    stale: int
    duplicates: int
    absent: int
    gaps: int
    mute: int
    last_message_ns: int
    silent_until_ns: int
    hours_known: bool
    lag_p50_ns: int | None
    lag_p99_ns: int | None
    counters: Mapping[str, int]
