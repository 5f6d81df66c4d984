"""What a structure of legs has to pass, made of settings; and what a result tells of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from dhanfast._core.guards import Guards
from dhanfast._core.legrisk import LegRisk
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.guard_build import guards_of, recorded_guards
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.leg_filters import checked_leg_filters, filters_of_legs
from dhanfast.engine.leg_judge import Judge
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_size import checked_leg_sizing
from dhanfast.engine.settings import Settings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.errors import ConfigError

# Rules that say nothing about a structure: (field, what it is called in a file, why).
NOT_OF_LEGS: Final = (
    ("correlated_paise", "exposure.correlated", "correlations of contracts are not known"),
    ("stops_per_side", "stoploss_guard.only_per_side", "a structure has no side"),
    ("vix_told", "vix.told", "a structure has no strategy that looks at India VIX"),
)


def checked_leg_risk(settings: Settings) -> Settings:
    """`settings`, or a refusal of guards and sizes that a structure cannot follow.

    Raises:
        ConfigError: names the setting and why.
    """
    for field, name, why in NOT_OF_LEGS:
        if getattr(settings.guards, field):
            raise ConfigError(f"risk.guards.{name}: a legs run does not follow it: {why}")
    checked_leg_filters(settings.filters)
    checked_leg_sizing(settings.sizing)
    return settings


def plain_of(settings: Settings) -> dict[str, Any]:
    """Guards, filters, sizes and margin of a run as its result keeps them; empty while all are
    off."""
    plain = settings.as_dict()
    kept = ("guards", "filters", "sizing", "margin")
    return {name: plain[name] for name in kept if name in plain}


def leg_risk_of(
    plan: StructurePlan,
    settings: Settings,
    contracts: Contracts,
    guards: Guards | None,
    *,
    far: bool = False,
) -> LegRisk | None:
    """What the settings ask for; None when they ask for nothing.

    Args:
        contracts: by number. guards: as `guards_of_legs` makes them. far: the broker is asked.
    Raises:
        ConfigError: a size that the structure cannot follow.
    """
    judged = settings.margin.on or settings.sizing != SizingSettings()
    filters = filters_of_legs(settings.filters)
    if guards is None and filters is None and not judged:
        return None
    judge = None
    if judged:
        judge = Judge(
            plan, contracts, settings.margin, settings.sizing, settings.risk, far=far
        )  # fmt: skip
    return LegRisk(guards, judge, filters)


def guards_of_legs(
    settings: GuardSettings, plan: StructurePlan, *, carried: Mapping[str, Any] | None = None
) -> Guards | None:
    """The guards of a structure whose India VIX comes by the feed; None: all are off."""
    return guards_of(settings, carried=carried, instruments=len(plan.legs))


def recorded_guards_of_legs(
    settings: GuardSettings, plan: StructurePlan
) -> tuple[Guards | None, tuple[str, ...]]:
    """The same over recorded data, and what a reader must know of the India VIX they see.

    Raises:
        ConfigError, BadData, UsageError: see `guard_build.recorded_vix`.
    """
    return recorded_guards(settings, instruments=len(plan.legs))


def risk_lines(risk: LegRisk | None, *, guards: bool = True) -> list[tuple[int, str]]:
    """What judge and guards have told since the last call: (UTC ns, text).

    Args:
        guards: False leaves those for who else reads them.
    """
    lines: list[tuple[int, str]] = []
    if risk is None:
        return lines
    if risk.judge is not None:
        lines += risk.judge.lines()
    if guards and risk.guards is not None:
        lines += [
            (one.time_ns, f"guards: {one.text}")
            for one in risk.guards.events()
            if one.what != "veto"
        ]
    return sorted(lines, key=lambda line: line[0])


def is_risk_line(text: str) -> bool:
    """Whether a line of a run's log is one of guards, sizes or margin."""
    return text.startswith(("guards: ", "margin: ", "size: "))


def risk_notes(risk: LegRisk | None, settings: Settings) -> list[str]:
    """What a reader of a result must know of them."""
    if risk is None:
        return []
    notes = []
    if risk.judge is not None:
        tally = risk.judge.tally
        if settings.sizing.method != "lots" and tally.sent:
            notes.append(
                f"Sizes by {settings.sizing.method}: {tally.sent} entries of {tally.fewest} to "
                f"{tally.most} structures, each in the log."
            )
        if tally.asked:
            fell = tally.counts["short"] + tally.counts["unanswered"]
            notes.append(
                f"Margin was asked before {tally.asked} entries: {tally.counts['fewer']} were made "
                f"smaller, {fell} were not sent, and {tally.counts['not_again']} legs were not "
                "entered again; each is in the log."
            )
    if risk.filters is not None and risk.filters.vetoed:
        vetoes = ", ".join(
            f"{name} {count:,}" for name, count in sorted(risk.filters.vetoed.items())
        )
        notes.append(f"Filters kept structures out, entries counted: {vetoes}.")
    if risk.guards is not None and risk.guards.vetoed:
        vetoes = ", ".join(
            f"{name.removeprefix('GUARD_').lower()} {count:,}"
            for name, count in sorted(risk.guards.vetoed.items())
        )
        notes.append(f"Guards kept entries out, rows counted: {vetoes}.")
    return notes


def with_history(settings: Settings, known: Mapping[str, Any] | None) -> Settings:
    """`settings` with the closed structures that a day begins with; None: as they are."""
    from dhanfast.engine.sizing_settings import TradeHistory

    if known is None:
        return settings
    return replace(settings, sizing=replace(settings.sizing, history=TradeHistory(**known)))
