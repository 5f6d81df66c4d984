"""Settings of the margin of structures: what is asked before the first leg is sent."""

from dataclasses import dataclass, fields
from typing import Any, Final

from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

SHORT: Final = ("off", "refuse", "fewer")
WITHOUT: Final = ("refuse", "estimate")
ANSWER_NS: Final = (500_000_000, 60_000_000_000)
SPARE_E4_MAX: Final = 9_000


@dataclass(frozen=True, slots=True)
class MarginSettings:
    """What happens when the funds fall short of what a structure needs. Exits are never asked.

    Attributes:
        short: off: nothing is asked. refuse: the structure is not sent. fewer: as many as the
            funds cover are sent, the same share of every leg; none, when they cover none.
        answer_ns: live: the broker's answer is waited for so long.
        without: live, without that answer: refuse, or go by the estimate.
        spare_e4: share of the funds that stays unused, 1e-4.
    """

    short: str = "off"
    answer_ns: int = 3_000_000_000
    without: str = "refuse"
    spare_e4: int = 0

    @property
    def on(self) -> bool:
        """Whether anything is asked."""
        return self.short != "off"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def checked_margin(settings: MarginSettings) -> MarginSettings:
    """`settings`, or a refusal that names the field, the value and the range.

    Raises:
        ConfigError: a value out of range.
    """
    for name, value, known in (
        ("short", settings.short, SHORT),
        ("without", settings.without, WITHOUT),
    ):
        if value not in known:
            raise ConfigError(f"risk.margin: {unknown(name, value, list(known))}")
    if not ANSWER_NS[0] <= settings.answer_ns <= ANSWER_NS[1]:
        raise ConfigError(
            f"risk.margin.answer: {settings.answer_ns / 1e9:g}s is not in 0.5s..60s, within which "
            "a broker's answer is waited for"
        )
    if not 0 <= settings.spare_e4 <= SPARE_E4_MAX:
        raise ConfigError(
            f"risk.margin.spare: {settings.spare_e4 / 100:g}% is not in 0%..90% of the funds"
        )
    return settings
